#include "boxes/pool_remote/pool_remote.h"

void hak_pool_remote_init(hak_pool_remote_t *queue) {
    hak_store_rlx(&queue->head, 0); /* relaxed: nobody else knows the queue yet */
}

void hak_pool_remote_push_mt(hak_pool_remote_t *queue, hak_block_t *block) {
    uintptr_t head = hak_load_rlx(&queue->head); /* relaxed: a guess, the CAS checks it */
    do {
        hak_block_link(block, (hak_block_t *)head);
        /* release: publishes the link, and all that was done with the block before it was freed.
         * Pairs with the acquire in hak_pool_remote_take_owner. The links below were published by
         * earlier pushes, whose release this read-modify-write continues. */
    } while (!hak_cas_weak_rel(&queue->head, &head, (uintptr_t)block));
}

hak_block_t *hak_pool_remote_take_owner(hak_pool_remote_t *queue) {
    if (hak_pool_remote_is_empty(queue)) {
        return NULL;
    }
    /* acquire: pairs with the release in hak_pool_remote_push_mt */
    return (hak_block_t *)hak_swap_acq(&queue->head, 0);
}

void hak_pool_remote_reset(hak_pool_remote_t *queue) { (void)queue; }
