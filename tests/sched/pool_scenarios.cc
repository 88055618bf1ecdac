/* boxes/slot_pool: slots have one holder at a time while superslabs fill, drain, are purged and are
 * unmapped.
 */
#include "backends/os/os_fake.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"

namespace {

constexpr unsigned kUnits = 1;

/* A slab that writes its memory, as its users do. Two holders would race. */
hak_slab_t *Take() {
    hak_slab_t *slab = hak_slot_pool_take_mt(kUnits);
    *(uint64_t *)hak_slab_base(slab) = 1;
    return slab;
}
void Give(hak_slab_t *slab) {
    *(uint64_t *)hak_slab_base(slab) = 2;
    hak_slot_pool_give_mt(slab);
}
/* Nobody holds more than `active` slots, and the pool's books are right. */
void CheckPool(uint64_t active) {
    HAK_SCHED_CHECK(hak_testing::Faults() == 0);
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    HAK_SCHED_CHECK(stats.active_slots == active);
}

hak_slab_t *held; /* since `setup` */

void OneHeld() {
    hak_testing::StartEngine();
    hak_slab_t *other = Take();
    held = Take();
    Give(other); /* EMPTY */
}

void TakeGive(int) { Give(Take()); }
void OneActive() { CheckPool(1); }
hak_sched::Add pool_two({"pool_two", 2, {3, 1}, 100, OneHeld, TakeGive, OneActive});
hak_sched::Add pool_three({"pool_three", 3, {2, 1}, 100, OneHeld, TakeGive, OneActive});

/* A purge drops the lock while the kernel works. */
void TakeGivePurge(int self) {
    if (self == 0) {
        Give(Take());
    } else {
        (void)hak_slot_pool_purge_mt(2000000, 0, 8, 0);
    }
}
hak_sched::Add pool_purge({"pool_purge", 2, {3, 1}, 100, OneHeld, TakeGivePurge, OneActive});

void TakeGivePurgeOne(int self) {
    if (self == 0) {
        (void)hak_slot_pool_purge_mt(2000000, 0, 8, 0);
    } else if (self == 1) {
        (void)Take();
    } else {
        Give(held);
    }
}
hak_sched::Add pool_purge_take_give(
    {"pool_purge_take_give", 3, {2, 1}, 200, OneHeld, TakeGivePurgeOne, OneActive});

void TwoPurges(int self) {
    if (self != 0) {
        (void)hak_slot_pool_purge_mt(2000000, 0, 8, 0);
    } else {
        Give(held);
    }
}
void NoneActive() { CheckPool(0); }
hak_sched::Add pool_two_purges({"pool_two_purges", 3, {2, 1}, 100, OneHeld, TwoPurges, NoneActive});

/* The kernel refuses: the slots stay EMPTY. */
void Refused() {
    OneHeld();
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
}
hak_sched::Add pool_refused({"pool_refused", 2, {3, 1}, 100, Refused, TakeGivePurge, OneActive});

/* Wholly free superslabs are unmapped, the last of many at once, while somebody takes. */
enum { MANY = 5 };
hak_slab_t *last_of[MANY];
void ManySuperslabs() {
    hak_testing::StartEngine();
    for (hak_slab_t *&slab : last_of) {
        slab = hak_slot_pool_take_mt(16);
        hak_slab_t *second = hak_slot_pool_take_mt(16);
        *(uint64_t *)hak_slab_base(slab) = 1;
        *(uint64_t *)hak_slab_base(second) = 1;
        hak_slot_pool_give_mt(second);
    }
    for (int i = 0; i < MANY - 1; i++) {
        hak_slot_pool_give_mt(last_of[i]);
    }
    (void)hak_slot_pool_purge_mt(2000000, 0, 8, 0);
    held = last_of[MANY - 1];
}
void ReleaseAndTake(int self) {
    if (self == 0) {
        Give(held);
        (void)hak_slot_pool_purge_mt(2000000, 0, 8, 0);
    } else {
        Give(Take());
    }
}
hak_sched::Add
    pool_release({"pool_release", 2, {3, 1}, 100, ManySuperslabs, ReleaseAndTake, NoneActive});

/* Statistics walk the descriptors without the lock: where one is mapped, its address is known. */
void CheckMapped(hak_superslab_t *ss, void *) {
    if (hak_load_acq(&ss->mapped) != 0) {
        HAK_SCHED_CHECK(hak_region_base(&ss->region) != 0);
        HAK_SCHED_CHECK(ss->region.kind == HAK_REGION_SUPERSLAB);
    }
}
void Empty() { hak_testing::StartEngine(); }
void MakeAndVisit(int self) {
    if (self == 0) {
        (void)Take();
    } else {
        hak_slot_pool_each(CheckMapped, nullptr);
    }
}
hak_sched::Add pool_visit({"pool_visit", 2, {2, 2}, 10, Empty, MakeAndVisit, OneActive});

/* A fork waits for the purge that is under way. */
void ForkDuringPurge(int self) {
    if (self == 0) {
        hak_slot_pool_fork_take();
        HAK_SCHED_CHECK(hak_slot_pool_check_locked() == 0);
        hak_slot_pool_fork_drop();
    } else {
        (void)hak_slot_pool_purge_mt(2000000, 0, 8, 0);
    }
}
hak_sched::Add pool_fork({"pool_fork", 2, {3, 1}, 20, OneHeld, ForkDuringPurge, OneActive});

} // namespace
