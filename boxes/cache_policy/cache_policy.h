/* cache_policy: how many blocks a thread cache keeps, and when the others go back to their slabs.
 *
 * The port; //config:cache chooses what stands behind it:
 *
 *   bounded   a bin holds so many blocks; a free that finds it full sends a part of it to the
 *             slabs, or on to another thread. `room` counts free places: a push takes one, a pop
 *             gives it back. The default.
 *   drain     a bin may grow, and every HAKMEM_TINY_SLL_DRAIN_INTERVAL frees, fewer above 1 KiB,
 *             its list goes back, whole or HAKMEM_TINY_SLL_DRAIN_BATCH of it. `room` counts the
 *             frees until then: a pop does not touch it.
 *
 * Blocks in a bin count as `used` in their slabs, so a slab cannot become empty while they are
 * there: with a policy that never gives them back nothing would ever be empty. With
 * HAKMEM_TINY_TLS_SLL=0 bins hold nothing: each free goes to its slab, under either policy.
 *
 * Owns       hak_heap.bin_cap, cached_max, spare_bytes, overflows, overflows_since_ms,
 *            home_left, home_slabs, shares, cap_growth_bytes; the rooms of bins.
 * Threads    *_owner: the thread that has `mine`; end also a guest, inside the owner lock of a
 *            heap without a thread.
 * Layer      4 (boxes). Uses boxes/tls_sll, boxes/heap, boxes/flush, boxes/transfer, backends/os,
 *            core/options.
 */
#ifndef HAK_BOXES_CACHE_POLICY_CACHE_POLICY_H_
#define HAK_BOXES_CACHE_POLICY_CACHE_POLICY_H_

#include <stdbool.h>

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "bounded" or "drain". */
extern const char hak_cache_policy_name[];

/* A thread begins with `mine`: sets bin_cap[], the room of each of its bins, which are empty. */
void hak_cache_policy_start_owner(hak_heap_t *mine);
/* The thread ends, its bins are empty: its share of what all threads may keep is free again. */
void hak_cache_policy_end_owner(hak_heap_t *mine);
/* The heap gets a slab of a spare class, which has blocks of `bytes` now. If that is new to the
 * heap, sets bin_cap and the bin, which is empty; else false. */
bool hak_cache_policy_resize_owner(hak_heap_t *mine, unsigned sc, uint32_t bytes);
/* False if bins are to stay empty: a refill then fetches one block. */
bool hak_cache_policy_keeps(void);
/* Puts the `count` blocks of a refill, 0 or more, into the empty bin of the class. */
void hak_cache_policy_fill_owner(hak_heap_t *mine, unsigned sc, hak_block_t *list, uint32_t count);
/* Takes back one block for which hak_tls_sll_push said that there is no room. Takes the owner
 * lock. */
void hak_cache_policy_overflow_owner(hak_heap_t *mine, hak_block_t *block, unsigned sc);
/* The same for a block whose backend takes it back itself: puts the bin's room right. */
void hak_cache_policy_note_overflow_owner(hak_heap_t *mine, unsigned sc);
/* Memory is about to grow: for a while, frees of each class that has few blocks in many slabs go
 * home past the bin. It hands out what was freed last, so the few blocks would stay spread over
 * these slabs for good. Owner lock held. */
void hak_cache_policy_growing_locked(hak_heap_t *mine);
/* The thread allocates blocks of the class, or had better pass them on than send them home: it may
 * keep those of other heaps that it frees, if threads share them (hak_heap_is_shared). */
void hak_cache_policy_wants_owner(hak_heap_t *mine, unsigned sc);
/* The bins of a thread that has just got `mine` are as that says. */
void hak_cache_policy_share_owner(const hak_heap_t *mine);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_CACHE_POLICY_CACHE_POLICY_H_ */
