/* Classes of which few blocks are left in many slabs: frees go home past the bin for a while. */
#include <gtest/gtest.h>

#include <vector>

#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/refill/refill.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

constexpr unsigned kClass = 33; /* 1,152 bytes, 56 in a slab */
constexpr size_t kSlabs = 16;

class CacheHome : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
    void TearDown() override { EXPECT_EQ(hak_testing::Faults(), 0u); }

    static hak_block_t *Alloc(hak_heap_t *heap) {
        hak_block_t *block = hak_tls_sll_pop_class(kClass);
        return block != nullptr ? block : hak_refill_owner(heap, kClass);
    }
    static void Free(hak_heap_t *heap, hak_block_t *block) {
        if (!hak_tls_sll_push_class(kClass, block)) {
            hak_cache_policy_overflow_owner(heap, block, kClass);
        }
    }
    /* Slabs of which `kept` blocks each are in use. Returns these. */
    static std::vector<hak_block_t *> Thinned(hak_heap_t *heap, size_t kept) {
        std::vector<hak_block_t *> all, left;
        for (size_t i = 0; i < kSlabs; i++) {
            std::vector<hak_block_t *> blocks =
                hak_testing::CarveAll(heap, hak_testing::NewSlab(heap, kClass));
            left.insert(left.end(), blocks.begin(), blocks.begin() + (long)kept);
            all.insert(all.end(), blocks.begin() + (long)kept, blocks.end());
        }
        for (hak_block_t *block : all) {
            Free(heap, block);
        }
        hak_flush_all_owner(heap);
        return left;
    }
    static void Grow(hak_heap_t *heap) {
        hak_owner_lock_take_owner(&heap->lock);
        hak_cache_policy_growing_locked(heap);
        hak_owner_lock_drop_owner(&heap->lock);
    }
    static void Replace(hak_heap_t *heap, std::vector<hak_block_t *> *blocks) {
        for (hak_block_t *&block : *blocks) { /* the oldest first */
            Free(heap, block);
            block = Alloc(heap);
        }
    }
    static void FreeAll(hak_heap_t *heap, const std::vector<hak_block_t *> &blocks) {
        for (hak_block_t *block : blocks) {
            Free(heap, block);
        }
        hak_flush_all_owner(heap);
    }
};

TEST_F(CacheHome, FewBlocksMoveTogetherWhenMemoryGrows) {
    hak_testing::OwnHeap mine;
    hak_heap_t *heap = mine.get();
    std::vector<hak_block_t *> blocks = Thinned(heap, 1);
    for (int i = 0; i < 3; i++) {
        Replace(heap, &blocks);
    }
    EXPECT_EQ(hak_testing::SlabsOf(heap, kClass), kSlabs) << "each takes the place of one before";
    Grow(heap);
    EXPECT_GT(heap->home_left[kClass], 0u);
    EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);
    Replace(heap, &blocks);
    Replace(heap, &blocks);
    EXPECT_LE(hak_testing::SlabsOf(heap, kClass), 2u);
    for (int i = 0; i < 20 && heap->home_left[kClass] != 0; i++) {
        Replace(heap, &blocks);
    }
    EXPECT_EQ(heap->home_left[kClass], 0u);
    EXPECT_EQ(heap->home_slabs[kClass], 0u);
    EXPECT_GT(hak_tls.bin[kClass].room, 0) << "the bin is as before";
    FreeAll(heap, blocks);
}

TEST_F(CacheHome, AClassWhoseBlocksStayIsNotTriedAgainSoon) {
    hak_testing::OwnHeap mine;
    hak_heap_t *heap = mine.get();
    std::vector<hak_block_t *> blocks = Thinned(heap, 1);
    std::vector<hak_block_t *> others = {Alloc(heap)};
    Grow(heap);
    EXPECT_GT(heap->home_left[kClass], 0u);
    for (int i = 0; i < 200; i++) {
        Replace(heap, &others);
    }
    EXPECT_EQ(heap->home_left[kClass], 0u);
    EXPECT_GE(hak_testing::SlabsOf(heap, kClass), kSlabs);
    Grow(heap);
    EXPECT_EQ(heap->home_left[kClass], 0u);
    std::vector<hak_block_t *> more = Thinned(heap, 1);
    Grow(heap);
    EXPECT_GT(heap->home_left[kClass], 0u) << "there are twice as many slabs";
    for (const std::vector<hak_block_t *> &list : {blocks, others, more}) {
        FreeAll(heap, list);
    }
}

TEST_F(CacheHome, SlabsThatAreHalfFullAreLeftAlone) {
    hak_testing::OwnHeap mine;
    std::vector<hak_block_t *> blocks = Thinned(mine.get(), 30);
    Grow(mine.get());
    EXPECT_EQ(mine.get()->home_left[kClass], 0u);
    FreeAll(mine.get(), blocks);
}

} // namespace
