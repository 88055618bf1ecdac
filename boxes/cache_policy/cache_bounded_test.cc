#include <gtest/gtest.h>

#include <memory>

#include "base/testing/testing.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/refill/refill.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
}

namespace {

using hak_testing::Blocks;
using hak_testing::CarveAll;
using hak_testing::NewSlab;

constexpr unsigned kClass = 33;
constexpr uint32_t kBytes = 1152;

uint64_t Flushed(const hak_heap_t *heap) { return hak_load_rlx(&heap->counters.flushed_blocks); }

void SetOption(hak_option_id_t id, uint64_t value) { hak_store_rlx(&hak_option_values[id], value); }

class CacheBounded : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        ASSERT_STREQ(hak_cache_policy_name, "bounded");
    }
    void TearDown() override {
        SetOption(HAK_OPTION_TINY_TLS_SLL, 1);
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
};

TEST_F(CacheBounded, RefusedBlockGoesBackToItsSlab) {
    hak_testing::OwnHeap mine;
    hak_slab_t *slab = NewSlab(mine.get(), kClass);
    std::vector<hak_block_t *> blocks = CarveAll(mine.get(), slab);
    uint64_t before = Flushed(mine.get());
    size_t i = 0;
    while (hak_tls_sll_push_class(kClass, blocks[i])) {
        i++;
    }
    EXPECT_EQ(i, (size_t)hak_tls_sll_first_cap(kClass));
    hak_cache_policy_overflow_owner(mine.get(), blocks[i], kClass);
    EXPECT_EQ(slab->free, blocks[i]);
    EXPECT_EQ(hak_load_rlx(&slab->used), slab->cap - 1) << "blocks in the bin count as used";
    EXPECT_EQ(hak_tls.bin[kClass].room, 0) << "full, and no more than full";
    EXPECT_EQ(Flushed(mine.get()), before + 1);
    EXPECT_NE(mine.get()->overflowed[0] & 1ull << kClass, 0u);
    for (i++; i < blocks.size(); i++) {
        ASSERT_FALSE(hak_tls_sll_push_class(kClass, blocks[i]));
        hak_cache_policy_overflow_owner(mine.get(), blocks[i], kClass);
    }
}

/* One refill: the block and then the bin's. */
std::vector<hak_block_t *> Take(hak_heap_t *heap) {
    std::vector<hak_block_t *> blocks = {hak_refill_owner(heap, kClass)};
    while (hak_block_t *block = hak_tls_sll_pop_class(kClass)) {
        blocks.push_back(block);
    }
    return blocks;
}

void Free(hak_heap_t *heap, const std::vector<hak_block_t *> &blocks) {
    for (hak_block_t *block : blocks) {
        if (!hak_tls_sll_push_class(kClass, block)) {
            hak_cache_policy_overflow_owner(heap, block, kClass);
        }
    }
}

TEST_F(CacheBounded, BinThatOverflowedGrowsWithinItsBudget) {
    hak_testing::OwnHeap mine;
    hak_heap_t *heap = mine.get();
    uint32_t first = heap->bin_cap[kClass];
    std::vector<hak_block_t *> all;
    uint32_t last = first;
    for (int round = 0; round < 30; round++) {
        while (all.size() < 4 * last) {
            std::vector<hak_block_t *> some = Take(heap);
            all.insert(all.end(), some.begin(), some.end());
        }
        Free(heap, all);
        hak_flush_all_owner(heap);
        all = Take(heap);
        EXPECT_LE(heap->bin_cap[kClass], 2 * last) << "at most doubled at a time";
        last = heap->bin_cap[kClass];
    }
    EXPECT_GT(last, first);
    EXPECT_LE((uint64_t)last * kBytes, 1u << 19);
    EXPECT_LE(heap->cap_growth_bytes, 1u << 20);
    Free(heap, all);
    hak_cache_policy_start_owner(heap);
    EXPECT_EQ(heap->bin_cap[kClass], first);
    EXPECT_EQ(heap->cap_growth_bytes, 0u);
}

TEST_F(CacheBounded, WithoutTheListEachFreeGoesToItsSlab) {
    SetOption(HAK_OPTION_TINY_TLS_SLL, 0);
    hak_testing::OwnHeap mine;
    EXPECT_FALSE(hak_cache_policy_keeps());
    for (int i = 0; i < 3000; i++) {
        std::vector<hak_block_t *> blocks = Take(mine.get());
        ASSERT_EQ(blocks.size(), 1u) << "a refill fetches one block";
        hak_slab_t *slab = hak_slab_of((uintptr_t)blocks[0]);
        uint32_t used = hak_load_rlx(&slab->used);
        Free(mine.get(), blocks);
        ASSERT_EQ(hak_tls.bin[kClass].head, nullptr);
        ASSERT_EQ(hak_load_rlx(&slab->used), used - 1);
    }
    EXPECT_EQ(hak_load_rlx(&mine.get()->cached_max[kClass]), 0u);
}

} // namespace
