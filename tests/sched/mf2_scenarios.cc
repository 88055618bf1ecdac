/* boxes/mf2_remote, mf2_pending, mf2_adopt, mf2_orphans: every block of an mf2 page comes back
 * whoever takes the page meanwhile (T-05, T-07, T-17, T-20).
 */
#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "tests/sched/mf2_world.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

using hak_sched::BuildActiveMf2;
using hak_sched::BuildMf2;
using hak_sched::CheckMf2;
using hak_sched::FreeAsOwnerMf2;
using hak_sched::FreeMf2;
using hak_sched::kMf2Index;
using hak_sched::kMf2Later;
using hak_sched::kMf2Now;
using hak_sched::mf2;
using hak_sched::RefillMf2;
using hak_sched::UseUpMf2;

void Refill(int heap) { (void)RefillMf2(mf2.heap[heap], kMf2Now); }
void SevenOut() { CheckMf2(7); }
void SixOut() { CheckMf2(6); }
void FiveOut() { CheckMf2(5); }

/* The edge: two frees of one page while its home drains. */
void FreeAndDrain(int self) {
    if (self == 0) {
        Refill(0);
    } else {
        FreeMf2(0, 0);
        FreeMf2(0, 1);
    }
}
hak_sched::Add mf2_free({"mf2_free", 2, {3, 1}, 100, BuildMf2, FreeAndDrain, SixOut});

/* The old home drains while another heap adopts, and blocks come back. */
void DrainAdoptFree(int self) {
    if (self < 2) {
        Refill(self);
    } else {
        FreeMf2(0, 0);
        FreeMf2(0, 1);
    }
}
hak_sched::Add mf2_adopt({"mf2_adopt", 3, {2, 1}, 300, BuildMf2, DrainAdoptFree, SixOut});

/* Two pages on a stack, taken by two threads while one of them comes back: T-17. */
void BuildTwoPending() {
    BuildMf2();
    FreeMf2(0, 0);
    FreeMf2(1, 0);
}
void PopAndPush(int self) {
    hak_mf2_page_t *page = hak_mf2_pending_pop_mt(mf2.heap[0], kMf2Index);
    if (self == 0 && page != nullptr) {
        hak_mf2_page_t *other = hak_mf2_pending_pop_mt(mf2.heap[0], kMf2Index);
        HAK_SCHED_CHECK(other != page);
        hak_mf2_pending_push_mt(page);
        page = other;
    }
    if (page != nullptr) {
        hak_mf2_pending_push_mt(page);
    }
}
hak_sched::Add mf2_stack({"mf2_stack", 2, {4, 1}, 100, BuildTwoPending, PopAndPush, SixOut});

/* The thread ends, and leaves its page, while others free into it and adopt it. */
void LeaveAdoptFree(int self) {
    if (self == 0) {
        hak_owner_lock_take_owner(&mf2.heap[0]->heap->lock);
        hak_mf2_adopt_leave_all_owner(mf2.heap[0]);
        hak_owner_lock_drop_owner(&mf2.heap[0]->heap->lock);
    } else if (self == 1) {
        Refill(1);
    } else {
        FreeMf2(0, 1);
        FreeMf2(1, 0);
    }
}
hak_sched::Add
    mf2_orphans({"mf2_orphans", 3, {2, 1}, 300, BuildActiveMf2, LeaveAdoptFree, FiveOut});

/* The owner takes what came back to its active page without taking the page off its stack. */
void TakeAndFree(int self) {
    if (self != 0) {
        FreeMf2(0, 1);
        FreeMf2(0, 2);
        return;
    }
    hak_owner_lock_take_owner(&mf2.heap[0]->heap->lock);
    uint32_t count, length = 0;
    hak_block_t *list = hak_mf2_remote_take_owner(mf2.page[0], &count);
    for (hak_block_t *block = list; block != nullptr; block = hak_block_next(block)) {
        length++;
    }
    HAK_SCHED_CHECK(length == count);
    hak_mf2_page_put_owner(mf2.page[0], list, count);
    hak_owner_lock_drop_owner(&mf2.heap[0]->heap->lock);
}
hak_sched::Add mf2_take({"mf2_take", 2, {3, 1}, 100, BuildActiveMf2, TakeAndFree, FiveOut});

/* Page 0 is active and pending too; its owner uses it up while another heap wants it. */
void BuildActivePending() {
    BuildActiveMf2();
    FreeMf2(0, 1);
}
void UseUpAndAdopt(int self) {
    if (self == 0) {
        UseUpMf2(mf2.heap[0], mf2.page[0]);
    } else {
        Refill(1);
    }
}
hak_sched::Add
    mf2_used_up({"mf2_used_up", 2, {3, 1}, 20, BuildActivePending, UseUpAndAdopt, SevenOut});

/* The last block of page 0 comes home while the page is still queued, though nothing waits there:
 * it is not retired, for somebody may have it in hand. */
void BuildQueuedOneOut() {
    BuildActivePending();
    uint32_t count;
    hak_block_t *list = hak_mf2_remote_take_owner(mf2.page[0], &count);
    hak_mf2_page_put_owner(mf2.page[0], list, count);
    FreeAsOwnerMf2(mf2.heap[0], mf2.page[0], mf2.block[0][2]);
}
void RetireAndAdopt(int self) {
    if (self == 0) {
        FreeAsOwnerMf2(mf2.heap[0], mf2.page[0], mf2.block[0][3]);
        hak_owner_lock_take_owner(&mf2.heap[0]->heap->lock);
        (void)hak_mf2_adopt_settle_owner(mf2.heap[0], 4);
        hak_owner_lock_drop_owner(&mf2.heap[0]->heap->lock);
    } else {
        Refill(1);
    }
}
void FourOut() { CheckMf2(4); }
hak_sched::Add
    mf2_retire({"mf2_retire", 2, {3, 1}, 20, BuildQueuedOneOut, RetireAndAdopt, FourOut});

/* A page that some fault has put on two stacks, and so in two hands, has one owner all the same. */
unsigned drained[2];

void BuildOnTwoStacks() {
    BuildMf2();
    FreeMf2(0, 0);
    hak_mf2_pending_push_on_mt(mf2.heap[1], mf2.page[0]);
}
void DrainOwn(int self) {
    hak_mf2_heap_t *mine = mf2.heap[self];
    hak_owner_lock_take_owner(&mine->heap->lock);
    drained[self] = hak_mf2_adopt_drain_owner(mine, kMf2Index, 1);
    hak_owner_lock_drop_owner(&mine->heap->lock);
}
void OneHasIt() {
    HAK_SCHED_CHECK(drained[0] + drained[1] == 1);
    HAK_SCHED_CHECK(hak_load_rlx(&mf2.page[0]->owner) == (uintptr_t)mf2.heap[drained[1]]);
}
hak_sched::Add mf2_hands({"mf2_hands", 2, {3, 1}, 20, BuildOnTwoStacks, DrainOwn, OneHasIt});

/* T-20: page 0 is active at heap 0, whose thread slept. It wakes and frees a block, while another
 * heap takes the page over and a third thread frees into it. */
void WakeAdoptFree(int self) {
    if (self == 0) {
        FreeAsOwnerMf2(mf2.heap[0], mf2.page[0], mf2.block[0][2]);
    } else if (self == 1) {
        (void)RefillMf2(mf2.heap[1], kMf2Later);
    } else {
        FreeMf2(0, 3);
    }
}
hak_sched::Add mf2_wakes({"mf2_wakes", 3, {2, 1}, 300, BuildActivePending, WakeAdoptFree, FourOut});

} // namespace
