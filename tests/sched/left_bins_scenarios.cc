/* boxes/left_bins: the blocks of a thread that ended are with the next thread of its heap or back
 * in their slabs, whoever comes, adopts and collects meanwhile.
 */
#include "boxes/left_bins/left_bins.h"

#include "backends/os/os.h"
#include "boxes/adoption/adoption.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/testing/engine.h"
#include "boxes/tls_sll/tls_sll.h"
#include "tests/sched/sched.h"
#include "tests/sched/world.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

using hak_sched::BuildWorld;
using hak_sched::CheckWorld;
using hak_sched::kClass;
using hak_sched::world;

/* By logical thread: blocks of heap 1 that it found in its bins when it came. */
int found[3];
bool adopted;
uint64_t in_use; /* blocks of the class, with those in the bin */

/* As front/thread does when a thread has got a heap, and when it ends. */
void Attach(hak_heap_t *heap) {
    hak_owner_lock_take_owner(&heap->lock);
    if (!hak_left_bins_any(heap)) {
        hak_cache_policy_start_owner(heap);
    }
    hak_tls_sll_attach(heap, heap->tag, heap->bin_cap, heap->spare_bytes);
    hak_left_bins_take_locked(heap);
    hak_owner_lock_drop_owner(&heap->lock);
}
void Leave(hak_heap_t *heap) {
    hak_owner_lock_take_owner(&heap->lock);
    hak_left_bins_leave_locked(heap, hak_os_now_ms());
    hak_owner_lock_drop_owner(&heap->lock);
    HAK_SCHED_CHECK(hak_tls.bin[kClass].head == nullptr);
    hak_tls_sll_detach();
    hak_heap_release_mt(heap);
}

/* Comes, and writes to all blocks of its bin, as a program would. */
void Come(int self) {
    hak_heap_t *heap = hak_heap_acquire_mt();
    Attach(heap);
    while (hak_block_t *block = hak_tls_sll_pop_class(kClass)) {
        hak_block_link(block, nullptr);
        hak_block_set_mark(block, hak_block_mark(block) + 1);
        found[self]++;
    }
    hak_tls_sll_detach();
}

/* Two blocks of heap 1 are in the bin of its thread. */
void FillBin() {
    Attach(world.heap[1]);
    for (int i = 0; i < 2; i++) {
        hak_block_set_mark(world.block[1][i], 0);
        HAK_SCHED_CHECK(hak_tls_sll_push_class(kClass, world.block[1][i]));
    }
    hak_store_rlx(&world.heap[1]->cached_max[kClass], world.heap[1]->bin_cap[kClass]);
}
void BuildLeft() {
    BuildWorld();
    in_use = 8;
    FillBin();
    Leave(world.heap[1]);
    hak_sched::AdvanceMs(1000);
}
/* The same with a slab that has nothing else free, so that who adopts has to empty the bin. */
void BuildLeftFull() {
    BuildWorld();
    size_t carved = hak_testing::CarveAll(world.heap[1], world.slab[1]).size();
    in_use = 8 + carved;
    FillBin();
    Leave(world.heap[1]);
    hak_sched::AdvanceMs(1000);
}

void Collect() { (void)hak_adoption_collect_mt(nullptr, hak_os_now_ms(), 0, 2); }
void Adopt(hak_heap_t *mine) {
    hak_owner_lock_take_owner(&mine->lock);
    hak_slab_t *slab = nullptr;
    for (int i = 0; slab == nullptr && i < 2; i++) {
        slab = hak_adoption_take_owner(mine, kClass, hak_os_now_ms());
    }
    if (slab != nullptr) {
        HAK_SCHED_CHECK(slab == world.slab[1] && slab->free != nullptr);
        hak_heap_list_owner(mine, slab, HAK_HEAP_FIRST);
        adopted = true;
    }
    hak_owner_lock_drop_owner(&mine->lock);
}

/* The two blocks are with one thread, in the heap or in the slab. */
void Check() {
    int with_threads = found[0] + found[1] + found[2];
    HAK_SCHED_CHECK(with_threads == 0 || with_threads == 2);
    for (int i = 0; i < 2 && with_threads == 2; i++) {
        HAK_SCHED_CHECK(hak_block_mark(world.block[1][i]) == 1);
    }
    bool left = hak_left_bins_has(world.heap[1], kClass);
    HAK_SCHED_CHECK(!left || with_threads == 0);
    HAK_SCHED_CHECK(!adopted || (!left && with_threads == 0));
    CheckWorld(with_threads == 2 || left ? in_use : in_use - 2);
}

void ComeAndCollect(int self) {
    if (self == 0) {
        Come(0);
    } else {
        Collect();
    }
}
hak_sched::Add
    left_come_collect({"left_come_collect", 2, {2, 2}, 50, BuildLeft, ComeAndCollect, Check});

/* Both want what is there: one gets it. */
void TwoCome(int self) { Come(self); }
hak_sched::Add left_two_come({"left_two_come", 2, {3, 2}, 50, BuildLeft, TwoCome, Check});

void ComeAndAdopt(int self) {
    if (self == 0) {
        Come(0);
    } else {
        Adopt(world.heap[0]);
    }
}
hak_sched::Add
    left_come_adopt({"left_come_adopt", 2, {3, 2}, 50, BuildLeftFull, ComeAndAdopt, Check});

void AdoptAndCollect(int self) {
    if (self == 0) {
        Collect();
    } else {
        Adopt(world.heap[0]);
    }
}
hak_sched::Add left_adopt_collect(
    {"left_adopt_collect", 2, {2, 1}, 50, BuildLeftFull, AdoptAndCollect, Check});

/* The thread ends while others look, and another one begins. Its bins are the scenario's, not a
 * thread's: who leaves attaches first. */
void BuildBusy() {
    BuildWorld();
    in_use = 8;
    hak_sched::AdvanceMs(1000);
}
void LeaveAndCollect(int self) {
    if (self == 0) {
        FillBin();
        Leave(world.heap[1]);
    } else if (self == 1) {
        Collect();
    } else {
        Come(2);
    }
}
hak_sched::Add
    left_leave_all({"left_leave_all", 3, {1, 1}, 500, BuildBusy, LeaveAndCollect, Check});

} // namespace
