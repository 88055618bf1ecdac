#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/refill/refill.h"
#include "boxes/testing/engine.h"
#include "boxes/transfer/transfer.h"
#include "core/dyn_class/dyn_class.h"
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

TEST_F(CacheBounded, QuarterOfAFullBinGoesBackToItsSlabs) {
    hak_heap_t *other = hak_heap_acquire_mt(); /* even if somebody might want the blocks */
    hak_testing::OwnHeap mine;
    hak_cache_policy_wants_owner(mine.get(), kClass);
    hak_slab_t *slab = NewSlab(mine.get(), kClass);
    std::vector<hak_block_t *> blocks = CarveAll(mine.get(), slab);
    uint64_t before = Flushed(mine.get());
    uint32_t first = hak_tls_sll_first_cap(hak_sc_bytes[kClass]);
    uint32_t batch = first / 4;
    ASSERT_GE(batch, 2u);
    size_t i = 0;
    while (hak_tls_sll_push_class(kClass, blocks[i])) {
        i++;
    }
    EXPECT_EQ(i, (size_t)first);
    hak_cache_policy_overflow_owner(mine.get(), blocks[i], kClass);
    EXPECT_EQ(slab->free, blocks[i]) << "the newest blocks go";
    EXPECT_EQ(hak_tls.bin[kClass].head, blocks[i - batch]);
    EXPECT_EQ(hak_load_rlx(&slab->used), slab->cap - batch) << "those in the bin count as used";
    EXPECT_EQ((uint32_t)hak_tls.bin[kClass].room, batch - 1);
    EXPECT_EQ(Flushed(mine.get()), before + batch);
    EXPECT_EQ(mine.get()->overflows[kClass], 1u);
    for (i++; i < blocks.size(); i++) {
        if (!hak_tls_sll_push_class(kClass, blocks[i])) {
            hak_cache_policy_overflow_owner(mine.get(), blocks[i], kClass);
        }
        EXPECT_GE(hak_tls.bin[kClass].room, 0);
        EXPECT_EQ(hak_testing::Blocks(hak_tls.bin[kClass].head).size() +
                      (size_t)hak_tls.bin[kClass].room,
                  (size_t)first);
    }
    EXPECT_EQ(hak_transfer_count(kClass), 0u) << "all are its own";
    mine.get()->shares[0] = mine.get()->shares[1] = 0;
    hak_heap_release_mt(other);
}

TEST_F(CacheBounded, BinWithoutRoomSendsEachBlock) {
    SetOption(HAK_OPTION_TINY_TLS_SLL, 0);
    hak_testing::OwnHeap mine;
    hak_slab_t *slab = NewSlab(mine.get(), kClass);
    for (hak_block_t *block : CarveAll(mine.get(), slab)) {
        ASSERT_FALSE(hak_tls_sll_push_class(kClass, block));
        hak_cache_policy_overflow_owner(mine.get(), block, kClass);
        EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);
        EXPECT_EQ(hak_tls.bin[kClass].room, 0);
    }
}

/* Blocks of others' slabs stay with a thread that allocates the class, if no neighbour shares a
 * cache line with them. */
TEST_F(CacheBounded, KeepsBlocksOfOthers) {
    hak_testing::OwnHeap mine;
    hak_heap_t *heap = mine.get();
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        uint32_t own = heap->tag | sc << HAK_BIN_SHIFT, shared = HAK_TAG_SHARED | (own & 0xffff);
        bool own_lines = hak_sc_bytes[sc] % 64 == 0 || hak_sc_bytes[sc] > 128;
        EXPECT_EQ(hak_tls.bin[sc].tag, own) << "it has none of its own";
        hak_cache_policy_wants_owner(heap, sc);
        bool expected = sc <= HAK_SC_FIXED && own_lines;
        EXPECT_EQ(hak_tls.bin[sc].tag, expected ? shared : own) << sc;
        EXPECT_EQ(hak_heap_slab_tag(heap, sc), expected ? shared : own) << sc;
        hak_tls.bin[sc].tag = 0;
    }
    hak_cache_policy_share_owner(heap);
    EXPECT_EQ(hak_tls.bin[kClass].tag, HAK_TAG_SHARED | kClass << HAK_BIN_SHIFT);
    EXPECT_EQ(hak_tls.bin[1].tag, 0u) << "not of a class whose blocks share lines";
    heap->shares[0] = heap->shares[1] = 0;
}

/* What a full bin of such a class has too much goes to the next thread, and to the slabs only if
 * that has not come for the lists before. */
TEST_F(CacheBounded, FullBinOfASharedClassIsPassedOn) {
    hak_heap_t *other = hak_heap_acquire_mt();
    hak_slab_t *slab = NewSlab(other, kClass);
    std::vector<hak_block_t *> blocks = CarveAll(other, slab);
    auto mine = std::make_unique<hak_testing::OwnHeap>();
    hak_heap_t *heap = mine->get();
    hak_cache_policy_wants_owner(heap, kClass);
    uint64_t before = Flushed(heap);
    uint32_t cap = heap->bin_cap[kClass], half = cap / 2, passed = 0;
    ASSERT_GE(blocks.size(), (size_t)cap + half + 1);
    for (hak_block_t *block : blocks) {
        if (!hak_tls_sll_push_class(kClass, block)) {
            hak_cache_policy_overflow_owner(heap, block, kClass);
            passed += half;
            EXPECT_EQ(hak_tls.bin[kClass].room, (int32_t)half - 1);
            EXPECT_EQ(Blocks(hak_tls.bin[kClass].head).size(), (size_t)(cap - half + 1));
        }
    }
    ASSERT_LT(passed, half * HAK_TRANSFER_PLACES);
    EXPECT_EQ(hak_transfer_count(kClass), passed);
    EXPECT_EQ(Flushed(heap), before) << "none has gone to its slab";
    EXPECT_EQ(hak_load_rlx(&slab->used), slab->cap);

    std::vector<hak_block_t *> taken;
    for (uint32_t i = 0; i < passed / half; i++) {
        while (hak_block_t *block = hak_tls_sll_pop_class(kClass)) {
            taken.push_back(block);
        }
        taken.push_back(hak_refill_owner(heap, kClass));
        EXPECT_EQ(hak_transfer_count(kClass), passed - (i + 1) * half) << "a refill takes a list";
    }
    while (hak_block_t *block = hak_tls_sll_pop_class(kClass)) {
        taken.push_back(block);
    }
    EXPECT_EQ(std::set<hak_block_t *>(taken.begin(), taken.end()),
              std::set<hak_block_t *>(blocks.begin(), blocks.end()));
    EXPECT_EQ(taken.size(), blocks.size());

    hak_block_t last = {};
    for (unsigned i = 0; i < HAK_TRANSFER_PLACES; i++) {
        ASSERT_TRUE(hak_transfer_put_mt(kClass, &last, 1));
    }
    for (hak_block_t *block : taken) {
        if (!hak_tls_sll_push_class(kClass, block)) {
            hak_cache_policy_overflow_owner(heap, block, kClass);
        }
    }
    EXPECT_GT(Flushed(heap), before) << "no place is free";
    uint32_t count;
    while (hak_transfer_take_mt(kClass, &count) != nullptr) {
    }
    heap->shares[0] = heap->shares[1] = 0;
    mine.reset();
    hak_testing::Settle(other);
    EXPECT_EQ(hak_testing::SlabsOf(other, kClass), 0u) << "all came home";
    hak_heap_release_mt(other);
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
        while (all.size() < 4 * last + 4 * hak_sc_slab_blocks(kClass)) {
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
    EXPECT_LE((uint64_t)last * kBytes, 1u << 20);
    EXPECT_LE(heap->cap_growth_bytes, 1u << 23);
    Free(heap, all);
    hak_cache_policy_end_owner(heap);
    EXPECT_EQ(heap->cap_growth_bytes, 0u);
    hak_cache_policy_start_owner(heap);
    EXPECT_EQ(heap->bin_cap[kClass], first);
    EXPECT_EQ(heap->cap_growth_bytes, 0u);
}

/* One that passes on what it has too much grows to four times its first length. */
TEST_F(CacheBounded, BinThatPassesOnGrowsLittle) {
    hak_heap_t *other = hak_heap_acquire_mt();
    std::vector<hak_block_t *> blocks;
    while (blocks.size() < 4096) {
        std::vector<hak_block_t *> some = CarveAll(other, NewSlab(other, kClass));
        blocks.insert(blocks.end(), some.begin(), some.end());
    }
    auto mine = std::make_unique<hak_testing::OwnHeap>();
    hak_heap_t *heap = mine->get();
    hak_cache_policy_wants_owner(heap, kClass);
    constexpr uint32_t kRounds = 40;
    uint32_t first = heap->bin_cap[kClass], overflows = 0;
    for (uint32_t round = 0; round < kRounds; round++) {
        size_t before = hak_transfer_count(kClass);
        size_t next = 0;
        while (hak_transfer_count(kClass) == before) {
            ASSERT_LT(next, blocks.size());
            hak_block_t *block = blocks[next++];
            if (!hak_tls_sll_push_class(kClass, block)) {
                hak_cache_policy_overflow_owner(heap, block, kClass);
                overflows++;
            }
        }
        uint32_t count;
        while (hak_transfer_take_mt(kClass, &count) != nullptr) {
        }
        while (hak_tls_sll_pop_class(kClass) != nullptr) {
        }
        hak_cache_policy_fill_owner(heap, kClass, nullptr, 0); /* it ran dry: may it grow? */
    }
    EXPECT_EQ(overflows, kRounds);
    EXPECT_EQ(heap->bin_cap[kClass], 4 * first);
    heap->shares[0] = heap->shares[1] = 0;
    Free(heap, blocks);
    mine.reset();
    hak_testing::Settle(other);
    EXPECT_EQ(hak_testing::SlabsOf(other, kClass), 0u) << "all came home";
    hak_heap_release_mt(other);
}

/* The bin, which is empty, was full so often since it was empty before. */
void RunDry(hak_heap_t *heap, unsigned sc, int overflows = 1) {
    for (int i = 0; i < overflows; i++) {
        hak_tls.bin[sc].room--;
        hak_cache_policy_note_overflow_owner(heap, sc);
    }
    hak_cache_policy_fill_owner(heap, sc, nullptr, 0);
}

/* What is rare costs nothing: memory for it would be lost. */
TEST_F(CacheBounded, BinThatIsRarelyTooShortDoesNotGrow) {
    hak_testing::OwnHeap mine;
    hak_heap_t *heap = mine.get();
    uint32_t first = heap->bin_cap[kClass];
    for (int i = 0; i < 100; i++) {
        hak_os_fake_advance_ms(20);
        RunDry(heap, kClass);
        ASSERT_EQ(heap->bin_cap[kClass], first) << "once in 20 ms";
    }
    for (int i = 0; i < 100; i++) {
        hak_os_fake_advance_ms(100);
        for (int quick = 0; quick < 5; quick++) {
            RunDry(heap, kClass);
        }
        ASSERT_EQ(heap->bin_cap[kClass], first) << "the same, but five in a row";
    }
    hak_os_fake_advance_ms(100);
    RunDry(heap, kClass); /* the time before does not count */
    for (int i = 0; i < 7; i++) {
        EXPECT_EQ(heap->bin_cap[kClass], first) << i;
        RunDry(heap, kClass);
    }
    RunDry(heap, kClass);
    EXPECT_EQ(heap->bin_cap[kClass], 2 * first) << "eight at once";
    hak_os_fake_advance_ms(100);
    RunDry(heap, kClass, 100);
    EXPECT_EQ(heap->bin_cap[kClass], 4 * first) << "a burst: often full in that time";
}

/* The next thread of the heap begins to count anew. */
TEST_F(CacheBounded, CountsOfTheThreadBeforeDoNotCount) {
    hak_testing::OwnHeap mine;
    hak_heap_t *heap = mine.get();
    uint32_t first = heap->bin_cap[kClass];
    RunDry(heap, kClass, 7);
    hak_cache_policy_start_owner(heap);
    RunDry(heap, kClass, 7);
    EXPECT_EQ(heap->bin_cap[kClass], first);
}

/* The bins of classes of 8 KiB to 32 KiB overflow and run dry until none of them grows any more. */
uint32_t GrowMid(hak_heap_t *heap) {
    uint32_t before;
    do {
        before = heap->cap_growth_bytes;
        for (unsigned sc = hak_sc_of(8193); sc <= hak_sc_of(32768); sc++) {
            RunDry(heap, sc, 1000); /* often, whatever the time that this takes */
        }
    } while (heap->cap_growth_bytes != before);
    return before;
}

/* What a thread has beyond its own budget comes out of a pot for all and goes back at its end. */
TEST_F(CacheBounded, ThreadsShareThePotAndLeaveNoneEmptyHanded) {
    constexpr uint32_t kOwn = 1 << 20, kAtMost = 1 << 23, kPot = 1 << 25, kLargestBlock = 32768;
    std::vector<hak_heap_t *> heaps;
    for (int i = 0; i < 12; i++) {
        heaps.push_back(hak_heap_acquire_mt());
        hak_cache_policy_start_owner(heaps.back());
    }
    uint64_t beyond = 0;
    for (size_t i = 0; i < heaps.size(); i++) {
        uint32_t growth = GrowMid(heaps[i]);
        EXPECT_LE(growth, kAtMost);
        /* a bin grows by all that it holds, so some of the budget may not suffice for any */
        EXPECT_GE(growth, i == 0 ? kAtMost - (1u << 19) : kOwn - 16 * kLargestBlock) << i;
        beyond += growth > kOwn ? growth - kOwn : 0;
        EXPECT_LE(beyond, kPot);
    }
    EXPECT_GE(beyond, kPot - (1u << 19)) << "the pot is used up";
    for (hak_heap_t *heap : heaps) {
        hak_cache_policy_end_owner(heap);
        EXPECT_EQ(heap->cap_growth_bytes, 0u);
    }
    for (int i = 0; i < 6; i++) { /* without an end: the thread was not there after a fork */
        hak_cache_policy_start_owner(heaps[0]);
        EXPECT_GE(GrowMid(heaps[0]), kAtMost - (1u << 19)) << "and filled again";
    }
    hak_cache_policy_end_owner(heaps[0]);
    for (hak_heap_t *heap : heaps) {
        hak_cache_policy_start_owner(heap);
        hak_heap_release_mt(heap);
    }
}

/* A spare class gets blocks of another size: its bin begins anew, and what the growth of the old
 * one cost is paid back, also to the pot. */
TEST_F(CacheBounded, ASpareClassOfAnotherSizeBeginsAnew) {
    constexpr unsigned kSpare = HAK_DYN_FIRST_SC;
    hak_testing::OwnHeap mine;
    hak_heap_t *heap = mine.get();
    EXPECT_EQ(heap->bin_cap[kSpare], 0u);
    for (int round = 0; round < 100; round++) { /* more than the pot, were it not paid back */
        for (uint32_t bytes : {528u, 272u, 1008u}) {
            ASSERT_TRUE(hak_dyn_class_add_exact_mt(bytes));
            ASSERT_EQ(hak_dyn_class_bytes(kSpare), bytes);
            EXPECT_TRUE(hak_cache_policy_resize_owner(heap, kSpare, bytes));
            EXPECT_FALSE(hak_cache_policy_resize_owner(heap, kSpare, bytes));
            ASSERT_EQ(heap->bin_cap[kSpare], hak_tls_sll_first_cap(bytes));
            EXPECT_EQ(hak_tls.bin[kSpare].room, (int32_t)heap->bin_cap[kSpare]);
            EXPECT_EQ(hak_tls.bin[kSpare].tag, heap->tag | kSpare << HAK_BIN_SHIFT) << "not shared";
            ASSERT_EQ(heap->cap_growth_bytes, 0u);
            for (int i = 0; i < 20; i++) {
                heap->overflows[kSpare] = 1000;
                hak_cache_policy_fill_owner(heap, kSpare, nullptr, 0);
            }
            EXPECT_GE(heap->bin_cap[kSpare] * bytes, 1u << 19) << "half of the largest bin";
            ASSERT_TRUE(hak_dyn_class_drop_exact_mt(bytes));
        }
    }
    hak_cache_policy_end_owner(heap); /* who borrows the heap then has nothing to pay back */
    EXPECT_TRUE(hak_cache_policy_resize_owner(heap, kSpare, 272) && heap->cap_growth_bytes == 0);
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
