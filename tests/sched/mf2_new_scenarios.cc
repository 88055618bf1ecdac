/* boxes/mf2_heap, mf2_page, mf2_pool, mf2_adopt: heaps, regions and pages that are made while
 * others already meet them.
 */
#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_orphans/mf2_orphans.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/testing/engine.h"
#include "tests/sched/mf2_world.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

using hak_sched::BuildActiveMf2;
using hak_sched::BuildMf2;
using hak_sched::CheckMf2;
using hak_sched::FreeMf2;
using hak_sched::kMf2Index;
using hak_sched::kMf2Later;
using hak_sched::kMf2Now;
using hak_sched::mf2;
using hak_sched::RefillMf2;

/* Heaps that have not used MF2 yet. */
hak_heap_t *fresh[2];

void AddFresh() {
    for (hak_heap_t *&heap : fresh) {
        heap = hak_heap_acquire_mt();
        hak_store_rlx(&heap->active_ms, kMf2Now);
    }
}
hak_mf2_heap_t *MakeHeap(int which) { return hak_mf2_heap_of_owner(fresh[which]); }

/* All heaps on the list; each is as who made it left it. */
unsigned WalkHeaps() {
    unsigned found = 0;
    for (hak_mf2_heap_t *heap = hak_mf2_heap_first(); heap != nullptr; heap = heap->all_next) {
        HAK_SCHED_CHECK(heap->heap != nullptr);
        found++;
    }
    return found;
}

/* Two heaps come to the list, and none is lost. */
void BuildFresh() {
    BuildMf2();
    AddFresh();
}
void MakeAndWalk(int self) {
    (void)MakeHeap(self);
    HAK_SCHED_CHECK(WalkHeaps() >= 3);
}
void FourHeaps() { HAK_SCHED_CHECK(WalkHeaps() == 4); }
hak_sched::Add mf2_new_heaps({"mf2_new_heaps", 2, {3, 1}, 100, BuildFresh, MakeAndWalk, FourHeaps});

/* The cursor of the collection hands a heap from a thread that saw it made to one that did not. */
void MakeAndCollect(int self) {
    if (self == 0) {
        (void)MakeHeap(0);
        (void)MakeHeap(1);
    } else {
        (void)hak_mf2_adopt_collect_mt(nullptr, 0, 1, 1, 64, false);
    }
}
hak_sched::Add mf2_cursor({"mf2_cursor", 3, {2, 1}, 100, BuildFresh, MakeAndCollect, FourHeaps});

/* A new heap adopts a page. Who has the page in hand next asks that heap. */
void BuildPending() {
    BuildFresh();
    FreeMf2(0, 0);
}
void Adopt(hak_mf2_heap_t *mine, uint64_t now_ms) {
    hak_owner_lock_take_owner(&mine->heap->lock);
    (void)hak_mf2_adopt_from_owner(mine, mf2.heap[0], kMf2Index, now_ms);
    hak_owner_lock_drop_owner(&mine->heap->lock);
}
void MakeAdoptFree(int self) {
    if (self == 0) {
        Adopt(MakeHeap(0), kMf2Now);
    } else {
        FreeMf2(0, 1);
        Adopt(mf2.heap[1], kMf2Later);
    }
}
void SixOut() { CheckMf2(6); }
hak_sched::Add
    mf2_new_adopts({"mf2_new_adopts", 2, {3, 1}, 100, BuildPending, MakeAdoptFree, SixOut});

/* A new heap takes an orphan, which somebody else has in hand. */
void BuildOrphan() {
    BuildActiveMf2();
    AddFresh();
    FreeMf2(0, 1);
    hak_mf2_adopt_leave_all_owner(mf2.heap[0]);
}
void MakeAndTake(int self) {
    if (self == 0) {
        (void)RefillMf2(MakeHeap(0), kMf2Now);
    } else {
        Adopt(mf2.heap[1], kMf2Later);
    }
}
hak_sched::Add mf2_new_takes({"mf2_new_takes", 2, {3, 1}, 50, BuildOrphan, MakeAndTake, SixOut});

/* A region is made while another thread looks at all of them. */
hak_mf2_page_t *made;

void BuildFullRegion() {
    hak_testing::StartEngine();
    for (unsigned i = 0; i < HAK_MF2_REGION_PAGES; i++) {
        (void)hak_mf2_pool_take_mt();
    }
}
void LookAtRegion(hak_mf2_region_t *region, void *count) {
    if (hak_load_acq(&region->mapped) != 0) { /* as the statistics do */
        HAK_SCHED_CHECK(hak_mf2_page_base(&region->page[1]) > HAK_MF2_REGION_BYTES);
        ++*static_cast<unsigned *>(count);
    }
}
unsigned LookAtRegions() {
    unsigned count = 0;
    hak_mf2_pool_each(LookAtRegion, &count);
    return count;
}
void MakeAndLook(int self) {
    if (self == 0) {
        made = hak_mf2_pool_take_mt();
        HAK_SCHED_CHECK(made != nullptr);
    } else {
        HAK_SCHED_CHECK(LookAtRegions() >= 1);
    }
}
void TwoRegions() {
    HAK_SCHED_CHECK(LookAtRegions() == 2);
    HAK_SCHED_CHECK(hak_mf2_pool_check_locked() == 0);
}
hak_sched::Add
    mf2_new_region({"mf2_new_region", 2, {3, 2}, 10, BuildFullRegion, MakeAndLook, TwoRegions});

/* A page of a new region comes to a stack: its number leads who takes it there to the region. */
hak_block_t *blocks[4];

void BuildFullAndHeaps() {
    BuildMf2();
    for (unsigned i = 2; i < HAK_MF2_REGION_PAGES; i++) {
        (void)hak_mf2_pool_take_mt();
    }
}
void FreeFromNew(int self) {
    if (self == 0) {
        made = hak_sched::HandOutMf2Page(blocks);
        hak_sched::FreeRemote(made, blocks[0]);
    } else if (RefillMf2(mf2.heap[1], kMf2Now)) {
        HAK_SCHED_CHECK(hak_mf2_page_base(mf2.heap[1]->list[kMf2Index]) == (uintptr_t)blocks[0]);
    }
}
void EightOut() { CheckMf2(8); }
hak_sched::Add
    mf2_new_page({"mf2_new_page", 2, {3, 2}, 20, BuildFullAndHeaps, FreeFromNew, EightOut});

/* A page is closed and opened for another class while statistics look at it: they see the class
 * only with counts of its new life. */
void BuildOneOut() {
    BuildMf2();
    for (int i = 0; i < 3; i++) {
        FreeMf2(0, i);
    }
    (void)hak_mf2_adopt_drain_owner(mf2.heap[0], kMf2Index, 4);
}
void Reopen() {
    hak_mf2_heap_t *mine = mf2.heap[0];
    hak_mf2_page_t *page = mf2.page[0];
    hak_owner_lock_take_owner(&mine->heap->lock);
    hak_block_link(mf2.block[0][3], nullptr);
    hak_mf2_page_put_owner(page, mf2.block[0][3], 1);
    HAK_SCHED_CHECK(hak_mf2_adopt_retire_owner(mine, page));
    HAK_SCHED_CHECK(hak_mf2_pool_take_mt() == page); /* a page that was touched is taken first */
    hak_mf2_page_open(page, hak_mf2_sc(0), mine, mine->heap->tag);
    hak_owner_lock_drop_owner(&mine->heap->lock);
}
void ReopenAndLook(int self) {
    if (self == 0) {
        Reopen();
    } else if (hak_load_acq(&mf2.page[0]->sc) == hak_mf2_sc(0)) {
        HAK_SCHED_CHECK(hak_load_rlx(&mf2.page[0]->used) == 0);
        HAK_SCHED_CHECK(hak_load_rlx(&mf2.page[0]->carved) == 0);
    }
}
void NoFaults() { HAK_SCHED_CHECK(hak_mf2_pool_check_locked() == 0); }
hak_sched::Add mf2_reopen({"mf2_reopen", 2, {2, 2}, 10, BuildOneOut, ReopenAndLook, NoFaults});

} // namespace
