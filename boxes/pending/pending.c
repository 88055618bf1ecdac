#include "boxes/pending/pending.h"

#include "boxes/free_local/free_local.h"
#include "boxes/free_remote/free_remote.h"

void hak_pending_push_mt(hak_heap_t *heap, hak_slab_t *slab) {
    uintptr_t old = hak_load_rlx(&heap->pending); /* relaxed: a guess, the CAS checks it */
    do {
        slab->pending_next = (hak_slab_t *)old;
        /* release: publishes pending_next. Pairs with the acquire in hak_take_all. */
    } while (!hak_cas_weak_rel(&heap->pending, &old, (uintptr_t)slab));
}

/* The next slab to look at, or NULL. */
static hak_slab_t *hak_next(hak_heap_t *heap) {
    uintptr_t next = hak_load_rlx(&heap->drain_next); /* relaxed: written inside the lock */
    if (next == 0 && hak_load_rlx(&heap->pending) != 0) {
        next = hak_swap_acq(&heap->pending, 0); /* pairs with the release in hak_pending_push_mt */
    }
    return (hak_slab_t *)next;
}

static void hak_drain_slab(hak_heap_t *heap, hak_slab_t *slab) {
    hak_heap_t *owner = hak_slab_heap(slab);
    if (owner != heap) { /* adopted by another heap while it was on our stack; it stays queued */
        hak_pending_push_mt(owner, slab);
        return;
    }
    uint32_t count;
    hak_block_t *list = hak_free_remote_take_unqueue_owner(slab, &count);
    hak_count_add(&heap->counters.drained_blocks, count);
    hak_free_local_push_list_owner(heap, slab, list, count);
}

unsigned hak_pending_drain_owner(hak_heap_t *heap, unsigned max_slabs) {
    unsigned done = 0;
    hak_slab_t *slab;
    while (done < max_slabs && (slab = hak_next(heap)) != NULL) {
        hak_store_rlx(&heap->drain_next, (uintptr_t)slab->pending_next); /* relaxed: written inside the lock */
        hak_drain_slab(heap, slab);
        done++;
    }
    return done;
}
