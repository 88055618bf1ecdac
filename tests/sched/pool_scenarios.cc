/* boxes/slot_pool under the policy of the build: slots have one holder at a time while superslabs
 * fill, drain, are purged, cached and unmapped. `any` puts tiny slabs on the pool's own lists.
 */
#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "registry/registry.h"
#include "tests/sched/sched.h"

namespace {

/* Two tiny classes. */
constexpr unsigned A = 4, B = 8;
constexpr uint64_t kLater = 2000000; /* ms, long after the clock of the scenarios */

/* A slab that writes its memory, as its users do: two holders would race. */
hak_slab_t *Take(unsigned sc) {
    hak_slab_t *slab = hak_slot_pool_take_mt(sc);
    *(uint64_t *)hak_slab_base(slab) = sc;
    return slab;
}
void Give(hak_slab_t *slab) {
    *(uint64_t *)hak_slab_base(slab) = 0;
    hak_slot_pool_give_mt(slab);
}
void PurgeAll() { (void)hak_slot_pool_purge_mt(kLater, 0, 64, 0); }
void SetOption(hak_option_id_t id, uint64_t value) { hak_store_rlx(&hak_option_values[id], value); }

/* Nobody holds more than `active` slots, and the pool's books are right. */
void CheckPool(uint64_t active) {
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    HAK_SCHED_CHECK(stats.active_slots == active && stats.tiny_slabs_active == active);
    HAK_SCHED_CHECK(hak_slot_pool_check_locked() == 0); /* all threads have ended: no lock */
}
void NoneActive() { CheckPool(0); }
void OneActive() { CheckPool(1); }

hak_slab_t *held[4]; /* since `setup` */

void OneHeld() {
    hak_testing::StartEngine();
    hak_slab_t *other = Take(A);
    held[0] = Take(A);
    Give(other); /* EMPTY, of class A */
}

void SameClass(int) { Give(Take(A)); }
hak_sched::Add pool_same({"pool_same", 2, {4, 1}, 1000, OneHeld, SameClass, OneActive});

void OtherClass(int self) { Give(Take(self == 0 ? A : B)); }
hak_sched::Add pool_classes({"pool_classes", 2, {4, 1}, 1000, OneHeld, OtherClass, OneActive});
hak_sched::Add pool_three({"pool_three", 3, {2, 0}, 500, OneHeld, OtherClass, OneActive});

/* The last slot of a superslab is given back while somebody takes: it goes to the LRU and comes out
 * again, or it stays. */
void LastSlot() {
    hak_testing::StartEngine();
    held[0] = Take(A);
}
void GiveAndTake(int self) {
    if (self == 0) {
        Give(held[0]);
    } else {
        Give(Take(self == 1 ? A : B));
    }
}
hak_sched::Add pool_last({"pool_last", 2, {4, 1}, 100, LastSlot, GiveAndTake, NoneActive});
hak_sched::Add
    pool_last_three({"pool_last_three", 3, {2, 0}, 500, LastSlot, GiveAndTake, NoneActive});

/* Without an LRU it is unmapped at once, with the lock dropped. */
void LastSlotNoLru() {
    LastSlot();
    SetOption(HAK_OPTION_SUPERSLAB_MAX_CACHED, 0);
}
hak_sched::Add pool_unmap({"pool_unmap", 2, {3, 1}, 500, LastSlotNoLru, GiveAndTake, NoneActive});
hak_sched::Add
    pool_unmap_three({"pool_unmap_three", 3, {2, 0}, 500, LastSlotNoLru, GiveAndTake, NoneActive});

/* A full superslab: who comes second needs a new one (stage 3). */
void Full() {
    hak_testing::StartEngine();
    hak_slab_t *first = Take(A);
    for (int i = 1; i < HAK_SUPERSLAB_SLOTS; i++) {
        (void)Take(A);
    }
    held[0] = first;
}
void GiveOneTakeTwo(int self) {
    if (self == 0) {
        Give(held[0]);
    } else {
        (void)Take(A);
        (void)Take(B);
    }
}
void AllAndOne() { CheckPool(HAK_SUPERSLAB_SLOTS + 1); }
hak_sched::Add pool_full({"pool_full", 2, {4, 1}, 100, Full, GiveOneTakeTwo, AllAndOne});

/* An EMPTY slot that stands alone, and who wants a slab of two units; meanwhile somebody wants just
 * that slot, or purges it. Who comes second gets new memory. */
void OneEmptyAlone() {
    hak_testing::StartEngine();
    for (int i = 0; i < 3; i++) {
        held[i] = Take(A);
    }
    Give(held[1]);
}
void TakePairOrOne(int self) {
    if (self == 0) {
        hak_slab_t *slab = hak_testing::TakeUnits(2);
        HAK_SCHED_CHECK(slab->units == 1 || slab->units == 2);
        hak_slot_pool_give_mt(slab);
    } else if (self == 1) {
        Give(Take(A));
    } else {
        PurgeAll();
    }
}
void TwoActive() { CheckPool(2); }
hak_sched::Add
    pool_shorter({"pool_shorter", 2, {4, 1}, 500, OneEmptyAlone, TakePairOrOne, TwoActive});
hak_sched::Add pool_shorter_three(
    {"pool_shorter_three", 3, {2, 0}, 500, OneEmptyAlone, TakePairOrOne, TwoActive});

/* Two superslabs of 4-unit slabs become wholly free at once and only one may stay. */
void TwoForOne() {
    hak_testing::StartEngine();
    for (int i = 0; i < 4; i++) {
        held[i] = hak_testing::TakeUnits(16);
    }
    SetOption(HAK_OPTION_SUPERSLAB_MAX_CACHED, 1);
    hak_slot_pool_give_mt(held[1]);
    hak_slot_pool_give_mt(held[3]);
}
void GiveOneEach(int self) {
    if (self == 2) {
        Give(Take(A));
    } else {
        hak_slot_pool_give_mt(held[2 * self]);
    }
}
void OneCached() {
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    HAK_SCHED_CHECK(stats.lru_superslabs <= 1);
    CheckPool(0);
}
hak_sched::Add pool_evict({"pool_evict", 2, {4, 1}, 100, TwoForOne, GiveOneEach, OneCached});
hak_sched::Add
    pool_evict_three({"pool_evict_three", 3, {2, 0}, 500, TwoForOne, GiveOneEach, OneCached});

/* A purge drops the lock while the kernel works: nobody may have its slots meanwhile. */
void TakeAndPurge(int self) {
    if (self == 0) {
        Give(Take(A));
    } else {
        PurgeAll();
    }
}
hak_sched::Add pool_purge({"pool_purge", 2, {4, 1}, 1000, OneHeld, TakeAndPurge, OneActive});

void PurgeTakeGive(int self) {
    if (self == 0) {
        PurgeAll();
    } else if (self == 1) {
        (void)Take(B);
    } else {
        Give(held[0]); /* the last: to the LRU, if the purge is not at it */
    }
}
hak_sched::Add pool_purge_take_give(
    {"pool_purge_take_give", 3, {2, 0}, 500, OneHeld, PurgeTakeGive, OneActive});

void TwoPurges(int self) {
    if (self != 0) {
        PurgeAll();
    } else {
        Give(held[0]);
    }
}
hak_sched::Add pool_two_purges({"pool_two_purges", 3, {2, 0}, 500, OneHeld, TwoPurges, NoneActive});

/* The kernel refuses: the slots stay EMPTY. */
void Refused() {
    OneHeld();
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
}
hak_sched::Add pool_refused({"pool_refused", 2, {4, 1}, 1000, Refused, TakeAndPurge, OneActive});

/* The pool is large and full: who needs a superslab drops the lock while the kernel fills a huge
 * page. Others get one of their own meanwhile, and what came with it is purged, in part. */
constexpr uint64_t kLargeSlots = 16 * HAK_SUPERSLAB_SLOTS;
void Large() {
    hak_testing::StartEngine();
    for (uint64_t slots = 0; slots < kLargeSlots; slots += 16) {
        held[0] = hak_testing::TakeUnits(16);
    }
}
void TouchAndPurge(int self) {
    if (self == 0) {
        Give(Take(A));
    } else if (self == 1) {
        Give(Take(B));
    } else {
        PurgeAll();
    }
}
void TouchAndFork(int self) {
    if (self == 0) {
        Give(Take(A));
    } else {
        hak_slot_pool_fork_take();
        HAK_SCHED_CHECK(hak_slot_pool_check_locked() == 0);
        hak_slot_pool_fork_drop();
    }
}
void LargeAsBefore() {
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    HAK_SCHED_CHECK(hak_os_fake_calls(HAK_OS_CALL_HUGE) != 0); /* else nothing was tested */
    HAK_SCHED_CHECK(stats.active_slots == kLargeSlots && stats.tiny_slabs_active == 0);
    HAK_SCHED_CHECK(hak_slot_pool_check_locked() == 0);
}
hak_sched::Add pool_huge({"pool_huge", 2, {2, 1}, 100, Large, TouchAndPurge, LargeAsBefore});
hak_sched::Add
    pool_huge_three({"pool_huge_three", 3, {1, 0}, 100, Large, TouchAndPurge, LargeAsBefore});
hak_sched::Add
    pool_huge_fork({"pool_huge_fork", 2, {2, 1}, 20, Large, TouchAndFork, LargeAsBefore});
void NoHugePage() {
    Large();
    hak_os_fake_fail(HAK_OS_CALL_HUGE, 0, UINT64_MAX);
}
hak_sched::Add
    pool_huge_none({"pool_huge_none", 2, {2, 1}, 100, NoHugePage, TouchAndPurge, LargeAsBefore});

/* A cached superslab grows too old, or a trim wants it, while somebody takes it. */
void Cached() {
    LastSlot();
    Give(held[0]);
    SetOption(HAK_OPTION_SUPERSLAB_TTL_SEC, 1);
}
hak_sched::Add pool_expire({"pool_expire", 2, {3, 1}, 500, Cached, TakeAndPurge, NoneActive});

/* Statistics walk the descriptors without the lock: where one is mapped, its address is known, and
 * where a slab is open, so is its capacity. */
void CheckMapped(hak_superslab_t *ss, void *) {
    if (hak_load_acq(&ss->mapped) == 0) {
        return;
    }
    HAK_SCHED_CHECK(hak_region_base(&ss->region) != 0);
    HAK_SCHED_CHECK(ss->region.kind == HAK_REGION_SUPERSLAB);
    for (const hak_slab_t &slab : ss->slab) {
        if (hak_load_acq(&slab.sc) != 0) {
            HAK_SCHED_CHECK(slab.cap == hak_sc_slab_blocks(A));
        }
    }
}
void Empty() { hak_testing::StartEngine(); }
void OpenAndVisit(int self) {
    if (self == 0) {
        hak_slab_open(Take(A), A);
    } else {
        hak_slot_pool_each(CheckMapped, nullptr);
    }
}
void CloseIt() {
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    HAK_SCHED_CHECK(stats.active_slots == 1 && hak_slot_pool_check_locked() == 0);
}
hak_sched::Add pool_visit({"pool_visit", 2, {2, 2}, 10, Empty, OpenAndVisit, CloseIt});

/* An address is looked up while the superslab that will hold it is made, and with it the leaf of
 * the registry: by who frees a wild pointer. */
uintptr_t address;
void EmptyRegistry() {
    hak_testing::StartEngine();
    void *memory = hak_os_map_aligned(HAK_SUPERSLAB_BYTES, HAK_SUPERSLAB_BYTES);
    hak_os_unmap(memory, HAK_SUPERSLAB_BYTES);
    address = (uintptr_t)memory; /* where the next one lies */
}
/* The same where the leaf is there already. */
void FullRegistry() {
    Full();
    void *memory = hak_os_map_aligned(HAK_SUPERSLAB_BYTES, HAK_SUPERSLAB_BYTES);
    hak_os_unmap(memory, HAK_SUPERSLAB_BYTES);
    address = (uintptr_t)memory;
}
void OpenAndLookUp(int self) {
    if (self == 0) {
        hak_slab_t *slab = Take(A);
        HAK_SCHED_CHECK(hak_slab_base(slab) == address);
        hak_registry_set_tags(address, 1, A);
        return;
    }
    const hak_region_t *region = hak_registry_region(address);
    HAK_SCHED_CHECK(region == nullptr || region->kind == HAK_REGION_SUPERSLAB);
    uint32_t tag = hak_registry_tag(address);
    HAK_SCHED_CHECK(tag == HAK_TAG_NONE || tag == A);
}
hak_sched::Add
    pool_registry({"pool_registry", 2, {3, 2}, 50, EmptyRegistry, OpenAndLookUp, CloseIt});
hak_sched::Add pool_registry_leaf(
    {"pool_registry_leaf", 2, {3, 2}, 30, FullRegistry, OpenAndLookUp, AllAndOne});

/* A fork waits for the purge that is under way. */
void ForkDuringPurge(int self) {
    if (self == 0) {
        hak_slot_pool_fork_take();
        HAK_SCHED_CHECK(hak_slot_pool_check_locked() == 0);
        hak_slot_pool_fork_drop();
    } else {
        PurgeAll();
    }
}
hak_sched::Add pool_fork({"pool_fork", 2, {4, 1}, 20, OneHeld, ForkDuringPurge, OneActive});
void ForkDuringUnmap(int self) {
    if (self == 0) {
        hak_slot_pool_fork_take();
        HAK_SCHED_CHECK(hak_slot_pool_check_locked() == 0);
        hak_slot_pool_fork_drop();
    } else {
        Give(held[0]);
    }
}
hak_sched::Add pool_fork_unmap(
    {"pool_fork_unmap", 2, {3, 1}, 500, LastSlotNoLru, ForkDuringUnmap, NoneActive});

} // namespace
