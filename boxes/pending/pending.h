/* pending: which slabs of a heap have remote frees waiting.
 *
 * A stack of slabs that any thread pushes to and that is only ever taken whole, so there is no
 * ABA. What was taken is handed out one slab at a time, so that one slow path does not pay for
 * all.
 *
 * Owns       hak_heap.pending, hak_heap.drain_next, hak_slab.pending_next.
 * Threads    *_mt: any. *_owner: inside the owner lock of the heap, the owner or a guest.
 * Invariant  a slab with `queued` on is on exactly one heap's stack or drain list, or in the hand
 *            of one thread.
 * Layer      4 (boxes). Uses boxes/heap, boxes/slab.
 */
#ifndef HAK_BOXES_PENDING_PENDING_H_
#define HAK_BOXES_PENDING_PENDING_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `slab` is queued and on no stack. */
void hak_pending_push_mt(hak_heap_t *heap, hak_slab_t *slab);

/* Takes one slab off, or NULL. It is still queued: its pending_next is free for a push elsewhere.
 */
hak_slab_t *hak_pending_next_owner(hak_heap_t *heap);

/* Empties the stack without looking at it: in the child of a fork, which builds it anew. */
void hak_pending_forget_owner(hak_heap_t *heap);

static inline bool hak_pending_has_any(const hak_heap_t *heap) {
    /* relaxed: hints; taking is what synchronises */
    return hak_load_rlx(&heap->pending) != 0 || hak_load_rlx(&heap->drain_next) != 0;
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_PENDING_PENDING_H_ */
