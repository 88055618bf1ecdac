#include "boxes/mid_remote/mid_remote.h"

#include "config/hak_config.h"
#include "core/errors/errors.h"

#define HAK_QUEUED 1ull
#define HAK_HEAD_MASK 0x0000fffffffffff0ull
enum { HAK_COUNT_SHIFT = 48 };

static hak_block_t *hak_head(uint64_t word) {
    return (hak_block_t *)(uintptr_t)(word & HAK_HEAD_MASK);
}

void hak_mid_remote_push_mt(hak_mid_chunk_t *chunk, hak_block_t *block) {
    uint64_t old = hak_load_rlx(&chunk->remote); /* relaxed: a guess, the CAS checks it */
    uint64_t word;
    do {
        hak_block_link(block, hak_head(old));
        word = ((old >> HAK_COUNT_SHIFT) + 1) << HAK_COUNT_SHIFT | (uintptr_t)block | HAK_QUEUED;
        /* release: publishes the link. Pairs with the acquire of take_unqueue. acquire: who queues
         * the chunk must see whose it is; pairs with take_unqueue of an earlier owner. */
    } while (!hak_cas_weak_acq_rel(&chunk->remote, &old, word));
    if ((old & HAK_QUEUED) == 0) {
        hak_mid_remote_queue_mt(hak_mid_chunk_owner(chunk), chunk);
    }
}

hak_block_t *hak_mid_remote_take_unqueue_owner(hak_mid_chunk_t *chunk, uint32_t *count) {
    /* acquire: pairs with the release in push. release: our read of pending_next comes before the
     * next push's write. */
    uint64_t old = hak_swap_acq_rel(&chunk->remote, 0);
    hak_debug_assert((old & HAK_QUEUED) != 0);
    *count = (uint32_t)(old >> HAK_COUNT_SHIFT);
    return hak_head(old);
}

void hak_mid_remote_queue_mt(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk) {
    uintptr_t old = hak_load_rlx(&heap->pending); /* relaxed: a guess, the CAS checks it */
    do {
        chunk->pending_next = (hak_mid_chunk_t *)old;
        /* release: publishes pending_next. Pairs with the acquire in hak_mid_remote_next_owner. */
    } while (!hak_cas_weak_rel(&heap->pending, &old, (uintptr_t)chunk));
}

hak_mid_chunk_t *hak_mid_remote_next_owner(hak_mid_heap_t *heap) {
    uintptr_t next = hak_load_rlx(&heap->drain_next); /* relaxed: written inside the lock */
    if (next == 0 && hak_load_rlx(&heap->pending) != 0) {
        /* pairs with the release in hak_mid_remote_queue_mt */
        next = hak_swap_acq(&heap->pending, 0);
    }
    hak_mid_chunk_t *chunk = (hak_mid_chunk_t *)next;
    if (chunk != NULL) {
        hak_store_rlx(&heap->drain_next, (uintptr_t)chunk->pending_next); /* relaxed: as above */
    }
    return chunk;
}

void hak_mid_remote_forget_owner(hak_mid_heap_t *heap) {
    hak_store_rlx(&heap->pending, 0); /* relaxed: one thread left */
    hak_store_rlx(&heap->drain_next, 0);
}
