/* lock: a mutex of one word that sleeps in the kernel when contended.
 *
 * pthread_mutex_t is not used because lock elision and robust lists are not wanted here, because a
 * fork must be able to reset a lock in the child, and because debug builds check the rank of every
 * lock at every call. Algorithm: Drepper, "Futexes Are Tricky", 2011, mutex 2 (0 free, 1 held, 2
 * held and somebody may wait).
 *
 * Owns       the word.
 * Threads    any. Not recursive.
 * Layer      2 (core). Uses base, backends/os.
 */
#ifndef HAK_CORE_LOCK_LOCK_H_
#define HAK_CORE_LOCK_LOCK_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/lock_rank.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    hak_a32_t state;
    uint32_t rank; /* hak_lock_rank_t */
} hak_lock_t;

#define HAK_LOCK_INIT(r)                                                                           \
    { {0}, (r) }

void hak_lock_take(hak_lock_t *lock);
bool hak_lock_try(hak_lock_t *lock);
void hak_lock_drop(hak_lock_t *lock);
/* In the child of a fork: the lock is free, whoever held it. */
void hak_lock_reset(hak_lock_t *lock);

/* For loops that wait until others have done what no lock guards: lets them run. `*tries` begins as
 * 0. Sleeps for a millisecond once many yields have not helped, because a thread of a real-time
 * class that yields lets no ordinary one run. */
void hak_lock_back_off(unsigned *tries);

/* For a lock that is dropped during system calls, which it counts in `in_flight`. A fork takes it
 * when there are none, and bars those meanwhile who would begin another: with enough threads there
 * might always be one. Both words are guarded by the lock. */
void hak_lock_take_quiet(hak_lock_t *lock, const unsigned *in_flight, bool *barred);
/* By who may begin one: not while a fork waits. */
void hak_lock_take_unless(hak_lock_t *lock, const bool *barred);

/* Debug builds: aborts if the thread holds a lock of this or a higher rank; notes it as held.
 * Release: nothing. */
void hak_lock_rank_enter(uint32_t rank);
void hak_lock_rank_leave(uint32_t rank);
/* Debug builds: bit set of the ranks that the thread holds. Release: 0. */
uint32_t hak_lock_ranks_held(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_LOCK_LOCK_H_ */
