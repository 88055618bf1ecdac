/* free_remote: how a block goes back to a slab of another heap.
 *
 * A thread collects blocks of one slab in a batch and hands the batch over with one
 * compare-and-swap on the slab's remote word: { count : 16 | head : 48, whose lowest bit is
 * `queued` }. Who turns `queued` on also puts the slab on its heap's pending stack; it goes off
 * only when the slab is taken from a pending stack. So a slab is on at most one stack, and while
 * it is on one it is not retired. Batching is snmalloc's BatchIt (ISMM 2024) with a cache of 16
 * open batches, each in one of four places; one CAS a batch needs no intermediate state that a fork
 * could freeze.
 *
 * Owns       hak_slab.remote; hak_heap.batch, batch_turn, batched_bytes, batch_lack.
 * Threads    *_mt: any. hak_free_remote_add, extend, send_run, was_crowded, flush: the thread that
 *            has the heap, no lock. *_owner: inside the owner lock of the slab's heap.
 * Invariant  every block on the remote list belongs to the slab, counts in `used` or `left`, and is
 *            on no other list.
 * Layer      4 (boxes). Uses boxes/slab, boxes/heap, boxes/pending, registry (the mark).
 */
#ifndef HAK_BOXES_FREE_REMOTE_FREE_REMOTE_H_
#define HAK_BOXES_FREE_REMOTE_FREE_REMOTE_H_

#include "boxes/heap/heap.h"
#include "boxes/slab/slab.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A batch of fewer blocks is short: sending it is most of what their frees cost. With 24 several
 * threads that allocate for one that frees were a fifth slower (docs/PERFORMANCE.md). */
enum { HAK_BATCH_SHORT = 8 };

/* hak_free_remote_extend, the short way into a batch that is open, is in free_remote_inl.h. */

/* Adds a block of `slab`, whose class is `sc`, to the open batch of its slab, sending what is in
 * the way or full: 64 blocks in a batch, 64 KiB in all batches of a thread. False if no block was
 * ever carved there: nothing changed. The slab is looked at once a batch for this, because its
 * owner writes that line all the time. */
bool hak_free_remote_add(hak_heap_t *mine, hak_slab_t *slab, hak_block_t *block, unsigned sc);
/* Sends `count` blocks of `slab`, linked from `head` to `tail`, at once; the open batches stay.
 * That they were carved the caller has looked (hak_slab_carved_end). */
void hak_free_remote_send_run(hak_heap_t *mine, hak_slab_t *slab, hak_block_t *head,
                              hak_block_t *tail, uint32_t count);
/* True if batches are shorter than 8 blocks on the average because others were in the way, for as
 * long as 2,048 batches of one block take, and then once for each 64: the thread frees blocks of
 * more slabs than it has batches, and most of what a free costs is sending. */
bool hak_free_remote_was_crowded(hak_heap_t *mine);
/* Sends all open batches. */
void hak_free_remote_flush(hak_heap_t *mine);

/* Hands over a list of `count` blocks, linked from `head` to `tail`. */
void hak_free_remote_push_mt(hak_slab_t *slab, hak_block_t *head, hak_block_t *tail,
                             uint32_t count);

/* Takes the whole list, newest first; `*count` tells how long it is. `queued` stays as it is.
 * Taking all at once rules out ABA. */
hak_block_t *hak_free_remote_take_owner(hak_slab_t *slab, uint32_t *count);
/* The same and turns `queued` off: by who took the slab from a pending stack. */
hak_block_t *hak_free_remote_take_unqueue_owner(hak_slab_t *slab, uint32_t *count);

/* The list stays where it is and `queued` goes off: by who took the slab from a pending stack.
 * Returns how long the list is. */
uint32_t hak_free_remote_unqueue_owner(hak_slab_t *slab);

/* True if the slab is on a pending stack, or about to be put there. */
static inline bool hak_free_remote_is_queued(const hak_slab_t *slab) {
    /* relaxed: asked inside the lock when no block is in use, so that nobody can push; the last
     * take was inside the lock too */
    return (hak_load_rlx(&slab->remote) & 1u) != 0;
}
static inline bool hak_free_remote_is_empty(const hak_slab_t *slab) {
    /* relaxed: a guess; taking is what synchronises */
    return (hak_load_rlx(&slab->remote) & ~1ull) == 0;
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_FREE_REMOTE_FREE_REMOTE_H_ */
