#include "core/owner_lock/owner_lock.h"

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/lock_rank.h"
#include "core/lock/lock.h"
#include "core/owner_lock/owner_lock_inl.h"

/* from     to       by
 * OPEN     GUEST    a guest, who then makes sure that the owner is out
 * RESERVED GUEST    a guest: the owner is out
 * GUEST    OPEN     the same guest, if the owner was in
 * GUEST    WAITS    the owner, who sleeps until the guest has gone
 * GUEST    RESERVED the guest that goes
 * WAITS    RESERVED the guest that goes, and wakes the owner
 * RESERVED OPEN     the owner, who may enter then
 * OPEN     RESERVED the owner that leaves for good
 */
enum { HAK_OPEN, HAK_GUEST, HAK_OWNER_WAITS, HAK_RESERVED }; /* of `revoke` */

enum { HAK_STORES_ARRIVE_MS = 20 };

hak_a32_t hak_owner_lock_barrier;

void hak_owner_lock_init(void) {
    /* relaxed: one thread */
    hak_store_rlx(&hak_owner_lock_barrier,
                  hak_os_barrier_register() ? HAK_BARRIER_WORKS : HAK_BARRIER_NONE);
}

/* False if a guest is inside. */
static bool hak_open(hak_owner_lock_t *lock) {
    uint32_t seen = HAK_RESERVED;
    /* relaxed: entering loads it again, and this goes on with the release sequence of who reserved
     * it, the guest that went or the owner before */
    return hak_cas_rlx(&lock->revoke, &seen, HAK_OPEN) || seen == HAK_OPEN;
}

hak_cold void hak_owner_lock_wait(hak_owner_lock_t *lock) {
    do {
        hak_store_rel(&lock->busy, 0); /* pairs with the acquire in hak_owner_is_out */
        while (!hak_open(lock)) {
            uint32_t seen = HAK_GUEST;
            /* relaxed: hak_open loads it again */
            if (hak_cas_rlx(&lock->revoke, &seen, HAK_OWNER_WAITS) || seen == HAK_OWNER_WAITS) {
                hak_os_wait(&lock->revoke.v, HAK_OWNER_WAITS, -1);
            }
        }
    } while (!hak_owner_lock_enter(lock));
}

void hak_owner_lock_leave_owner(hak_owner_lock_t *lock) {
    uint32_t seen = HAK_OPEN;
    /* release: pairs with the acquire in hak_raise, and with the load of the next owner when it
     * enters. If it fails a guest is inside, who reserves the lock when it goes. */
    (void)hak_cas_rel(&lock->revoke, &seen, HAK_RESERVED);
}

/* Becomes the only guest. */
static bool hak_raise(hak_owner_lock_t *lock, bool *owner_is_out) {
    uint32_t seen = HAK_RESERVED;
    *owner_is_out = hak_cas_acq(&lock->revoke, &seen, HAK_GUEST); /* pairs in hak_lower, leave */
    if (*owner_is_out) {
        return true;
    }
    seen = HAK_OPEN;
    if (!hak_cas_seq(&lock->revoke, &seen, HAK_GUEST)) {
        return false;
    }
    return true;
}

/* After hak_raise: false if an owner may be inside whose `busy` is not to be seen yet. `*ordered`:
 * there was a barrier since then. */
static bool hak_owner_shows(hak_owner_lock_t *lock, bool *ordered) {
    /* relaxed: as in hak_owner_lock_enter */
    uint32_t barrier = hak_load_rlx(&hak_owner_lock_barrier);
    if (*ordered) {
        return true;
    }
    if (barrier == HAK_BARRIER_WORKS) {
        if (hak_os_barrier()) {
            *ordered = true;
            return true;
        }
        hak_store_rlx(&hak_owner_lock_barrier, HAK_BARRIER_LOST);
    } else if (barrier == HAK_BARRIER_NONE) {
        return true;
    }
    /* acquire: pairs with the release in hak_owner_lock_enter; what the owner's plain entries
     * stored before is to be seen, and each later one is a sequentially consistent store */
    return hak_load_acq(&lock->seq) != 0;
}

static hak_cold void hak_wait_for_stores(void) {
    uint32_t word = 0;
    uint64_t start_ms = hak_os_now_ms();
    while (hak_os_now_ms() - start_ms < HAK_STORES_ARRIVE_MS) {
        hak_os_wait(&word, 0, HAK_STORES_ARRIVE_MS); /* nobody wakes it: it sleeps */
    }
}

static bool hak_owner_is_out(hak_owner_lock_t *lock) {
    /* acquire part pairs with the release of the owner's drop */
    return hak_load_seq(&lock->busy) == 0;
}

/* Leaves `revoke` at `state`. */
static void hak_lower(hak_owner_lock_t *lock, uint32_t state) {
    /* release: pairs with the acquire in hak_raise, and with the owner's load when it enters */
    if (hak_swap_rel(&lock->revoke, state) == HAK_OWNER_WAITS) {
        hak_os_wake(&lock->revoke.v, 1);
    }
}

bool hak_owner_lock_try_guest(hak_owner_lock_t *lock) {
    bool owner_is_out, ordered = false;
    /* relaxed: a guess that saves a system call */
    if (hak_load_rlx(&lock->busy) != 0 || !hak_raise(lock, &owner_is_out)) {
        return false;
    }
    if (!owner_is_out && !(hak_owner_shows(lock, &ordered) && hak_owner_is_out(lock))) {
        hak_lower(lock, HAK_OPEN);
        return false;
    }
    hak_lock_rank_enter(HAK_RANK_HEAP);
    return true;
}

void hak_owner_lock_raise_guest(hak_owner_lock_t *lock, hak_owner_lock_round_t *round) {
    bool owner_is_out;
    unsigned tries = 0;
    while (!hak_raise(lock, &owner_is_out)) {
        hak_lock_back_off(&tries);
    }
    round->in |= !owner_is_out;
}

void hak_owner_lock_show_guest(hak_owner_lock_t *lock, hak_owner_lock_round_t *round) {
    round->unseen |= round->in && !hak_owner_shows(lock, &round->ordered);
}

void hak_owner_lock_await_guest(hak_owner_lock_t *lock, hak_owner_lock_round_t *round) {
    if (round->unseen) {
        hak_wait_for_stores();
        round->unseen = false;
    }
    unsigned tries = 0;
    while (!hak_owner_is_out(lock)) {
        hak_lock_back_off(&tries);
    }
    hak_lock_rank_enter(HAK_RANK_HEAP);
}

void hak_owner_lock_take_guest(hak_owner_lock_t *lock) {
    hak_owner_lock_round_t round = {false, false, false};
    hak_owner_lock_raise_guest(lock, &round);
    hak_owner_lock_show_guest(lock, &round);
    hak_owner_lock_await_guest(lock, &round);
}

void hak_owner_lock_drop_guest(hak_owner_lock_t *lock) {
    hak_lock_rank_leave(HAK_RANK_HEAP);
    hak_lower(lock, HAK_RESERVED);
}

void hak_owner_lock_reset(hak_owner_lock_t *lock) {
    hak_store_rlx(&lock->busy, 0); /* relaxed: one thread left */
    hak_store_rlx(&lock->revoke, HAK_OPEN);
    hak_store_rlx(&lock->seq, 0);
}
