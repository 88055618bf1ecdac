#include "boxes/pool_remote/pool_remote.h"

void hak_pool_remote_init(hak_pool_remote_t *queue) {
    queue->lock = (hak_lock_t)HAK_LOCK_INIT(HAK_RANK_POOL_REMOTE);
    hak_store_rlx(&queue->head, 0); /* relaxed: nobody else knows the queue yet */
}

void hak_pool_remote_push_mt(hak_pool_remote_t *queue, hak_block_t *block) {
    hak_lock_take(&queue->lock);
    hak_block_link(block, (hak_block_t *)hak_load_rlx(&queue->head)); /* relaxed: under the lock */
    /* The one step that makes the block part of the queue. release: pairs with the acquire of
     * hak_check, which walks the queue without the lock. */
    hak_store_rel(&queue->head, (uintptr_t)block);
    hak_lock_drop(&queue->lock);
}

hak_block_t *hak_pool_remote_take_owner(hak_pool_remote_t *queue) {
    if (hak_pool_remote_is_empty(queue)) {
        return NULL;
    }
    hak_lock_take(&queue->lock);
    hak_block_t *list = (hak_block_t *)hak_load_rlx(&queue->head); /* relaxed: under the lock */
    hak_store_rlx(&queue->head, 0);
    hak_lock_drop(&queue->lock);
    return list;
}

void hak_pool_remote_reset(hak_pool_remote_t *queue) { hak_lock_reset(&queue->lock); }
