#include "boxes/free_remote/free_remote.h"

#include "boxes/free_remote/free_remote_inl.h"
#include "boxes/pending/pending.h"
#include "config/hak_config.h"
#include "core/dyn_class/dyn_class.h"
#include "core/errors/errors.h"

#define HAK_QUEUED 1ull
#define HAK_HEAD_MASK 0x0000fffffffffff0ull
enum { HAK_COUNT_SHIFT = 48 };
enum {
    HAK_LACK_MOST = HAK_BATCH_SHORT - 1, /* of a batch with one block */
    /* 2,048 such do not come by chance, nor because the owners' lists are short for a while: with
     * 512 half of all runs of one thread that frees 64 B for seven ended in passing blocks on,
     * which mixes all slabs and so keeps batches short. */
    HAK_CROWDED = 2048 * HAK_LACK_MOST,
    /* Once it is clear, each 64 more tell it of one more class. */
    HAK_CROWDED_NEXT = 64 * HAK_LACK_MOST,
};

static hak_block_t *hak_head(uint64_t word) {
    return (hak_block_t *)(uintptr_t)(word & HAK_HEAD_MASK);
}

void hak_free_remote_push_mt(hak_slab_t *slab, hak_block_t *head, hak_block_t *tail,
                             uint32_t count) {
    uint64_t old = hak_load_rlx(&slab->remote); /* relaxed: a guess, the CAS checks it */
    uint64_t word;
    do {
        hak_block_link(tail, hak_head(old));
        word = ((old >> HAK_COUNT_SHIFT) + count) << HAK_COUNT_SHIFT | (uintptr_t)head | HAK_QUEUED;
        /* release: publishes the links. Pairs with the acquire of take and take_unqueue. acquire:
         * who queues the slab must see which heap has it; pairs with take_unqueue of an earlier
         * owner. */
    } while (!hak_cas_weak_acq_rel(&slab->remote, &old, word));
    if ((old & HAK_QUEUED) == 0) {
        hak_pending_push_mt(hak_slab_heap(slab), slab);
    }
}

hak_block_t *hak_free_remote_take_owner(hak_slab_t *slab, uint32_t *count) {
    uint64_t old = hak_load_rlx(&slab->remote); /* relaxed: a guess, the CAS checks it */
    /* acquire: pairs with the release in push. No release: nothing of ours is handed over, and what
     * earlier pushes published stays so, because a swap goes on with their release sequence. */
    while (!hak_cas_weak_acq(&slab->remote, &old, old & HAK_QUEUED)) {
    }
    *count = (uint32_t)(old >> HAK_COUNT_SHIFT);
    return hak_head(old);
}

hak_block_t *hak_free_remote_take_unqueue_owner(hak_slab_t *slab, uint32_t *count) {
    /* acquire: pairs with the release in push. release: our read of pending_next comes before the
     * next push's write. */
    uint64_t old = hak_swap_acq_rel(&slab->remote, 0);
    hak_debug_assert((old & HAK_QUEUED) != 0);
    *count = (uint32_t)(old >> HAK_COUNT_SHIFT);
    return hak_head(old);
}

uint32_t hak_free_remote_unqueue_owner(hak_slab_t *slab) {
    uint64_t old = hak_load_rlx(&slab->remote); /* relaxed: a guess, the CAS checks it */
    /* release: our read of pending_next comes before the next push's write; pairs with the acquire
     * in push. No acquire: the blocks stay, and who takes them synchronises with who pushed them,
     * because this goes on with the release sequence. */
    while (!hak_cas_weak_rel(&slab->remote, &old, old & ~HAK_QUEUED)) {
    }
    return (uint32_t)(old >> HAK_COUNT_SHIFT);
}

void hak_free_remote_send_run(hak_heap_t *mine, hak_slab_t *slab, hak_block_t *head,
                              hak_block_t *tail, uint32_t count) {
    hak_free_remote_push_mt(slab, head, tail, count);
    hak_count_add(&mine->counters.remote_blocks, count);
    hak_count_add(&mine->counters.remote_batches, 1);
}

static void hak_send(hak_heap_t *mine, hak_batch_t *batch) {
    uint64_t bytes = (uint64_t)batch->count * batch->block_bytes;
    hak_free_remote_send_run(mine, batch->slab, batch->head, batch->tail, batch->count);
    hak_count_add(&mine->batched_bytes, -bytes);
    batch->slab = NULL;
    batch->limit = 0;
}

/* By how much batches are shorter than they should be, on the average of late: a slab that its
 * owner is done with leaves a short one now and then. */
static void hak_note_length(hak_heap_t *mine, uint32_t count) {
    uint32_t lack = mine->batch_lack + HAK_BATCH_SHORT;
    mine->batch_lack = lack > count ? lack - count : 0;
}

/* Starts a batch with one block. */
static bool hak_open(hak_heap_t *mine, hak_batch_t *batch, hak_slab_t *slab, hak_block_t *block,
                     unsigned sc) {
    uint32_t bytes = hak_dyn_class_bytes(sc);
    uintptr_t limit = hak_slab_carved_end(slab);
    if (hak_unlikely((uintptr_t)block >= limit)) {
        return false;
    }
    if (batch->slab != NULL) {
        hak_note_length(mine, batch->count);
        hak_send(mine, batch);
    }
    hak_block_link(block, NULL);
    uintptr_t unit = (uintptr_t)block >> HAK_UNIT_SHIFT;
    *batch = (hak_batch_t){slab, block, block, unit, limit, 1, bytes, hak_sc_divisor[sc]};
    return true;
}

static bool hak_extend(hak_batch_t *batch, hak_block_t *block) {
    if (hak_unlikely((uintptr_t)block >= batch->limit)) {
        batch->limit = hak_slab_carved_end(batch->slab);
        if ((uintptr_t)block >= batch->limit) {
            return false;
        }
    }
    hak_block_link(block, batch->head);
    batch->head = block;
    batch->count++;
    return true;
}

/* The open batch of the slab, or where one of it goes: the first of its places that is free, else
 * they take turns. Which was used last nobody notes: slabs of several threads come by turns too. */
static hak_batch_t *hak_place(hak_heap_t *mine, const hak_slab_t *slab, const hak_block_t *block) {
    uintptr_t unit = (uintptr_t)block >> HAK_UNIT_SHIFT;
    hak_batch_t *place = NULL;
    for (unsigned way = 0; way < HAK_BATCH_WAYS; way++) {
        hak_batch_t *batch = hak_free_remote_place(mine, unit, way);
        if (batch->slab == slab) {
            return batch;
        }
        place = batch->slab == NULL && place == NULL ? batch : place;
    }
    unsigned turn = mine->batch_turn++ % HAK_BATCH_WAYS;
    return place != NULL ? place : hak_free_remote_place(mine, unit, turn);
}

bool hak_free_remote_add(hak_heap_t *mine, hak_slab_t *slab, hak_block_t *block, unsigned sc) {
    hak_batch_t *batch = hak_place(mine, slab, block);
    bool added = hak_likely(batch->slab == slab) ? hak_extend(batch, block)
                                                 : hak_open(mine, batch, slab, block, sc);
    if (hak_unlikely(!added)) {
        return false;
    }
    hak_count_add(&mine->batched_bytes, batch->block_bytes);
    if (hak_unlikely(batch->count == HAK_BATCH_MAX_BLOCKS)) {
        hak_note_length(mine, batch->count);
        hak_send(mine, batch);
        /* relaxed: our own */
    } else if (hak_unlikely(hak_load_rlx(&mine->batched_bytes) >= HAK_BATCH_MAX_BYTES)) {
        hak_free_remote_flush(mine);
    }
    return true;
}

bool hak_free_remote_was_crowded(hak_heap_t *mine) {
    if (hak_likely(mine->batch_lack < HAK_CROWDED)) {
        return false;
    }
    mine->batch_lack -= HAK_CROWDED_NEXT;
    return true;
}

void hak_free_remote_flush(hak_heap_t *mine) {
    /* relaxed: as above */
    for (unsigned i = 0; hak_load_rlx(&mine->batched_bytes) != 0 && i < HAK_BATCH_SLOTS; i++) {
        if (mine->batch[i].slab != NULL) {
            hak_send(mine, &mine->batch[i]);
        }
    }
}
