#include "boxes/pool_chunk/pool_chunk.h"

#include <gtest/gtest.h>

#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/testing/engine.h"

namespace {

constexpr unsigned kSc = 72;
constexpr uint32_t kTag = 5u << HAK_TAG_OWNER_SHIFT;

class PoolChunk : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
    void TearDown() override {
        hak_os_fake_reset();
        for (hak_pool_unit_t *unit : units_) {
            hak_pool_chunk_close_owner(unit);
        }
        if (chunk_ != nullptr) {
            EXPECT_EQ(0u, hak_pool_chunk_faults_owner(chunk_, kTag));
            uintptr_t base = hak_region_base(&chunk_->region);
            hak_pool_chunk_unmap_owner(chunk_);
            EXPECT_EQ(nullptr, hak_pool_unit_of(base));
            EXPECT_EQ(nullptr, hak_registry_region(base));
            chunk_->next = spares_;
            spares_ = chunk_;
        }
    }
    void Map(size_t bytes) {
        chunk_ = hak_pool_chunk_map(&spares_, bytes);
        ASSERT_NE(nullptr, chunk_);
        ASSERT_EQ(bytes >> HAK_UNIT_SHIFT, hak_pool_chunk_free_units(chunk_));
        ASSERT_EQ(0u, hak_pool_chunk_dirty_units(chunk_));
    }
    void OpenAll() {
        hak_pool_unit_t *unit;
        while ((unit = hak_pool_chunk_open_owner(chunk_, kSc, kTag | kSc << HAK_BIN_SHIFT))) {
            units_.push_back(unit);
        }
    }
    void CloseAll() {
        for (hak_pool_unit_t *unit : units_) {
            hak_pool_chunk_close_owner(unit);
        }
        units_.clear();
    }
    size_t PurgeUnits(bool at_once, unsigned max_calls, unsigned *calls, bool *refused) {
        *calls = 0;
        *refused = false;
        return hak_pool_chunk_purge_owner(chunk_, at_once, calls, max_calls, refused);
    }
    static inline hak_pool_chunk_t *spares_ = nullptr;
    hak_pool_chunk_t *chunk_ = nullptr;
    std::vector<hak_pool_unit_t *> units_;
};

TEST_F(PoolChunk, EachSizeIsCutIntoUnits) {
    for (size_t bytes = HAK_POOL_LEAST_BYTES; bytes <= HAK_POOL_MOST_BYTES; bytes *= 2) {
        Map(bytes);
        OpenAll();
        ASSERT_EQ(bytes >> HAK_UNIT_SHIFT, units_.size());
        uintptr_t base = hak_region_base(&chunk_->region);
        EXPECT_EQ(0u, base % HAK_WINDOW_BYTES);
        for (size_t i = 0; i < units_.size(); i++) {
            uintptr_t at = base + i * HAK_UNIT_BYTES;
            ASSERT_EQ(at, hak_pool_unit_base(units_[i])) << "in address order";
            ASSERT_EQ(chunk_, hak_pool_unit_chunk(units_[i]));
            ASSERT_EQ(units_[i], hak_pool_unit_of(at));
            ASSERT_EQ(units_[i], hak_pool_unit_of(at + HAK_UNIT_BYTES - 1));
            ASSERT_EQ(kTag | kSc << HAK_BIN_SHIFT, hak_registry_tag(at));
        }
        EXPECT_EQ(nullptr, hak_pool_unit_of(base + bytes)) << "behind the last";
        CloseAll();
        EXPECT_EQ(HAK_TAG_NONE, hak_registry_tag(base));
        if (bytes < HAK_POOL_MOST_BYTES) {
            TearDown();
        }
    }
}

TEST_F(PoolChunk, CarvesInAddressOrderToTheLastByte) {
    Map(HAK_POOL_LEAST_BYTES);
    units_.push_back(hak_pool_chunk_open_owner(chunk_, 56, kTag));
    hak_block_t *rest = hak_pool_chunk_carve_owner(units_[0], 3, nullptr);
    std::vector<hak_block_t *> first = hak_testing::Blocks(rest);
    std::vector<hak_block_t *> all =
        hak_testing::Blocks(hak_pool_chunk_carve_owner(units_[0], 5, rest));
    ASSERT_EQ(3u, first.size());
    ASSERT_EQ(8u, all.size());
    all.erase(all.begin() + 5, all.end());
    first.insert(first.end(), all.begin(), all.end());
    for (uint32_t i = 0; i < 8; i++) {
        EXPECT_EQ(hak_pool_unit_base(units_[0]) + i * 8192, (uintptr_t)first[i]);
        EXPECT_EQ(i, hak_pool_unit_block_index(units_[0], 56, (uintptr_t)first[i]));
    }
    EXPECT_EQ(UINT32_MAX,
              hak_pool_unit_block_index(units_[0], 56, hak_pool_unit_base(units_[0]) + 16));
    EXPECT_EQ(8u, hak_load_rlx(&units_[0]->carved));
}

/* What was touched is used first, so that the rest need not become resident. */
TEST_F(PoolChunk, DirtyUnitsAreOpenedFirst) {
    Map(HAK_POOL_LEAST_BYTES);
    OpenAll();
    hak_pool_unit_t *high = units_[9];
    CloseAll();
    unsigned calls;
    bool refused;
    EXPECT_EQ(16u, PurgeUnits(true, 100, &calls, &refused));
    EXPECT_EQ(1u, calls) << "neighbours go together";
    OpenAll();
    units_.erase(units_.begin() + 9);
    hak_pool_chunk_close_owner(high);
    hak_pool_chunk_close_owner(units_[3]);
    units_.erase(units_.begin() + 3);
    EXPECT_EQ(2u, hak_pool_chunk_dirty_units(chunk_));
    EXPECT_EQ(1u, PurgeUnits(true, 1, &calls, &refused)) << "the lower one";
    units_.push_back(hak_pool_chunk_open_owner(chunk_, kSc, kTag | kSc << HAK_BIN_SHIFT));
    EXPECT_EQ(high, units_.back()) << "although a clean one lies lower";
}

/* 128 units: both words of the masks full, which are runs without an end. */
TEST_F(PoolChunk, PurgesWholeMasks) {
    Map(HAK_POOL_MOST_BYTES);
    OpenAll();
    ASSERT_EQ(128u, units_.size());
    CloseAll();
    unsigned calls;
    bool refused;
    EXPECT_EQ(0u, PurgeUnits(false, 100, &calls, &refused)) << "none is aged";
    EXPECT_FALSE(refused);
    EXPECT_TRUE(hak_pool_chunk_can_go_owner(chunk_, false));
    EXPECT_EQ(128u, PurgeUnits(false, 100, &calls, &refused));
    EXPECT_EQ(2u, calls);
    EXPECT_EQ(0u, hak_pool_chunk_dirty_units(chunk_));
    EXPECT_EQ(128u, hak_pool_chunk_free_units(chunk_));
}

TEST_F(PoolChunk, PurgesEveryOtherUnitAndKeepsWhatIsRefused) {
    Map(HAK_POOL_MOST_BYTES);
    OpenAll();
    std::vector<hak_pool_unit_t *> kept;
    for (size_t i = 0; i < units_.size(); i++) {
        if (i % 2 == 0) {
            auto *word = (volatile uint64_t *)hak_pool_unit_base(units_[i]);
            hak_unpoison((void *)word, 8);
            *word = 7;
            hak_pool_chunk_close_owner(units_[i]);
        } else {
            kept.push_back(units_[i]);
        }
    }
    uintptr_t base = hak_region_base(&chunk_->region);
    units_ = kept;
    unsigned calls;
    bool refused;
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 2, 1);
    EXPECT_EQ(63u, PurgeUnits(true, 100, &calls, &refused));
    EXPECT_EQ(64u, calls);
    EXPECT_TRUE(refused);
    EXPECT_EQ(1u, hak_pool_chunk_dirty_units(chunk_));
    for (size_t i = 0; i < 128; i += 2) {
        EXPECT_EQ(i == 4 ? 7u : 0u, *(volatile uint64_t *)(base + i * HAK_UNIT_BYTES)) << i;
    }
    EXPECT_FALSE(hak_pool_chunk_can_go_owner(chunk_, true)) << "half of it is in use";
}

TEST_F(PoolChunk, FailuresLeaveNothingBehind) {
    hak_pool_chunk_stats_t before, after;
    hak_pool_chunk_stats(&before);
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    EXPECT_EQ(nullptr, hak_pool_chunk_map(&spares_, HAK_POOL_MOST_BYTES));
    hak_pool_chunk_t *spare = spares_;
    EXPECT_EQ(nullptr, hak_pool_chunk_map(&spares_, HAK_POOL_MOST_BYTES));
    EXPECT_EQ(spare, spares_) << "the descriptor waits for the next attempt";
    hak_pool_chunk_stats(&after);
    EXPECT_GE(after.failed, before.failed + 5) << "8, 4, 2 and 1 MiB were tried";
    EXPECT_EQ(before.mapped_bytes, after.mapped_bytes);
    hak_os_fake_reset();
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 2);
    chunk_ = hak_pool_chunk_map(&spares_, HAK_POOL_MOST_BYTES);
    ASSERT_NE(nullptr, chunk_);
    EXPECT_EQ(32u, hak_pool_chunk_free_units(chunk_)) << "2 MiB";
}

} // namespace
