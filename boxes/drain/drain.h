/* drain: the owner takes the remote frees of its slabs in.
 *
 * Owns       nothing.
 * Threads    *_owner: inside the owner lock of the heap, the owner or a guest.
 * Layer      4 (boxes). Uses boxes/heap, boxes/pending, boxes/free_remote, boxes/free_local.
 */
#ifndef HAK_BOXES_DRAIN_DRAIN_H_
#define HAK_BOXES_DRAIN_DRAIN_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes the remote frees of up to `max_slabs` pending slabs into the slabs; slabs that are then
 * wholly free go back to the pool. A slab that moved to another heap while it was pending is
 * forwarded there. Returns how many slabs it looked at. */
unsigned hak_drain_pending_owner(hak_heap_t *heap, unsigned max_slabs);

/* The same for slabs of `max_units` units together, the last one whole: where it matters how much
 * memory may go back to the pool, which may have to unmap for each 32 units. Returns the units. */
unsigned hak_drain_pending_units_owner(hak_heap_t *heap, unsigned max_units);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_DRAIN_DRAIN_H_ */
