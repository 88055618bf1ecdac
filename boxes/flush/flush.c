#include "boxes/flush/flush.h"

#include "boxes/free_local/free_local_inl.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/slab/slab_inl.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/owner_lock/owner_lock_inl.h"
#include "include/hakmem.h"

enum {
    /* A heap looks at its bins when it has opened so many slabs since the last look, */
    HAK_OPENED_SLABS = 16, /* at least, */
    HAK_OPENED_PART = 8,   /* or this part of those that it has; */
    /* and when memory has grown by so many slots and is about to grow once more. */
    HAK_GROWN_SLOTS = 4,
    HAK_GROWN_PART = 64,
    /* a look that had so many slabs given back was worth another at once */
    HAK_WORTH_SLABS = 4,
    HAK_SPREAD_SLABS = 8,
    HAK_SPREAD_RATIO = 4,
};

/* True if the bin holds blocks of slabs: a class has one backend, and others flush theirs. */
static bool hak_is_ours(unsigned sc) {
    const hak_block_t *head = hak_tls.bin[sc].head;
    return head != NULL && hak_slab_of((uintptr_t)head) != NULL;
}

/* Blocks at the front of a list that lie in one 64 KiB unit, and so in one slab. */
typedef struct {
    hak_block_t *head, *tail;
    uintptr_t highest; /* address of a block among them */
    uint32_t count;
} hak_run_t;

/* The block behind `block` in its list. Most lists run through memory at an even step: then the
 * processor goes on from the guess and does not wait for the load that confirms it, which it would
 * for each block of a long walk. The empty asms keep the compiler from seeing that both are equal.
 * (Mazzoli: Beating the L1 cache with value speculation, 2021.) */
static inline hak_block_t *hak_next_at_step(hak_block_t *block, uintptr_t step) {
    hak_block_t *next = hak_block_next(block);
    hak_block_t *guess = (hak_block_t *)((uintptr_t)block + step);
    uintptr_t off = (uintptr_t)next - (uintptr_t)guess;
    __asm__("" : "+r"(off));
    if (off != 0) {
        guess = next;
        __asm__ volatile("" : "+r"(guess));
    }
    return guess;
}

hak_inline hak_run_t hak_front_run(hak_block_t *list, uint32_t most) {
    hak_run_t run = {list, list, (uintptr_t)list, 1};
    hak_block_t *next = hak_block_next(list);
    uintptr_t step = (uintptr_t)next - (uintptr_t)list;
    while (run.count < most && next != NULL &&
           ((uintptr_t)next ^ (uintptr_t)list) >> HAK_UNIT_SHIFT == 0) {
        run.tail = next;
        run.highest = (uintptr_t)next > run.highest ? (uintptr_t)next : run.highest;
        run.count++;
        next = hak_next_at_step(next, step);
    }
    return run;
}

/* Blocks of another heap's slab go there as remote frees: a run that is no short batch as it is,
 * the blocks of others into the open batch of their slab. One that was never carved, which the hit
 * path cannot tell, stays behind. */
static void hak_put_back(hak_heap_t *mine, hak_run_t run, unsigned sc) {
    hak_slab_t *slab = hak_slab_of_block(run.head);
    if (hak_likely(hak_slab_heap(slab) == mine)) {
        hak_free_local_push_run_owner(mine, slab, run.head, run.tail, run.count);
        return;
    }
    if (run.count >= HAK_BATCH_SHORT && run.highest < hak_slab_carved_end(slab)) {
        hak_free_remote_send_run(mine, slab, run.head, run.tail, run.count);
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

uint32_t hak_flush_own_locked(hak_heap_t *mine, hak_block_t **list, uint32_t most) {
    hak_block_t *rest = *list; /* not through `list`, which might be a block's link: stores would
                                  have to be waited for */
    uint32_t count = 0;
    while (rest != NULL && count < most) {
        hak_slab_t *slab = hak_slab_of_block(rest);
        if (hak_slab_heap(slab) != mine) {
            break;
        }
        hak_run_t run = hak_front_run(rest, most - count);
        rest = hak_block_next(run.tail);
        hak_free_local_push_run_owner(mine, slab, run.head, run.tail, run.count);
        count += run.count;
    }
    *list = rest;
    hak_count_add(&mine->counters.flushed_blocks, count);
    return count;
}

static hak_a64_t hak_sent_blocks, hak_sent_runs;

static void hak_send_home_mt(hak_slab_t *slab, hak_run_t run) {
    hak_free_remote_push_mt(slab, run.head, run.tail, run.count);
    /* relaxed, both: statistics */
    (void)hak_add_rlx(&hak_sent_blocks, run.count);
    (void)hak_add_rlx(&hak_sent_runs, 1);
}

void hak_flush_stats_mt(hak_stats_t *stats) {
    /* relaxed, both: statistics */
    stats->remote_blocks += hak_load_rlx(&hak_sent_blocks);
    stats->remote_batches += hak_load_rlx(&hak_sent_runs);
}

void hak_flush_list_guest_locked(hak_heap_t *heap, hak_block_t *list) {
    while (list != NULL) {
        hak_run_t run = hak_front_run(list, UINT32_MAX);
        list = hak_block_next(run.tail);
        hak_slab_t *slab = hak_slab_of_block(run.head);
        if (hak_slab_heap(slab) == heap) {
            hak_free_local_push_run_owner(heap, slab, run.head, run.tail, run.count);
        } else {
            hak_send_home_mt(slab, run);
        }
        hak_count_add(&heap->counters.flushed_blocks, run.count);
    }
}

void hak_flush_list_mt(hak_block_t *list) {
    while (list != NULL) {
        hak_run_t run = hak_front_run(list, UINT32_MAX);
        list = hak_block_next(run.tail);
        hak_send_home_mt(hak_slab_of_block(run.head), run);
    }
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

/* True if the class has several slabs with room and its bin may be all that keeps them in use: the
 * bin holds at least a quarter of what the first of them count as used. Such a bin is small and
 * what it keeps from other sizes is not: 100 blocks may be spread over 100 slabs. */
static bool hak_is_spread(const hak_heap_t *mine, unsigned sc) {
    const hak_slab_t *slab = mine->partial[sc];
    if (slab == NULL || slab->next == NULL || mine->home_left[sc] != 0) {
        return false;
    }
    /* relaxed, both: written inside the lock, or our own */
    int64_t cached = (int64_t)hak_load_rlx(&mine->cached_max[sc]) - hak_tls.bin[sc].room;
    int64_t used = 0;
    for (int i = 0; i < HAK_SPREAD_SLABS && slab != NULL; i++, slab = slab->next) {
        used += hak_load_rlx(&slab->used);
    }
    return cached * HAK_SPREAD_RATIO >= used;
}

void hak_flush_idle_owner(hak_heap_t *mine, uint64_t now_ms, uint64_t delay_ms) {
    if (now_ms - mine->bins_seen_ms < delay_ms) {
        return;
    }
    hak_owner_lock_take_owner(&mine->lock);
    hak_flush_still_bins(mine, now_ms);
    hak_owner_lock_drop_owner(&mine->lock);
}

static void hak_flush_spread_bins(hak_heap_t *mine) {
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        if (hak_is_spread(mine, sc) && hak_is_ours(sc)) {
            hak_flush_bin(mine, sc);
        }
    }
    (void)hak_free_local_retire_kept_owner(mine);
}

/* Bit per class: the thread has free blocks of it, in the bin or in slabs. */
static void hak_classes_with_room(const hak_heap_t *mine, uint64_t out[2]) {
    out[0] = hak_load_rlx(&mine->partial_mask[0]); /* relaxed, both: written inside the lock */
    out[1] = hak_load_rlx(&mine->partial_mask[1]);
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        out[sc >> 6] |= (uint64_t)(hak_tls.bin[sc].head != NULL) << (sc & 63);
    }
}

/* Whatever a look has given back may be opened again at once, and that is no growth: the first slab
 * of each class that it left without any does not count. Without this a thread that has a few
 * blocks of each size would open them all again after each look, and so cause the next one. */
void hak_flush_opening_locked(hak_heap_t *mine, unsigned sc, uint64_t now_ms) {
    uint64_t bit = 1ull << (sc & 63);
    if ((mine->bins_emptied[sc >> 6] & bit) != 0) {
        mine->bins_emptied[sc >> 6] &= ~bit;
        mine->bins_look_at++;
    }
    uint64_t made = hak_load_rlx(&mine->counters.slabs_made); /* relaxed: inside the lock */
    if (made < mine->bins_look_at) {
        return;
    }
    uint64_t retired = hak_load_rlx(&mine->counters.slabs_retired); /* relaxed: the same */
    uint64_t part = retired < made ? (made - retired) / HAK_OPENED_PART : 0;
    uint64_t before[2], after[2];
    hak_classes_with_room(mine, before);
    hak_flush_still_bins(mine, now_ms);
    hak_flush_spread_bins(mine);
    hak_classes_with_room(mine, after);
    mine->bins_emptied[0] = before[0] & ~after[0];
    mine->bins_emptied[1] = before[1] & ~after[1];
    mine->bins_look_at = made + (part > HAK_OPENED_SLABS ? part : HAK_OPENED_SLABS);
}

bool hak_flush_growing_locked(hak_heap_t *mine) {
    uint64_t touched = hak_slot_pool_touched();
    uint64_t part = touched / HAK_GROWN_PART;
    uint64_t step = part > HAK_GROWN_SLOTS ? part : HAK_GROWN_SLOTS;
    /* further off than a step: it was set before memory went back to the kernel */
    if (touched < mine->bins_grow_at && mine->bins_grow_at <= touched + step) {
        return false;
    }
    /* relaxed, both: written inside the lock */
    uint64_t before = hak_load_rlx(&mine->counters.slabs_retired);
    hak_flush_spread_bins(mine);
    bool worth = hak_load_rlx(&mine->counters.slabs_retired) >= before + HAK_WORTH_SLABS;
    mine->bins_grow_at = touched + (worth ? 0 : step);
    return true;
}
