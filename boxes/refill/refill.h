/* refill: gets blocks of a class out of slabs when the thread cache is empty.
 *
 * Order: a list that another thread has passed on; else remote frees that wait for this heap are
 * taken in (they are in either case), and then the first partial slab gives its whole free list, or
 * its remote list, or newly carved blocks in address order; a slab that has nothing is unlisted.
 * Lists shorter than 8 blocks are joined, of four slabs at most. Then a slab is adopted from an
 * idle heap; then, after a look at bins that may be flushed, a new one is opened, which may have
 * the free list of its former life. Carving starts with one block and doubles up to 4 KiB,
 * so a small program touches little memory and a busy one makes few trips.
 *
 * Owns       carving: hak_slab.carved while the slab is open, hak_heap.carve_step.
 * Threads    the thread that has `mine`, outside its owner lock; takes it.
 * Errors     NULL with errno ENOMEM; nothing changed.
 * Layer      4 (boxes). Uses boxes/cache_policy, heap, slab, drain, flush, free_local, free_remote,
 *            pending, adoption, slot_pool, transfer.
 */
#ifndef HAK_BOXES_REFILL_REFILL_H_
#define HAK_BOXES_REFILL_REFILL_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns one block and puts the others that it got into the thread's bin, which is empty. */
hak_block_t *hak_refill_owner(hak_heap_t *mine, unsigned sc);
/* One block and no more, for a thread that only borrows the heap or keeps no bins. */
hak_block_t *hak_refill_one_owner(hak_heap_t *mine, unsigned sc);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_REFILL_REFILL_H_ */
