/* Which slots a slab gets, how many of them, and whether what it held in its former life is still
 * there. */
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/testing/testing.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"

namespace {

using hak_testing::Faults;
using hak_testing::TakeUnits;

hak_slot_pool_stats_t Stats() {
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    return stats;
}

void PurgeAll() { (void)hak_slot_pool_purge_mt(1ull << 40, 0, UINT32_MAX, 0); }

class SlotPlaces : public ::testing::Test {
  protected:
    typedef std::vector<hak_slab_t *> slabs_t;

    /* The only memory of the pool is UNUSED. */
    void SetUp() override {
        hak_testing::StartEngine();
        PurgeAll();
        ASSERT_EQ(Stats().active_slots, 0u);
    }
    void TearDown() override {
        EXPECT_EQ(Stats().active_slots, 0u);
        EXPECT_EQ(Faults(), 0u);
    }
    static slabs_t Take(int count, unsigned units) {
        slabs_t slabs;
        for (int i = 0; i < count; i++) {
            slabs.push_back(TakeUnits(units));
        }
        return slabs;
    }
    /* Gives some back, which are then no more among the others. */
    static void Give(slabs_t *slabs, const std::function<bool(const hak_slab_t *)> &which) {
        for (hak_slab_t *&slab : *slabs) {
            if (which(slab)) {
                hak_slot_pool_give_mt(slab);
                slab = nullptr;
            }
        }
        slabs->erase(std::remove(slabs->begin(), slabs->end(), nullptr), slabs->end());
    }
    static void GiveSlots(slabs_t *slabs, const std::vector<unsigned> &slots) {
        Give(slabs, [&slots](const hak_slab_t *slab) {
            return std::count(slots.begin(), slots.end(), slab->slot) != 0;
        });
    }
    static void Give(slabs_t *slabs) {
        Give(slabs, [](const hak_slab_t *) { return true; });
    }
};

/* What slabs of one kind leave is resident: those of another kind use it, so no more memory becomes
 * so. A superslab that is pinned cannot change its kind for that. */
TEST_F(SlotPlaces, EmptySlotsServeSlabsOfOtherKinds) {
    std::vector<hak_slab_t *> slabs = Take(16, 2);
    for (int i = 3; i < 16; i++) { /* the first three pin it */
        hak_slot_pool_give_mt(slabs[i]);
    }
    hak_superslab_t *ss = hak_slab_superslab(slabs[0]);
    slabs.resize(3);
    uint64_t touched = hak_slot_pool_touched();
    for (int i = 0; i < 26; i++) {
        slabs.push_back(hak_slot_pool_take_warm_mt(hak_sc_of(2048)));
        ASSERT_NE(slabs.back(), nullptr) << i;
        EXPECT_EQ(hak_slab_superslab(slabs.back()), ss);
    }
    EXPECT_EQ(hak_slot_pool_touched(), touched);
    EXPECT_EQ(hak_slot_pool_take_warm_mt(hak_sc_of(2048)), nullptr) << "only UNUSED slots are left";
    EXPECT_EQ(Faults(), 0u);
    /* And back: two units that lie together and are aligned. */
    GiveSlots(&slabs, {11, 12, 20, 21});
    slabs.push_back(hak_slot_pool_take_warm_mt(hak_sc_of(16384)));
    ASSERT_NE(slabs.back(), nullptr);
    EXPECT_EQ(slabs.back()->slot, 20u);
    EXPECT_EQ(slabs.back()->units, 2u);
    for (unsigned slot : {11u, 12u}) { /* not aligned: no pair */
        slabs.push_back(hak_slot_pool_take_warm_mt(hak_sc_of(16384)));
        ASSERT_NE(slabs.back(), nullptr);
        EXPECT_EQ(slabs.back()->slot, slot);
        EXPECT_EQ(slabs.back()->units, 1u);
    }
    EXPECT_EQ(hak_slot_pool_take_warm_mt(hak_sc_of(16384)), nullptr);
    EXPECT_EQ(Faults(), 0u);
    /* The last one of a superslab that held both. */
    Give(&slabs);
    EXPECT_EQ(Faults(), 0u);
}

/* One unit first takes what no slab of two could use. */
TEST_F(SlotPlaces, OneUnitGoesWhereItBreaksNoPair) {
    std::vector<hak_slab_t *> slabs = Take(32, 1);
    GiveSlots(&slabs, {4, 5, 13});
    slabs.push_back(TakeUnits(1));
    EXPECT_EQ(slabs.back()->slot, 13u);
    slabs.push_back(TakeUnits(2));
    EXPECT_EQ(slabs.back()->slot, 4u);
    Give(&slabs);
}

/* EMPTY slots of a superslab that is wholly free come before UNUSED ones of one that is in use. */
TEST_F(SlotPlaces, CachedSuperslabServesBeforeUntouchedSlots) {
    hak_slab_t *pin = TakeUnits(2);
    std::vector<hak_slab_t *> slabs = {TakeUnits(16), TakeUnits(16)};
    hak_superslab_t *ss = hak_slab_superslab(slabs[0]);
    Give(&slabs);
    uint64_t lru = Stats().lru_superslabs;
    ASSERT_GE(lru, 1u);
    hak_slab_t *slab = TakeUnits(2);
    EXPECT_EQ(hak_slab_superslab(slab), ss);
    EXPECT_EQ(Stats().lru_superslabs, lru - 1);
    PurgeAll(); /* its EMPTY slots are UNUSED now */
    EXPECT_EQ(hak_slot_pool_take_warm_mt(hak_sc_of(16384)), nullptr);
    hak_slot_pool_give_mt(slab);
    hak_slot_pool_give_mt(pin);
}

/* EMPTY slots that stand alone serve a class of several units before memory becomes resident. */
TEST_F(SlotPlaces, EmptyRunsThatAreTooShortMakeShorterSlabs) {
    const unsigned kTwo = hak_sc_of(32768), kSixteen = hak_sc_of(36864);
    std::vector<hak_slab_t *> slabs = Take(32, 1);
    GiveSlots(&slabs, {1, 3, 6, 7});
    uint64_t touched = hak_slot_pool_touched();
    hak_slab_t *sixteen = hak_slot_pool_take_mt(kSixteen);
    EXPECT_EQ(sixteen->units, 2u);
    EXPECT_EQ(sixteen->slot, 6u);
    EXPECT_EQ(hak_slot_pool_take_warm_mt(kSixteen), nullptr) << "one block is no slab";
    for (unsigned slot : {1u, 3u}) {
        slabs.push_back(hak_slot_pool_take_mt(kTwo));
        EXPECT_EQ(slabs.back()->units, 1u);
        EXPECT_EQ(slabs.back()->slot, slot);
    }
    EXPECT_EQ(hak_slot_pool_touched(), touched);
    EXPECT_EQ(hak_slot_pool_take_warm_mt(kTwo), nullptr);
    EXPECT_EQ(Faults(), 0u);
    slabs.push_back(hak_slot_pool_take_mt(kTwo));
    EXPECT_EQ(slabs.back()->units, 2u) << "memory that is new anyway";
    EXPECT_EQ(hak_slot_pool_touched(), touched + 2);
    /* Back together, to the longest that fits. */
    hak_slot_pool_give_mt(sixteen);
    hak_slab_t *two = hak_slot_pool_take_mt(kTwo);
    EXPECT_EQ(two, sixteen);
    EXPECT_EQ(two->units, 2u);
    slabs.push_back(two);
    Give(&slabs);
}

/* A free list leads to the places that the slab had when it was closed. */
TEST_F(SlotPlaces, LongerSlabWasNotKept) {
    const unsigned kTwo = hak_sc_of(16384);
    std::vector<hak_slab_t *> slabs = Take(64, 1);
    hak_superslab_t *first = hak_slab_superslab(slabs[0]);
    Give(&slabs, [first](const hak_slab_t *s) {
        return hak_slab_superslab(s) == first && s->slot / 2 == 3;
    });
    hak_slab_t *pair = hak_slot_pool_take_mt(kTwo);
    ASSERT_EQ(hak_slab_superslab(pair), first);
    ASSERT_EQ(pair->units, 2u);
    hak_slot_pool_give_mt(pair);
    /* Who wants two units looks into the superslab that has the most to give, and finds none. */
    Give(&slabs, [first](const hak_slab_t *s) {
        return hak_slab_superslab(s) != first && s->slot % 2 == 1 && s->slot < 6;
    });
    ASSERT_EQ(slabs.size(), 59u);
    slabs.push_back(hak_slot_pool_take_mt(kTwo));
    ASSERT_EQ(slabs.back(), pair);
    ASSERT_EQ(pair->units, 1u);
    EXPECT_FALSE(pair->kept);
    /* Shorter ones are kept: their places are all there. */
    hak_slot_pool_give_mt(pair);
    slabs.back() = hak_slot_pool_take_mt(kTwo);
    ASSERT_EQ(slabs.back(), pair);
    EXPECT_EQ(pair->units, 1u);
    EXPECT_TRUE(pair->kept);
    EXPECT_EQ(Faults(), 0u);
    Give(&slabs);
}

/* Its blocks lie where those of the longer slab lie, which carves the others. */
TEST_F(SlotPlaces, ShorterSlabIsKept) {
    const unsigned kTwo = hak_sc_of(20480);
    slabs_t slabs = Take(32, 1);
    GiveSlots(&slabs, {6});
    hak_slab_t *slab = hak_slot_pool_take_mt(kTwo);
    ASSERT_EQ(slab->units, 1u);
    hak_slab_open(slab, kTwo);
    hak_block_t *list = slab->free = hak_slab_carve_owner(slab, slab->cap, nullptr);
    ASSERT_EQ(slab->cap, 3);
    hak_slab_close(slab);
    hak_slot_pool_give_mt(slab);
    GiveSlots(&slabs, {7});
    ASSERT_EQ(hak_slot_pool_take_mt(kTwo), slab);
    ASSERT_EQ(slab->units, 2u);
    EXPECT_TRUE(slab->kept);
    hak_slab_open(slab, kTwo);
    EXPECT_EQ(slab->cap, 6);
    EXPECT_EQ(slab->free, list);
    slab->free = hak_slab_carve_owner(slab, 3, list);
    std::vector<hak_block_t *> blocks = hak_testing::Blocks(slab->free);
    std::sort(blocks.begin(), blocks.end());
    ASSERT_EQ(blocks.size(), 6u);
    for (uint32_t i = 0; i < 6; i++) {
        EXPECT_EQ(hak_slab_block_index(slab, (uintptr_t)blocks[i]), i);
    }
    hak_slab_close(slab);
    hak_slot_pool_give_mt(slab);
    EXPECT_EQ(Faults(), 0u);
    Give(&slabs);
}

TEST_F(SlotPlaces, SlabOfAnotherClassOrSizeWasNotKept) {
    const unsigned kA = hak_sc_of(2048), kB = hak_sc_of(4096);
    hak_slab_t *slab = hak_slot_pool_take_mt(kA);
    EXPECT_FALSE(slab->kept) << "never given";
    hak_slot_pool_give_mt(slab);
    ASSERT_EQ(hak_slot_pool_take_mt(kA), slab);
    EXPECT_TRUE(slab->kept);
    hak_slot_pool_give_mt(slab);
    ASSERT_EQ(hak_slot_pool_take_mt(kB), slab);
    EXPECT_FALSE(slab->kept);
    hak_slot_pool_give_mt(slab);
    ASSERT_EQ(hak_slot_pool_take_mt(kA), slab);
    EXPECT_FALSE(slab->kept);
    hak_slot_pool_give_mt(slab);
    PurgeAll();
    slab = hak_slot_pool_take_mt(kA);
    EXPECT_FALSE(slab->kept) << "its memory is gone";
    hak_slot_pool_give_mt(slab);
}

} // namespace
