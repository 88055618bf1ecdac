/* mid_remote: blocks that come back from threads which do not own their chunk.
 *
 * Each chunk has a stack of such blocks in one word: { count : 16 | head : 48, whose lowest bit is
 * `queued` }. Who turns `queued` on also puts the chunk on its owner's pending stack; it goes off
 * only when the chunk is taken from one. So a chunk is on at most one pending stack, and while it
 * is on one it is not closed, because its waiting blocks count as used. The notes left this stack
 * for later; without it a block that another thread frees would be lost to its chunk.
 *
 * Owns       hak_mid_chunk.remote, pending_next; hak_mid_heap.pending, drain_next.
 * Threads    *_mt: any. *_owner: inside the owner lock of the heap, the owner or a guest.
 * Invariant  every block on a remote stack counts as used in its chunk and is on no other list.
 * Layer      4 (boxes). Uses boxes/mid_heap, boxes/mid_chunk.
 */
#ifndef HAK_BOXES_MID_REMOTE_MID_REMOTE_H_
#define HAK_BOXES_MID_REMOTE_MID_REMOTE_H_

#include "boxes/mid_heap/mid_heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pushes one block of `chunk`. */
void hak_mid_remote_push_mt(hak_mid_chunk_t *chunk, hak_block_t *block);
/* Takes the whole stack of a chunk that came from a pending stack, and turns `queued` off. Taking
 * all at once rules out ABA. */
hak_block_t *hak_mid_remote_take_unqueue_owner(hak_mid_chunk_t *chunk, uint32_t *count);

/* `chunk` is queued and on no pending stack. */
void hak_mid_remote_queue_mt(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk);
/* Takes one chunk off, or NULL. It is still queued: its pending_next is free for a push elsewhere.
 */
hak_mid_chunk_t *hak_mid_remote_next_owner(hak_mid_heap_t *heap);
/* Empties the pending stack without looking at it: in the child of a fork, which builds it anew. */
void hak_mid_remote_forget_owner(hak_mid_heap_t *heap);

static inline bool hak_mid_remote_has_pending(const hak_mid_heap_t *heap) {
    /* relaxed: hints; taking is what synchronises */
    return hak_load_rlx(&heap->pending) != 0 || hak_load_rlx(&heap->drain_next) != 0;
}
/* True if the chunk is on a pending stack, or about to be put there. */
static inline bool hak_mid_remote_is_queued(const hak_mid_chunk_t *chunk) {
    /* pairs with the release in hak_mid_remote_push_mt */
    return (hak_load_acq(&chunk->remote) & 1u) != 0;
}
/* Blocks that wait. */
static inline uint32_t hak_mid_remote_count(const hak_mid_chunk_t *chunk) {
    return (uint32_t)(hak_load_rlx(&chunk->remote) >> 48); /* relaxed: a statistic */
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MID_REMOTE_MID_REMOTE_H_ */
