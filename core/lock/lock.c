#include "core/lock/lock.h"

#include <stdlib.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "config/hak_config.h"

enum { HAK_FREE, HAK_HELD, HAK_CONTENDED };
enum { HAK_YIELDS = 64 };

/* Bit r is set while the thread holds a lock of rank r. One word of thread-local storage, in debug
 * builds only used. */
static __thread uint32_t hak_ranks_held;

void hak_lock_rank_enter(uint32_t rank) {
    if (hak_cfg_debug) {
        /* Several heaps may be held together in a fork: see base/lock_rank.h. */
        uint32_t forbidden = UINT32_MAX << (rank == HAK_RANK_HEAP ? rank + 1 : rank);
        if ((hak_ranks_held & forbidden) != 0) {
            static const char text[] = "hakmem: internal error: locks taken in the wrong order\n";
            hak_os_write(2, text, sizeof text - 1);
            abort();
        }
        hak_ranks_held |= 1u << rank;
    }
}

void hak_lock_rank_leave(uint32_t rank) {
    if (hak_cfg_debug) {
        hak_ranks_held &= ~(1u << rank);
    }
}

uint32_t hak_lock_ranks_held(void) { return hak_cfg_debug ? hak_ranks_held : 0; }

static hak_cold void hak_lock_wait(hak_lock_t *lock) {
    /* acquire: pairs with the release in hak_lock_drop, here and below */
    while (hak_swap_acq(&lock->state, HAK_CONTENDED) != HAK_FREE) {
        hak_os_wait(&lock->state.v, HAK_CONTENDED, -1);
    }
}

void hak_lock_take(hak_lock_t *lock) {
    hak_lock_rank_enter(lock->rank);
    uint32_t seen = HAK_FREE;
    if (hak_unlikely(!hak_cas_acq(&lock->state, &seen, HAK_HELD))) {
        hak_lock_wait(lock);
    }
}

bool hak_lock_try(hak_lock_t *lock) {
    uint32_t seen = HAK_FREE;
    bool got = hak_cas_acq(&lock->state, &seen, HAK_HELD);
    if (got) {
        hak_lock_rank_enter(lock->rank);
    }
    return got;
}

void hak_lock_drop(hak_lock_t *lock) {
    hak_lock_rank_leave(lock->rank);
    /* release: pairs with the acquire of the next hak_lock_take or hak_lock_try */
    if (hak_swap_rel(&lock->state, HAK_FREE) == HAK_CONTENDED) {
        hak_os_wake(&lock->state.v, 1);
    }
}

void hak_lock_reset(hak_lock_t *lock) {
    hak_store_rlx(&lock->state, HAK_FREE); /* relaxed: one thread left */
}

void hak_lock_back_off(unsigned *tries) {
    if (*tries < HAK_YIELDS) {
        ++*tries;
        hak_os_yield();
    } else {
        uint32_t word = 0;
        hak_os_wait(&word, 0, 1); /* nobody wakes it: it sleeps */
    }
}

void hak_lock_take_quiet(hak_lock_t *lock, const unsigned *in_flight, bool *barred) {
    unsigned tries = 0;
    hak_lock_take(lock);
    *barred = true;
    while (*in_flight != 0) {
        hak_lock_drop(lock);
        hak_lock_back_off(&tries);
        hak_lock_take(lock);
    }
    *barred = false;
}

void hak_lock_take_unless(hak_lock_t *lock, const bool *barred) {
    unsigned tries = 0;
    hak_lock_take(lock);
    while (*barred) {
        hak_lock_drop(lock);
        hak_lock_back_off(&tries);
        hak_lock_take(lock);
    }
}
