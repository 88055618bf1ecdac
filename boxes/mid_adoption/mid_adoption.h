/* mid_adoption: chunks change hands when their owner is gone or idle, and memory of idle heaps goes
 * back, so that nothing waits for a thread that sleeps.
 *
 * As boxes/adoption does for slabs, but that a heap whose thread has been on no slow path for the
 * lease time gives chunks like one without a thread: what a guest has taken in there once would
 * else wait for the next remote free. A thread that runs on hits alone does not miss them. Purging
 * asks for no lease: a busy thread's free memory would otherwise stay as long as others do the
 * purge passes.
 *
 * Owns       nothing but the cursor over heaps.
 * Threads    hak_mid_adoption_take_owner: inside the owner lock of `mine`. *_mt: any, outside all
 *            locks.
 * Bound      each call looks at a constant number of heaps.
 * Layer      4 (boxes). Uses boxes/heap, boxes/mid_heap, mid_remote, mid_return.
 */
#ifndef HAK_BOXES_MID_ADOPTION_MID_ADOPTION_H_
#define HAK_BOXES_MID_ADOPTION_MID_ADOPTION_H_

#include "boxes/mid_heap/mid_heap.h"
#include "boxes/mid_return/mid_return.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_MID_ADOPTION_LEASE_MS = 10 };

/* A chunk of class `sc` that has something to give, now owned by `mine` and on no list, or NULL. */
hak_mid_chunk_t *hak_mid_adoption_take_owner(hak_mid_heap_t *mine, unsigned sc, uint64_t now_ms);

/* Visits up to `max_heaps` heaps but `mine`, going on where the last call stopped: takes the remote
 * frees of idle ones in and purges. */
void hak_mid_adoption_purge_mt(const hak_heap_t *mine, hak_mid_visit_t *visit, unsigned max_heaps);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MID_ADOPTION_MID_ADOPTION_H_ */
