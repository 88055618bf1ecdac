/* mf2_heap: what MF2 keeps for a heap: its pages, its pending stacks, its counters.
 *
 * Made at the heap's first use of MF2 from metadata, found through hak_heap.backend, never freed:
 * like the heap itself it goes from an ended thread to the next new one.
 *
 * Owns       hak_mf2_heap_t but for `pending`; hak_mf2_page.listed, next, prev while a heap owns
 *            the page; the list of all these heaps.
 * Threads    *_owner: the thread that has the heap inside its owner lock, or a guest inside it.
 *            *_mt: any.
 * Invariant  a page that a heap owns is on its list and has something to give: one that is used up
 *            is released at once.
 * Layer      4 (boxes). Uses boxes/heap, boxes/mf2_page, core/meta.
 */
#ifndef HAK_BOXES_MF2_HEAP_MF2_HEAP_H_
#define HAK_BOXES_MF2_HEAP_MF2_HEAP_H_

#include "boxes/heap/heap.h"
#include "boxes/mf2_page/mf2_page.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Any thread adds. */
typedef struct {
    hak_a64_t pages_allocated;  /* from the pool: every way but reuse */
    hak_a64_t page_reuses;      /* pages that came back by a drain and were allocated from again */
    hak_a64_t adoptions;        /* of them from another heap or an ended thread */
    hak_a64_t pending_enqueued; /* edges from no remote free to some */
    hak_a64_t pending_drained;  /* pages whose remote stack was taken after such an edge */
    hak_a64_t requeues;         /* pages put back because they could not be had */
    hak_a64_t lease_skips;      /* of them because of the lease */
    hak_a64_t drain_tries;      /* opportunistic drains: policies own, rr, hybrid */
    hak_a64_t drain_other;      /* of them at another heap's stack */
    hak_a64_t handoffs;         /* pages that became the draining thread's own active ones */
    hak_a64_t blocks_out, blocks_in; /* between pages and thread caches; remote ones when drained */
} hak_mf2_counters_t;

typedef struct hak_mf2_heap {
    hak_heap_t *heap;                      /* fixed */
    struct hak_mf2_heap *all_next;         /* fixed */
    hak_mf2_page_t *list[HAK_MF2_CLASSES]; /* first is the active page */
    hak_a32_t pages;                       /* on the lists; read by others as a hint */
    struct hak_mf2_heap *cursor;           /* mf2_adopt: whom to ask next */
    unsigned settles;                      /* mf2_adopt: calls, for the class to begin with */
    uint64_t ops;                          /* mf2_policy: operations that came to the backend */
    struct hak_mf2_heap *rr_heap;          /* mf2_policy: whom the round has come to */
    unsigned rr_index;                     /* mf2_policy: and for which class */
    hak_align_as(64) hak_a64_t pending[HAK_MF2_CLASSES]; /* mf2_pending */
    hak_align_as(64) hak_mf2_counters_t counters;
} hak_mf2_heap_t;

/* What MF2 keeps for `heap`, made if there is none. NULL with errno ENOMEM. Inside the heap's lock.
 */
hak_mf2_heap_t *hak_mf2_heap_of_owner(hak_heap_t *heap);
/* The same if it is there, else NULL, without the lock; for the thread that has the heap. */
static inline hak_mf2_heap_t *hak_mf2_heap_of(const hak_heap_t *heap) {
    /* relaxed: who had the heap before handed it over with all that is in it */
    return (hak_mf2_heap_t *)hak_load_rlx(&heap->backend[HAK_HEAP_MF2]);
}
/* All of them, newest first; follow all_next. No lock. */
hak_mf2_heap_t *hak_mf2_heap_first(void);

/* In front of its class's list, or behind all that may be asked before it. */
void hak_mf2_heap_link_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page, bool in_front);
void hak_mf2_heap_unlink_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page);
/* Gives up a page that is used up. From here on every free to it is a remote one. */
void hak_mf2_heap_release_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page);

/* Where to count for `mine`, or for nobody's heap if it is NULL. */
hak_mf2_counters_t *hak_mf2_counters(hak_mf2_heap_t *mine);
/* Sums them up. */
void hak_mf2_counters_sum(hak_mf2_counters_t *out);

static inline void hak_mf2_count(hak_a64_t *counter, uint64_t n) {
    hak_add_rlx(counter, n); /* relaxed: a statistic */
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_HEAP_MF2_HEAP_H_ */
