/* mf2_adopt: how a page with remote frees comes to a thread that can use it.
 *
 * Whoever takes a page from a pending stack holds it in hand, and nobody else does. From there it
 * becomes that thread's own (by the table in mf2_page.h), with all its remote blocks free, or it
 * goes back on its home's stack as it was. No third way exists, so no page is lost between the two:
 * the notes' pseudo-code forgot it when the lease was active, when the CAS failed and when the
 * drain brought nothing.
 *
 * Consumer-driven adoption: a thread that would have to make a new page first looks at the orphans
 * and then at the pending stacks of up to 64 other heaps. A page that changed heaps less than
 * HAKMEM_MF2_LEASE_MS ago stays where it is, so that two busy threads do not pass it to and fro.
 *
 * Owns       hak_mf2_page.home, transfer_ms; the step from owner 0 to a heap.
 * Threads    *_owner: inside the owner lock of `mine`, the thread of the heap or a guest.
 * Bound      each call looks at a constant number of heaps and pages.
 * Layer      4 (boxes). Uses boxes/mf2_pending, mf2_remote, mf2_heap, mf2_orphans, mf2_pool.
 */
#ifndef HAK_BOXES_MF2_ADOPT_MF2_ADOPT_H_
#define HAK_BOXES_MF2_ADOPT_MF2_ADOPT_H_

#include "boxes/mf2_heap/mf2_heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Drains up to `max_pages` pages of the heap's own pending stack of the class: they are on its list
 * then, in front. Returns how many of them have free blocks. */
unsigned hak_mf2_adopt_drain_owner(hak_mf2_heap_t *mine, unsigned index, unsigned max_pages);
/* A page of the class from the orphans or from another heap, at `now_ms`, in front of the list of
 * `mine`. False: none was found. */
bool hak_mf2_adopt_find_owner(hak_mf2_heap_t *mine, unsigned index, uint64_t now_ms);
/* The same from the stack of `victim` alone: direct handoff of what a drain brings. */
bool hak_mf2_adopt_from_owner(hak_mf2_heap_t *mine, hak_mf2_heap_t *victim, unsigned index,
                              uint64_t now_ms);
/* Drains up to `max_pages` pages of another heap's stack for that heap, as a guest in it. Returns
 * how many were drained; 0 if its owner is inside. */
unsigned hak_mf2_adopt_drain_for_mt(hak_mf2_heap_t *other, unsigned index, unsigned max_pages);

/* Closes a page that is wholly free and gives it to the pool, unless it is queued: then it stays
 * until it was drained. */
bool hak_mf2_adopt_retire_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page);
/* Takes in up to `max_pages` pages that are pending, of all classes together, and retires those
 * that are wholly free. Returns how many it took in: `max_pages` says that more may wait. */
unsigned hak_mf2_adopt_settle_owner(hak_mf2_heap_t *mine, unsigned max_pages);
/* Leaves all pages of the heap to the orphans. */
void hak_mf2_adopt_leave_all_owner(hak_mf2_heap_t *mine);
/* Settles heaps that have pages pending, and those whose thread was last active `lease_ms` ago, or
 * that have none; the pages of the last become orphans if `orphan`. Looks at up to `max_heaps`,
 * going on where the last call stopped, and takes in up to `max_pages` pages; returns how many, as
 * above. */
unsigned hak_mf2_adopt_collect_mt(const hak_mf2_heap_t *mine, uint64_t now_ms, uint64_t lease_ms,
                                  unsigned max_heaps, unsigned max_pages, bool orphan);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_ADOPT_MF2_ADOPT_H_ */
