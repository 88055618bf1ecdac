/* atomic: the only place that names a memory order.
 *
 * A shared word lives in a one-field struct, so that no plain access happens by accident and g++
 * accepts our headers in tests (it rejects _Atomic). Each operation carries its order in its name.
 * At a call, an acquire or a release names its partner in a comment, and a relaxed one says why it
 * may be.
 *
 * Owns       nothing.
 * Threads    that is the point.
 * Layer      0 (base). Uses nothing.
 */
#ifndef HAK_BASE_ATOMIC_H_
#define HAK_BASE_ATOMIC_H_

#include <stdbool.h>
#include <stdint.h>

/* For tables of the hit path. The scheduler of tests/sched has no such words. */
typedef struct {
    uint16_t v;
} hak_a16_t;
typedef struct {
    uint32_t v;
} hak_a32_t;
typedef struct {
    uint64_t v;
} hak_a64_t;
typedef struct {
    uintptr_t v;
} hak_aptr_t;

/* How an operation is done: by the processor, or by the scheduler of tests/sched, which shows code
 * that uses these words all orders of events in turn. */
#if defined(HAK_SCHEDULED)
#include "base/atomic_hooks.h"
#else
#define HAK_ATOMIC_LOAD(w, order) __atomic_load_n(&(w)->v, __ATOMIC_##order)
#define HAK_ATOMIC_STORE(w, x, order) __atomic_store_n(&(w)->v, (x), __ATOMIC_##order)
#define HAK_ATOMIC_SWAP(w, x, order) __atomic_exchange_n(&(w)->v, (x), __ATOMIC_##order)
#define HAK_ATOMIC_ADD(w, x, order) __atomic_fetch_add(&(w)->v, (x), __ATOMIC_##order)
#define HAK_ATOMIC_SUB(w, x, order) __atomic_fetch_sub(&(w)->v, (x), __ATOMIC_##order)
#define HAK_ATOMIC_CAS(w, expected, x, weak, order, failure)                                       \
    __atomic_compare_exchange_n(&(w)->v, (expected), (x), weak, __ATOMIC_##order,                  \
                                __ATOMIC_##failure)
#endif

/* Loads. */
#define hak_load_rlx(w) HAK_ATOMIC_LOAD(w, RELAXED)
#define hak_load_acq(w) HAK_ATOMIC_LOAD(w, ACQUIRE)
#define hak_load_seq(w) HAK_ATOMIC_LOAD(w, SEQ_CST)

/* Stores. */
#define hak_store_rlx(w, x) HAK_ATOMIC_STORE(w, x, RELAXED)
#define hak_store_rel(w, x) HAK_ATOMIC_STORE(w, x, RELEASE)
#define hak_store_seq(w, x) HAK_ATOMIC_STORE(w, x, SEQ_CST)

/* Read-modify-writes; each returns the old value. */
#define hak_swap_acq(w, x) HAK_ATOMIC_SWAP(w, x, ACQUIRE)
#define hak_swap_rel(w, x) HAK_ATOMIC_SWAP(w, x, RELEASE)
#define hak_swap_acq_rel(w, x) HAK_ATOMIC_SWAP(w, x, ACQ_REL)
#define hak_add_rlx(w, x) HAK_ATOMIC_ADD(w, x, RELAXED)
#define hak_sub_rlx(w, x) HAK_ATOMIC_SUB(w, x, RELAXED)

/* Compare and swap: true on success, else `*expected` holds what was seen. Weak ones may fail
 * without cause. */
#define hak_cas_weak_acq(w, expected, x) HAK_ATOMIC_CAS(w, expected, x, true, ACQUIRE, RELAXED)
#define hak_cas_weak_rel(w, expected, x) HAK_ATOMIC_CAS(w, expected, x, true, RELEASE, RELAXED)
#define hak_cas_weak_acq_rel(w, expected, x) HAK_ATOMIC_CAS(w, expected, x, true, ACQ_REL, RELAXED)
#define hak_cas_acq(w, expected, x) HAK_ATOMIC_CAS(w, expected, x, false, ACQUIRE, RELAXED)
#define hak_cas_rel(w, expected, x) HAK_ATOMIC_CAS(w, expected, x, false, RELEASE, RELAXED)
#define hak_cas_rlx(w, expected, x) HAK_ATOMIC_CAS(w, expected, x, false, RELAXED, RELAXED)
#define hak_cas_seq(w, expected, x) HAK_ATOMIC_CAS(w, expected, x, false, SEQ_CST, SEQ_CST)

/* Keeps the compiler, not the processor, from moving memory accesses across. The processor's half
 * is a membarrier system call on the other side, see core/owner_lock. */
#define hak_compiler_fence() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* Adds to a counter that one thread at a time writes and any thread may read: a load and a store,
 * no lock prefix. */
#define hak_count_add(w, x) hak_store_rlx((w), hak_load_rlx(w) + (x))

#endif /* HAK_BASE_ATOMIC_H_ */
