#include "backends/mid_mt/mid_mt.h"

#include <errno.h>

#include "backends/mid_mt/mid_mt_internal.h"
#include "backends/os/os.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/mid_adoption/mid_adoption.h"
#include "boxes/mid_registry/mid_registry.h"
#include "boxes/mid_remote/mid_remote.h"
#include "boxes/mid_return/mid_return.h"
#include "boxes/mid_segment/mid_segment.h"
#include "boxes/mid_supply/mid_supply.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/options/options.h"
#include "core/owner_lock/owner_lock_inl.h"

enum {
    HAK_DRAIN_CHUNKS = 8, /* chunks to take remote frees of in one refill */
    HAK_PURGE_CHUNKS = 64,
    HAK_PURGE_HEAPS = 16,
};

/* The size of the heap's next chunk of the class. Adaptive: the first is small, each further one is
 * twice as large. */
static size_t hak_chunk_bytes(hak_mid_heap_t *heap, unsigned index) {
    size_t most = (size_t)hak_option(HAK_OPTION_MID_CHUNK_MB) << 20;
    if (hak_option(HAK_OPTION_MID_CHUNK_ADAPTIVE) == 0) {
        return most;
    }
    size_t next = heap->next_bytes[index];
    if (next == 0) {
        next = (size_t)1 << HAK_MID_LEAST_CHUNK_SHIFT;
    }
    heap->next_bytes[index] = (uint32_t)(2 * next < most ? 2 * next : most);
    return next < most ? next : most;
}

/* A chunk from mid_supply, open and registered. */
static hak_mid_chunk_t *hak_open_chunk(hak_mid_heap_t *heap, unsigned sc) {
    hak_mid_chunk_t *chunk = hak_mid_supply_take_mt(hak_chunk_bytes(heap, hak_mid_index(sc)));
    if (chunk == NULL) {
        return NULL;
    }
    /* relaxed: we alone have the chunk */
    uint32_t bytes = (uint32_t)hak_load_rlx(&chunk->segment.chunk_size);
    hak_mid_entry_t entry = {hak_region_base(&chunk->region), bytes, sc, chunk};
    if (!hak_mid_registry_add_mt(&entry)) {
        hak_mid_supply_give_mt(chunk, hak_os_now_ms());
        errno = ENOMEM;
        return NULL;
    }
    hak_mid_chunk_open(chunk, sc);
    hak_mid_chunk_set_owner(chunk, heap, heap->heap->tag);
    return chunk;
}

/* The segment has nothing left: gets it another chunk. */
static hak_noinline hak_mid_chunk_t *hak_refill_segment(hak_mid_heap_t *heap, unsigned sc) {
    uint64_t now_ms = hak_os_now_ms();
    hak_store_rlx(&heap->heap->active_ms, now_ms); /* relaxed: a hint to others */
    hak_mid_chunk_t *chunk = hak_mid_adoption_take_owner(heap, sc, now_ms);
    if (chunk == NULL) {
        chunk = hak_open_chunk(heap, sc);
    }
    if (chunk != NULL) {
        hak_mid_heap_list_owner(heap, chunk, true);
        hak_count_add(&heap->counters[hak_mid_index(sc)].refills, 1);
    }
    return chunk;
}

/* Up to `want` blocks into `*list`; 0: no memory. */
static uint32_t hak_take(hak_mid_heap_t *heap, unsigned sc, uint32_t want, hak_block_t **list) {
    unsigned index = hak_mid_index(sc);
    if (hak_mid_remote_has_pending(heap)) {
        hak_mid_return_drain_owner(heap, HAK_DRAIN_CHUNKS);
    }
    hak_mid_chunk_t *chunk = heap->partial[index];
    if (hak_unlikely(chunk == NULL)) {
        chunk = hak_refill_segment(heap, sc);
        if (chunk == NULL) {
            return 0;
        }
    }
    uintptr_t current = hak_load_rlx(&chunk->segment.current); /* relaxed: inside the lock */
    uint32_t count = hak_mid_segment_take_owner(chunk, want, list);
    hak_count_add(&heap->counters[index].bumped, hak_load_rlx(&chunk->segment.current) != current);
    if (!hak_mid_segment_has_any_owner(chunk)) {
        hak_mid_heap_unlist_owner(heap, chunk);
    }
    hak_count_add(&heap->counters[index].allocs, count);
    hak_count_add(&heap->heap->counters.refills, 1);
    hak_count_add(&heap->heap->counters.refill_blocks, count);
    return count;
}

static hak_block_t *hak_refill_one(hak_heap_t *mine, unsigned sc) {
    hak_mid_heap_t *heap = hak_mid_heap_make(mine);
    hak_block_t *block = NULL;
    if (heap != NULL) {
        hak_owner_lock_take_owner(&mine->lock);
        (void)hak_take(heap, sc, 1, &block);
        hak_owner_lock_drop_owner(&mine->lock);
    }
    return block;
}

static hak_block_t *hak_refill(hak_heap_t *mine, unsigned sc) {
    if (hak_unlikely(!hak_cache_policy_keeps())) {
        return hak_refill_one(mine, sc);
    }
    hak_mid_heap_t *heap = hak_mid_heap_make(mine);
    if (hak_unlikely(heap == NULL)) {
        return NULL;
    }
    hak_block_t *list = NULL;
    hak_owner_lock_take_owner(&mine->lock);
    /* Half of what the bin may hold: it is then as far from full as from empty. */
    uint32_t count = hak_take(heap, sc, mine->bin_cap[sc] / 2 + 1, &list);
    if (count != 0) {
        hak_cache_policy_fill_owner(mine, sc, hak_block_next(list), count - 1);
    }
    hak_owner_lock_drop_owner(&mine->lock);
    return list;
}

/* Inside the owner lock of `mine`. The chunk may have moved to another heap while the block was in
 * the bin: then it goes there as a remote free. */
static void hak_put_back(hak_heap_t *mine, hak_block_t *block) {
    hak_mid_chunk_t *chunk = hak_mid_chunk_of((uintptr_t)block);
    hak_mid_heap_t *owner = hak_mid_chunk_owner(chunk);
    if (hak_likely(owner->heap == mine)) {
        hak_mid_return_put_owner(owner, chunk, block);
    } else {
        hak_mid_remote_push_mt(chunk, block);
        hak_count_add(&mine->counters.remote_blocks, 1);
    }
}

static void hak_put_back_list(hak_heap_t *mine, hak_block_t *block) {
    uint64_t count = 0;
    while (block != NULL) {
        hak_block_t *next = hak_block_next(block);
        hak_put_back(mine, block);
        block = next;
        count++;
    }
    hak_count_add(&mine->counters.flushed_blocks, count);
}

static void hak_take_back(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_cache_policy_note_overflow_owner(mine, sc);
    hak_block_link(block, NULL);
    hak_owner_lock_take_owner(&mine->lock);
    hak_put_back_list(mine, block);
    if (hak_cfg_cache_drain) { /* the bin has reached the policy's interval */
        hak_put_back_list(mine, hak_tls_sll_take_all(sc, mine->bin_cap[sc]));
        hak_count_add(&mine->counters.cache_drains, 1);
    }
    hak_owner_lock_drop_owner(&mine->lock);
}

static bool hak_take_back_remote(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    (void)sc;
    hak_mid_chunk_t *chunk = hak_mid_chunk_of((uintptr_t)block);
    /* relaxed: only grows */
    if (chunk == NULL || (uintptr_t)block >= hak_load_rlx(&chunk->segment.current)) {
        return false;
    }
    hak_mid_remote_push_mt(chunk, block);
    if (mine != NULL) {
        hak_count_add(&mine->counters.remote_blocks, 1);
    }
    return true;
}

static void hak_flush_bin(hak_heap_t *mine, unsigned index) {
    unsigned sc = hak_mid_sc(index);
    hak_put_back_list(mine, hak_tls_sll_take_all(sc, mine->bin_cap[sc]));
}

static void hak_thread_flush(hak_heap_t *mine) {
    hak_owner_lock_take_owner(&mine->lock);
    for (unsigned i = 0; i < HAK_MID_CLASSES; i++) {
        hak_flush_bin(mine, i);
    }
    hak_owner_lock_drop_owner(&mine->lock);
}

/* Empties the bins that show the same first block as a purge delay ago: the thread does without
 * the class, and these blocks may be all that keeps chunks and units in use. Owner lock held. */
static void hak_flush_idle(hak_mid_heap_t *heap, uint64_t now_ms, uint64_t delay_ms) {
    if (now_ms - heap->bins_seen_ms < delay_ms) {
        return;
    }
    heap->bins_seen_ms = now_ms;
    for (unsigned i = 0; i < HAK_MID_CLASSES; i++) {
        const hak_block_t *first = hak_tls.bin[hak_mid_sc(i)].head;
        if (first != NULL && first == heap->bin_seen[i]) {
            hak_flush_bin(heap->heap, i);
        }
        heap->bin_seen[i] = hak_tls.bin[hak_mid_sc(i)].head;
    }
}

static void hak_thread_exit(hak_heap_t *mine) {
    hak_mid_heap_t *heap = hak_mid_heap_of(mine);
    if (heap != NULL) {
        hak_owner_lock_take_owner(&mine->lock);
        hak_mid_return_drain_owner(heap, UINT32_MAX);
        (void)hak_mid_return_retire_owner(heap);
        hak_owner_lock_drop_owner(&mine->lock);
    }
}

static size_t hak_purge(hak_heap_t *mine, const hak_purge_order_t *order) {
    hak_mid_visit_t visit = {order->now_ms, order->delay_ms, order->max_calls, 0};
    hak_mid_heap_t *heap = mine != NULL ? hak_mid_heap_of(mine) : NULL;
    if (heap != NULL) {
        hak_owner_lock_take_owner(&mine->lock);
        hak_flush_idle(heap, order->now_ms, order->delay_ms);
        hak_mid_return_drain_owner(heap, HAK_PURGE_CHUNKS);
        if (hak_mid_return_is_due(heap, &visit)) {
            hak_mid_return_purge_owner(heap, &visit);
        }
        hak_owner_lock_drop_owner(&mine->lock);
    }
    hak_mid_adoption_purge_mt(mine, &visit, order->delay_ms == 0 ? HAK_OWNER_MAX : HAK_PURGE_HEAPS);
    return visit.bytes + hak_mid_supply_purge_mt(order->now_ms, order->delay_ms, order->max_calls,
                                                 order->keep_bytes);
}

static void hak_count_open(hak_mid_chunk_t *chunk, void *context) {
    bool *any = context;
    *any |= hak_load_rlx(&chunk->sc) != 0; /* relaxed: a hint */
}

static bool hak_has_garbage(void) {
    bool any = hak_mid_supply_has_spare();
    hak_mid_supply_each(hak_count_open, &any);
    return any;
}

static void hak_fork_take(void) {
    hak_mid_supply_fork_take();
    hak_mid_registry_fork_take();
}

static void hak_queue_again(hak_mid_chunk_t *chunk, void *unused) {
    (void)unused;
    /* relaxed: one thread left */
    if (hak_load_rlx(&chunk->sc) != 0 && hak_mid_remote_is_queued(chunk)) {
        hak_mid_remote_queue_mt(hak_mid_chunk_owner(chunk), chunk);
    }
}

/* A thread that is gone may have turned `queued` on and not yet pushed the chunk: the stacks are
 * built anew. */
static void hak_fork_drop(bool in_child) {
    if (in_child) {
        for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
            hak_mid_heap_t *mid = hak_mid_heap_of(heap);
            if (mid != NULL) {
                hak_mid_remote_forget_owner(mid);
            }
        }
        hak_mid_supply_each(hak_queue_again, NULL);
    }
    hak_mid_registry_fork_drop();
    hak_mid_supply_fork_drop();
}

const hak_backend_t hak_backend_mid_mt = {
    .name = "mid_mt",
    .refill = hak_refill,
    .refill_one = hak_refill_one,
    .take_back = hak_take_back,
    .take_back_remote = hak_take_back_remote,
    .thread_flush = hak_thread_flush,
    .thread_exit = hak_thread_exit,
    .purge = hak_purge,
    .has_garbage = hak_has_garbage,
    .describe = hak_mid_mt_describe,
    .stats = hak_mid_mt_stats,
    .counters = hak_mid_mt_counters,
    .fork_take = hak_fork_take,
    .fork_drop = hak_fork_drop,
    .check = hak_mid_mt_check,
};
