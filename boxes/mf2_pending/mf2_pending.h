/* mf2_pending: which pages of a heap have remote frees waiting, for each size class.
 *
 * Treiber's stack with many producers and, because any thread may adopt, many consumers that take
 * one page at a time. The head is { tag : 32 | number of the page plus 1 : 32 }; every push and
 * every pop changes the tag, so a pop whose page was popped and pushed again in between fails
 * instead of installing a stale successor. Descriptors are never unmapped: a pop that comes late
 * reads an old link, never somebody's memory.
 *
 * Owns       hak_mf2_heap.pending, hak_mf2_page.pending_next.
 * Threads    any.
 * Invariant  a page is on at most one stack: only who turned `queued` on, or popped it, pushes it.
 * Layer      4 (boxes). Uses boxes/mf2_heap, boxes/mf2_page.
 */
#ifndef HAK_BOXES_MF2_PENDING_MF2_PENDING_H_
#define HAK_BOXES_MF2_PENDING_MF2_PENDING_H_

#include "boxes/mf2_heap/mf2_heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Puts a page, queued and on no stack, on the stack of its class at its home. */
void hak_mf2_pending_push_mt(hak_mf2_page_t *page);
/* The same, on the stack of this heap. */
void hak_mf2_pending_push_on_mt(hak_mf2_heap_t *heap, hak_mf2_page_t *page);
/* Takes one page, or NULL. It is in the caller's hand: still queued and on no stack. */
hak_mf2_page_t *hak_mf2_pending_pop_mt(hak_mf2_heap_t *heap, unsigned index);

static inline bool hak_mf2_pending_has(const hak_mf2_heap_t *heap, unsigned index) {
    return (uint32_t)hak_load_rlx(&heap->pending[index]) != 0; /* relaxed: a hint */
}

/* Empties the stacks without looking at them: in the child of a fork, which builds them anew. */
void hak_mf2_pending_forget(hak_mf2_heap_t *heap);
/* Number of pages on the stack, at most `most`. No other thread may run. */
uint32_t hak_mf2_pending_count(const hak_mf2_heap_t *heap, unsigned index, uint32_t most);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_PENDING_MF2_PENDING_H_ */
