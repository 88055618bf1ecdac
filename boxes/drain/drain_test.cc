#include "boxes/drain/drain.h"

#include <gtest/gtest.h>

#include "base/testing/testing.h"
#include "boxes/free_local/free_local.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

using hak_testing::Carve;
using hak_testing::CarveAll;
using hak_testing::NewSlab;
using hak_testing::SlabsOf;

constexpr unsigned kClass = 30;

class Drain : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        a_ = hak_heap_acquire_mt();
        b_ = hak_heap_acquire_mt();
    }
    void TearDown() override {
        EXPECT_EQ(hak_testing::Faults(), 0u);
        for (hak_heap_t *heap : {a_, b_, a_}) {
            hak_testing::Settle(heap);
        }
        EXPECT_EQ(SlabsOf(a_, kClass) + SlabsOf(b_, kClass), 0u) << "a block is stranded";
        hak_heap_release_mt(a_);
        hak_heap_release_mt(b_);
    }
    static void Push(hak_slab_t *slab, hak_block_t *block) {
        hak_free_remote_push_mt(slab, block, block, 1);
    }
    /* As adoption does it, under the old owner's lock. */
    static void Move(hak_slab_t *slab, hak_heap_t *from, hak_heap_t *to) {
        hak_owner_lock_take_guest(&from->lock);
        bool listed = slab->listed;
        if (listed) {
            hak_heap_unlist_owner(from, slab);
        }
        hak_slab_set_heap_owner(slab, to, hak_heap_slab_tag(to, kClass));
        hak_owner_lock_drop_guest(&from->lock);
        if (listed) {
            hak_heap_list_owner(to, slab, HAK_HEAP_FIRST);
        }
    }
    hak_heap_t *a_, *b_;
};

TEST_F(Drain, RemoteBlocksComeIntoTheSlab) {
    hak_slab_t *slab = NewSlab(a_, kClass);
    std::vector<hak_block_t *> blocks = CarveAll(a_, slab);
    Push(slab, blocks[0]);
    Push(slab, blocks[1]);
    uint64_t drained = hak_load_rlx(&a_->counters.drained_blocks);
    EXPECT_EQ(hak_drain_pending_owner(a_, 10), 1u);
    EXPECT_EQ(hak_load_rlx(&slab->used), slab->cap - 2);
    EXPECT_TRUE(slab->listed) << "a full slab wakes up";
    EXPECT_FALSE(hak_free_remote_is_queued(slab));
    EXPECT_EQ(hak_load_rlx(&a_->counters.drained_blocks), drained + 2);
    EXPECT_EQ(hak_drain_pending_owner(a_, 10), 0u);
    for (size_t i = 2; i < blocks.size(); i++) {
        Push(slab, blocks[i]);
    }
}

/* Joining the lists would mean a walk to the end of one: the second batch stays where it is, and
 * is free all the same. */
TEST_F(Drain, SlabWithFreeBlocksKeepsItsRemoteList) {
    hak_slab_t *first = NewSlab(a_, kClass), *slab = NewSlab(a_, kClass);
    (void)CarveAll(a_, first); /* else `slab` is the last of its class, and stays */
    std::vector<hak_block_t *> blocks = CarveAll(a_, slab);
    for (size_t i = 0; i < 3; i++) {
        Push(slab, blocks[i]);
        EXPECT_EQ(hak_drain_pending_owner(a_, 10), 1u);
        EXPECT_EQ(hak_load_rlx(&slab->left), i);
        EXPECT_EQ(hak_load_rlx(&slab->used), slab->cap - 1 - i);
        EXPECT_EQ(slab->free, blocks[0]);
    }
    EXPECT_EQ(hak_testing::Faults(), 0u);
    for (size_t i = 3; i < blocks.size(); i++) {
        Push(slab, blocks[i]);
    }
    Push(first, reinterpret_cast<hak_block_t *>(hak_slab_base(first)));
    EXPECT_EQ(hak_drain_pending_owner(a_, 10), 2u);
    EXPECT_EQ(hak_load_rlx(&slab->sc), 0u) << "wholly free: it goes back, and its list with it";
    EXPECT_EQ(hak_load_rlx(&slab->remote), 0u);
    uint32_t stride = hak_sc_bytes[kClass];
    for (uint32_t i = 1; i < first->cap; i++) {
        Push(first, reinterpret_cast<hak_block_t *>(hak_slab_base(first) + i * stride));
    }
}

/* Until its turn comes it gets more of its blocks. */
TEST_F(Drain, FullSlabThatHasRoomAgainIsTheLastToBeRefilledFrom) {
    std::vector<hak_slab_t *> slabs;
    std::vector<std::vector<hak_block_t *>> blocks;
    for (int i = 0; i < 4; i++) {
        slabs.push_back(NewSlab(a_, kClass));
        blocks.push_back(CarveAll(a_, slabs.back()));
    }
    auto push = [&](size_t i) {
        Push(slabs[i], blocks[i].back());
        blocks[i].pop_back();
        EXPECT_EQ(hak_drain_pending_owner(a_, 10), 1u);
    };
    push(2);
    push(0);
    push(1);
    push(0); /* it has its place */
    Push(slabs[3], blocks[3].back());
    uint32_t count;
    EXPECT_NE(hak_free_remote_take_owner(slabs[3], &count), nullptr) << "as refill takes it";
    EXPECT_EQ(hak_drain_pending_owner(a_, 10), 1u);
    EXPECT_FALSE(slabs[3]->listed) << "nothing came back";
    std::vector<hak_slab_t *> listed;
    for (hak_slab_t *slab = a_->partial[kClass]; slab != nullptr; slab = slab->next) {
        listed.push_back(slab);
    }
    EXPECT_EQ(listed, (std::vector<hak_slab_t *>{slabs[2], slabs[0], slabs[1]}));
    for (size_t i = 0; i < slabs.size(); i++) {
        for (hak_block_t *block : blocks[i]) {
            Push(slabs[i], block);
        }
    }
}

TEST_F(Drain, LooksAtNoMoreSlabsThanAllowed) {
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < 5; i++) {
        slabs.push_back(NewSlab(a_, kClass));
        Push(slabs.back(), Carve(a_, slabs.back(), 1)[0]);
    }
    EXPECT_EQ(hak_drain_pending_owner(a_, 0), 0u);
    EXPECT_EQ(hak_drain_pending_owner(a_, 2), 2u);
    EXPECT_TRUE(hak_pending_has_any(a_));
    EXPECT_EQ(hak_drain_pending_owner(a_, 2), 2u);
    EXPECT_EQ(hak_drain_pending_owner(a_, 2), 1u);
    EXPECT_FALSE(hak_pending_has_any(a_));
}

TEST_F(Drain, UnitsAreCountedWhereMemoryMatters) {
    const unsigned large = hak_sc_of(HAK_SC_MAX_BYTES);
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < 5; i++) {
        slabs.push_back(NewSlab(a_, large));
        ASSERT_EQ(slabs.back()->units, slabs[0]->units);
        Push(slabs.back(), Carve(a_, slabs.back(), 1)[0]);
    }
    unsigned units = slabs[0]->units;
    ASSERT_GE(units, 2u);
    EXPECT_EQ(hak_drain_pending_units_owner(a_, 0), 0u);
    EXPECT_EQ(hak_drain_pending_units_owner(a_, units + 1), 2 * units) << "a slab is not divided";
    EXPECT_EQ(hak_drain_pending_units_owner(a_, UINT32_MAX), 3 * units);
    EXPECT_FALSE(hak_pending_has_any(a_));
}

TEST_F(Drain, SlabThatBecomesEmptyGoesBackUnlessItIsTheLast) {
    hak_slab_t *kept = NewSlab(a_, kClass), *slab = NewSlab(a_, kClass);
    std::vector<hak_block_t *> one = Carve(a_, kept, 1);
    for (hak_block_t *block : CarveAll(a_, slab)) {
        Push(slab, block);
    }
    EXPECT_EQ(SlabsOf(a_, kClass), 2u);
    (void)hak_drain_pending_owner(a_, 10);
    EXPECT_EQ(SlabsOf(a_, kClass), 1u);
    Push(kept, one[0]);
    (void)hak_drain_pending_owner(a_, 10);
    EXPECT_EQ(SlabsOf(a_, kClass), 1u) << "the last of its class stays";
}

/* T-07: a slab that is queued on its old heap when it moves is forwarded, not stranded. */
TEST_F(Drain, QueuedSlabFollowsItsNewOwner) {
    hak_slab_t *slab = NewSlab(a_, kClass);
    std::vector<hak_block_t *> blocks = Carve(a_, slab, 3);
    Push(slab, blocks[0]);
    Move(slab, a_, b_);
    Push(slab, blocks[1]);
    EXPECT_FALSE(hak_pending_has_any(b_)) << "it is on the old heap's stack";
    EXPECT_EQ(hak_drain_pending_owner(a_, 10), 1u);
    EXPECT_EQ(hak_load_rlx(&slab->used), 3u) << "the old heap must not touch its list";
    EXPECT_TRUE(hak_pending_has_any(b_));
    Push(slab, blocks[2]);
    EXPECT_EQ(hak_drain_pending_owner(b_, 10), 1u);
    EXPECT_EQ(hak_load_rlx(&slab->used), 0u);
}

TEST_F(Drain, SlabMayMoveOnWhileItIsForwarded) {
    hak_slab_t *slab = NewSlab(a_, kClass);
    Push(slab, Carve(a_, slab, 1)[0]);
    Move(slab, a_, b_);
    (void)hak_drain_pending_owner(a_, 10);
    Move(slab, b_, a_);
    (void)hak_drain_pending_owner(b_, 10);
    EXPECT_FALSE(hak_pending_has_any(b_));
    (void)hak_drain_pending_owner(a_, 10);
    EXPECT_EQ(hak_load_rlx(&slab->used), 0u);
}

/* Two owners drain while blocks come from others and slabs move between them: nothing is lost and
 * nobody touches a slab that is not his (TSan sees that). */
TEST_F(Drain, SlabsMoveWhileOthersFree) {
    enum { SLABS = 6, FREERS = 2 };
    std::vector<hak_slab_t *> slabs;
    std::vector<std::vector<hak_block_t *>> share(FREERS);
    for (int i = 0; i < SLABS; i++) {
        slabs.push_back(NewSlab(a_, kClass));
        size_t next = 0;
        std::vector<hak_block_t *> blocks = CarveAll(a_, slabs.back());
        blocks.pop_back(); /* one block stays in use, so that no slab goes back to the pool */
        for (hak_block_t *block : blocks) {
            share[next++ % FREERS].push_back(block);
        }
    }
    std::atomic<int> running(FREERS);
    hak_testing::RunThreads(FREERS + 2, [&](int self) {
        if (self < FREERS) {
            for (hak_block_t *block : share[(size_t)self]) {
                Push(hak_slab_of((uintptr_t)block), block);
                std::this_thread::yield();
            }
            running--;
            return;
        }
        hak_heap_t *mine = self == FREERS ? a_ : b_, *other = self == FREERS ? b_ : a_;
        hak_testing::Random random((uint64_t)self);
        bool last;
        do {
            last = running == 0;
            hak_owner_lock_take_owner(&mine->lock);
            (void)hak_drain_pending_owner(mine, 4);
            if (hak_owner_lock_try_guest(&other->lock)) {
                (void)hak_drain_pending_owner(other, 4);
                hak_slab_t *slab = other->partial[kClass];
                if (slab != nullptr && random.Below(2) == 0) {
                    hak_heap_unlist_owner(other, slab);
                    hak_slab_set_heap_owner(slab, mine, hak_heap_slab_tag(mine, kClass));
                    hak_heap_list_owner(mine, slab, HAK_HEAP_FIRST);
                }
                hak_owner_lock_drop_guest(&other->lock);
            }
            hak_owner_lock_drop_owner(&mine->lock);
        } while (!last);
    });
    for (hak_heap_t *heap : {a_, b_, a_}) {
        (void)hak_drain_pending_owner(heap, UINT32_MAX);
    }
    for (hak_slab_t *slab : slabs) {
        EXPECT_EQ(hak_load_rlx(&slab->used), 1u);
        EXPECT_EQ(hak_load_rlx(&slab->remote) >> 48, hak_load_rlx(&slab->left));
        hak_block_t *last = reinterpret_cast<hak_block_t *>(hak_slab_base(slab) +
                                                            (slab->cap - 1) * hak_sc_bytes[kClass]);
        Push(slab, last);
    }
}

} // namespace
