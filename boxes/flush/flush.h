/* flush: blocks leave the thread cache and go back to their slabs. When they do is for
 * boxes/cache_policy to say; here is how, and the case that all of them go.
 *
 * Owns       hak_heap.bin_seen, bins_seen_ms, bins_look_at, bins_emptied, bins_grow_at.
 * Threads    the thread that has `mine`; hak_flush_all_owner takes the owner lock itself. *_guest*:
 *            inside the owner lock of a heap that has no thread.
 * Layer      4 (boxes). Uses boxes/tls_sll, boxes/heap, boxes/free_local, boxes/free_remote,
 *            boxes/slot_pool.
 */
#ifndef HAK_BOXES_FLUSH_FLUSH_H_
#define HAK_BOXES_FLUSH_FLUSH_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sends up to `most` blocks at the front of `*list`, all of the class, to their slabs; `*list` is
 * then the rest. Returns how many went. Neighbours in the list that lie in one slab go together:
 * a burst of frees costs a few instructions for each block. Owner lock of `mine` held: whose a slab
 * is cannot change if it is ours, and does not matter if it is not. Blocks of others' slabs go as
 * remote frees, eight or more neighbours at once, fewer into the open batches of `mine`. */
uint32_t hak_flush_list_locked(hak_heap_t *mine, unsigned sc, hak_block_t **list, uint32_t most);
/* The same, as far as the blocks are of slabs of `mine`: what is in front of `*list` then is not,
 * or it is empty, or `most` went. */
uint32_t hak_flush_own_locked(hak_heap_t *mine, hak_block_t **list, uint32_t most);
/* Sends all of a list that a thread which is gone has left in `heap`; each block to its slab, or to
 * the heap that has the slab now. Owner lock of `heap` held, by a guest. */
void hak_flush_list_guest_locked(hak_heap_t *heap, hak_block_t *list);
/* Sends all of a list that is no one's to the slabs, as remote frees. No lock. */
void hak_flush_list_mt(hak_block_t *list);
struct hak_stats; /* include/hakmem.h */
/* Adds what these two have sent as remote frees: no heap counts it. */
void hak_flush_stats_mt(struct hak_stats *stats);
/* Empties every bin that holds blocks of slabs and sends every open batch. An emptied bin has room
 * for bin_cap blocks. */
void hak_flush_all_owner(hak_heap_t *mine);
/* Empties the bins whose first block is the same as at the call before, `delay_ms` or more ago: the
 * thread does without that class, and what it keeps may be all that keeps slabs in use. A bin that
 * is in use and shows the same block by chance is refilled at the next miss. Calls in between do
 * nothing. */
void hak_flush_idle_owner(hak_heap_t *mine, uint64_t now_ms, uint64_t delay_ms);
/* Before the heap opens one more slab, of class `sc`, whatever the time: what one phase of a
 * program left in the bins of its sizes keeps slabs in use that the next phase could have. Empties
 * the bins that stood still since the last look, and those whose few blocks may be all that keeps
 * many slabs in use. Most calls do nothing: it looks at the bins once the heap has opened an eighth
 * more slabs, so that flushing stays a small part of what growing costs; the first slab of each
 * class that a look left without any does not count. Owner lock held. */
void hak_flush_opening_locked(hak_heap_t *mine, unsigned sc, uint64_t now_ms);
/* Before memory becomes resident that was not: empties the bins of the second kind again, if memory
 * has grown a little since it was last of no use; false: it has not. Owner lock held. */
bool hak_flush_growing_locked(hak_heap_t *mine);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_FLUSH_FLUSH_H_ */
