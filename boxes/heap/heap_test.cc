#include "boxes/heap/heap.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

class Heap : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }

    static uint64_t Made() {
        uint64_t made, idle;
        hak_heap_counts(&made, &idle);
        return made;
    }
    static uint64_t Idle() {
        uint64_t made, idle;
        hak_heap_counts(&made, &idle);
        return idle;
    }
    static std::vector<hak_slab_t *> ListOf(const hak_heap_t *heap, unsigned sc) {
        std::vector<hak_slab_t *> slabs;
        const hak_slab_t *before = nullptr;
        for (hak_slab_t *slab = heap->partial[sc]; slab != nullptr; slab = slab->next) {
            EXPECT_EQ(slab->prev, before) << "the way back is broken";
            EXPECT_TRUE(slab->listed);
            before = slab;
            slabs.push_back(slab);
        }
        EXPECT_EQ(heap->partial_last[sc], before);
        EXPECT_EQ(hak_heap_has_partial(heap, sc), !slabs.empty());
        EXPECT_EQ(hak_heap_partial_slabs(heap, sc), slabs.size());
        return slabs;
    }
    static hak_slab_t *Open(hak_heap_t *heap, unsigned sc) {
        hak_slab_t *slab = hak_testing::NewSlab(heap, sc);
        hak_heap_unlist_owner(heap, slab);
        return slab;
    }
    static void Close(hak_slab_t *slab) {
        hak_slab_close(slab);
        hak_slot_pool_give_mt(slab);
    }
};

using Slabs = std::vector<hak_slab_t *>;

TEST_F(Heap, SlabsAreListedFirstSecondOrLast) {
    hak_heap_t *heap = hak_heap_acquire_mt();
    for (unsigned sc : {1u, 63u, 64u, 80u}) { /* both words of the mask */
        Slabs s;
        for (int i = 0; i < 4; i++) {
            s.push_back(Open(heap, sc));
        }
        EXPECT_EQ(ListOf(heap, sc), Slabs());
        hak_heap_list_owner(heap, s[0], HAK_HEAP_SECOND);
        hak_heap_list_owner(heap, s[1], HAK_HEAP_SECOND);
        hak_heap_list_owner(heap, s[2], HAK_HEAP_SECOND);
        hak_heap_list_owner(heap, s[3], HAK_HEAP_FIRST);
        EXPECT_EQ(ListOf(heap, sc), (Slabs{s[3], s[0], s[2], s[1]}));
        hak_heap_unlist_owner(heap, s[2]);
        EXPECT_EQ(ListOf(heap, sc), (Slabs{s[3], s[0], s[1]}));
        hak_heap_unlist_owner(heap, s[3]);
        EXPECT_EQ(ListOf(heap, sc), (Slabs{s[0], s[1]}));
        hak_heap_unlist_owner(heap, s[1]);
        EXPECT_EQ(ListOf(heap, sc), (Slabs{s[0]}));
        hak_heap_list_owner(heap, s[1], HAK_HEAP_LAST);
        hak_heap_list_owner(heap, s[2], HAK_HEAP_SECOND);
        hak_heap_list_owner(heap, s[3], HAK_HEAP_LAST);
        EXPECT_EQ(ListOf(heap, sc), (Slabs{s[0], s[2], s[1], s[3]}));
        for (int i : {3, 2, 1, 0}) {
            hak_heap_unlist_owner(heap, s[i]);
            EXPECT_EQ(ListOf(heap, sc).size(), (size_t)i);
        }
        hak_heap_list_owner(heap, s[1], HAK_HEAP_LAST);
        hak_heap_list_owner(heap, s[0], HAK_HEAP_FIRST);
        EXPECT_EQ(ListOf(heap, sc), (Slabs{s[0], s[1]})) << "the last may come first";
        hak_heap_unlist_owner(heap, s[1]);
        hak_heap_unlist_owner(heap, s[0]);
        EXPECT_EQ(ListOf(heap, sc), Slabs());
        for (hak_slab_t *slab : s) {
            Close(slab);
        }
    }
    hak_heap_release_mt(heap);
}

TEST_F(Heap, IdleHeapIsTakenBeforeANewOneIsMade) {
    hak_heap_t *a = hak_heap_acquire_mt();
    hak_heap_t *b = hak_heap_acquire_mt();
    EXPECT_NE(a, b);
    uint64_t made = Made(), idle = Idle();
    hak_heap_release_mt(a);
    EXPECT_EQ(Idle(), idle + 1);
    EXPECT_NE(hak_load_rlx(&a->idle), 0u);
    EXPECT_EQ(hak_heap_acquire_mt(), a);
    EXPECT_EQ(hak_load_rlx(&a->idle), 0u);
    EXPECT_EQ(Made(), made);
    hak_heap_release_mt(a);
    hak_heap_release_mt(b);
}

TEST_F(Heap, NewHeapIsSeenAsActiveNow) {
    hak_os_fake_advance_ms(5000);
    hak_heap_t *heap = hak_heap_acquire_mt();
    EXPECT_GE(hak_load_rlx(&heap->active_ms) + 1000, hak_os_now_ms());
    hak_heap_release_mt(heap);
}

TEST_F(Heap, EveryHeapHasAnOwnerIdOfItsOwn) {
    std::vector<hak_heap_t *> heaps;
    for (int i = 0; i < 300; i++) {
        heaps.push_back(hak_heap_acquire_mt());
        ASSERT_NE(heaps.back(), nullptr);
    }
    std::set<uint32_t> tags;
    size_t listed = 0;
    for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
        listed++;
        EXPECT_EQ(heap->tag & ((1u << HAK_TAG_OWNER_SHIFT) - 1), 0u);
        EXPECT_NE(heap->tag, HAK_TAG_NONE);
        EXPECT_LT(heap->tag, HAK_TAG_NOBODY);
        EXPECT_TRUE(tags.insert(heap->tag).second);
    }
    EXPECT_EQ(listed, Made());
    for (hak_heap_t *heap : heaps) {
        EXPECT_EQ(tags.count(heap->tag), 1u);
        hak_heap_release_mt(heap);
    }
}

TEST_F(Heap, StepsComeToEveryHeapInTurn) {
    std::vector<hak_heap_t *> made;
    for (int i = 0; i < 3; i++) {
        made.push_back(hak_heap_acquire_mt());
    }
    size_t all = 0;
    for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
        all++;
    }
    hak_aptr_t cursor = {};
    std::vector<hak_heap_t *> seen;
    for (size_t i = 0; i < 2 * all; i++) {
        seen.push_back(hak_heap_step_mt(&cursor));
    }
    EXPECT_EQ(std::set<hak_heap_t *>(seen.begin(), seen.begin() + (long)all).size(), all);
    EXPECT_TRUE(std::equal(seen.begin(), seen.begin() + (long)all, seen.begin() + (long)all));
    for (hak_heap_t *heap : made) {
        hak_heap_release_mt(heap);
    }
}

TEST_F(Heap, ThreadsNeverShareAHeap) {
    std::mutex mutex;
    std::set<hak_heap_t *> in_use;
    hak_testing::RunThreads(4, [&](int) {
        for (int i = 0; i < 500; i++) {
            hak_heap_t *heap = hak_heap_acquire_mt();
            {
                std::lock_guard<std::mutex> guard(mutex);
                ASSERT_TRUE(in_use.insert(heap).second);
            }
            heap->slow_steps++; /* plain: TSan sees it if the lock orders too little */
            {
                std::lock_guard<std::mutex> guard(mutex);
                in_use.erase(heap);
            }
            hak_heap_release_mt(heap);
        }
    });
    EXPECT_LE(Made(), 310u);
}

TEST_F(Heap, WithoutMemoryThereIsNone) {
    std::vector<hak_heap_t *> heaps;
    while (Idle() != 0) {
        heaps.push_back(hak_heap_acquire_mt());
    }
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    hak_heap_t *heap;
    while ((heap = hak_heap_acquire_mt()) != nullptr) { /* until the current chunk is used up */
        heaps.push_back(heap);
        ASSERT_LT(heaps.size(), 2000u);
    }
    errno = 0;
    uint64_t made = Made();
    EXPECT_EQ(hak_heap_acquire_mt(), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(Made(), made);
    hak_os_fake_reset();
    heaps.push_back(hak_heap_acquire_mt());
    EXPECT_NE(heaps.back(), nullptr);
    for (hak_heap_t *each : heaps) {
        hak_heap_release_mt(each);
    }
}

TEST_F(Heap, InTheForksChildOnlyTheForkersHeapIsInUse) {
    hak_heap_t *mine = hak_heap_acquire_mt();
    hak_heap_t *others = hak_heap_acquire_mt();
    hak_slab_t *slab = hak_testing::NewSlab(others, 3);
    others->batch[2].slab = slab;
    mine->batch[2].slab = slab;
    EXPECT_EQ(hak_testing::InChild([&] {
                  hak_heap_fork_take(mine);
                  int end = hak_testing::InChild([&] {
                      uint64_t idle = Idle();
                      hak_heap_fork_drop_child(mine);
                      bool kept = hak_load_rlx(&mine->idle) == 0 && mine->batch[2].slab == slab;
                      bool left = hak_load_rlx(&others->idle) != 0 && Idle() == idle + 1;
                      bool clean = others->batch[2].slab == nullptr;
                      /* Every lock is free again, for the owner and for guests. */
                      hak_owner_lock_take_owner(&mine->lock);
                      hak_owner_lock_drop_owner(&mine->lock);
                      bool guest = hak_owner_lock_try_guest(&others->lock);
                      hak_owner_lock_drop_guest(&others->lock);
                      bool next = hak_heap_acquire_mt() == others;
                      return kept && left && clean && guest && next ? 0 : 1;
                  });
                  hak_heap_fork_drop_parent(mine);
                  hak_owner_lock_take_owner(&mine->lock);
                  hak_owner_lock_drop_owner(&mine->lock);
                  return end == 0 && hak_heap_acquire_mt() != nullptr ? 0 : 1;
              }),
              0);
    others->batch[2].slab = mine->batch[2].slab = nullptr;
    hak_heap_unlist_owner(others, slab);
    Close(slab);
    hak_heap_release_mt(mine);
    hak_heap_release_mt(others);
}

TEST_F(Heap, ForkOfManyThreadsNeedsOneBarrier) {
    enum { OTHERS = 5 };
    hak_heap_t *mine = hak_heap_acquire_mt();
    std::vector<hak_heap_t *> others;
    for (int i = 0; i < OTHERS; i++) {
        others.push_back(hak_heap_acquire_mt());
        hak_owner_lock_take_owner(&others.back()->lock);
        hak_owner_lock_drop_owner(&others.back()->lock);
    }
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_BARRIER);
    hak_heap_fork_take(mine);
    for (hak_heap_t *heap : others) {
        EXPECT_FALSE(hak_owner_lock_try_guest(&heap->lock));
    }
    EXPECT_LE(hak_os_fake_calls(HAK_OS_CALL_BARRIER), calls + 1);
    hak_heap_fork_drop_parent(mine);
    hak_heap_release_mt(mine);
    for (hak_heap_t *heap : others) {
        hak_heap_release_mt(heap);
    }
}

/* A program with one thread may have forbidden itself what it does not need, on pain of death. */
TEST_F(Heap, ForkOfOneThreadNeedsNoBarrier) {
    hak_heap_t *mine = hak_heap_acquire_mt(), *left = hak_heap_acquire_mt();
    hak_owner_lock_take_owner(&mine->lock);
    hak_owner_lock_drop_owner(&mine->lock);
    hak_heap_release_mt(left);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_BARRIER);
    hak_heap_fork_take(mine);
    EXPECT_FALSE(hak_owner_lock_try_guest(&mine->lock));
    EXPECT_FALSE(hak_owner_lock_try_guest(&left->lock));
    hak_heap_fork_drop_parent(mine);
    hak_heap_fork_take(mine);
    hak_heap_fork_drop_child(mine);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_BARRIER), calls);
    hak_heap_release_mt(mine);
}

TEST_F(Heap, ForkWaitsForOwnersInside) {
    hak_heap_t *heap = hak_heap_acquire_mt();
    std::atomic<bool> inside(false), forking(false), stopped(false);
    hak_testing::RunThreads(2, [&](int self) {
        if (self == 0) {
            hak_owner_lock_take_owner(&heap->lock);
            inside = true;
            while (!forking) {
                std::this_thread::yield();
            }
            usleep(5000);
            EXPECT_FALSE(stopped);
            hak_owner_lock_drop_owner(&heap->lock);
            return;
        }
        while (!inside) {
            std::this_thread::yield();
        }
        forking = true;
        hak_heap_fork_take(nullptr);
        stopped = true;
        hak_heap_fork_drop_parent(nullptr);
    });
    hak_heap_release_mt(heap);
}

} // namespace
