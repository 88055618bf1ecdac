#include "boxes/free_local/free_local.h"

#include "boxes/free_local/free_local_inl.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/slot_pool/slot_pool.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"

static void hak_retire(hak_heap_t *heap, hak_slab_t *slab) {
    hak_heap_unlist_owner(heap, slab);
    bool whole = hak_load_rlx(&slab->left) == 0; /* relaxed: inside the lock */
    if (!whole) {
        uint32_t count; /* the same, because no block is in use */
        (void)hak_free_remote_take_owner(slab, &count);
    }
    hak_slab_close(slab);
    if (!whole) {
        hak_slab_forget(slab); /* its list would lack these */
    }
    hak_count_add(&heap->counters.slabs_retired, 1);
    hak_slot_pool_give_mt(slab);
}

hak_noinline void hak_free_local_edge_owner(hak_heap_t *heap, hak_slab_t *slab, uint32_t used) {
    if (!slab->listed) {
        hak_heap_list_owner(heap, slab, HAK_HEAP_SECOND);
    }
    bool last_of_class = slab->prev == NULL && slab->next == NULL;
    if (used != 0) {
        return;
    }
    if (!last_of_class && !hak_free_remote_is_queued(slab)) {
        hak_retire(heap, slab);
    } else {
        hak_store_rlx(&heap->collected_ms,
                      0); /* relaxed: a hint that there is something to collect */
    }
}

void hak_free_local_push_list_owner(hak_heap_t *heap, hak_slab_t *slab, hak_block_t *list,
                                    uint32_t count) {
    if (list != NULL) {
        if (slab->free != NULL) {
            hak_block_t *tail = list; /* at most the blocks of one slab */
            while (hak_block_next(tail) != NULL) {
                tail = hak_block_next(tail);
            }
            hak_block_link(tail, slab->free);
        }
        slab->free = list;
    }
    uint32_t used = hak_load_rlx(&slab->used) - count; /* relaxed: written inside the owner lock */
    hak_debug_assert(used <= slab->cap);
    hak_store_rlx(&slab->used, used);
    if ((!slab->listed && count != 0) || used == 0) {
        hak_free_local_edge_owner(heap, slab, used);
    }
}

/* A slab is retired when its last block comes back, unless it is the last of its class. So an
 * empty slab stands near the head of its list: a few steps find it, however many slabs the heap
 * has. */
static unsigned hak_retire_class(hak_heap_t *heap, unsigned sc) {
    enum { STEPS = 4 };
    unsigned retired = 0;
    hak_slab_t *slab = heap->partial[sc];
    for (unsigned i = 0; slab != NULL && i < STEPS; i++) {
        hak_slab_t *next = slab->next;
        /* relaxed: inside the lock */
        if (hak_load_rlx(&slab->used) == 0 && !hak_free_remote_is_queued(slab)) {
            hak_retire(heap, slab);
            retired++;
        }
        slab = next;
    }
    return retired;
}

unsigned hak_free_local_retire_kept_owner(hak_heap_t *heap) {
    unsigned retired = 0;
    for (unsigned word = 0; word < 2; word++) {
        uint64_t mask = hak_load_rlx(&heap->partial_mask[word]); /* relaxed: inside the lock */
        for (; mask != 0; mask &= mask - 1) {
            retired += hak_retire_class(heap, word * 64 + hak_lowest_bit(mask));
        }
    }
    return retired;
}
