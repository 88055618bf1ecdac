// The protocol by which pages change hands. Time is passed in.
#include "boxes/mf2_adopt/mf2_adopt.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/mf2_orphans/mf2_orphans.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "boxes/mf2_sweeper/mf2_sweeper.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

constexpr unsigned kIndex = 3; // 16 KiB: four blocks a page
constexpr uint64_t kNow = 1000000;

class Mf2Adopt : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        for (unsigned i = 0; i < 3; i++) {
            heap_[i] = hak_heap_acquire_mt();
            mf2_[i] = hak_mf2_heap_of_owner(heap_[i]);
            hak_store_rlx(&heap_[i]->active_ms, kNow); // at work
        }
    }
    void TearDown() override {
        for (hak_block_t *block : live_) {
            Free(block);
        }
        for (unsigned round = 0; round < 2; round++) {
            hak_mf2_adopt_collect_mt(nullptr, kNow, 0, HAK_OWNER_MAX, UINT32_MAX, true);
        }
        for (unsigned i = 0; i < 3; i++) {
            EXPECT_EQ(mf2_[i]->list[kIndex], nullptr) << "a block got lost";
            EXPECT_FALSE(hak_mf2_pending_has(mf2_[i], kIndex));
            hak_heap_release_mt(heap_[i]);
        }
        EXPECT_EQ(hak_mf2_orphans_count(), 0u);
    }
    // A page that `owner` handed out whole, and so released.
    hak_mf2_page_t *FullPage(hak_mf2_heap_t *owner, std::vector<hak_block_t *> *blocks) {
        hak_mf2_page_t *page = ActivePage(owner);
        while (!hak_mf2_page_is_used_up(page)) {
            blocks->push_back(hak_mf2_page_take_one_owner(page));
        }
        hak_mf2_heap_release_owner(owner, page);
        return page;
    }
    hak_mf2_page_t *ActivePage(hak_mf2_heap_t *owner) {
        unsigned sc = hak_mf2_sc(kIndex);
        hak_mf2_page_t *page = hak_mf2_pool_take_mt();
        hak_mf2_page_open(page, sc, owner, owner->heap->tag | sc << HAK_BIN_SHIFT);
        hak_mf2_heap_link_owner(owner, page, true);
        return page;
    }
    static void Free(hak_block_t *block) {
        hak_mf2_page_t *page = hak_mf2_page_of((uintptr_t)block);
        if (hak_mf2_remote_push_mt(page, block)) {
            hak_mf2_pending_push_mt(page);
        }
    }
    static void FreeAll(const std::vector<hak_block_t *> &blocks) {
        for (hak_block_t *block : blocks) {
            Free(block);
        }
    }
    static uintptr_t Owner(const hak_mf2_page_t *page) { return hak_load_acq(&page->owner); }
    static void ExpectFree(const hak_mf2_page_t *page, uint32_t blocks) {
        EXPECT_EQ(page->cap - hak_load_rlx(&page->used), blocks);
    }
    hak_heap_t *heap_[3];
    hak_mf2_heap_t *mf2_[3];
    std::vector<hak_block_t *> live_;
};

// C10: however many frees, one page on one stack.
TEST_F(Mf2Adopt, ManyFreesQueueThePageOnce) {
    std::vector<hak_block_t *> blocks;
    FullPage(mf2_[0], &blocks);
    FreeAll(blocks);
    EXPECT_EQ(hak_mf2_pending_count(mf2_[0], kIndex, 100), 1u);
}

TEST_F(Mf2Adopt, AdoptedPageIsActiveAtOnceAndItsFreesComeHome) {
    std::vector<hak_block_t *> blocks;
    hak_mf2_page_t *page = FullPage(mf2_[0], &blocks);
    FreeAll(blocks);
    ASSERT_TRUE(hak_mf2_adopt_find_owner(mf2_[1], kIndex, kNow));
    EXPECT_EQ(mf2_[1]->list[kIndex], page);
    EXPECT_EQ(Owner(page), (uintptr_t)mf2_[1]);
    ExpectFree(page, 4);
    EXPECT_EQ(hak_registry_tag(hak_mf2_page_base(page)) >> HAK_TAG_OWNER_SHIFT,
              heap_[1]->tag >> HAK_TAG_OWNER_SHIFT);
    EXPECT_EQ(hak_load_rlx(&mf2_[1]->counters.adoptions), 1u);
    // from here on its frees come to the new home
    hak_block_t *block = hak_mf2_page_take_one_owner(page);
    Free(block);
    EXPECT_TRUE(hak_mf2_pending_has(mf2_[1], kIndex));
    EXPECT_FALSE(hak_mf2_pending_has(mf2_[0], kIndex));
}

// C20 and T-07: within the lease the page does not move again, and it is not lost.
TEST_F(Mf2Adopt, T07_LeaseKeepsThePageAndDoesNotLoseIt) {
    std::vector<hak_block_t *> blocks;
    hak_mf2_page_t *page = FullPage(mf2_[0], &blocks);
    FreeAll(blocks);
    ASSERT_TRUE(hak_mf2_adopt_find_owner(mf2_[1], kIndex, kNow));
    std::vector<hak_block_t *> again;
    while (!hak_mf2_page_is_used_up(page)) {
        again.push_back(hak_mf2_page_take_one_owner(page));
    }
    hak_mf2_heap_release_owner(mf2_[1], page);
    FreeAll(again);
    for (uint64_t ms : {0, 5, 9}) {
        EXPECT_FALSE(hak_mf2_adopt_find_owner(mf2_[2], kIndex, kNow + ms));
        EXPECT_TRUE(hak_mf2_pending_has(mf2_[1], kIndex)) << "put back after " << ms << " ms";
    }
    EXPECT_EQ(hak_load_rlx(&mf2_[2]->counters.lease_skips), 3u);
    EXPECT_EQ(hak_load_rlx(&mf2_[2]->counters.requeues), 3u);
    EXPECT_TRUE(hak_mf2_adopt_find_owner(mf2_[2], kIndex, kNow + 10));
    EXPECT_EQ(Owner(page), (uintptr_t)mf2_[2]);
}

// The lease is for others: the home takes its own page at any time.
TEST_F(Mf2Adopt, HomeIgnoresTheLease) {
    std::vector<hak_block_t *> blocks;
    hak_mf2_page_t *page = FullPage(mf2_[0], &blocks);
    FreeAll(blocks);
    ASSERT_TRUE(hak_mf2_adopt_find_owner(mf2_[1], kIndex, kNow));
    while (!hak_mf2_page_is_used_up(page)) {
        live_.push_back(hak_mf2_page_take_one_owner(page));
    }
    hak_mf2_heap_release_owner(mf2_[1], page);
    Free(live_.back());
    live_.pop_back();
    EXPECT_EQ(hak_mf2_adopt_drain_owner(mf2_[1], kIndex, 4), 1u);
    ExpectFree(page, 1);
}

// T-07, T-20: a page of a thread that is at work is left to it: put back, and drained by its owner.
TEST_F(Mf2Adopt, T07_BusyOwnerKeepsItsPage) {
    hak_mf2_page_t *page = ActivePage(mf2_[0]);
    hak_block_t *block = hak_mf2_page_take_one_owner(page);
    Free(block);
    EXPECT_FALSE(hak_mf2_adopt_find_owner(mf2_[1], kIndex, kNow + 9));
    EXPECT_EQ(Owner(page), (uintptr_t)mf2_[0]);
    EXPECT_EQ(hak_mf2_adopt_drain_owner(mf2_[0], kIndex, 4), 1u);
    EXPECT_EQ(hak_load_rlx(&page->used), 0u);
}

// The owner sleeps: its page is taken away under its lock. While it is inside, it is not.
TEST_F(Mf2Adopt, SleepingOwnerLosesItsPage) {
    hak_mf2_page_t *page = ActivePage(mf2_[0]);
    Free(hak_mf2_page_take_one_owner(page));
    hak_owner_lock_take_owner(&heap_[0]->lock);
    EXPECT_FALSE(hak_mf2_adopt_find_owner(mf2_[1], kIndex, kNow + 10));
    hak_owner_lock_drop_owner(&heap_[0]->lock);
    EXPECT_TRUE(hak_mf2_adopt_find_owner(mf2_[1], kIndex, kNow + 10));
    EXPECT_EQ(Owner(page), (uintptr_t)mf2_[1]);
    EXPECT_EQ(mf2_[0]->list[kIndex], nullptr);
}

// T-07: the owner had taken the blocks while the page was queued. A drain that finds nothing
// releases the page again, and the next free queues it again.
TEST_F(Mf2Adopt, T07_EmptyDrainLosesNothing) {
    std::vector<hak_block_t *> blocks;
    hak_mf2_page_t *page = FullPage(mf2_[0], &blocks);
    Free(blocks[0]);
    uint32_t count;
    EXPECT_EQ(hak_mf2_remote_take_owner(page, &count), blocks[0]);
    EXPECT_FALSE(hak_mf2_adopt_find_owner(mf2_[1], kIndex, kNow));
    EXPECT_EQ(Owner(page), 0u);
    EXPECT_FALSE(hak_mf2_remote_is_queued(page));
    Free(blocks[1]);
    live_ = {blocks[0], blocks[2], blocks[3]};
    ASSERT_TRUE(hak_mf2_adopt_find_owner(mf2_[2], kIndex, kNow + 20));
    EXPECT_EQ(mf2_[2]->list[kIndex], page);
}

// What an ended thread leaves is found; frees into it meanwhile go to its old home's stack.
TEST_F(Mf2Adopt, OrphansAreAdopted) {
    hak_mf2_page_t *page = ActivePage(mf2_[0]);
    live_ = {hak_mf2_page_take_one_owner(page), hak_mf2_page_take_one_owner(page)};
    hak_mf2_adopt_leave_all_owner(mf2_[0]);
    EXPECT_EQ(Owner(page), HAK_MF2_ORPHAN);
    EXPECT_EQ(hak_mf2_orphans_count(), 1u);
    Free(live_.back());
    live_.pop_back();
    ASSERT_TRUE(hak_mf2_adopt_find_owner(mf2_[1], kIndex, kNow));
    EXPECT_EQ(mf2_[1]->list[kIndex], page);
    EXPECT_EQ(hak_mf2_orphans_count(), 0u);
    // it is still queued, at the heap that it left: whoever comes there forwards it
    EXPECT_EQ(hak_mf2_adopt_drain_owner(mf2_[0], kIndex, 4), 0u);
    EXPECT_EQ(hak_mf2_adopt_drain_owner(mf2_[1], kIndex, 4), 1u);
    EXPECT_EQ(hak_load_rlx(&page->used), 1u);
}

// An orphan that is queued may also be had from the stack.
TEST_F(Mf2Adopt, T07_QueuedOrphanIsClaimed) {
    hak_mf2_page_t *page = ActivePage(mf2_[0]);
    live_ = {hak_mf2_page_take_one_owner(page), hak_mf2_page_take_one_owner(page)};
    hak_mf2_adopt_leave_all_owner(mf2_[0]);
    Free(live_.back());
    live_.pop_back();
    EXPECT_EQ(hak_mf2_adopt_drain_owner(mf2_[0], kIndex, 4), 1u);
    EXPECT_EQ(Owner(page), (uintptr_t)mf2_[0]);
    EXPECT_EQ(hak_mf2_orphans_count(), 0u);
}

// C16: a tick drains what nobody owns and what a sleeping thread owns, and leaves a busy one alone.
TEST_F(Mf2Adopt, SweeperTick) {
    std::vector<hak_block_t *> blocks;
    FullPage(mf2_[0], &blocks);
    hak_mf2_page_t *partly = FullPage(mf2_[1], &live_);
    hak_mf2_page_t *owned = ActivePage(mf2_[2]);
    FreeAll(blocks);
    Free(live_.back());
    live_.pop_back();
    Free(hak_mf2_page_take_one_owner(owned));
    EXPECT_EQ(hak_mf2_sweep_mt(kNow + 9, 64), 3u);
    EXPECT_EQ(Owner(partly), HAK_MF2_ORPHAN);
    EXPECT_EQ(hak_mf2_orphans_count(), 1u) << "the wholly free page went to the pool";
    EXPECT_TRUE(hak_mf2_remote_is_queued(owned));
    EXPECT_EQ(hak_mf2_sweep_mt(kNow + 10, 64), 1u);
    EXPECT_EQ(Owner(owned), (uintptr_t)mf2_[2]);
    EXPECT_EQ(hak_load_rlx(&owned->used), 0u);
    EXPECT_EQ(hak_mf2_sweep_mt(kNow + 10, 64), 0u);
}

// A wholly free page that is queued stays until the stack gave it up.
TEST_F(Mf2Adopt, T07_QueuedPageIsNotRetired) {
    hak_mf2_page_t *page = ActivePage(mf2_[0]);
    hak_block_t *block = hak_mf2_page_take_one_owner(page);
    Free(block);
    uint32_t count;
    hak_mf2_page_put_owner(page, hak_mf2_remote_take_owner(page, &count), 1);
    EXPECT_EQ(hak_load_rlx(&page->used), 0u);
    EXPECT_FALSE(hak_mf2_adopt_retire_owner(mf2_[0], page));
    EXPECT_EQ(hak_mf2_adopt_settle_owner(mf2_[0], 64), 1u);
}

// What a settle took in says if more may wait, and pages that are free do not hide behind others.
TEST_F(Mf2Adopt, SettleTellsThatItWasCut) {
    std::vector<hak_block_t *> blocks;
    for (int i = 0; i < 200; i++) {
        FullPage(mf2_[0], &blocks);
    }
    FreeAll(blocks);
    EXPECT_EQ(hak_mf2_adopt_settle_owner(mf2_[0], 150), 150u);
    EXPECT_EQ(mf2_[0]->list[kIndex], nullptr) << "each page that it took in is retired";
    EXPECT_EQ(hak_mf2_adopt_settle_owner(mf2_[0], 150), 50u);
    EXPECT_FALSE(hak_mf2_pending_has(mf2_[0], kIndex));
    EXPECT_EQ(mf2_[0]->list[kIndex], nullptr);
}

// A class that is never through does not keep the others from their turn.
TEST_F(Mf2Adopt, EachClassIsOnceTheFirstToBeSettled) {
    constexpr unsigned kOther = 4;
    hak_mf2_page_t *page = hak_mf2_pool_take_mt();
    unsigned sc = hak_mf2_sc(kOther);
    hak_mf2_page_open(page, sc, mf2_[0], heap_[0]->tag | sc << HAK_BIN_SHIFT);
    hak_mf2_heap_link_owner(mf2_[0], page, true);
    Free(hak_mf2_page_take_one_owner(page));
    std::vector<hak_block_t *> blocks;
    for (unsigned i = 0; i < 2 * HAK_MF2_CLASSES; i++) {
        FullPage(mf2_[0], &blocks);
    }
    FreeAll(blocks);
    for (unsigned i = 0; i < hak_mf2_classes(); i++) {
        EXPECT_EQ(hak_mf2_adopt_settle_owner(mf2_[0], 1), 1u);
    }
    EXPECT_FALSE(hak_mf2_pending_has(mf2_[0], kOther));
    EXPECT_TRUE(hak_mf2_pending_has(mf2_[0], kIndex));
}

// A thread at work may not come by its stack for long. What it has on its list stays.
TEST_F(Mf2Adopt, CollectTakesInFreesOfThreadsAtWork) {
    std::vector<hak_block_t *> blocks;
    FullPage(mf2_[0], &blocks);
    FreeAll(blocks);
    hak_mf2_page_t *unused = ActivePage(mf2_[1]);
    EXPECT_EQ(hak_mf2_adopt_collect_mt(nullptr, kNow + 9, 10, HAK_OWNER_MAX, 64, true), 1u);
    EXPECT_FALSE(hak_mf2_pending_has(mf2_[0], kIndex));
    EXPECT_EQ(mf2_[0]->list[kIndex], nullptr) << "it went to the pool";
    EXPECT_EQ(mf2_[1]->list[kIndex], unused);
    EXPECT_EQ(hak_mf2_adopt_collect_mt(nullptr, kNow + 10, 10, HAK_OWNER_MAX, 64, true), 0u);
    EXPECT_EQ(mf2_[1]->list[kIndex], nullptr) << "its thread sleeps";
}

// The bound is that of the call, whosever pages they are; the next call goes on with the next heap.
TEST_F(Mf2Adopt, CollectStopsAfterSoManyPages) {
    std::vector<hak_block_t *> blocks;
    for (hak_mf2_heap_t *heap : mf2_) {
        FullPage(heap, &blocks);
        FullPage(heap, &blocks);
    }
    FreeAll(blocks);
    EXPECT_EQ(hak_mf2_adopt_collect_mt(nullptr, kNow, 0, HAK_OWNER_MAX, 3, false), 3u);
    EXPECT_EQ(hak_mf2_adopt_collect_mt(nullptr, kNow, 0, HAK_OWNER_MAX, 4, false), 3u);
    for (const hak_mf2_heap_t *heap : mf2_) {
        EXPECT_FALSE(hak_mf2_pending_has(heap, kIndex));
    }
}

// T-17: a pop that was overtaken by two pops and a push sees the same page on top, but another tag:
// its CAS fails. Without the tag, as in the notes, it would install a page that is no longer there.
TEST_F(Mf2Adopt, TagTellsTheSamePageApart) {
    std::vector<hak_block_t *> blocks;
    hak_mf2_page_t *below = FullPage(mf2_[0], &blocks);
    hak_mf2_page_t *top = FullPage(mf2_[0], &blocks);
    Free(blocks[0]);
    Free(blocks[4]);
    live_.assign(blocks.begin() + 1, blocks.begin() + 4);
    live_.insert(live_.end(), blocks.begin() + 5, blocks.end());
    uint64_t seen = hak_load_acq(&mf2_[0]->pending[kIndex]);
    EXPECT_EQ(hak_mf2_pending_pop_mt(mf2_[0], kIndex), top);
    EXPECT_EQ(hak_mf2_pending_pop_mt(mf2_[0], kIndex), below);
    hak_mf2_pending_push_mt(top);
    uint64_t now = hak_load_acq(&mf2_[0]->pending[kIndex]);
    EXPECT_EQ((uint32_t)now, (uint32_t)seen) << "without a tag the CAS would succeed";
    EXPECT_NE(now, seen);
    hak_mf2_pending_push_mt(below);
}

// T-05, T-20: producers free, adopters pass pages to each other; every block arrives exactly once.
TEST_F(Mf2Adopt, T07_NothingIsLostUnderTraffic) {
    constexpr int kRounds = 300, kPages = 16;
    hak_option_values[HAK_OPTION_MF2_LEASE_MS].v = 0;
    std::vector<hak_block_t *> blocks;
    for (int i = 0; i < kPages; i++) {
        FullPage(mf2_[0], &blocks);
    }
    for (int round = 0; round < kRounds; round++) {
        std::vector<std::vector<hak_block_t *>> got(3);
        hak_testing::RunThreads(4, [&](int t) {
            if (t < 2) {
                for (size_t i = t; i < blocks.size(); i += 2) {
                    Free(blocks[i]);
                }
                return;
            }
            hak_mf2_heap_t *mine = mf2_[t - 1];
            for (int tries = 0; tries < 40; tries++) {
                hak_owner_lock_take_owner(&mine->heap->lock);
                if (hak_mf2_adopt_drain_owner(mine, kIndex, 4) != 0 ||
                    hak_mf2_adopt_find_owner(mine, kIndex, kNow)) {
                    while (mine->list[kIndex] != nullptr) {
                        hak_mf2_page_t *page = mine->list[kIndex];
                        while (!hak_mf2_page_is_used_up(page)) {
                            got[t - 1].push_back(hak_mf2_page_take_one_owner(page));
                        }
                        hak_mf2_heap_release_owner(mine, page);
                    }
                }
                hak_owner_lock_drop_owner(&mine->heap->lock);
            }
        });
        // what the adopters did not get is still pending somewhere
        for (hak_mf2_heap_t *heap : mf2_) {
            while (hak_mf2_adopt_drain_owner(heap, kIndex, 4) != 0) {
            }
            while (heap->list[kIndex] != nullptr) {
                hak_mf2_page_t *page = heap->list[kIndex];
                while (!hak_mf2_page_is_used_up(page)) {
                    got[0].push_back(hak_mf2_page_take_one_owner(page));
                }
                hak_mf2_heap_release_owner(heap, page);
            }
        }
        std::map<hak_block_t *, int> seen;
        for (const auto &part : got) {
            for (hak_block_t *block : part) {
                seen[block]++;
            }
        }
        ASSERT_EQ(seen.size(), blocks.size()) << "round " << round;
        for (hak_block_t *block : blocks) {
            ASSERT_EQ(seen[block], 1);
        }
    }
    hak_option_values[HAK_OPTION_MF2_LEASE_MS].v = 10;
    live_ = blocks;
}

} // namespace
