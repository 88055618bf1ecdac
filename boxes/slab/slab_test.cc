#include "boxes/slab/slab.h"

#include <gtest/gtest.h>
#include <string.h>

#include "base/poison.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "boxes/slab/slab_inl.h"
#include "registry/registry_inl.h"
}
#include "boxes/slot_pool/slot_pool.h"
#include "config/hak_config.h"

namespace {

using hak_testing::Blocks;

class Slab : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }

    static hak_slab_t *Open(unsigned sc) {
        hak_slab_t *slab = hak_slot_pool_take_mt(sc);
        hak_slab_open(slab, sc);
        return slab;
    }
    static void Close(hak_slab_t *slab) {
        hak_slab_close(slab);
        hak_slab_forget(slab); /* what a test has carved is not on its free list */
        hak_slot_pool_give_mt(slab);
    }
};

/* T-03: every block of every class is written over its full size; no other block, no mark and no
 * neighbouring slab may change. */
TEST_F(Slab, BlocksDoNotOverlapWhenFilledToTheirFullSize) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        hak_slab_t *slab = Open(sc), *beside = Open(sc);
        std::vector<hak_block_t *> blocks = Blocks(hak_slab_carve_owner(slab, slab->cap, nullptr));
        hak_block_t *other = hak_slab_carve_owner(beside, beside->cap, nullptr);
        ASSERT_EQ(blocks.size(), hak_sc_slab_blocks(sc));
        size_t bytes = hak_sc_bytes[sc];
        for (size_t i = 0; i < blocks.size(); i++) {
            hak_unpoison(blocks[i], bytes);
            memset(blocks[i], (int)(i % 251) + 1, bytes);
        }
        for (size_t i = 0; i < blocks.size(); i++) {
            auto *p = reinterpret_cast<unsigned char *>(blocks[i]);
            ASSERT_EQ(p[0], i % 251 + 1) << sc;
            ASSERT_EQ(memcmp(p, p + 1, bytes - 1), 0) << sc << " block " << i;
        }
        ASSERT_EQ(Blocks(other).size(), hak_sc_slab_blocks(sc)) << "ran into the slab beside";
        Close(slab);
        Close(beside);
    }
    EXPECT_EQ(hak_testing::Faults(), 0u);
}

TEST_F(Slab, BlocksAreCarvedInAddressOrderAndInsideTheSlab) {
    for (unsigned sc : {1u, 3u, 17u, 48u, 49u, 72u, 73u, 80u}) {
        hak_slab_t *slab = Open(sc);
        uintptr_t end = hak_slab_base(slab) + ((uintptr_t)slab->units << HAK_UNIT_SHIFT);
        uintptr_t expected = hak_slab_base(slab);
        while (hak_load_rlx(&slab->carved) < slab->cap) {
            uint32_t left = slab->cap - hak_load_rlx(&slab->carved);
            uint32_t count = left < 5 ? left : 5;
            std::vector<hak_block_t *> blocks = Blocks(hak_slab_carve_owner(slab, count, nullptr));
            ASSERT_EQ(blocks.size(), count);
            for (hak_block_t *block : blocks) {
                ASSERT_EQ((uintptr_t)block, expected);
                expected += hak_sc_bytes[sc];
                ASSERT_LE(expected, end);
                if (hak_cfg_check_double_free) {
                    ASSERT_EQ(hak_block_mark(block), hak_registry_mark((uintptr_t)block));
                }
            }
        }
        EXPECT_LT(end - expected, hak_sc_bytes[sc]) << "room for one more block";
        Close(slab);
    }
}

TEST_F(Slab, CarvedListEndsInTheTailThatWasGiven) {
    hak_slab_t *slab = Open(2);
    hak_block_t *first = hak_slab_carve_owner(slab, 3, nullptr);
    hak_block_t *all = hak_slab_carve_owner(slab, 2, first);
    std::vector<hak_block_t *> blocks = Blocks(all);
    ASSERT_EQ(blocks.size(), 5u);
    EXPECT_EQ(blocks[2], first);
    EXPECT_EQ(hak_slab_carve_owner(slab, 0, first), first);
    Close(slab);
}

TEST_F(Slab, EveryAddressLeadsToItsSlabAndOthersToNone) {
    std::vector<hak_slab_t *> slabs;
    for (unsigned sc : {4u, 50u, 78u, 4u, 50u}) {
        slabs.push_back(Open(sc));
    }
    for (hak_slab_t *slab : slabs) {
        uintptr_t base = hak_slab_base(slab);
        for (unsigned unit = 0; unit < slab->units; unit++) {
            uintptr_t at = base + ((uintptr_t)unit << HAK_UNIT_SHIFT);
            EXPECT_EQ(hak_slab_of(at), slab);
            EXPECT_EQ(hak_slab_of(at + HAK_UNIT_BYTES - 1), slab);
            EXPECT_EQ(hak_slab_of_block(reinterpret_cast<hak_block_t *>(at)), slab);
        }
    }
    int local;
    EXPECT_EQ(hak_slab_of((uintptr_t)&local), nullptr);
    EXPECT_EQ(hak_slab_of(0), nullptr);
    static hak_region_t huge = {HAK_REGION_HUGE, {3000ull << 30}};
    ASSERT_TRUE(hak_registry_add(&huge, hak_region_base(&huge), HAK_WINDOW_BYTES));
    EXPECT_EQ(hak_slab_of(hak_region_base(&huge)), nullptr) << "a region of another kind";
    hak_registry_remove(hak_region_base(&huge), HAK_WINDOW_BYTES);
    for (hak_slab_t *slab : slabs) {
        Close(slab);
    }
}

TEST_F(Slab, BlockIndexAgreesWithDivision) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        hak_slab_t *slab = Open(sc);
        uintptr_t base = hak_slab_base(slab);
        uint32_t bytes = hak_sc_bytes[sc], all = hak_sc_units(sc) << HAK_UNIT_SHIFT;
        for (uint32_t offset = 0; offset < all; offset += 8) {
            bool starts = offset % bytes == 0 && offset / bytes < slab->cap;
            uint32_t expected = starts ? offset / bytes : UINT32_MAX;
            ASSERT_EQ(hak_slab_block_index(slab, base + offset), expected) << sc << " " << offset;
        }
        ASSERT_EQ(hak_slab_block_index(slab, base + 1), UINT32_MAX);
        ASSERT_EQ(hak_slab_block_index(slab, (uint32_t)base), UINT32_MAX) << "half an address";
        ASSERT_EQ(hak_slab_block_index(slab, base + ((uintptr_t)bytes << 32)), UINT32_MAX);
        Close(slab);
    }
}

TEST_F(Slab, OwnerAndTagsOfAllUnitsChangeTogether) {
    static hak_heap_t heaps[2];
    for (unsigned sc : {5u, 60u, 75u}) {
        hak_slab_t *slab = Open(sc);
        for (hak_heap_t &heap : heaps) {
            uint32_t tag = (uint32_t)(&heap - heaps + 100) << HAK_TAG_OWNER_SHIFT | sc << 4;
            hak_slab_set_heap_owner(slab, &heap, tag);
            EXPECT_EQ(hak_slab_heap(slab), &heap);
            for (unsigned unit = 0; unit < slab->units; unit++) {
                uintptr_t at = hak_slab_base(slab) + ((uintptr_t)unit << HAK_UNIT_SHIFT);
                EXPECT_EQ(hak_registry_tag(at), tag);
            }
        }
        uintptr_t base = hak_slab_base(slab);
        uintptr_t last = base + ((uintptr_t)(slab->units - 1u) << HAK_UNIT_SHIFT);
        hak_slab_close(slab);
        EXPECT_EQ(hak_registry_tag(base), HAK_TAG_NONE);
        EXPECT_EQ(hak_registry_tag(last), HAK_TAG_NONE);
        EXPECT_EQ(hak_load_rlx(&slab->sc), 0u);
        EXPECT_EQ(hak_slab_block_index(slab, base), UINT32_MAX) << "no slab, so no block";
        hak_slot_pool_give_mt(slab);
    }
}

TEST_F(Slab, OpeningForgetsTheSlabsFormerLife) {
    hak_slab_t *slab = Open(9);
    slab->free = hak_slab_carve_owner(slab, 7, nullptr);
    hak_slab_close(slab);
    hak_slab_open(slab, 2);
    EXPECT_EQ(slab->free, nullptr);
    EXPECT_EQ(hak_load_rlx(&slab->carved), 0u);
    EXPECT_EQ(hak_load_rlx(&slab->used), 0u);
    EXPECT_EQ(hak_load_rlx(&slab->remote), 0u);
    EXPECT_EQ(slab->cap, hak_sc_slab_blocks(2));
    EXPECT_EQ(slab->listed, 0);
    Close(slab);
}

/* The pool says whether the memory is as it was. */
TEST_F(Slab, KeptSlabHasItsCarvedBlocksFree) {
    hak_slab_t *slab = Open(9);
    hak_block_t *list = slab->free = hak_slab_carve_owner(slab, 7, nullptr);
    hak_slab_close(slab);
    hak_slot_pool_give_mt(slab);
    EXPECT_EQ(hak_testing::Faults(), 0u);
    ASSERT_EQ(Open(9), slab);
    EXPECT_EQ(slab->free, list);
    EXPECT_EQ(hak_load_rlx(&slab->carved), 7u);
    EXPECT_EQ(hak_load_rlx(&slab->used), 0u);
    slab->kept = true;
    hak_slab_close(slab);
    hak_store_rlx(&slab->block_bytes, 16); /* a class chosen at run time has another size now */
    hak_slab_open(slab, 9);
    EXPECT_EQ(slab->free, nullptr);
    EXPECT_EQ(hak_load_rlx(&slab->carved), 0u);
    Close(slab);
}

} // namespace
