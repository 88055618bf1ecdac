/* pool_remote: the queue through which blocks of a pool heap come home from other threads.
 *
 * One queue a heap, for all classes. The port; //config:pool_remote_impl chooses what stands
 * behind it:
 *
 *   lockfree   a stack that pushers extend by compare-and-swap and that is only ever taken whole,
 *              so there is no ABA. The default.
 *   mutex      the same list under a lock (core/lock): a pusher that finds it held sleeps in the
 *              kernel. For comparison: with many threads that free to one heap, most system calls
 *              are then futex calls.
 *
 * Owns       hak_pool_remote_t.
 * Threads    *_mt: any. *_owner: inside the owner lock of the heap, the owner or a guest.
 * Invariant  a block on the queue counts as used in its unit and is on no other list. The list is
 *            whole at every instant: a fork at any point of a push loses at most that block.
 * Layer      4 (boxes). Uses base, boxes/block, core/lock. Used by boxes/pool_heap.
 */
#ifndef HAK_BOXES_POOL_REMOTE_POOL_REMOTE_H_
#define HAK_BOXES_POOL_REMOTE_POOL_REMOTE_H_

#include "base/atomic.h"
#include "base/attr.h"
#include "boxes/block/block.h"
#include "core/lock/lock.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    hak_align_as(64) hak_aptr_t head; /* hak_block_t: the block pushed last, or 0 */
    hak_lock_t lock;                  /* mutex */
} hak_pool_remote_t;

/* Makes an empty queue out of zeroes. */
void hak_pool_remote_init(hak_pool_remote_t *queue);
void hak_pool_remote_push_mt(hak_pool_remote_t *queue, hak_block_t *block);
/* Takes all blocks, the last one first, or NULL. */
hak_block_t *hak_pool_remote_take_owner(hak_pool_remote_t *queue);
/* In the child of a fork: who was in the middle of a push is gone. */
void hak_pool_remote_reset(hak_pool_remote_t *queue);

static inline bool hak_pool_remote_is_empty(const hak_pool_remote_t *queue) {
    return hak_load_rlx(&queue->head) == 0; /* relaxed: a hint; taking is what synchronises */
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_REMOTE_POOL_REMOTE_H_ */
