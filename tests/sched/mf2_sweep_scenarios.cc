/* boxes/mf2_sweeper, mf2_orphans: the sweeper takes in what is pending while owners use their pages
 * up, others adopt and blocks come back. */
#include <pthread.h>

#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_orphans/mf2_orphans.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "boxes/mf2_sweeper/mf2_sweeper.h"
#include "core/options/options.h"
#include "tests/sched/mf2_world.h"
#include "tests/sched/sched.h"

/* The sweeper's thread is never run: the scenarios call what it calls. */
static unsigned started;

extern "C" int pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *),
                              void *) noexcept {
    started++;
    return 0;
}
extern "C" int pthread_detach(pthread_t) noexcept { return 0; }

namespace {

using hak_sched::BuildActiveMf2;
using hak_sched::BuildMf2;
using hak_sched::CheckMf2;
using hak_sched::FreeMf2;
using hak_sched::kMf2Later;
using hak_sched::kMf2Now;
using hak_sched::mf2;
using hak_sched::RefillMf2;
using hak_sched::UseUpMf2;

void Sweep(uint64_t now_ms) { (void)hak_mf2_sweep_mt(now_ms, 4); }
void SevenOut() { CheckMf2(7); }
void FiveOut() { CheckMf2(5); }
void FourOut() { CheckMf2(4); }

/* Two threads start it, and there is one. */
void BuildWanted() {
    BuildMf2();
    hak_store_rlx(&hak_option_values[HAK_OPTION_MF2_SWEEPER], 1);
}
void Start(int) { hak_mf2_sweeper_start(); }
void OneStarted() { HAK_SCHED_CHECK(started == 1); }
hak_sched::Add mf2_start({"mf2_start", 2, {2, 1}, 3, BuildWanted, Start, OneStarted});

/* Page 0 is active at heap 0 and pending too; its owner uses it up. */
void BuildActivePending() {
    BuildActiveMf2();
    FreeMf2(0, 1);
}
void UseUpAndSweep(int self) {
    if (self == 0) {
        UseUpMf2(mf2.heap[0], mf2.page[0]);
    } else {
        Sweep(kMf2Now);
    }
}
hak_sched::Add mf2_sweep({"mf2_sweep", 2, {3, 1}, 20, BuildActivePending, UseUpAndSweep, SevenOut});

/* Page 0 is pending and used up: its owner had taken what came back. The sweeper finds nothing in
 * it while the next block comes back, and somebody adopts. */
void BuildPendingUsedUp() {
    BuildActivePending();
    uint32_t count;
    (void)hak_mf2_remote_take_owner(mf2.page[0], &count);
    UseUpMf2(mf2.heap[0], mf2.page[0]);
}
void SweepFreeAdopt(int self) {
    if (self == 0) {
        Sweep(kMf2Now);
    } else if (self == 1) {
        FreeMf2(0, 2);
    } else {
        (void)RefillMf2(mf2.heap[1], kMf2Now);
    }
}
hak_sched::Add mf2_sweep_none(
    {"mf2_sweep_none", 3, {2, 1}, 100, BuildPendingUsedUp, SweepFreeAdopt, SevenOut});

/* The last block of page 0 comes back: the sweeper closes the page, or finds it adopted. */
void BuildOneLeft() {
    BuildMf2();
    for (int i = 0; i < 3; i++) {
        FreeMf2(0, i);
    }
}
void SweepLastAdopt(int self) {
    if (self == 0) {
        Sweep(kMf2Now);
    } else if (self == 1) {
        FreeMf2(0, 3);
    } else {
        (void)RefillMf2(mf2.heap[1], kMf2Now);
    }
}
hak_sched::Add
    mf2_sweep_last({"mf2_sweep_last", 3, {2, 1}, 100, BuildOneLeft, SweepLastAdopt, FourOut});

/* Heap 0 counts as asleep: the sweeper drains its page as a guest while it wakes up. */
void WakeAndSweep(int self) {
    if (self == 0) {
        hak_sched::FreeAsOwnerMf2(mf2.heap[0], mf2.page[0], mf2.block[0][2]);
    } else {
        Sweep(kMf2Later);
    }
}
hak_sched::Add
    mf2_sweep_idle({"mf2_sweep_idle", 2, {3, 1}, 100, BuildActivePending, WakeAndSweep, FiveOut});

/* All blocks of page 0 are back, one of page 1 is. While the sweeper is paused both are in a place
 * where they can be found: on a stack, with the orphans, in the pool. */
void BuildOneEmpty() {
    BuildOneLeft();
    FreeMf2(0, 3);
    FreeMf2(1, 0);
}
void Count() {
    hak_mf2_sweeper_pause();
    hak_mf2_orphans_fork_take();
    hak_mf2_pool_fork_take();
    uint32_t queued = 0, orphans = 0;
    for (const hak_mf2_page_t *page : mf2.page) {
        bool is_open = hak_load_rlx(&page->sc) != 0;
        queued += is_open && hak_mf2_remote_is_queued(page);
        orphans += is_open && hak_load_rlx(&page->owner) == HAK_MF2_ORPHAN;
    }
    HAK_SCHED_CHECK(queued == hak_mf2_pending_count(mf2.heap[0], hak_sched::kMf2Index, 3));
    HAK_SCHED_CHECK(hak_mf2_orphans_check_locked(orphans) == 0);
    HAK_SCHED_CHECK(hak_mf2_pool_check_locked() == 0);
    hak_mf2_pool_fork_drop();
    hak_mf2_orphans_fork_drop();
    hak_mf2_sweeper_go_on();
}
void SweepAndCount(int self) {
    if (self == 0) {
        Sweep(kMf2Now);
    } else {
        Count();
    }
}
void ThreeOut() { CheckMf2(3); }
hak_sched::Add
    mf2_sweep_rest({"mf2_sweep_rest", 2, {3, 1}, 20, BuildOneEmpty, SweepAndCount, ThreeOut});

} // namespace
