/* What is counted, and that nothing is used up by what fails. */
#include <gtest/gtest.h>

#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/bits.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"

namespace {

using hak_testing::TakeUnits;

constexpr uint64_t kDelayMs = 1000;

class SlotBooks : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        hak_store_rlx(&hak_option_values[HAK_OPTION_PURGE_DELAY_MS], kDelayMs);
        Trim();
    }
    void TearDown() override {
        hak_os_fake_reset();
        Trim();
        EXPECT_EQ(Stats().active_slots, 0u);
        EXPECT_EQ(Stats().dirty_slots, 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static void Trim() {
        hak_os_fake_advance_ms(64000);
        (void)Purge(0);
    }
    static size_t Purge(uint64_t delay_ms, unsigned calls = UINT32_MAX) {
        return hak_slot_pool_purge_mt(hak_os_now_ms(), delay_ms, calls, 0);
    }
    static hak_slot_pool_stats_t Stats() {
        hak_slot_pool_stats_t stats;
        hak_slot_pool_stats_mt(&stats);
        return stats;
    }
    static std::vector<hak_slab_t *> Take(size_t count) {
        std::vector<hak_slab_t *> slabs;
        for (size_t i = 0; i < count; i++) {
            slabs.push_back(TakeUnits(1));
        }
        return slabs;
    }
    static void Give(const std::vector<hak_slab_t *> &slabs) {
        for (hak_slab_t *slab : slabs) {
            hak_slot_pool_give_mt(slab);
        }
    }
    static size_t Descriptors() {
        size_t count = 0;
        auto visit = [](hak_superslab_t *, void *sum) { ++*static_cast<size_t *>(sum); };
        hak_slot_pool_each(visit, &count);
        return count;
    }
};

TEST_F(SlotBooks, SlabsOfAClassAndOfTinyOnesAreCounted) {
    const unsigned kTiny = hak_sc_of(64);
    uint32_t before[HAK_SC_COUNT], now[HAK_SC_COUNT];
    hak_slot_pool_class_slabs_mt(before);
    uint64_t active = Stats().tiny_slabs_active;
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < 3; i++) {
        slabs.push_back(hak_slot_pool_take_mt(kTiny));
    }
    hak_slot_pool_class_slabs_mt(now);
    EXPECT_EQ(now[kTiny], before[kTiny] + 3);
    EXPECT_EQ(Stats().tiny_slabs_active, active + 3);
    Give(slabs);
    hak_slot_pool_class_slabs_mt(now);
    EXPECT_EQ(now[kTiny], before[kTiny]);
    EXPECT_EQ(Stats().tiny_slabs_active, active);
    EXPECT_GE(Stats().tiny_slabs_peak, active + 3);
}

TEST_F(SlotBooks, WhatIsPurgedIsCounted) {
    std::vector<hak_slab_t *> slabs = Take(3), wall = Take(1);
    hak_slot_pool_stats_t before = Stats();
    Give(slabs);
    EXPECT_EQ(Purge(0), 3u * HAK_UNIT_BYTES);
    EXPECT_EQ(Stats().purges, before.purges + 1);
    EXPECT_EQ(Stats().purged_bytes, before.purged_bytes + 3 * HAK_UNIT_BYTES);
    Give(wall);
}

/* Only what was EMPTY when the slab was made may be resident where nothing has been carved. */
TEST_F(SlotBooks, ASlotThatWasPurgedIsNotWarm) {
    std::vector<hak_slab_t *> wall = Take(1);
    hak_slab_t *slab = TakeUnits(1);
    hak_superslab_t *ss = hak_slab_superslab(slab);
    uint32_t bit = 1u << slab->slot;
    EXPECT_EQ(hak_load_rlx(&ss->warm_mask) & bit, 0u);
    Give({slab});
    ASSERT_EQ(TakeUnits(1), slab);
    EXPECT_NE(hak_load_rlx(&ss->warm_mask) & bit, 0u);
    Give({slab});
    Trim();
    ASSERT_EQ(TakeUnits(1), slab);
    EXPECT_EQ(hak_load_rlx(&ss->warm_mask) & bit, 0u);
    Give({slab});
    Give(wall);
}

/* malloc_trim shortly after a pass that met nothing but refusals. */
TEST_F(SlotBooks, ATrimDoesNotRest) {
    Give(Take(2 * HAK_SUPERSLAB_SLOTS));
    hak_os_fake_advance_ms(kDelayMs);
    EXPECT_EQ(Purge(kDelayMs), 0u);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 2);
    hak_os_fake_advance_ms(kDelayMs);
    EXPECT_EQ(Purge(kDelayMs, 2), 0u);
    EXPECT_EQ(Purge(kDelayMs), 0u) << "it rests";
    EXPECT_EQ(Purge(0), 2u * HAK_SUPERSLAB_SLOTS * HAK_UNIT_BYTES);
}

TEST_F(SlotBooks, RequestsThatFailUseUpNoDescriptor) {
    std::vector<hak_slab_t *> slabs;
    while (Stats().superslabs * 2 > slabs.size() || Stats().stock_superslabs != 0) {
        slabs.push_back(TakeUnits(16)); /* nothing is left */
    }
    size_t descriptors = 0;
    for (int i = 0; i < 5; i++) {
        hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 2); /* of several superslabs, and of one */
        hak_slab_t *slab = TakeUnits(16);
        if (slab != nullptr) { /* nobody asked for several, and a descriptor needed memory */
            slabs.push_back(slab);
        }
        hak_os_fake_reset();
        EXPECT_TRUE(i == 0 || Descriptors() <= descriptors + (slab != nullptr));
        descriptors = Descriptors();
    }
    Give(slabs);
}

} // namespace
