/* free_local: puts free blocks back into a slab of the own heap, and retires slabs that are wholly
 * free.
 *
 * Owns       pushing on hak_slab.free; the decision when a slab goes back to the pool.
 * Threads    *_owner: inside the owner lock of the slab's heap.
 * Invariant  a slab that has a free block is listed. A wholly free slab stays only if it is the
 *            last of its class on the list (so that a single block going back and forth does not
 *            open and close a slab each time) or if it is queued on a pending stack (its descriptor
 *            must then stay as it is).
 * Layer      4 (boxes). Uses boxes/heap, boxes/slab, boxes/free_remote, boxes/slot_pool.
 */
#ifndef HAK_BOXES_FREE_LOCAL_FREE_LOCAL_H_
#define HAK_BOXES_FREE_LOCAL_FREE_LOCAL_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* hak_free_local_push_run_owner, for blocks whose last one is known, is in free_local_inl.h. */

/* The first block came back to a full slab, or the last one to any: lists or retires it. `used` is
 * its new count. */
void hak_free_local_edge_owner(hak_heap_t *heap, hak_slab_t *slab, uint32_t used);
/* A list of `count` blocks that ends in NULL; may be empty. */
void hak_free_local_push_list_owner(hak_heap_t *heap, hak_slab_t *slab, hak_block_t *list,
                                    uint32_t count);
/* Gives back the wholly free slabs that were kept as the last of their class. Returns the number.
 */
unsigned hak_free_local_retire_kept_owner(hak_heap_t *heap);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_FREE_LOCAL_FREE_LOCAL_H_ */
