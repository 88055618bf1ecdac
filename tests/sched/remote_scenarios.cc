/* boxes/free_remote, boxes/pending, boxes/drain, boxes/adoption, boxes/heap: blocks come home
 * whoever moves the slab meanwhile.
 */
#include "backends/os/os.h"
#include "boxes/adoption/adoption.h"
#include "boxes/drain/drain.h"
#include "boxes/free_local/free_local.h"
#include "boxes/free_remote/free_remote.h"
#include "tests/sched/sched.h"
#include "tests/sched/world.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

using hak_sched::BuildWorld;
using hak_sched::CheckWorld;
using hak_sched::DrainAsOwner;
using hak_sched::kClass;
using hak_sched::PushOne;
using hak_sched::world;

/* Thread 0 owns heap 0. */

void PushAndDrain(int self) {
    if (self == 0) {
        DrainAsOwner(world.heap[0], 4);
        DrainAsOwner(world.heap[0], 4);
    } else {
        PushOne(world.slab[0], world.block[0][0]);
        PushOne(world.slab[0], world.block[0][1]);
    }
}
void SixInUse() { CheckWorld(6); }
hak_sched::Add push_drain({"push_drain", 2, {4, 2}, 2000, BuildWorld, PushAndDrain, SixInUse});

void TwoPush(int self) {
    if (self == 0) {
        DrainAsOwner(world.heap[0], 4);
    } else {
        PushOne(world.slab[0], world.block[0][self]);
    }
}
hak_sched::Add two_push({"two_push", 3, {3, 1}, 2000, BuildWorld, TwoPush, SixInUse});

/* Two slabs of one heap are pending: the second waits in the drain list. */
void BuildTwoSlabs() {
    BuildWorld();
    hak_heap_unlist_owner(world.heap[1], world.slab[1]);
    hak_slab_set_heap_owner(world.slab[1], world.heap[0], hak_heap_slab_tag(world.heap[0], kClass));
    hak_heap_list_owner(world.heap[0], world.slab[1], HAK_HEAP_FIRST);
}
void PushToTwo(int self) {
    if (self == 0) {
        DrainAsOwner(world.heap[0], 1);
        DrainAsOwner(world.heap[0], 1);
    } else {
        PushOne(world.slab[0], world.block[0][self]);
        PushOne(world.slab[1], world.block[1][self]);
    }
}
void FourInUse() { CheckWorld(4); }
hak_sched::Add two_slabs({"two_slabs", 3, {2, 1}, 2000, BuildTwoSlabs, PushToTwo, FourInUse});

/* The owner takes a list without taking the slab off its stack, as refill does. */
void TakeList(int self) {
    if (self == 0) {
        hak_owner_lock_take_owner(&world.heap[0]->lock);
        uint32_t count;
        hak_block_t *list = hak_free_remote_take_owner(world.slab[0], &count);
        uint32_t length = 0;
        for (hak_block_t *block = list; block != nullptr; block = hak_block_next(block)) {
            length++;
        }
        HAK_SCHED_CHECK(length == count);
        hak_free_local_push_list_owner(world.heap[0], world.slab[0], list, count);
        hak_owner_lock_drop_owner(&world.heap[0]->lock);
        DrainAsOwner(world.heap[0], 4);
    } else {
        PushOne(world.slab[0], world.block[0][0]);
        PushOne(world.slab[0], world.block[0][1]);
    }
}
hak_sched::Add take_list({"take_list", 2, {4, 2}, 4000, BuildWorld, TakeList, SixInUse});

/* The owner follows the links of what it has drained. A second list, if there is one, stays. */
void DrainAndFollow(int self) {
    if (self == 0) {
        DrainAsOwner(world.heap[0], 4);
        hak_owner_lock_take_owner(&world.heap[0]->lock);
        uint32_t length = 0;
        for (hak_block_t *block = world.slab[0]->free; block != nullptr;
             block = hak_block_next(block)) {
            length++;
        }
        HAK_SCHED_CHECK(length + hak_load_rlx(&world.slab[0]->left) +
                            hak_load_rlx(&world.slab[0]->used) ==
                        hak_load_rlx(&world.slab[0]->carved));
        hak_owner_lock_drop_owner(&world.heap[0]->lock);
        DrainAsOwner(world.heap[0], 4);
    } else {
        PushOne(world.slab[0], world.block[0][0]);
        PushOne(world.slab[0], world.block[0][1]);
    }
}
hak_sched::Add
    drain_follow({"drain_follow", 2, {3, 2}, 1000, BuildWorld, DrainAndFollow, SixInUse});

/* The last blocks come back: the slab is retired, but not while it is queued. */
void LastBlocks(int self) {
    if (self == 0) {
        DrainAsOwner(world.heap[0], 4);
        hak_owner_lock_take_owner(&world.heap[0]->lock);
        (void)hak_free_local_retire_kept_owner(world.heap[0]);
        hak_owner_lock_drop_owner(&world.heap[0]->lock);
    } else {
        hak_block_link(world.block[0][0], world.block[0][1]);
        hak_block_link(world.block[0][2], world.block[0][3]);
        hak_free_remote_push_mt(world.slab[0], world.block[0][0], world.block[0][1], 2);
        hak_free_remote_push_mt(world.slab[0], world.block[0][2], world.block[0][3], 2);
    }
}
hak_sched::Add last_blocks({"last_blocks", 2, {4, 2}, 300, BuildWorld, LastBlocks, FourInUse});

/* T-20: thread 0 has heap 0 and takes slabs over from heap 1, which has no thread. */

void BuildIdle() {
    BuildWorld();
    hak_heap_release_mt(world.heap[1]);
    hak_sched::AdvanceMs(1000);
}
hak_slab_t *Adopt(hak_heap_t *mine) {
    hak_owner_lock_take_owner(&mine->lock);
    hak_slab_t *slab = nullptr;
    for (int i = 0; slab == nullptr && i < 2; i++) {
        slab = hak_adoption_take_owner(mine, kClass, hak_os_now_ms());
    }
    if (slab != nullptr) {
        hak_heap_list_owner(mine, slab, HAK_HEAP_FIRST);
    }
    hak_owner_lock_drop_owner(&mine->lock);
    return slab;
}
void AdoptAndPush(int self) {
    if (self == 0) {
        (void)Adopt(world.heap[0]);
        DrainAsOwner(world.heap[0], 4);
    } else {
        PushOne(world.slab[1], world.block[1][0]);
        PushOne(world.slab[1], world.block[1][1]);
    }
}
hak_sched::Add adopt_push({"adopt_push", 2, {4, 2}, 400, BuildIdle, AdoptAndPush, SixInUse});

/* Somebody else drains the same heap while the slab moves and a block comes back. */
void AdoptDrainPush(int self) {
    if (self == 0) {
        (void)Adopt(world.heap[0]);
    } else if (self == 1) {
        (void)hak_adoption_collect_mt(world.heap[0], hak_os_now_ms(), 0, 2);
    } else {
        PushOne(world.slab[1], world.block[1][0]);
        PushOne(world.slab[1], world.block[1][1]);
    }
}
hak_sched::Add
    adopt_drain_push({"adopt_drain_push", 3, {2, 1}, 2000, BuildIdle, AdoptDrainPush, SixInUse});

/* The owner of an idle heap wakes up while a guest works in it. */
void BuildAsleep() {
    BuildWorld();
    hak_sched::AdvanceMs(1000);
    PushOne(world.slab[1], world.block[1][0]);
}
void OwnerWakes(int self) {
    if (self == 0) {
        (void)Adopt(world.heap[0]);
    } else if (self == 1) {
        DrainAsOwner(world.heap[1], 4);
    } else {
        PushOne(world.slab[1], world.block[1][1]);
    }
}
hak_sched::Add owner_wakes({"owner_wakes", 3, {2, 1}, 2000, BuildAsleep, OwnerWakes, SixInUse});

/* Threads come and go: nobody shares a heap, and who comes finds it as it was left. */

uint64_t notes[4]; /* by heap, written by who has it */
uint64_t *NoteOf(const hak_heap_t *heap) { return &notes[heap->tag >> HAK_TAG_OWNER_SHIFT]; }

void OneIdleHeap() {
    BuildWorld();
    hak_heap_release_mt(world.heap[1]);
}
void ComeAndGo(int) {
    hak_heap_t *heap = hak_heap_acquire_mt();
    uint64_t before = (*NoteOf(heap))++;
    HAK_SCHED_CHECK(hak_load_rlx(&heap->idle) == 0);
    HAK_SCHED_CHECK(*NoteOf(heap) == before + 1);
    hak_heap_release_mt(heap);
}
void AllIdle() {
    HAK_SCHED_CHECK(notes[2] + notes[3] == 2);
    uint64_t made, idle;
    hak_heap_counts(&made, &idle);
    HAK_SCHED_CHECK(made - idle == 1);
    CheckWorld(8);
}
hak_sched::Add heaps({"heaps", 2, {3, 2}, 4000, OneIdleHeap, ComeAndGo, AllIdle});

/* A heap that is made while another thread walks the list of all. */
void MakeAndWalk(int self) {
    if (self == 0) {
        (void)hak_heap_acquire_mt();
        return;
    }
    unsigned found = 0;
    for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
        HAK_SCHED_CHECK(heap->tag != 0);
        found++;
    }
    HAK_SCHED_CHECK(found == 2 || found == 3);
}
void EightInUse() { CheckWorld(8); }
hak_sched::Add heaps_walk({"heaps_walk", 2, {3, 3}, 10, BuildWorld, MakeAndWalk, EightInUse});

/* The cursor of adoption hands a heap from a thread that saw it made to one that did not. */
void MakeAndCollect(int self) {
    if (self == 0) {
        (void)hak_heap_acquire_mt();
        (void)hak_heap_acquire_mt();
    } else {
        (void)hak_adoption_collect_mt(nullptr, 0, 1, 1);
    }
}
hak_sched::Add
    heaps_cursor({"heaps_cursor", 3, {2, 1}, 100, BuildWorld, MakeAndCollect, EightInUse});

/* A fork waits until nobody is inside a heap, and keeps everybody out. */
hak_heap_t *Inside(hak_heap_t *heap) {
    hak_owner_lock_take_owner(&heap->lock);
    heap->slow_steps++;
    hak_owner_lock_drop_owner(&heap->lock);
    return heap;
}
void ForkAndWork(int self) {
    if (self == 0) {
        hak_heap_fork_take(nullptr);
        for (hak_heap_t *heap : world.heap) {
            uint32_t steps = heap->slow_steps;
            hak_sched::Yield();
            HAK_SCHED_CHECK(heap->slow_steps == steps);
        }
        hak_heap_fork_drop_parent(nullptr);
    } else {
        (void)Inside(world.heap[1]);
        PushOne(world.slab[0], world.block[0][0]);
    }
}
void SevenInUse() { CheckWorld(7); }
hak_sched::Add heaps_fork({"heaps_fork", 2, {3, 1}, 50, BuildWorld, ForkAndWork, SevenInUse});

} // namespace
