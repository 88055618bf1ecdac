/* owner_lock: a lock that its owner takes with two plain stores and others with a system call.
 *
 * Each heap has one. Its owner enters on every refill and flush and must not pay for an atomic
 * read-modify-write; others (adoption, purge, fork) come rarely. This is Dekker's mutual exclusion
 * with the store-load barrier moved to the rare side: the guest raises `revoke`, makes every
 * thread execute a barrier by membarrier(2), then looks at `busy`. Where the kernel has no
 * expedited membarrier, both sides use sequentially consistent operations instead; the same once
 * membarrier fails, which it does in a program that forbids itself the call (seccomp) when it runs
 * already: a guest then stays out until the owner's next entry has shown that it changed its ways.
 * Rejected: a plain mutex per heap costs an atomic swap (8-10 ns) on each refill and each
 * overflowing free.
 *
 * A guest that goes leaves the lock reserved, and so does an owner that leaves for good: the owner
 * has to ask, by a compare-and-swap, before it enters again, and until it does the next guest
 * spares itself the membarrier, which interrupts every processor that runs a thread of the process.
 * So heaps without a thread, or whose thread sleeps, cost their visitors one system call.
 *
 * Owns       hak_owner_lock_t and the process-wide choice of barrier.
 * Threads    *_owner: only the one thread that owns the heap. *_guest: any other thread, or the
 *            owner itself while it is not inside.
 * Invariant  the owner is inside (busy, and it saw `revoke` open), or one guest is (revoke), never
 *            both. The owner is out while `revoke` is reserved.
 * Layer      2 (core). Uses base, backends/os, core/lock (ranks).
 */
#ifndef HAK_CORE_OWNER_LOCK_OWNER_LOCK_H_
#define HAK_CORE_OWNER_LOCK_OWNER_LOCK_H_

#include <stdbool.h>

#include "base/atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    hak_a32_t busy;   /* written by the owner */
    hak_a32_t revoke; /* 0: open to the owner; else see owner_lock.c */
    hak_a32_t seq; /* the owner has entered by a sequentially consistent store, and always will */
} hak_owner_lock_t;

/* Chooses the barrier. Once, before any lock is used by two threads; the child of a fork goes on
 * with it. */
void hak_owner_lock_init(void);

/* hak_owner_lock_take_owner and hak_owner_lock_drop_owner are in owner_lock_inl.h: every refill
 * executes them. */

/* The owner leaves for good: from outside the lock. The next one may enter once it knows that. */
void hak_owner_lock_leave_owner(hak_owner_lock_t *lock);

/* False if the owner is inside or another guest is, or if membarrier fails and the owner has not
 * entered since. */
bool hak_owner_lock_try_guest(hak_owner_lock_t *lock);
/* Waits until the owner has left. The owner's critical sections are short and do not wait for
 * guests. If membarrier fails and the owner has not entered since, it first waits for 20 ms in
 * place of the barrier: far longer than any processor keeps a store to itself. */
void hak_owner_lock_take_guest(hak_owner_lock_t *lock);

/* The same for many locks with one barrier, or one wait, for all: each of them is raised, then
 * shown, then awaited; only then is it held. `round` begins as zero. */
typedef struct {
    bool in;      /* an owner may be inside of one */
    bool ordered; /* there was a barrier */
    bool unseen;  /* there was none that worked */
} hak_owner_lock_round_t;
void hak_owner_lock_raise_guest(hak_owner_lock_t *lock, hak_owner_lock_round_t *round);
void hak_owner_lock_show_guest(hak_owner_lock_t *lock, hak_owner_lock_round_t *round);
void hak_owner_lock_await_guest(hak_owner_lock_t *lock, hak_owner_lock_round_t *round);

void hak_owner_lock_drop_guest(hak_owner_lock_t *lock);

/* In the child of a fork: free, whoever was inside. */
void hak_owner_lock_reset(hak_owner_lock_t *lock);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_OWNER_LOCK_OWNER_LOCK_H_ */
