/* adoption: slabs change hands when their owner is gone or idle, so that no memory waits for a
 * thread that sleeps.
 *
 * A thread that needs a slab first looks at a few other heaps. From a heap without a thread, or
 * whose thread has been on no slow path for the purge delay, it may take any partial slab of its
 * class; from a heap whose thread has been on none for the lease time it takes in the pending
 * remote frees and then a partial slab. It works as a guest
 * inside that heap's owner lock, so the owner never sees a half-moved slab; blocks of the slab in
 * the old owner's thread cache stay valid there (boxes/tls_sll).
 *
 * Owns       nothing but the cursor over heaps.
 * Threads    hak_adoption_take_owner: inside the owner lock of `mine`. *_mt: any, outside all
 *            locks.
 * Bound      each call looks at a constant number of heaps and slabs.
 * Layer      4 (boxes). Uses boxes/heap, boxes/pending, boxes/drain, boxes/left_bins,
 *            boxes/free_local, core/options (the purge delay).
 */
#ifndef HAK_BOXES_ADOPTION_ADOPTION_H_
#define HAK_BOXES_ADOPTION_ADOPTION_H_

#include <stdbool.h>

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A heap is idle if its thread was last seen on a slow path longer ago than this. MF2's lease (10
 * ms), which keeps a slab from going back and forth between two busy threads. */
enum { HAK_ADOPTION_LEASE_MS = 10 };

/* A slab of class `sc` that has free blocks, now owned by `mine` and on no list, or NULL. */
hak_slab_t *hak_adoption_take_owner(hak_heap_t *mine, unsigned sc, uint64_t now_ms);

/* Takes in the remote frees of other heaps and gives wholly free slabs to the pool, also the last
 * ones of heaps that are idle. A thread that is busy elsewhere seldom does that itself. Enters up
 * to `max_heaps` heaps where something waits, going on where the last call stopped, and takes in as
 * much as that many may cost (all there is if `lease_ms` is 0). True if it stopped before it had
 * seen all heaps after one where more waits: come again soon. */
bool hak_adoption_collect_mt(const hak_heap_t *mine, uint64_t now_ms, unsigned lease_ms,
                             unsigned max_heaps);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_ADOPTION_ADOPTION_H_ */
