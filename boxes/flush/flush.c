#include "boxes/flush/flush.h"

#include "boxes/free_local/free_local_inl.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/slab/slab_inl.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/owner_lock/owner_lock_inl.h"

enum {
    HAK_LOOK_SLABS = 16, /* opened between two looks, at least */
    HAK_LOOK_PART = 8,   /* or an eighth of what the heap has */
};

/* True if the bin holds blocks of slabs: a class has one backend, and others flush theirs. */
static bool hak_is_ours(unsigned sc) {
    const hak_block_t *head = hak_tls.bin[sc].head;
    return head != NULL && hak_slab_of((uintptr_t)head) != NULL;
}

/* Blocks at the front of a list that lie in one 64 KiB unit, and so in one slab. */
typedef struct {
    hak_block_t *head, *tail;
    uint32_t count;
} hak_run_t;

static hak_run_t hak_front_run(hak_block_t *list, uint32_t most) {
    hak_run_t run = {list, list, 1};
    hak_block_t *next = hak_block_next(list);
    while (run.count < most && next != NULL &&
           ((uintptr_t)next ^ (uintptr_t)list) >> HAK_UNIT_SHIFT == 0) {
        run.tail = next;
        run.count++;
        next = hak_block_next(next);
    }
    return run;
}

/* The slab may have moved to another heap while the blocks were in the bin: then they go there as
 * remote frees. */
static void hak_put_back(hak_heap_t *mine, hak_run_t run, unsigned sc) {
    hak_slab_t *slab = hak_slab_of_block(run.head);
    if (hak_likely(hak_slab_heap(slab) == mine)) {
        hak_free_local_push_run_owner(mine, slab, run.head, run.tail, run.count);
        return;
    }
    hak_block_t *block = run.head;
    for (uint32_t i = 0; i < run.count; i++) {
        hak_block_t *next = hak_block_next(block);
        /* refuses only what no one may have freed */
        (void)hak_free_remote_add(mine, slab, block, sc);
        block = next;
    }
}

uint32_t hak_flush_list_locked(hak_heap_t *mine, unsigned sc, hak_block_t **list, uint32_t most) {
    uint32_t count = 0;
    while (*list != NULL && count < most) {
        hak_run_t run = hak_front_run(*list, most - count);
        *list = hak_block_next(run.tail);
        hak_put_back(mine, run, sc);
        count += run.count;
    }
    hak_count_add(&mine->counters.flushed_blocks, count);
    return count;
}

/* Owner lock held. */
static void hak_flush_bin(hak_heap_t *mine, unsigned sc) {
    hak_block_t *list = hak_tls_sll_take_all(sc, mine->bin_cap[sc]);
    (void)hak_flush_list_locked(mine, sc, &list, UINT32_MAX);
}

void hak_flush_all_owner(hak_heap_t *mine) {
    hak_owner_lock_take_owner(&mine->lock);
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        if (hak_is_ours(sc)) {
            hak_flush_bin(mine, sc);
        }
    }
    hak_free_remote_flush(mine);
    hak_owner_lock_drop_owner(&mine->lock);
}

/* Owner lock held. */
static void hak_flush_still_bins(hak_heap_t *mine, uint64_t now_ms) {
    mine->bins_seen_ms = now_ms;
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        const hak_block_t *seen = mine->bin_seen[sc];
        if (seen != NULL && hak_tls.bin[sc].head == seen && hak_is_ours(sc)) {
            hak_flush_bin(mine, sc);
        }
        mine->bin_seen[sc] = hak_tls.bin[sc].head;
    }
}

void hak_flush_idle_owner(hak_heap_t *mine, uint64_t now_ms, uint64_t delay_ms) {
    if (now_ms - mine->bins_seen_ms < delay_ms) {
        return;
    }
    hak_owner_lock_take_owner(&mine->lock);
    hak_flush_still_bins(mine, now_ms);
    hak_owner_lock_drop_owner(&mine->lock);
}

void hak_flush_growing_locked(hak_heap_t *mine, uint64_t now_ms) {
    /* relaxed: written inside the lock */
    uint64_t made = hak_load_rlx(&mine->counters.slabs_made);
    if (made < mine->bins_look_at) {
        return;
    }
    uint64_t retired = hak_load_rlx(&mine->counters.slabs_retired);
    uint64_t part = retired < made ? (made - retired) / HAK_LOOK_PART : 0;
    mine->bins_look_at = made + (part > HAK_LOOK_SLABS ? part : HAK_LOOK_SLABS);
    hak_flush_still_bins(mine, now_ms);
}
