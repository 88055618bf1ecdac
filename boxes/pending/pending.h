/* pending: which slabs of a heap have remote frees waiting, and their way into the slab: the drain.
 *
 * A heap has a stack of slabs that others push to and that is only ever taken whole, so there is no ABA. What was
 * taken is looked at a few slabs at a time, so that one slow path does not pay for all.
 *
 * Owns       hak_heap.pending, hak_heap.drain_next, hak_slab.pending_next.
 * Threads    *_mt: any. *_owner: inside the owner lock of the heap, the owner or a guest.
 * Invariant  a slab with `queued` on is on exactly one heap's pending or drain list, or in the hand of the thread that
 *            turned it on. If the slab has moved to another heap meanwhile, the drain forwards it.
 * Layer      4 (boxes). Uses boxes/heap, boxes/slab, boxes/free_remote, boxes/free_local.
 */
#ifndef HAK_BOXES_PENDING_PENDING_H_
#define HAK_BOXES_PENDING_PENDING_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `slab` is queued and on no stack. */
void hak_pending_push_mt(hak_heap_t *heap, hak_slab_t *slab);

static inline bool hak_pending_has_any(const hak_heap_t *heap) {
    /* relaxed: hints; taking is what synchronises */
    return hak_load_rlx(&heap->pending) != 0 || hak_load_rlx(&heap->drain_next) != 0;
}

/* Takes the remote frees of up to `max_slabs` slabs into the slabs; slabs that are then wholly free go back to the
 * pool. Returns how many slabs it looked at. */
unsigned hak_pending_drain_owner(hak_heap_t *heap, unsigned max_slabs);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_PENDING_PENDING_H_ */
