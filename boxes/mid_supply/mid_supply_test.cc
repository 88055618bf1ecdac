#include "boxes/mid_supply/mid_supply.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/testing/engine.h"

namespace {

constexpr size_t kBytes = 4u << 20;
constexpr uint64_t kNow = 1000000;

hak_mid_supply_stats_t Stats() {
    hak_mid_supply_stats_t stats;
    hak_mid_supply_stats_mt(&stats);
    return stats;
}

size_t Faults() {
    hak_mid_supply_fork_take();
    size_t faults = hak_mid_supply_check_locked();
    hak_mid_supply_fork_drop();
    return faults;
}

/* As a heap uses and leaves a chunk; touches two units. */
void Use(hak_mid_chunk_t *chunk) {
    hak_mid_chunk_open(chunk, 56);
    hak_store_rlx(&chunk->dirty, 3);
    hak_mid_chunk_close(chunk);
}

class MidSupply : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        hak_mid_supply_purge_mt(kNow, 0, UINT32_MAX, 0);
    }
    void TearDown() override {
        EXPECT_EQ(Faults(), 0u);
        hak_mid_supply_purge_mt(2 * kNow, 0, UINT32_MAX, 0);
        EXPECT_EQ(Stats().spare, 0u);
        EXPECT_EQ(Stats().mapped_bytes, 0u);
        EXPECT_FALSE(hak_mid_supply_has_spare());
    }
};

TEST_F(MidSupply, ANewChunkIsAlignedZeroedAndFound) {
    hak_mid_chunk_t *chunk = hak_mid_supply_take_mt(kBytes);
    ASSERT_NE(chunk, nullptr);
    uintptr_t base = hak_region_base(&chunk->region);
    EXPECT_EQ(base % HAK_WINDOW_BYTES, 0u);
    EXPECT_EQ(hak_mid_chunk_of(base), chunk);
    EXPECT_EQ(hak_mid_chunk_of(base + kBytes - 1), chunk);
    EXPECT_NE(hak_mid_chunk_of(base + kBytes), chunk);
    EXPECT_EQ(*(volatile char *)(base + kBytes / 2), 0);
    EXPECT_EQ(Stats().mapped_bytes, kBytes);
    Use(chunk);
    hak_mid_supply_give_mt(chunk, kNow);
}

/* A window is 2 MiB whatever the chunk's size: what lies behind a small one is not the chunk's. */
TEST_F(MidSupply, ASmallChunkEndsWhereItEnds) {
    hak_mid_chunk_t *chunk = hak_mid_supply_take_mt(size_t{1} << HAK_MID_LEAST_CHUNK_SHIFT);
    ASSERT_NE(chunk, nullptr);
    uintptr_t base = hak_region_base(&chunk->region);
    EXPECT_EQ(hak_mid_chunk_of(base + (1u << HAK_MID_LEAST_CHUNK_SHIFT) - 1), chunk);
    EXPECT_EQ(hak_mid_chunk_of(base + (1u << HAK_MID_LEAST_CHUNK_SHIFT)), nullptr);
    hak_mid_supply_give_mt(chunk, kNow);
}

TEST_F(MidSupply, SpareChunksAreTakenFirst) {
    hak_mid_chunk_t *chunk = hak_mid_supply_take_mt(kBytes);
    Use(chunk);
    hak_mid_supply_give_mt(chunk, kNow);
    EXPECT_EQ(Stats().spare, 1u);
    EXPECT_EQ(Stats().spare_bytes, 2u << HAK_UNIT_SHIFT);
    uint64_t made = Stats().made;
    uint64_t reused = Stats().reused;
    EXPECT_EQ(hak_mid_supply_take_mt(kBytes / 4), chunk) << "a larger one will do";
    EXPECT_EQ(Stats().made, made);
    EXPECT_EQ(Stats().reused, reused + 1);
    EXPECT_EQ(Stats().spare_bytes, 0u);
    hak_mid_chunk_t *other = hak_mid_supply_take_mt(kBytes / 4);
    EXPECT_NE(other, chunk);
    hak_mid_supply_give_mt(other, kNow);
    hak_mid_chunk_t *third = hak_mid_supply_take_mt(kBytes);
    EXPECT_NE(third, other) << "a smaller one will not do";
    hak_mid_supply_give_mt(chunk, kNow);
    hak_mid_supply_give_mt(third, kNow);
}

TEST_F(MidSupply, PurgeWaitsForTheDelay) {
    hak_mid_chunk_t *old = hak_mid_supply_take_mt(kBytes);
    hak_mid_chunk_t *young = hak_mid_supply_take_mt(kBytes);
    Use(old);
    Use(young);
    uintptr_t base = hak_region_base(&old->region);
    hak_mid_supply_give_mt(young, kNow + 400);
    hak_mid_supply_give_mt(old, kNow);
    EXPECT_EQ(hak_mid_supply_purge_mt(kNow + 499, 500, 1000, 0), 0u);
    EXPECT_EQ(hak_mid_supply_purge_mt(kNow + 500, 500, 1000, 0), 2u << HAK_UNIT_SHIFT);
    EXPECT_EQ(hak_registry_region(base), nullptr);
    EXPECT_EQ(Stats().spare, 1u);
    EXPECT_EQ(Stats().mapped_bytes, kBytes);
    EXPECT_EQ(hak_mid_supply_purge_mt(kNow + 501, 0, 1000, 2u << HAK_UNIT_SHIFT), 0u) << "kept";
    EXPECT_NE(hak_mid_supply_purge_mt(kNow + 501, 0, 1000, 0), 0u);
}

TEST_F(MidSupply, WithoutADelayAllGo) {
    hak_mid_chunk_t *chunk = hak_mid_supply_take_mt(kBytes);
    Use(chunk);
    hak_mid_supply_give_mt(chunk, kNow + 5); /* after the purge read the clock */
    EXPECT_NE(hak_mid_supply_purge_mt(kNow, 0, 1000, 0), 0u);
    EXPECT_EQ(Stats().spare, 0u);
}

TEST_F(MidSupply, PurgeKeepsToItsCalls) {
    std::vector<hak_mid_chunk_t *> chunks(20);
    for (hak_mid_chunk_t *&chunk : chunks) {
        chunk = hak_mid_supply_take_mt(kBytes);
        Use(chunk);
    }
    for (hak_mid_chunk_t *chunk : chunks) {
        hak_mid_supply_give_mt(chunk, kNow);
    }
    hak_mid_supply_purge_mt(kNow, 0, 48, 0);
    EXPECT_EQ(Stats().spare, 17u) << "an unmapping counts for 16";
    hak_mid_supply_purge_mt(kNow, 0, 1, 0);
    EXPECT_EQ(Stats().spare, 16u) << "but at least one goes";
}

TEST_F(MidSupply, DescriptorsAreUsedAgain) {
    std::set<hak_mid_chunk_t *> first;
    for (unsigned round = 0; round < 3; round++) {
        std::vector<hak_mid_chunk_t *> chunks(5);
        for (hak_mid_chunk_t *&chunk : chunks) {
            chunk = hak_mid_supply_take_mt(kBytes);
            if (round == 0) {
                first.insert(chunk);
            }
            EXPECT_EQ(first.count(chunk), 1u);
        }
        for (hak_mid_chunk_t *chunk : chunks) {
            hak_mid_supply_give_mt(chunk, kNow);
        }
        hak_mid_supply_purge_mt(kNow, 0, UINT32_MAX, 0);
    }
}

/* T-15: each call that may fail, alone and for good. */
TEST_F(MidSupply, NoMemory) {
    for (uint64_t successes : {0, 1, 2}) {
        hak_os_fake_fail(HAK_OS_CALL_MAP, successes, UINT64_MAX);
        std::vector<hak_mid_chunk_t *> got;
        errno = 0;
        while (hak_mid_chunk_t *chunk = hak_mid_supply_take_mt(kBytes)) {
            got.push_back(chunk);
            ASSERT_LT(got.size(), 100u);
        }
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_LE(got.size(), successes);
        hak_os_fake_reset();
        hak_mid_chunk_t *chunk = hak_mid_supply_take_mt(kBytes);
        EXPECT_NE(chunk, nullptr) << "it must recover";
        got.push_back(chunk);
        EXPECT_EQ(Stats().mapped_bytes, got.size() * kBytes);
        for (hak_mid_chunk_t *each : got) {
            hak_mid_supply_give_mt(each, kNow);
        }
        hak_mid_supply_purge_mt(kNow, 0, UINT32_MAX, 0);
    }
}

TEST_F(MidSupply, ManyThreads) {
    hak_testing::RunThreads(4, [](int index) {
        for (unsigned i = 0; i < 300; i++) {
            hak_mid_chunk_t *chunk = hak_mid_supply_take_mt(kBytes >> (i % 3));
            ASSERT_NE(chunk, nullptr);
            Use(chunk);
            hak_mid_supply_give_mt(chunk, kNow);
            if (i % 16 == (unsigned)index) {
                hak_mid_supply_purge_mt(kNow, 0, 40, 0);
            }
        }
    });
}

} // namespace
