/* free_remote_inl: one more block into a batch that is open, which is most of what a thread does
 * that frees the blocks of others. */
#ifndef HAK_BOXES_FREE_REMOTE_FREE_REMOTE_INL_H_
#define HAK_BOXES_FREE_REMOTE_FREE_REMOTE_INL_H_

#include "base/attr.h"
#include "boxes/free_remote/free_remote.h"
#include "config/hak_config.h"
#include "registry/registry_inl.h"

/* One of the places that a batch for blocks of this unit can have. */
hak_inline hak_batch_t *hak_free_remote_place(hak_heap_t *mine, uintptr_t unit, uintptr_t way) {
    return &mine->batch[(unit % HAK_BATCH_SLOTS) ^ way];
}

/* The batch for blocks of this unit; another one if none is open. */
hak_inline hak_batch_t *hak_free_remote_batch(hak_heap_t *mine, uintptr_t unit) {
    hak_static_assert(HAK_BATCH_WAYS == 4, "looks at each");
    hak_batch_t *batch = hak_free_remote_place(mine, unit, 0);
    batch = batch->unit == unit ? batch : hak_free_remote_place(mine, unit, 1);
    batch = batch->unit == unit ? batch : hak_free_remote_place(mine, unit, 2);
    return batch->unit == unit ? batch : hak_free_remote_place(mine, unit, 3);
}

/* True if a block of the batch's slab that has been carved starts there, and the batch need not be
 * sent with it. `bytes`: in all batches with it. */
hak_inline bool hak_free_remote_fits(const hak_batch_t *batch, uintptr_t address, uint64_t bytes) {
    return batch->unit == address >> HAK_UNIT_SHIFT && address < batch->limit &&
           batch->count < HAK_BATCH_MAX_BLOCKS - 1 && bytes < HAK_BATCH_MAX_BYTES &&
           (uint16_t)address * batch->divisor < batch->divisor;
}

/* Marks a live block as free; false if it is marked already. */
hak_inline bool hak_free_remote_mark(hak_block_t *block) {
    uintptr_t mark = hak_registry_mark((uintptr_t)block);
    if (hak_cfg_check_double_free && hak_unlikely(hak_block_has_mark(block, mark))) {
        return false;
    }
    if (hak_cfg_check_double_free) {
        hak_block_set_mark(block, mark);
    }
    return true;
}

/* Frees any pointer of the program's into the open batch of its unit. False if there is none, if
 * that has to be sent then, or if no live block starts there: look closer, nothing has changed.
 * Where a slab has several units only the slow side can tell. */
hak_inline bool hak_free_remote_extend(hak_heap_t *mine, void *pointer) {
    hak_block_t *block = (hak_block_t *)pointer;
    hak_batch_t *batch = hak_free_remote_batch(mine, (uintptr_t)pointer >> HAK_UNIT_SHIFT);
    /* relaxed: our own */
    uint64_t bytes = hak_load_rlx(&mine->batched_bytes) + batch->block_bytes;
    if (!hak_free_remote_fits(batch, (uintptr_t)pointer, bytes) || !hak_free_remote_mark(block)) {
        return false;
    }
    hak_poison(block, batch->block_bytes);
    hak_block_link(block, batch->head);
    batch->head = block;
    batch->count++;
    hak_store_rlx(&mine->batched_bytes, bytes);
    return true;
}

#endif /* HAK_BOXES_FREE_REMOTE_FREE_REMOTE_INL_H_ */
