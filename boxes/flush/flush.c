#include "boxes/flush/flush.h"

#include "boxes/free_local/free_local_inl.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/slab/slab_inl.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/owner_lock/owner_lock_inl.h"

/* Inside the owner lock: whose the slab is cannot change if it is ours, and does not matter if it
 * is not. */
hak_inline void hak_put_back(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_slab_t *slab = hak_slab_of_block(block);
    if (hak_likely(hak_slab_heap(slab) == mine)) {
        hak_free_local_push_owner(mine, slab, block);
    } else {
        /* refuses only what no one may have freed */
        (void)hak_free_remote_add(mine, slab, block, sc);
    }
}

void hak_flush_block_owner(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_tls.bin[sc].room++;
    mine->overflowed[sc >> 6] |= 1ull << (sc & 63);
    hak_owner_lock_take_owner(&mine->lock);
    hak_put_back(mine, block, sc);
    hak_count_add(&mine->counters.flushed_blocks, 1);
    hak_owner_lock_drop_owner(&mine->lock);
}

void hak_flush_all_owner(hak_heap_t *mine) {
    hak_owner_lock_take_owner(&mine->lock);
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        hak_block_t *block = hak_tls_sll_take_all(sc, mine->bin_cap[sc]);
        uint64_t count = 0;
        while (block != NULL) {
            hak_block_t *next = hak_block_next(block);
            hak_put_back(mine, block, sc);
            block = next;
            count++;
        }
        hak_count_add(&mine->counters.flushed_blocks, count);
    }
    hak_free_remote_flush(mine);
    hak_owner_lock_drop_owner(&mine->lock);
}
