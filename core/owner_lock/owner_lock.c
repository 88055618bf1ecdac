#include "core/owner_lock/owner_lock.h"

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/lock_rank.h"
#include "core/lock/lock.h"
#include "core/owner_lock/owner_lock_inl.h"

enum { HAK_NO_GUEST, HAK_GUEST, HAK_OWNER_WAITS }; /* of `revoke` */

hak_a32_t hak_owner_lock_has_barrier;

void hak_owner_lock_init(void) {
    hak_store_rlx(&hak_owner_lock_has_barrier, hak_os_barrier_register() ? 1 : 0);
}

hak_cold void hak_owner_lock_wait(hak_owner_lock_t *lock) {
    do {
        hak_store_rel(&lock->busy, 0); /* pairs with the acquire in hak_owner_is_out */
        uint32_t seen = HAK_GUEST;
        /* relaxed, here and below: entering loads it again */
        while (hak_cas_rlx(&lock->revoke, &seen, HAK_OWNER_WAITS) || seen == HAK_OWNER_WAITS) {
            hak_os_wait(&lock->revoke.v, HAK_OWNER_WAITS, -1);
            seen = HAK_GUEST;
        }
    } while (!hak_owner_lock_enter(lock));
}

void hak_owner_lock_leave_owner(hak_owner_lock_t *lock) {
    hak_store_rel(&lock->vacant, 1); /* pairs with the acquire part of the load in hak_raise */
}

void hak_owner_lock_come_owner(hak_owner_lock_t *lock) {
    /* Before our look at `revoke` in hak_owner_lock_enter; pairs with the cas_seq in hak_raise. */
    hak_store_seq(&lock->vacant, 0);
}

/* Becomes the only guest. */
static bool hak_raise(hak_owner_lock_t *lock) {
    uint32_t seen = HAK_NO_GUEST;
    if (!hak_cas_seq(&lock->revoke, &seen, HAK_GUEST)) {
        return false;
    }
    /* acquire part: pairs with the release in hak_owner_lock_leave_owner */
    if (hak_load_seq(&lock->vacant) != 0) {
        return true;
    }
    if (hak_load_rlx(&hak_owner_lock_has_barrier) != 0) { /* relaxed: as in hak_owner_lock_enter */
        hak_os_barrier();
    }
    return true;
}

static bool hak_owner_is_out(hak_owner_lock_t *lock) {
    /* acquire part pairs with the release of the owner's drop */
    return hak_load_seq(&lock->busy) == 0;
}

bool hak_owner_lock_try_guest(hak_owner_lock_t *lock) {
    /* relaxed: a guess that saves a system call */
    if (hak_load_rlx(&lock->busy) != 0 || !hak_raise(lock)) {
        return false;
    }
    if (!hak_owner_is_out(lock)) {
        hak_owner_lock_drop_guest(lock);
        return false;
    }
    hak_lock_rank_enter(HAK_RANK_HEAP);
    return true;
}

void hak_owner_lock_take_guest(hak_owner_lock_t *lock) {
    while (!hak_raise(lock)) {
        hak_os_yield();
    }
    while (!hak_owner_is_out(lock)) {
        hak_os_yield();
    }
    hak_lock_rank_enter(HAK_RANK_HEAP);
}

void hak_owner_lock_drop_guest(hak_owner_lock_t *lock) {
    hak_lock_rank_leave(HAK_RANK_HEAP);
    /* release: pairs with the owner's load in hak_owner_lock_enter and the next guest's in
     * hak_raise */
    if (hak_swap_rel(&lock->revoke, HAK_NO_GUEST) == HAK_OWNER_WAITS) {
        hak_os_wake(&lock->revoke.v, 1);
    }
}

void hak_owner_lock_reset(hak_owner_lock_t *lock) {
    hak_store_rlx(&lock->busy, 0); /* relaxed: one thread left */
    hak_store_rlx(&lock->revoke, HAK_NO_GUEST);
}
