/* A slab that has free blocks keeps its remote list: to join the two one would have to walk to the
 * end of one of them, and their blocks are in no cache of this processor. They only stop being
 * `used`; refill takes them when the free list is gone.
 *
 * A full slab that has room again waits its turn behind the others: until then more of its blocks
 * come, and a refill that takes them all gets a longer list. Slabs whose blocks their own thread
 * frees do not wait, free_local lists them behind the first: those blocks are in its processor's
 * cache. */
#include "boxes/drain/drain.h"

#include "boxes/free_local/free_local.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"

/* Returns the units of the slab, 1 if it is another heap's by now. */
static unsigned hak_drain_slab(hak_heap_t *heap, hak_slab_t *slab) {
    hak_heap_t *owner = hak_slab_heap(slab);
    if (owner != heap) {
        hak_pending_push_mt(owner, slab); /* it stays queued */
        return 1;
    }
    unsigned units = slab->units;
    uint32_t count, before = hak_load_rlx(&slab->left); /* relaxed, all: inside the lock */
    hak_block_t *list = NULL;
    if (slab->free == NULL) {
        list = hak_free_remote_take_unqueue_owner(slab, &count);
        hak_store_rlx(&slab->left, 0);
    } else {
        count = hak_free_remote_unqueue_owner(slab);
        hak_store_rlx(&slab->left, count);
    }
    hak_count_add(&heap->counters.drained_blocks, count - before);
    if (!slab->listed && count != before) {
        hak_heap_list_owner(heap, slab, HAK_HEAP_LAST);
    }
    hak_free_local_push_list_owner(heap, slab, list, count - before);
    return units;
}

unsigned hak_drain_pending_owner(hak_heap_t *heap, unsigned max_slabs) {
    unsigned done = 0;
    hak_slab_t *slab;
    while (done < max_slabs && (slab = hak_pending_next_owner(heap)) != NULL) {
        (void)hak_drain_slab(heap, slab);
        done++;
    }
    return done;
}

unsigned hak_drain_pending_units_owner(hak_heap_t *heap, unsigned max_units) {
    unsigned done = 0;
    hak_slab_t *slab;
    while (done < max_units && (slab = hak_pending_next_owner(heap)) != NULL) {
        done += hak_drain_slab(heap, slab);
    }
    return done;
}
