/* left_bins: the bins of a thread that ended stay with its heap, for the next thread.
 *
 * A thread that lives shortly would else spend most of its life on bins: it takes the whole free
 * list of a slab at its first refill and walks all of it at its end, only to have its successor do
 * the same. So the bins of a thread that did not live for a purge delay lie in the heap, with the
 * room that they grew to. The next thread of the heap takes them as they are; a thread that adopts
 * from the heap has the bin of its class emptied; a purge pass that finds them a delay old empties
 * all. Only small ones stay: the others go back to their slabs as if this box were not there.
 *
 * Owns       hak_heap.left_bin, left_mask, has_left, left_ms.
 * Threads    *_locked: inside the owner lock of a heap that no other thread has. Others: any.
 * Invariant  a block in a left bin counts as used in its slab, as in any bin.
 * Layer      4 (boxes). Uses boxes/heap, boxes/tls_sll, boxes/flush, boxes/cache_policy.
 */
#ifndef HAK_BOXES_LEFT_BINS_LEFT_BINS_H_
#define HAK_BOXES_LEFT_BINS_LEFT_BINS_H_

#include <stdbool.h>

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The calling thread leaves `mine`: its small bins of blocks of slabs move there, and caps stay.
 * They may stay until somebody finds them old (hak_left_bins_old). Bins of spare classes, whose
 * size may change, never stay. */
void hak_left_bins_leave_locked(hak_heap_t *mine, uint64_t now_ms);
/* The calling thread has got `mine`, whose bins are those of its tls_sll and empty: takes what the
 * thread before left there. */
void hak_left_bins_take_locked(hak_heap_t *mine);

/* Empties the bin of the class; false if nothing was left there. */
bool hak_left_bins_flush_class_locked(hak_heap_t *heap, unsigned sc);
/* Empties all, and gives back what their caps had grown by. */
void hak_left_bins_flush_locked(hak_heap_t *heap);

/* True if there are bins, perhaps empty ones, and caps of a thread that left. */
static inline bool hak_left_bins_any(const hak_heap_t *heap) {
    return hak_load_rlx(&heap->has_left) != 0; /* relaxed: a hint outside the lock */
}
/* True if the thread that left had free blocks of the class. */
static inline bool hak_left_bins_has(const hak_heap_t *heap, unsigned sc) {
    /* relaxed: as above */
    return (hak_load_rlx(&heap->left_mask[sc >> 6]) >> (sc & 63) & 1u) != 0;
}
/* True if there are some and nobody has taken them for so long. */
static inline bool hak_left_bins_old(const hak_heap_t *heap, uint64_t now_ms, uint64_t delay_ms) {
    /* relaxed: as above */
    return hak_left_bins_any(heap) && now_ms - hak_load_rlx(&heap->left_ms) >= delay_ms;
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_LEFT_BINS_LEFT_BINS_H_ */
