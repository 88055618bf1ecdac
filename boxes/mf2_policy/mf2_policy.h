/* mf2_policy: who drains which pending pages, and when.
 *
 * The port; //config:mf2_drain chooses what stands behind it:
 *
 *   adopt     a thread that needs a page takes one from the orphans or from another heap. Default.
 *   own       a thread drains its own stacks only, also every HAKMEM_MF2_DRAIN_EVERY operations.
 *             What is pending at a thread that sleeps is never drained.
 *   rr        every HAKMEM_MF2_DRAIN_EVERY operations the next pair of heap and class is drained.
 *             With HAKMEM_MF2_HANDOFF the page becomes the draining thread's own; without, it stays
 *             with its home, which may never use it.
 *   hybrid    each operation drains: three in four the own stack, one the next other as in rr.
 *
 * An operation is a refill of a thread cache or a block that goes from there to its page; hits do
 * not come here. Under every policy a refill first drains up to 4 pages of its own stack, and purge
 * takes in what heaps without an active thread have pending.
 *
 * Owns       hak_mf2_heap.ops, rr_heap, rr_index.
 * Threads    *_owner: inside the owner lock of `mine`.
 * Layer      4 (boxes). Uses boxes/mf2_adopt.
 */
#ifndef HAK_BOXES_MF2_POLICY_MF2_POLICY_H_
#define HAK_BOXES_MF2_POLICY_MF2_POLICY_H_

#include "boxes/mf2_heap/mf2_heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "adopt", "own", "rr" or "hybrid". */
extern const char hak_mf2_policy_name[];
/* True if the pages of an ended thread become orphans; else they wait in its heap for the next
 * thread that gets it. */
extern const bool hak_mf2_policy_orphans;
/* True if hak_mf2_policy_tick_owner does anything. */
extern const bool hak_mf2_policy_ticks;

/* A page for `mine`, whose own ones of the class are used up and who has none pending: in front of
 * its list, or false: then it makes a new one. */
bool hak_mf2_policy_find_owner(hak_mf2_heap_t *mine, unsigned index, uint64_t now_ms);
/* An operation on the class came to the backend. */
void hak_mf2_policy_tick_owner(hak_mf2_heap_t *mine, unsigned index);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_POLICY_MF2_POLICY_H_ */
