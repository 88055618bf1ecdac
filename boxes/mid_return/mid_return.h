/* mid_return: blocks go back to the chunks of their heap, and chunks that are wholly free go back
 * to mid_supply.
 *
 * Owns       the decision when a chunk is closed; hak_mid_heap.has_idle, visit_at_ms, takes_in.
 * Threads    *_owner: inside the owner lock of the heap, the owner or a guest.
 * Invariant  a chunk that has something to give is listed. A wholly free chunk stays open only if
 *            it is the last of its class on the list, so that a single block going back and forth
 *            does not open and close a chunk each time.
 * Layer      4 (boxes). Uses boxes/mid_heap, mid_segment, mid_remote, mid_registry, mid_supply.
 */
#ifndef HAK_BOXES_MID_RETURN_MID_RETURN_H_
#define HAK_BOXES_MID_RETURN_MID_RETURN_H_

#include "boxes/mid_heap/mid_heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One block of a chunk of `heap` comes back from the own thread. */
void hak_mid_return_put_owner(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk, hak_block_t *block);
/* Takes the remote stacks of up to `max_chunks` pending chunks in. One that moved to another heap
 * while it was pending is forwarded there. */
void hak_mid_return_drain_owner(hak_mid_heap_t *heap, unsigned max_chunks);
/* True if that was done since this was asked last, as by a thread that allocates blocks of these
 * classes: it is then not to be disturbed. A hint. */
bool hak_mid_return_takes_in_mt(hak_mid_heap_t *heap);
/* Closes all chunks that are wholly free. Returns the number. */
unsigned hak_mid_return_retire_owner(hak_mid_heap_t *heap);

typedef struct {
    uint64_t now_ms, delay_ms; /* delay 0: everything that is free, now */
    unsigned max_calls;        /* counted down */
    uint64_t bytes;            /* out: given back; counted up */
} hak_mid_visit_t;

/* One visit of purge: closes chunks that are wholly free and gives back the free units of the
 * others. */
void hak_mid_return_purge_owner(hak_mid_heap_t *heap, hak_mid_visit_t *visit);
/* True if that is due. A hint. */
bool hak_mid_return_is_due(const hak_mid_heap_t *heap, const hak_mid_visit_t *visit);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MID_RETURN_MID_RETURN_H_ */
