#include <gtest/gtest.h>

#include <algorithm>

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

constexpr unsigned kClass = 4; /* 64 B */

void SetOption(hak_option_id_t id, uint64_t value) { hak_store_rlx(&hak_option_values[id], value); }

class CacheDrain : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        ASSERT_STREQ(hak_cache_policy_name, "drain");
    }
    void TearDown() override {
        SetOption(HAK_OPTION_TINY_TLS_SLL, 1);
        SetOption(HAK_OPTION_TINY_SLL_DRAIN_ENABLE, 1);
        SetOption(HAK_OPTION_TINY_SLL_DRAIN_INTERVAL, 1024);
        SetOption(HAK_OPTION_TINY_SLL_DRAIN_BATCH, 0);
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static uint64_t Drains(const hak_heap_t *heap) {
        return hak_load_rlx(&heap->counters.cache_drains);
    }
    static uint64_t Flushed(const hak_heap_t *heap) {
        return hak_load_rlx(&heap->counters.flushed_blocks);
    }
    static void Free(hak_heap_t *heap, hak_block_t *block, unsigned sc = kClass) {
        if (!hak_tls_sll_push_class(sc, block)) {
            hak_cache_policy_overflow_owner(heap, block, sc);
        }
    }
    /* Slabs of the class, all blocks handed out. */
    static std::vector<hak_block_t *> Fill(hak_heap_t *heap, unsigned slabs, unsigned sc = kClass) {
        std::vector<hak_block_t *> all;
        for (unsigned i = 0; i < slabs; i++) {
            std::vector<hak_block_t *> some = CarveAll(heap, NewSlab(heap, sc));
            all.insert(all.end(), some.begin(), some.end());
        }
        return all;
    }
    static uint64_t Used(const std::vector<hak_block_t *> &blocks) {
        std::vector<hak_slab_t *> seen;
        uint64_t used = 0;
        for (hak_block_t *block : blocks) {
            hak_slab_t *slab = hak_slab_of((uintptr_t)block);
            if (std::find(seen.begin(), seen.end(), slab) == seen.end()) {
                seen.push_back(slab);
                used += hak_load_rlx(&slab->sc) == 0 ? 0 : hak_load_rlx(&slab->used);
            }
        }
        return used;
    }
};

TEST_F(CacheDrain, FiresAtEachMultipleOfTheIntervalAndEmptiesTheBin) {
    hak_testing::OwnHeap mine;
    std::vector<hak_block_t *> all = Fill(mine.get(), 5); /* 5,120 blocks */
    ASSERT_GE(all.size(), 5000u);
    uint64_t drains = Drains(mine.get());
    uint64_t flushed = Flushed(mine.get());
    for (size_t i = 1; i <= all.size(); i++) {
        Free(mine.get(), all[i - 1]);
        ASSERT_EQ(Drains(mine.get()) - drains, i / 1024) << i;
        ASSERT_EQ(Flushed(mine.get()) - flushed, i / 1024 * 1024) << i;
        ASSERT_EQ(Used(all), all.size() - i / 1024 * 1024) << "used falls by what was drained";
        ASSERT_EQ(hak_tls.bin[kClass].head, i % 1024 == 0 ? nullptr : all[i - 1]);
    }
}

/* A pop does not put the drain off: it counts frees, not places. */
TEST_F(CacheDrain, CountsFreesAndNotTheLengthOfTheList) {
    hak_testing::OwnHeap mine;
    std::vector<hak_block_t *> all = Fill(mine.get(), 1);
    Free(mine.get(), all[0]);
    uint64_t drains = Drains(mine.get());
    for (int i = 2; i <= 4096; i++) {
        hak_block_t *block = hak_tls_sll_pop_class(kClass);
        if (block == nullptr) {
            block = hak_refill_owner(mine.get(), kClass);
        }
        Free(mine.get(), block);
        ASSERT_EQ(Drains(mine.get()) - drains, (uint64_t)i / 1024) << i;
    }
    for (size_t i = 1; i < all.size(); i++) {
        Free(mine.get(), all[i]);
    }
}

/* T-37 */
TEST_F(CacheDrain, T37_ABatchLeavesTheRest) {
    SetOption(HAK_OPTION_TINY_SLL_DRAIN_BATCH, 32);
    hak_testing::OwnHeap mine;
    std::vector<hak_block_t *> all = Fill(mine.get(), 1);
    ASSERT_EQ(all.size(), 1024u);
    for (hak_block_t *block : all) {
        Free(mine.get(), block);
    }
    EXPECT_EQ(Blocks(hak_tls.bin[kClass].head).size(), 1024u - 32);
    EXPECT_EQ(Used(all), 1024u - 32) << "the slab stays in use";
    SetOption(HAK_OPTION_TINY_SLL_DRAIN_BATCH, 0);
    for (int i = 0; i < 1024; i++) {
        Free(mine.get(), hak_tls_sll_pop_class(kClass));
    }
    EXPECT_EQ(Used(all), 0u) << "with no bound on the batch it becomes free";
}

TEST_F(CacheDrain, WithDrainOffNothingComesBack) {
    SetOption(HAK_OPTION_TINY_SLL_DRAIN_ENABLE, 0);
    hak_testing::OwnHeap mine;
    std::vector<hak_block_t *> all = Fill(mine.get(), 4);
    uint64_t flushed = Flushed(mine.get());
    for (hak_block_t *block : all) {
        Free(mine.get(), block);
    }
    EXPECT_EQ(Used(all), all.size()) << "the accounting gap of the notes";
    EXPECT_EQ(Flushed(mine.get()), flushed);
    EXPECT_EQ(Blocks(hak_tls.bin[kClass].head).size(), all.size());
}

/* T-36: a block whose slab has another owner by now goes there, and not on the slab's own list. */
TEST_F(CacheDrain, T36_ForeignBlocksGoThroughTheRemoteBox) {
    hak_heap_t *other = hak_heap_acquire_mt();
    {
        hak_testing::OwnHeap mine;
        std::vector<hak_block_t *> theirs = Fill(other, 2);
        ASSERT_EQ(theirs.size(), 2048u);
        uint64_t remote = hak_load_rlx(&mine.get()->counters.remote_blocks);
        for (hak_block_t *block : theirs) {
            Free(mine.get(), block);
        }
        hak_free_remote_flush(mine.get());
        EXPECT_EQ(hak_load_rlx(&mine.get()->counters.remote_blocks) - remote, theirs.size());
        EXPECT_EQ(Used(theirs), theirs.size()) << "used until their owner drains";
        EXPECT_EQ(hak_slab_of((uintptr_t)theirs[0])->free, nullptr);
    }
    hak_testing::Settle(other);
    EXPECT_EQ(hak_testing::SlabsOf(other, kClass), 0u);
    hak_heap_release_mt(other);
}

TEST_F(CacheDrain, LargerBlocksHaveFewerFrees) {
    hak_testing::OwnHeap mine;
    unsigned sc = hak_sc_of(8192);
    std::vector<hak_block_t *> all = Fill(mine.get(), 40, sc);
    uint64_t drains = Drains(mine.get());
    for (hak_block_t *block : all) {
        Free(mine.get(), block, sc);
    }
    EXPECT_EQ(Drains(mine.get()) - drains, all.size() / 128) << "1 MiB between two drains";
}

TEST_F(CacheDrain, WithoutTheListEachFreeGoesToItsSlab) {
    SetOption(HAK_OPTION_TINY_TLS_SLL, 0);
    hak_testing::OwnHeap mine;
    uint64_t drains = Drains(mine.get());
    for (int i = 0; i < 3000; i++) {
        hak_block_t *block = hak_refill_owner(mine.get(), kClass);
        ASSERT_EQ(hak_tls.bin[kClass].head, nullptr) << "a refill fetches one block";
        hak_slab_t *slab = hak_slab_of((uintptr_t)block);
        uint32_t used = hak_load_rlx(&slab->used);
        Free(mine.get(), block);
        ASSERT_EQ(hak_tls.bin[kClass].head, nullptr);
        ASSERT_EQ(hak_load_rlx(&slab->used), used - 1);
    }
    EXPECT_EQ(Drains(mine.get()), drains);
}

TEST_F(CacheDrain, CachedBoundIsNeverBelowWhatTheBinHolds) {
    hak_testing::OwnHeap mine;
    std::vector<hak_block_t *> all;
    for (int i = 0; i < 40; i++) {
        all.push_back(hak_refill_owner(mine.get(), kClass));
        while (hak_block_t *block = hak_tls_sll_pop_class(kClass)) {
            all.push_back(block);
        }
    }
    for (hak_block_t *block : all) {
        Free(mine.get(), block);
        ASSERT_LE(Blocks(hak_tls.bin[kClass].head).size(),
                  hak_load_rlx(&mine.get()->cached_max[kClass]));
    }
}

} // namespace
