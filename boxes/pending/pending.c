#include "boxes/pending/pending.h"

void hak_pending_push_mt(hak_heap_t *heap, hak_slab_t *slab) {
    uintptr_t old = hak_load_rlx(&heap->pending); /* relaxed: a guess, the CAS checks it */
    do {
        slab->pending_next = (hak_slab_t *)old;
        /* release: publishes pending_next. Pairs with the acquire in hak_pending_next_owner. */
    } while (!hak_cas_weak_rel(&heap->pending, &old, (uintptr_t)slab));
}

hak_slab_t *hak_pending_next_owner(hak_heap_t *heap) {
    uintptr_t next = hak_load_rlx(&heap->drain_next); /* relaxed: written inside the lock */
    if (next == 0 && hak_load_rlx(&heap->pending) != 0) {
        next = hak_swap_acq(&heap->pending, 0); /* pairs with the release in hak_pending_push_mt */
    }
    hak_slab_t *slab = (hak_slab_t *)next;
    if (slab != NULL) {
        hak_store_rlx(&heap->drain_next, (uintptr_t)slab->pending_next); /* relaxed: as above */
    }
    return slab;
}

void hak_pending_forget_owner(hak_heap_t *heap) {
    hak_store_rlx(&heap->pending, 0); /* relaxed: one thread left */
    hak_store_rlx(&heap->drain_next, 0);
}
