#include "boxes/refill/refill.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/free_local/free_local.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "boxes/transfer/transfer.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
}

namespace {

using hak_testing::Blocks;
using hak_testing::SlabsOf;

constexpr unsigned kClass = 4;
constexpr uint32_t kBytes = 64;

class Refill : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        DropIdleStock();
        PurgeAll();
        mine_.reset(new hak_testing::OwnHeap);
        heap_ = mine_->get();
        for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
            heap_->carve_step[sc] = 1; /* the heap may have had a life before */
        }
    }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(hak_testing::Faults(), 0u);
        mine_.reset();
    }
    /* Nothing shall be adopted in these tests. */
    static void DropIdleStock() {
        for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
            hak_testing::Settle(heap);
        }
    }
    /* No slab finds its blocks carved. */
    static void PurgeAll() { (void)hak_slot_pool_purge_mt(1ull << 40, 0, UINT32_MAX, 0); }
    /* One refill: the block and then the bin's, in the order in which malloc would give them. */
    std::vector<hak_block_t *> Take(unsigned sc = kClass) {
        hak_block_t *first = hak_refill_owner(heap_, sc);
        if (first == nullptr) {
            return {};
        }
        std::vector<hak_block_t *> blocks = {first};
        while (hak_block_t *block = hak_tls_sll_pop_class(sc)) {
            blocks.push_back(block);
        }
        return blocks;
    }
    void Free(const std::vector<hak_block_t *> &blocks, unsigned sc = kClass) {
        for (hak_block_t *block : blocks) {
            if (!hak_tls_sll_push_class(sc, block)) {
                hak_cache_policy_overflow_owner(heap_, block, sc);
            }
        }
        hak_flush_all_owner(heap_);
    }
    void FreeRemotely(hak_block_t *block) {
        hak_free_remote_push_mt(hak_slab_of((uintptr_t)block), block, block, 1);
    }
    std::unique_ptr<hak_testing::OwnHeap> mine_;
    hak_heap_t *heap_;
};

TEST_F(Refill, CarvingDoublesUpToAnOsPageInAddressOrder) {
    std::vector<hak_block_t *> all;
    for (size_t expected : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 64u, 64u}) {
        std::vector<hak_block_t *> some = Take();
        EXPECT_EQ(some.size(), expected);
        all.insert(all.end(), some.begin(), some.end());
    }
    for (size_t i = 1; i < all.size(); i++) {
        EXPECT_EQ((uintptr_t)all[i] - (uintptr_t)all[i - 1], kBytes) << i;
    }
    EXPECT_EQ(SlabsOf(heap_, kClass), 1u);
    Free(all);
}

TEST_F(Refill, BlockLargerThanAnOsPageIsCarvedAlone) {
    std::vector<hak_block_t *> all;
    for (int i = 0; i < 5; i++) {
        std::vector<hak_block_t *> some = Take(60);
        ASSERT_EQ(some.size(), 1u);
        all.push_back(some[0]);
    }
    Free(all, 60);
}

TEST_F(Refill, GivesEveryBlockOfASlabBeforeItOpensAnother) {
    std::vector<hak_block_t *> all;
    while (all.size() < hak_sc_slab_blocks(kClass)) {
        std::vector<hak_block_t *> some = Take();
        ASSERT_FALSE(some.empty());
        all.insert(all.end(), some.begin(), some.end());
        ASSERT_EQ(SlabsOf(heap_, kClass), 1u) << all.size();
    }
    EXPECT_EQ(all.size(), hak_sc_slab_blocks(kClass));
    EXPECT_EQ(std::set<hak_block_t *>(all.begin(), all.end()).size(), all.size());
    EXPECT_EQ(heap_->partial[kClass], nullptr) << "a slab that has nothing is not listed";
    std::vector<hak_block_t *> next = Take();
    EXPECT_EQ(SlabsOf(heap_, kClass), 2u);
    Free(all);
    Free(next);
}

/* One block of each size at a time: a look at the bins that gives slabs back must not lead to the
 * next one by the slabs that are then opened again. */
TEST_F(Refill, FewBlocksOfManySizesOpenFewSlabs) {
    uint64_t made = hak_load_rlx(&heap_->counters.slabs_made);
    for (int round = 0; round < 500; round++) {
        for (unsigned sc = 1; sc <= 48; sc++) {
            hak_block_t *block = hak_tls_sll_pop_class(sc);
            block = block != nullptr ? block : hak_refill_owner(heap_, sc);
            ASSERT_NE(block, nullptr);
            ASSERT_TRUE(hak_tls_sll_push_class(sc, block));
        }
    }
    EXPECT_LE(hak_load_rlx(&heap_->counters.slabs_made), made + 1000);
    hak_flush_all_owner(heap_);
}

/* A slab that is opened again for its class is not carved again: the list is that of its former
 * life, complete and once. After a purge it is, and for another class, and small blocks are if the
 * list is in disorder. */
TEST_F(Refill, SlabOpenedAgainGivesTheBlocksOfItsFormerLife) {
    const size_t full = hak_sc_slab_blocks(kClass);
    enum { IN_ORDER, IN_DISORDER, PURGED, CASES };
    for (int how = 0; how < CASES; how++) {
        std::vector<hak_block_t *> all;
        while (all.size() < full) {
            std::vector<hak_block_t *> some = Take();
            all.insert(all.end(), some.begin(), some.end());
        }
        if (how == IN_DISORDER) {
            std::shuffle(all.begin(), all.end(), std::minstd_rand(1));
        }
        Free(all);
        EXPECT_EQ(hak_free_local_retire_kept_owner(heap_), 1u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        if (how == PURGED) {
            PurgeAll();
        }
        std::vector<hak_block_t *> again = Take();
        EXPECT_EQ(again.size() == full, how == IN_ORDER);
        std::set<hak_block_t *> had(all.begin(), all.end()), has(again.begin(), again.end());
        EXPECT_EQ(has.size(), again.size());
        EXPECT_EQ(had == has, how == IN_ORDER);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        Free(again);
        EXPECT_EQ(hak_free_local_retire_kept_owner(heap_), 1u);
        std::vector<hak_block_t *> other = Take(kClass + 1);
        EXPECT_LT(other.size(), 64u) << "carved";
        EXPECT_EQ(hak_testing::Faults(), 0u);
        Free(other, kClass + 1);
        EXPECT_EQ(hak_free_local_retire_kept_owner(heap_), 1u);
    }
}

/* Larger ones keep what they have in any order. */
TEST_F(Refill, SlabOfLargerBlocksKeepsAListInDisorder) {
    const unsigned sc = hak_sc_of(2000);
    std::vector<hak_block_t *> all;
    while (all.size() < hak_sc_slab_blocks(sc)) {
        std::vector<hak_block_t *> some = Take(sc);
        all.insert(all.end(), some.begin(), some.end());
    }
    std::shuffle(all.begin(), all.end(), std::minstd_rand(1));
    Free(all, sc);
    EXPECT_EQ(hak_free_local_retire_kept_owner(heap_), 1u);
    std::vector<hak_block_t *> again = Take(sc);
    EXPECT_EQ(std::set<hak_block_t *>(all.begin(), all.end()),
              std::set<hak_block_t *>(again.begin(), again.end()));
    Free(again, sc);
}

/* T-06: what was freed is used again before new memory. */
TEST_F(Refill, FreedBlocksAreUsedAgain) {
    std::vector<hak_block_t *> all;
    while (SlabsOf(heap_, kClass) < 4) {
        std::vector<hak_block_t *> some = Take();
        all.insert(all.end(), some.begin(), some.end());
    }
    uint64_t made = hak_load_rlx(&heap_->counters.slabs_made);
    std::vector<hak_block_t *> half(all.begin() + (long)all.size() / 2, all.end());
    all.resize(all.size() / 2);
    for (int round = 0; round < 5; round++) {
        size_t want = half.size();
        Free(half);
        half.clear();
        while (half.size() < want) {
            std::vector<hak_block_t *> some = Take();
            half.insert(half.end(), some.begin(), some.end());
        }
        EXPECT_LE(hak_load_rlx(&heap_->counters.slabs_made), made + 2u * (unsigned)round + 2);
        EXPECT_LE(SlabsOf(heap_, kClass), 4u);
    }
    Free(half);
    Free(all);
}

TEST_F(Refill, TakesRemoteFreesInFirst) {
    std::vector<hak_block_t *> all;
    while (all.size() < 200) {
        std::vector<hak_block_t *> some = Take();
        all.insert(all.end(), some.begin(), some.end());
    }
    for (size_t i = 0; i < 10; i++) {
        FreeRemotely(all[i]);
    }
    std::vector<hak_block_t *> again = Take();
    EXPECT_EQ(std::set<hak_block_t *>(again.begin(), again.end()),
              std::set<hak_block_t *>(all.begin(), all.begin() + 10));
    EXPECT_FALSE(hak_pending_has_any(heap_));
    Free(std::vector<hak_block_t *>(all.begin() + 10, all.end()));
    Free(again);
}

/* A thread that always finds lists of others would never see what came home. */
TEST_F(Refill, TakesRemoteFreesInWhereAListWasPassedOn) {
    std::vector<hak_block_t *> all;
    while (all.size() < 40) {
        std::vector<hak_block_t *> some = Take();
        all.insert(all.end(), some.begin(), some.end());
    }
    hak_block_link(all[0], all[1]);
    hak_block_link(all[1], nullptr);
    ASSERT_TRUE(hak_transfer_put_mt(kClass, all[0], 2));
    FreeRemotely(all[2]);
    ASSERT_TRUE(hak_pending_has_any(heap_));
    uint64_t refills = hak_load_rlx(&heap_->counters.refills);
    uint64_t blocks = hak_load_rlx(&heap_->counters.refill_blocks);
    EXPECT_EQ(Take(), (std::vector<hak_block_t *>{all[0], all[1]}));
    EXPECT_FALSE(hak_pending_has_any(heap_));
    EXPECT_EQ(hak_load_rlx(&heap_->counters.refills), refills + 1);
    EXPECT_EQ(hak_load_rlx(&heap_->counters.refill_blocks), blocks + 2);
    all.erase(all.begin() + 2);
    Free(all);
}

/* Blocks of a remote list count as used already; the fault check sees if they are counted twice. */
TEST_F(Refill, RemoteListOfTheFirstSlabIsTakenAsAWhole) {
    std::vector<hak_block_t *> all = Take();
    while (all.size() < 100) {
        std::vector<hak_block_t *> some = Take();
        all.insert(all.end(), some.begin(), some.end());
    }
    hak_slab_t *slab = hak_slab_of((uintptr_t)all[0]);
    /* Queued, but on no stack yet: the moment between the two steps of a push. */
    hak_block_link(all[0], all[1]);
    hak_block_link(all[1], nullptr);
    hak_store_rlx(&slab->remote, 2ull << 48 | (uintptr_t)all[0] | 1);
    std::vector<hak_block_t *> again = Take();
    EXPECT_EQ(again, (std::vector<hak_block_t *>{all[0], all[1]}));
    EXPECT_EQ(hak_load_rlx(&slab->used), hak_load_rlx(&slab->carved));
    EXPECT_EQ(hak_testing::Faults(), 0u);
    hak_pending_push_mt(heap_, slab);
    Free(all);
}

TEST_F(Refill, ShortListsAreJoined) {
    /* Two full slabs, each with three blocks back. */
    std::vector<hak_block_t *> all;
    while (all.size() < 2 * hak_sc_slab_blocks(kClass)) {
        std::vector<hak_block_t *> some = Take();
        all.insert(all.end(), some.begin(), some.end());
    }
    ASSERT_EQ(SlabsOf(heap_, kClass), 2u);
    std::vector<hak_block_t *> back;
    for (size_t i = 0; i < 3; i++) {
        back.push_back(all[i]);
        back.push_back(all[all.size() - 1 - i]);
    }
    Free(back);
    uint64_t blocks = hak_load_rlx(&heap_->counters.refill_blocks);
    std::vector<hak_block_t *> again = {hak_refill_owner(heap_, kClass)};
    std::vector<hak_block_t *> cached = Blocks(hak_tls.bin[kClass].head);
    EXPECT_EQ(cached.size() + (size_t)hak_tls.bin[kClass].room, heap_->bin_cap[kClass]);
    EXPECT_EQ(hak_load_rlx(&heap_->counters.refill_blocks), blocks + 6);
    again.insert(again.end(), cached.begin(), cached.end());
    EXPECT_EQ(std::set<hak_block_t *>(again.begin(), again.end()),
              std::set<hak_block_t *>(back.begin(), back.end()));
    EXPECT_EQ(hak_testing::Faults(), 0u);
    hak_flush_all_owner(heap_);
    for (hak_block_t *block : back) { /* these are free already */
        all.erase(std::find(all.begin(), all.end(), block));
    }
    all.push_back(again[0]);
    Free(all);
}

TEST_F(Refill, CachedBoundIsNeverBelowWhatABinMayHold) {
    for (unsigned sc : {1u, 4u, 40u, 80u}) {
        std::vector<hak_block_t *> all;
        for (int i = 0; i < 40; i++) {
            hak_block_t *block = hak_refill_owner(heap_, sc);
            EXPECT_GE(hak_load_rlx(&heap_->cached_max[sc]),
                      Blocks(hak_tls.bin[sc].head).size() + (size_t)hak_tls.bin[sc].room);
            all.push_back(block);
            while ((block = hak_tls_sll_pop_class(sc)) != nullptr) {
                all.push_back(block);
            }
        }
        Free(all, sc);
    }
}

TEST_F(Refill, OneBlockAndNoMoreForABorrower) {
    std::vector<hak_block_t *> some = Take();
    some.push_back(Take()[0]);
    uint64_t used = 0;
    hak_slab_t *slab = hak_slab_of((uintptr_t)some[0]);
    for (int i = 0; i < 20; i++) {
        used = hak_load_rlx(&slab->used);
        hak_block_t *one = hak_refill_one_owner(heap_, kClass);
        ASSERT_NE(one, nullptr);
        EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);
        EXPECT_EQ(hak_load_rlx(&slab->used), used + 1);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        some.push_back(one);
    }
    Free(some);
}

TEST_F(Refill, WithoutMemoryNothingChanges) {
    constexpr unsigned kFresh = 77;
    std::vector<hak_slab_t *> stock;
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    hak_slab_t *slab;
    while ((slab = hak_testing::TakeUnits(16)) != nullptr) {
        stock.push_back(slab);
    }
    uint64_t refills = hak_load_rlx(&heap_->counters.refills);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        EXPECT_EQ(hak_refill_owner(heap_, kFresh), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(hak_refill_one_owner(heap_, kFresh), nullptr);
        EXPECT_EQ(errno, ENOMEM);
    }
    EXPECT_EQ(hak_load_rlx(&heap_->counters.refills), refills);
    EXPECT_EQ(hak_tls.bin[kFresh].head, nullptr);
    EXPECT_EQ(hak_testing::Faults(), 0u);
    hak_os_fake_reset();
    std::vector<hak_block_t *> some = Take(kFresh);
    EXPECT_FALSE(some.empty());
    Free(some, kFresh);
    for (hak_slab_t *each : stock) {
        hak_slot_pool_give_mt(each);
    }
}

} // namespace
