#include "boxes/flush/flush.h"

#include "boxes/flush/flush_inl.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/owner_lock/owner_lock_inl.h"

void hak_flush_all_owner(hak_heap_t *mine) {
    hak_owner_lock_take_owner(&mine->lock);
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        const hak_block_t *head = hak_tls.bin[sc].head;
        if (head != NULL && hak_slab_of((uintptr_t)head) == NULL) {
            continue; /* a class has one backend, and this one's is another */
        }
        hak_block_t *block = hak_tls_sll_take_all(sc, mine->bin_cap[sc]);
        uint64_t count = 0;
        while (block != NULL) {
            hak_block_t *next = hak_block_next(block);
            hak_flush_put_back(mine, block, sc);
            block = next;
            count++;
        }
        hak_count_add(&mine->counters.flushed_blocks, count);
    }
    hak_free_remote_flush(mine);
    hak_owner_lock_drop_owner(&mine->lock);
}
