#include "boxes/adoption/adoption.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/drain/drain.h"
#include "boxes/flush/flush.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
#include "boxes/refill/refill.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

using hak_testing::Carve;
using hak_testing::CarveAll;
using hak_testing::NewSlab;
using hak_testing::SlabsOf;

constexpr unsigned kClass = 36;

/* Two heaps at work, `mine_` and `other_`; all that earlier tests left behind is settled. */
class Adoption : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        mine_ = hak_heap_acquire_mt();
        other_ = hak_heap_acquire_mt();
    }
    void TearDown() override {
        EXPECT_EQ(hak_testing::Faults(), 0u);
        for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
            hak_testing::Settle(heap);
        }
        EXPECT_EQ(SlabsOf(mine_, kClass) + SlabsOf(other_, kClass), 0u) << "a block is stranded";
        hak_heap_release_mt(mine_);
        if (hak_load_rlx(&other_->idle) == 0) {
            hak_heap_release_mt(other_);
        }
    }
    /* Looks as often as it takes to see every heap. */
    hak_slab_t *Adopt(uint64_t now_ms, unsigned sc = kClass) {
        hak_slab_t *slab = nullptr;
        hak_owner_lock_take_owner(&mine_->lock);
        for (int i = 0; slab == nullptr && i < 4; i++) {
            slab = hak_adoption_take_owner(mine_, sc, now_ms);
        }
        if (slab != nullptr) {
            hak_heap_list_owner(mine_, slab, HAK_HEAP_FIRST);
        }
        hak_owner_lock_drop_owner(&mine_->lock);
        return slab;
    }
    static uint64_t Now() { return hak_os_now_ms(); }
    void SeenNow(hak_heap_t *heap) { hak_store_rlx(&heap->active_ms, Now()); }
    static void Push(hak_slab_t *slab, hak_block_t *block) {
        hak_free_remote_push_mt(slab, block, block, 1);
    }
    static void PushAll(hak_slab_t *slab, const std::vector<hak_block_t *> &blocks) {
        for (hak_block_t *block : blocks) {
            Push(slab, block);
        }
    }
    hak_heap_t *mine_, *other_;
};

TEST_F(Adoption, PartialSlabOfAHeapWithoutThreadIsTaken) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = Carve(other_, slab, 3);
    uint64_t adopted = hak_load_rlx(&mine_->counters.adopted_slabs);
    hak_heap_release_mt(other_);
    EXPECT_EQ(Adopt(Now(), kClass + 1), nullptr) << "of another class";
    EXPECT_EQ(Adopt(Now()), slab);
    EXPECT_EQ(hak_slab_heap(slab), mine_);
    EXPECT_EQ(hak_registry_tag((uintptr_t)blocks[0]), hak_heap_slab_tag(mine_, kClass));
    EXPECT_EQ(hak_load_rlx(&mine_->counters.adopted_slabs), adopted + 1);
    EXPECT_FALSE(hak_heap_has_partial(other_, kClass));
    EXPECT_EQ(hak_testing::Faults(), 0u);
    PushAll(slab, blocks);
}

TEST_F(Adoption, FullSlabIsLeftAlone) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = CarveAll(other_, slab);
    hak_heap_release_mt(other_);
    EXPECT_EQ(Adopt(Now()), nullptr);
    PushAll(slab, blocks);
}

TEST_F(Adoption, HeapAtWorkKeepsItsSlabs) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = Carve(other_, slab, 3);
    SeenNow(other_);
    Push(slab, blocks[0]);
    EXPECT_EQ(Adopt(Now()), nullptr) << "within the lease";
    hak_os_fake_advance_ms(2 * HAK_ADOPTION_LEASE_MS);
    EXPECT_EQ(Adopt(Now()), slab) << "its thread sleeps and blocks of it are waiting";
    Push(slab, blocks[1]);
    Push(slab, blocks[2]);
}

TEST_F(Adoption, SleepersSlabsWithoutRemoteFreesAreTakenAfterThePurgeDelay) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = Carve(other_, slab, 3);
    SeenNow(other_);
    hak_os_fake_advance_ms(2 * HAK_ADOPTION_LEASE_MS);
    EXPECT_EQ(Adopt(Now()), nullptr);
    hak_os_fake_advance_ms(hak_option(HAK_OPTION_PURGE_DELAY_MS));
    EXPECT_EQ(Adopt(Now()), slab);
    PushAll(slab, blocks);
}

TEST_F(Adoption, OwnerInsideIsNotDisturbed) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = Carve(other_, slab, 1);
    hak_heap_release_mt(other_);
    hak_store_rlx(&other_->lock.busy, 1u); /* as if a thread had just taken it over */
    EXPECT_EQ(Adopt(Now()), nullptr);
    hak_store_rlx(&other_->lock.busy, 0u);
    EXPECT_EQ(Adopt(Now()), slab);
    Push(slab, blocks[0]);
}

/* T-07: the slab is on its old owner's pending stack when it is adopted. */
TEST_F(Adoption, SlabQueuedAfterTheDrainFollowsItsNewOwner) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = Carve(other_, slab, 4);
    hak_heap_release_mt(other_);
    Push(slab, blocks[0]);
    EXPECT_EQ(Adopt(Now()), slab);
    EXPECT_EQ(hak_load_rlx(&slab->used), 3u) << "drained on the way";
    /* The push of a thread that read the old owner a moment ago. */
    hak_block_link(blocks[1], nullptr);
    hak_store_rlx(&slab->remote, 1ull << 48 | (uintptr_t)blocks[1] | 1);
    hak_pending_push_mt(other_, slab);
    Push(slab, blocks[2]);
    (void)hak_adoption_collect_mt(nullptr, Now() + 1000, 0, 100);
    EXPECT_FALSE(hak_adoption_collect_mt(nullptr, Now() + 2000, 0, 100));
    EXPECT_FALSE(hak_pending_has_any(other_));
    EXPECT_FALSE(hak_pending_has_any(mine_));
    EXPECT_EQ(hak_load_rlx(&slab->used), 1u);
    Push(slab, blocks[3]);
}

/* What the old owner's thread holds in its cache stays valid and finds the new owner. */
TEST_F(Adoption, BlocksInTheOldOwnersCacheGoToTheNewOwner) {
    hak_testing::OwnHeap old;
    hak_block_t *first = hak_refill_owner(old.get(), kClass);
    std::vector<hak_block_t *> cached = {first};
    while (cached.size() < 6) {
        cached.push_back(hak_refill_owner(old.get(), kClass));
        while (hak_block_t *more = hak_tls_sll_pop_class(kClass)) {
            cached.push_back(more);
        }
    }
    for (hak_block_t *block : cached) {
        ASSERT_TRUE(hak_tls_sll_push_class(kClass, block));
    }
    hak_slab_t *slab = hak_slab_of((uintptr_t)first);
    hak_store_rlx(&old.get()->idle, 1u); /* adoption takes it for a heap without a thread */
    EXPECT_EQ(Adopt(Now()), slab);
    hak_store_rlx(&old.get()->idle, 0u);
    EXPECT_EQ(hak_tls_sll_pop_class(kClass), cached.back());
    ASSERT_TRUE(hak_tls_sll_push_class(kClass, cached.back()));
    hak_flush_all_owner(old.get());
    EXPECT_TRUE(hak_pending_has_any(mine_));
    EXPECT_EQ(hak_drain_pending_owner(mine_, 10), 1u);
    EXPECT_EQ(hak_load_rlx(&slab->used), 0u);
}

/* T-08: remote frees to a heap whose owner sleeps are taken in and their slabs go back. */
TEST_F(Adoption, CollectionEmptiesSleepersAndReturnsTheirSlabs) {
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < 5; i++) {
        slabs.push_back(NewSlab(other_, kClass));
        PushAll(slabs.back(), CarveAll(other_, slabs.back()));
    }
    SeenNow(other_);
    SeenNow(mine_);
    EXPECT_FALSE(hak_adoption_collect_mt(mine_, Now(), 100, 100));
    EXPECT_EQ(SlabsOf(other_, kClass), 1u) << "busy: it keeps its last one";
    EXPECT_FALSE(hak_pending_has_any(other_));
    hak_os_fake_advance_ms(200);
    (void)hak_adoption_collect_mt(mine_, Now(), 100, 100);
    EXPECT_EQ(SlabsOf(other_, kClass), 0u);
}

/* One pass does not keep an owner waiting for long, and tells that another one is due. */
TEST_F(Adoption, CollectionGoesOnWhereThereIsMoreThanAPassTakes) {
    enum { HEAPS = 2, AT_ONCE = 48 * HEAPS, SLABS = AT_ONCE + 50 };
    for (int i = 0; i < SLABS; i++) {
        hak_slab_t *slab = NewSlab(other_, kClass);
        PushAll(slab, CarveAll(other_, slab));
    }
    hak_os_fake_advance_ms(200);
    EXPECT_TRUE(hak_adoption_collect_mt(mine_, Now(), 100, HEAPS));
    EXPECT_EQ(SlabsOf(other_, kClass), (size_t)SLABS - AT_ONCE);
    EXPECT_FALSE(hak_adoption_collect_mt(mine_, Now(), 100, HEAPS));
    EXPECT_EQ(SlabsOf(other_, kClass), 0u);
}

/* From one heap a part at a time, whatever the pass may take: its owner may wait. */
TEST_F(Adoption, CollectionComesBackToAHeapThatWasCut) {
    enum { AT_ONCE = 768, SLABS = AT_ONCE + 100 };
    for (int i = 0; i < SLABS; i++) {
        hak_slab_t *slab = NewSlab(other_, kClass);
        PushAll(slab, CarveAll(other_, slab));
    }
    hak_os_fake_advance_ms(200);
    EXPECT_FALSE(hak_adoption_collect_mt(mine_, Now(), 100, 100));
    EXPECT_EQ(SlabsOf(other_, kClass), 0u);
}

/* An owner that waits goes in between two parts: whoever collects would else be back before it is
 * awake. */
TEST_F(Adoption, AnOwnerWaitsForAPartOfItsHeapNotForAll) {
    enum { AT_ONCE = 768, HEAPS = 200, PARTS = 12, LEAST_MS = 8 };
    for (int i = 0; i < PARTS * AT_ONCE; i++) {
        hak_slab_t *slab = NewSlab(other_, kClass);
        Push(slab, Carve(other_, slab, 1)[0]);
    }
    ASSERT_TRUE(hak_owner_lock_try_guest(&other_->lock));
    uint32_t nobody_waits = hak_load_rlx(&other_->lock.revoke);
    size_t left = 0;
    std::thread owner([&] {
        hak_owner_lock_take_owner(&other_->lock);
        left = SlabsOf(other_, kClass);
        hak_owner_lock_drop_owner(&other_->lock);
    });
    while (hak_load_rlx(&other_->lock.revoke) == nobody_waits) {
        hak_os_yield();
    }
    hak_os_fake_advance_ms(200);
    hak_owner_lock_drop_guest(&other_->lock);
    auto begin = std::chrono::steady_clock::now();
    while (hak_adoption_collect_mt(mine_, Now(), 100, HEAPS) || hak_pending_has_any(other_)) {
    }
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(LEAST_MS));
    owner.join();
    EXPECT_GT(left, 0u);
}

/* Among many heaps that sleep, those with nothing to give do not count, and no call waits for the
 * next pass as if it had been the last. */
TEST_F(Adoption, CollectionFindsTheOneAmongManyHeaps) {
    enum { MANY = 2500, HEAPS = 2, AT_ONCE = 48 * HEAPS, SLABS = 2 * AT_ONCE, LOOKS = 1024 };
    std::vector<hak_heap_t *> many;
    for (int i = 0; i < MANY; i++) {
        many.push_back(hak_heap_acquire_mt());
        ASSERT_NE(many.back(), nullptr);
    }
    hak_os_fake_advance_ms(200);
    while (hak_adoption_collect_mt(mine_, Now(), 100, UINT16_MAX)) {
    }
    for (int i = 0; i < SLABS; i++) {
        hak_slab_t *slab = NewSlab(other_, kClass);
        PushAll(slab, CarveAll(other_, slab));
    }
    SeenNow(mine_);
    hak_os_fake_advance_ms(200);
    /* The first passes may look elsewhere; from where the heap was found they go around. */
    int first = 0, rest = 0;
    while (SlabsOf(other_, kClass) == SLABS) {
        (void)hak_adoption_collect_mt(mine_, Now(), 100, HEAPS);
        ASSERT_LE(++first, MANY / LOOKS + 2);
    }
    EXPECT_EQ(SlabsOf(other_, kClass), (size_t)SLABS - AT_ONCE);
    while (hak_adoption_collect_mt(mine_, Now(), 100, HEAPS)) {
        ASSERT_LE(++rest, 2 * (MANY / LOOKS + 2));
    }
    EXPECT_EQ(SlabsOf(other_, kClass), 0u) << "the passes ended before it was seen again";
    for (hak_heap_t *heap : many) {
        hak_heap_release_mt(heap);
    }
}

TEST_F(Adoption, CollectionSparesTheCallerAndLooksAtEachHeapOnce) {
    hak_slab_t *slab = NewSlab(mine_, kClass);
    Push(slab, Carve(mine_, slab, 1)[0]);
    auto begin = std::chrono::steady_clock::now();
    (void)hak_adoption_collect_mt(mine_, Now() + 1000, 0, UINT32_MAX);
    /* A few microseconds; with four thousand million steps it would take some seconds. */
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
    EXPECT_EQ(SlabsOf(mine_, kClass), 1u);
    (void)hak_adoption_collect_mt(nullptr, Now() + 1000, 0, UINT32_MAX);
    EXPECT_EQ(SlabsOf(mine_, kClass), 0u);
}

/* Threads refill and flush while others adopt from them and collect, with blocks going across.
 * Under TSan this shows what is not ordered. */
TEST_F(Adoption, AdoptersAndOwnersGetOnTogether) {
    enum { THREADS = 4, ROUNDS = 1500, EXCHANGE = 64 };
    static hak_aptr_t exchange[EXCHANGE];
    hak_testing::RunThreads(THREADS, [&](int self) {
        for (int life = 0; life < 3; life++) {
            hak_testing::OwnHeap own;
            hak_testing::Random random((uint64_t)(self * 10 + life));
            for (int i = 0; i < ROUNDS; i++) {
                hak_block_t *block = hak_tls_sll_pop_class(kClass);
                block = block != nullptr ? block : hak_refill_owner(own.get(), kClass);
                ASSERT_NE(block, nullptr);
                hak_aptr_t *place = &exchange[random.Below(EXCHANGE)];
                auto *other = reinterpret_cast<hak_block_t *>(
                    hak_swap_acq_rel(place, reinterpret_cast<uintptr_t>(block)));
                if (other != nullptr) {
                    hak_slab_t *slab = hak_slab_of((uintptr_t)other);
                    ASSERT_TRUE(hak_free_remote_add(own.get(), slab, other, kClass));
                }
                if (i % 16 == 0) {
                    hak_store_rlx(&own.get()->active_ms, (uint64_t)0); /* seems to sleep */
                    (void)hak_adoption_collect_mt(own.get(), Now(), 0, 8);
                }
                if (i % 64 == 0) {
                    hak_flush_all_owner(own.get());
                }
            }
        }
    });
    for (hak_aptr_t &place : exchange) {
        auto *block = reinterpret_cast<hak_block_t *>(hak_swap_acq_rel(&place, (uintptr_t)0));
        if (block != nullptr) {
            Push(hak_slab_of((uintptr_t)block), block);
        }
    }
    for (int i = 0; i < 3; i++) {
        (void)hak_adoption_collect_mt(nullptr, Now() + 100000u * (unsigned)(i + 1), 0, 1000);
    }
    for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
        EXPECT_EQ(SlabsOf(heap, kClass), 0u) << "not every block came home";
    }
}

} // namespace
