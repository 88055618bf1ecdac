/* flush_inl: one block from the thread cache to its slab. */
#ifndef HAK_BOXES_FLUSH_FLUSH_INL_H_
#define HAK_BOXES_FLUSH_FLUSH_INL_H_

#include "boxes/flush/flush.h"
#include "boxes/free_local/free_local_inl.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/slab/slab_inl.h"

/* The slab may have moved to another heap while the block was in the bin: then it goes there as a
 * remote free. Inside the owner lock of `mine`: whose the slab is cannot change if it is ours, and
 * does not matter if it is not. */
hak_inline void hak_flush_put_back(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_slab_t *slab = hak_slab_of_block(block);
    if (hak_likely(hak_slab_heap(slab) == mine)) {
        hak_free_local_push_owner(mine, slab, block);
    } else {
        /* refuses only what no one may have freed */
        (void)hak_free_remote_add(mine, slab, block, sc);
    }
}

#endif /* HAK_BOXES_FLUSH_FLUSH_INL_H_ */
