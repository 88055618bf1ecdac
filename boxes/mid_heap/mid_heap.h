/* mid_heap: what a thread's heap keeps for Mid MT: its chunks, by class, and its counters.
 *
 * Lives as long as its hak_heap_t, whose owner lock guards it. Only chunks that have something to
 * give are listed; the first of a class is the one whose segment serves. No chunk: no list, so a
 * class that a thread does not use costs nothing.
 *
 * Owns       hak_mid_heap_t; hak_mid_chunk.next, prev, listed of open chunks.
 * Threads    *_owner: inside the owner lock of the heap, the owner or a guest.
 * Layer      4 (boxes). Uses boxes/heap, boxes/mid_chunk, core/meta.
 */
#ifndef HAK_BOXES_MID_HEAP_MID_HEAP_H_
#define HAK_BOXES_MID_HEAP_MID_HEAP_H_

#include "boxes/heap/heap.h"
#include "boxes/mid_chunk/mid_chunk.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of one class; written inside the owner lock, read by statistics. */
typedef struct {
    hak_a64_t allocs;       /* blocks that left segments */
    hak_a64_t bumped;       /* of them from the bump, never handed out before */
    hak_a64_t local_frees;  /* blocks that came back to chunks of the own heap */
    hak_a64_t remote_frees; /* blocks taken in from remote stacks */
    hak_a64_t refills;      /* times that the segment got another chunk */
} hak_mid_counters_t;

typedef struct hak_mid_heap {
    hak_heap_t *heap; /* fixed */
    hak_mid_chunk_t *partial[HAK_MID_CLASSES];
    uint32_t next_bytes[HAK_MID_CLASSES]; /* backend: the next chunk's size, adaptive policy */
    /* backend: first block of each bin at the last purge; only compared */
    const hak_block_t *bin_seen[HAK_MID_CLASSES];
    uint64_t bins_seen_ms;
    hak_a32_t partial_mask; /* bit per class: the list above is not empty */
    /* mid_return: something came back since purge was last done with the heap */
    hak_a32_t has_idle;
    hak_a32_t takes_in;    /* mid_return: chunks were drained since purge looked; a hint */
    hak_a64_t visit_at_ms; /* mid_return: when purge looks next */
    hak_mid_counters_t counters[HAK_MID_CLASSES];
    hak_a64_t purges, purged_bytes; /* mid_return: calls that gave units back */
    hak_a64_t adopted;              /* chunks that came from other heaps */
    /* mid_remote: taken from `pending` and not looked at yet; under the lock */
    hak_aptr_t drain_next;
    hak_align_as(HAK_CACHE_LINE) hak_aptr_t pending; /* mid_remote: pushed to by any thread */
} hak_mid_heap_t;

/* The heap's part for Mid MT, or NULL if it has none yet. */
static inline hak_mid_heap_t *hak_mid_heap_of(const hak_heap_t *heap) {
    /* pairs with the release in hak_mid_heap_make */
    return (hak_mid_heap_t *)hak_load_acq(&heap->backend[HAK_HEAP_MID_MT]);
}
/* The same; makes it at first use, by the thread that has the heap. NULL with errno ENOMEM. */
hak_mid_heap_t *hak_mid_heap_make(hak_heap_t *heap);

/* Puts `chunk` behind the first of its class, or in front of all. */
void hak_mid_heap_list_owner(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk, bool in_front);
void hak_mid_heap_unlist_owner(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk);

static inline bool hak_mid_heap_has_partial(const hak_mid_heap_t *heap, unsigned index) {
    return (hak_load_rlx(&heap->partial_mask) >> index & 1u) != 0; /* relaxed: a hint to guests */
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MID_HEAP_MID_HEAP_H_ */
