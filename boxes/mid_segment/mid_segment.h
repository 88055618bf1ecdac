/* mid_segment: blocks out of one chunk and back into it; empty parts of it back to the kernel.
 *
 * A take tries the free list, then the bump from `current` to `end`, then a unit that purge gave
 * back. When none of them has anything the caller refills: another chunk.
 *
 * Owns       hak_mid_segment: free_list, current, used_count; hak_mid_chunk: dirty, purged, full,
 *            aged, free_in_unit.
 * Threads    *_owner: inside the owner lock of the chunk's heap, the owner or a guest.
 * Invariant  see boxes/mid_chunk.
 * Layer      4 (boxes). Uses boxes/mid_chunk, backends/os.
 */
#ifndef HAK_BOXES_MID_SEGMENT_MID_SEGMENT_H_
#define HAK_BOXES_MID_SEGMENT_MID_SEGMENT_H_

#include "boxes/mid_chunk/mid_chunk.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Up to `want` blocks, linked, into `*list`; returns how many, 0 if the chunk has none. From the
 * bump come one at a time: what is not taken is not touched. */
uint32_t hak_mid_segment_take_owner(hak_mid_chunk_t *chunk, uint32_t want, hak_block_t **list);
/* Takes back one block that counts as used. */
void hak_mid_segment_put_owner(hak_mid_chunk_t *chunk, hak_block_t *block);
/* True if a take would find something. */
bool hak_mid_segment_has_any_owner(const hak_mid_chunk_t *chunk);

typedef struct {
    bool all;           /* not only what was free at the last visit too */
    unsigned max_calls; /* system calls; counted down */
    bool refused;       /* out: the kernel did not take something, as for locked memory */
    bool more;          /* out: something is free that a later visit may give back */
} hak_mid_purge_t;

/* One visit of purge: gives back the units whose blocks are all free, and those above `current`
 * that an earlier use of the memory has touched. Takes the blocks off the free list first, because
 * the list lives in the memory. Returns the bytes given back. */
size_t hak_mid_segment_purge_owner(hak_mid_chunk_t *chunk, hak_mid_purge_t *purge);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MID_SEGMENT_MID_SEGMENT_H_ */
