#include "boxes/flush/flush.h"

#include "boxes/flush/flush_inl.h"
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

/* Owner lock held. */
static void hak_flush_bin(hak_heap_t *mine, unsigned sc) {
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
