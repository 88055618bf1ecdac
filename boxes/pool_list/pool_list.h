/* pool_list: the free list of one shard of the mid pool: ids of blocks, pushed and popped by any
 * thread.
 *
 * The port; //config:pool_freelist chooses what stands behind it:
 *
 *   mutex      a lock around a list. The default: the notes measured the other 6.6 % slower.
 *   lockfree   a tagged stack (boxes/tagged_stack). After 100 compare-and-swaps that failed in a
 *              row, HAKMEM_POOL_CAS_POLICY says how to go on: spin, backoff, or mutex.
 *
 * Owns       hak_pool_list_t, the links of ids that are on it.
 * Threads    *_mt: any.
 * Invariant  when nobody is inside, `count` is the length of the list.
 * Layer      4 (boxes). Uses base, core/lock, core/options, boxes/tagged_stack.
 */
#ifndef HAK_BOXES_POOL_LIST_POOL_LIST_H_
#define HAK_BOXES_POOL_LIST_POOL_LIST_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/attr.h"
#include "boxes/tagged_stack/tagged_stack.h"
#include "core/lock/lock.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HAK_POOL_LIST_BUSY UINT32_MAX

typedef enum { HAK_POOL_CAS_SPIN, HAK_POOL_CAS_BACKOFF, HAK_POOL_CAS_MUTEX } hak_pool_cas_policy_t;

typedef struct {
    /* mutex: around everything. lockfree: for those whom the CAS policy sends here. */
    hak_align_as(64) hak_lock_t lock;
    hak_tagged_stack_t stack; /* mutex: only the id part is used */
    hak_a64_t count;
    /* What is tried without a lock: hak_lock_try, or compare-and-swap. */
    hak_a64_t tries, failures;
} hak_pool_list_t;

#define HAK_POOL_LIST_INIT                                                                         \
    {                                                                                              \
        HAK_LOCK_INIT(HAK_RANK_MID_SHARD), {{0}}, {0}, {0}, { 0 }                                  \
    }

/* "mutex" or "lockfree". */
extern const char hak_pool_list_name[];
/* True if `tries` counts compare-and-swaps, false if it counts attempts to take the lock. */
extern const bool hak_pool_list_uses_cas;

/* Pushes a chain of `count` ids, linked from `first` to `last`. */
void hak_pool_list_push_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of, uint32_t first,
                           uint32_t last, uint32_t count);
/* Takes up to `most` ids. Returns how many; HAK_POOL_LIST_BUSY if `wait` is false and another
 * thread is inside. */
uint32_t hak_pool_list_take_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of, uint32_t most,
                               uint32_t *ids, bool wait);
/* Takes the whole chain, `*count` ids; returns the first or 0. */
uint32_t hak_pool_list_take_all_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of,
                                   uint32_t *count);

/* The first id, or 0. */
static inline uint32_t hak_pool_list_top(const hak_pool_list_t *list) {
    /* seq_cst: the shard's mask is compared with it; pairs with the stores and CASes of the list */
    return hak_tagged_stack_top(hak_tagged_stack_look(&list->stack));
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_LIST_POOL_LIST_H_ */
