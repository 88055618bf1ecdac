/* core/lock and core/owner_lock. What a lock guards here is plain, so the scheduler also checks
 * that who takes it sees what the last holder did.
 */
#include "backends/os/os_fake.h"
#include "core/lock/lock.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

void Nothing() {}

/* hak_lock */

hak_lock_t lock = HAK_LOCK_INIT(HAK_RANK_META);
uint64_t count, tries;

void CountOnce() {
    hak_lock_take(&lock);
    count++;
    hak_lock_drop(&lock);
}
void CountTwice(int) {
    CountOnce();
    CountOnce();
}
void IsFour() { HAK_SCHED_CHECK(count == 4 && hak_lock_try(&lock)); }
hak_sched::Add lock_two({"lock_two", 2, {4, 2}, 500, Nothing, CountTwice, IsFour});

void CountOne(int) { CountOnce(); }
void IsThree() { HAK_SCHED_CHECK(count == 3 && hak_lock_try(&lock)); }
hak_sched::Add lock_three({"lock_three", 3, {3, 2}, 5000, Nothing, CountOne, IsThree});

void TakeOrTry(int self) {
    if (self == 0) {
        CountOnce();
    } else if (hak_lock_try(&lock)) {
        count++;
        hak_lock_drop(&lock);
    } else {
        tries++; /* by one thread */
    }
}
void AllCame() { HAK_SCHED_CHECK(count + tries == 2 && count >= 1); }
hak_sched::Add lock_try({"lock_try", 2, {4, 2}, 30, Nothing, TakeOrTry, AllCame});

/* hak_owner_lock: thread 0 is the owner. */

hak_owner_lock_t door;
uint64_t visits, owner_visits;

void WithBarrier() { hak_owner_lock_init(); }
void WithoutBarrier() {
    hak_os_fake_fail(HAK_OS_CALL_BARRIER, 0, UINT64_MAX);
    hak_owner_lock_init();
}

void VisitAsOwner() {
    hak_owner_lock_take_owner(&door);
    visits++;
    owner_visits++;
    hak_owner_lock_drop_owner(&door);
}
bool TryAsGuest() {
    bool inside = hak_owner_lock_try_guest(&door);
    if (inside) {
        visits++;
        hak_owner_lock_drop_guest(&door);
    }
    return inside;
}
void VisitAsGuest() {
    hak_owner_lock_take_guest(&door);
    visits++;
    hak_owner_lock_drop_guest(&door);
}
/* Nobody is left inside, and the door still works. */
void DoorIsShut(uint64_t at_least, uint64_t at_most) {
    HAK_SCHED_CHECK(visits >= at_least && visits <= at_most);
    HAK_SCHED_CHECK(TryAsGuest());
    VisitAsOwner();
}

void OwnerAndTry(int self) {
    if (self == 0) {
        VisitAsOwner();
        VisitAsOwner();
    } else {
        (void)TryAsGuest();
    }
}
void TwoOrThree() { DoorIsShut(2, 3); }
hak_sched::Add owner_try({"owner_try", 2, {4, 2}, 1000, WithBarrier, OwnerAndTry, TwoOrThree});
hak_sched::Add
    owner_try_seq({"owner_try_seq", 2, {4, 2}, 1000, WithoutBarrier, OwnerAndTry, TwoOrThree});

/* The barrier fails when the first guest needs it: the second one comes in if the owner has entered
 * since by a store that shows. */
void LosesBarrier() {
    hak_owner_lock_init();
    hak_os_fake_fail(HAK_OS_CALL_BARRIER, 0, UINT64_MAX);
}
void OwnerAndTwoTries(int self) {
    if (self == 0) {
        VisitAsOwner();
        VisitAsOwner();
    } else {
        (void)TryAsGuest();
        (void)TryAsGuest();
    }
}
void TwoToFour() {
    HAK_SCHED_CHECK(visits >= 2 && visits <= 4);
    (void)TryAsGuest();
    VisitAsOwner();
    HAK_SCHED_CHECK(TryAsGuest());
    VisitAsOwner();
}
hak_sched::Add
    owner_lost({"owner_lost", 2, {4, 2}, 1000, LosesBarrier, OwnerAndTwoTries, TwoToFour});

void OwnerAndGuest(int self) {
    if (self == 0) {
        VisitAsOwner();
        VisitAsOwner();
    } else {
        VisitAsGuest();
    }
}
void Three() { DoorIsShut(3, 3); }
hak_sched::Add owner_guest({"owner_guest", 2, {4, 2}, 500, WithBarrier, OwnerAndGuest, Three});
hak_sched::Add
    owner_guest_seq({"owner_guest_seq", 2, {4, 2}, 400, WithoutBarrier, OwnerAndGuest, Three});

/* Two doors at once, as a fork takes all heaps: with one barrier for both. */
hak_owner_lock_t other_door;
void VisitOther() {
    hak_owner_lock_take_owner(&other_door);
    owner_visits++;
    hak_owner_lock_drop_owner(&other_door);
}
void OwnerAndBoth(int self) {
    if (self == 0) {
        VisitAsOwner();
        VisitOther();
    } else {
        hak_owner_lock_round_t round = {};
        for (auto step :
             {hak_owner_lock_raise_guest, hak_owner_lock_show_guest, hak_owner_lock_await_guest}) {
            step(&door, &round);
            step(&other_door, &round);
        }
        visits++;
        owner_visits++;
        hak_owner_lock_drop_guest(&door);
        hak_owner_lock_drop_guest(&other_door);
    }
}
void BothOnce() {
    HAK_SCHED_CHECK(owner_visits == 3);
    DoorIsShut(2, 2);
    VisitOther();
}
hak_sched::Add owner_both({"owner_both", 2, {3, 2}, 500, WithBarrier, OwnerAndBoth, BothOnce});
hak_sched::Add
    owner_both_seq({"owner_both_seq", 2, {3, 2}, 400, WithoutBarrier, OwnerAndBoth, BothOnce});

void OwnerAndTwo(int self) {
    if (self == 0) {
        VisitAsOwner();
    } else if (self == 1) {
        VisitAsGuest();
    } else {
        (void)TryAsGuest();
    }
}
hak_sched::Add owner_two({"owner_two", 3, {3, 1}, 5000, WithBarrier, OwnerAndTwo, TwoOrThree});
hak_sched::Add
    owner_two_seq({"owner_two_seq", 3, {3, 1}, 5000, WithoutBarrier, OwnerAndTwo, TwoOrThree});

/* An owner leaves, and another thread comes in its place: then a guest makes no barrier. */
void OneLeavesOneComes(int self) {
    if (self == 0) {
        VisitAsOwner();
        hak_owner_lock_leave_owner(&door);
    } else {
        (void)TryAsGuest();
        (void)TryAsGuest();
    }
}
void LeftAlone() {
    HAK_SCHED_CHECK(visits >= 1 && visits <= 3);
    uint64_t before = visits;
    HAK_SCHED_CHECK(TryAsGuest() && visits == before + 1);
    VisitAsOwner();
}
hak_sched::Add
    owner_leaves({"owner_leaves", 2, {4, 2}, 500, WithBarrier, OneLeavesOneComes, LeftAlone});

/* It leaves while one guest is inside: a second one stays out. */
void LeavesToTwo(int self) {
    if (self == 0) {
        hak_owner_lock_leave_owner(&door);
    } else if (self == 1) {
        VisitAsGuest();
    } else {
        (void)TryAsGuest();
    }
}
void OneOrTwo() { DoorIsShut(1, 2); }
hak_sched::Add
    owner_leaves_two({"owner_leaves_two", 3, {2, 1}, 50, WithBarrier, LeavesToTwo, OneOrTwo});

void NobodyThere() {
    WithBarrier();
    hak_owner_lock_leave_owner(&door);
}
void NobodyThereSeq() {
    WithoutBarrier();
    hak_owner_lock_leave_owner(&door);
}
void OneComes(int self) {
    if (self == 0) {
        VisitAsOwner();
    } else {
        (void)TryAsGuest();
        VisitAsGuest();
    }
}
hak_sched::Add owner_comes({"owner_comes", 2, {4, 2}, 500, NobodyThere, OneComes, TwoOrThree});
hak_sched::Add
    owner_comes_seq({"owner_comes_seq", 2, {4, 2}, 400, NobodyThereSeq, OneComes, TwoOrThree});

} // namespace
