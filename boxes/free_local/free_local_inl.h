/* free_local_inl: blocks back to their slab. */
#ifndef HAK_BOXES_FREE_LOCAL_FREE_LOCAL_INL_H_
#define HAK_BOXES_FREE_LOCAL_FREE_LOCAL_INL_H_

#include "base/attr.h"
#include "boxes/free_local/free_local.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"

/* Puts `count` blocks back, linked from `head` to `tail`. Owner lock held. */
hak_inline void hak_free_local_push_run_owner(hak_heap_t *heap, hak_slab_t *slab, hak_block_t *head,
                                              hak_block_t *tail, uint32_t count) {
    /* relaxed: written inside the owner lock, read by statistics */
    uint32_t used = hak_load_rlx(&slab->used) - count;
    hak_debug_assert(used < slab->cap);
    hak_block_link(tail, slab->free);
    slab->free = head;
    hak_store_rlx(&slab->used, used);
    if (hak_unlikely(!slab->listed || used == 0)) {
        hak_free_local_edge_owner(heap, slab, used);
    }
}

#endif /* HAK_BOXES_FREE_LOCAL_FREE_LOCAL_INL_H_ */
