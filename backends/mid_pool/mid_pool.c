#include "backends/mid_pool/mid_pool.h"

#include "backends/mid_pool/mid_pool_internal.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/pool_cache/pool_cache.h"
#include "boxes/pool_shard/pool_shard.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"
#include "core/owner_lock/owner_lock_inl.h"

enum {
    HAK_PURGE_HEAPS = 16,      /* heaps to look at in one pass */
    HAK_PURGE_PAGES = 1 << 12, /* pages, i.e. 256 MiB */
    HAK_PURGE_CALLS = 512      /* of madvise in a pass of the learner's thread */
};

static hak_aptr_t hak_cursor; /* hak_heap_t: where the next look begins; any value is right */

/* What of `live` may be in the heap's cache; for statistics. */
static void hak_note_cached(hak_heap_t *mine, const hak_pool_cache_t *cache, unsigned sc) {
    uint32_t most = cache->ring_cap + hak_pool_blocks(hak_pool_class(sc)) + HAK_POOL_INBOX_MOST;
    if (hak_load_rlx(&mine->cached_max[sc]) < most) { /* relaxed: a statistic */
        hak_store_rlx(&mine->cached_max[sc], most);
    }
}

static hak_block_t *hak_take(hak_heap_t *mine, unsigned sc, uint32_t most) {
    hak_pool_cache_t *cache = hak_pool_cache_of_owner(mine);
    if (hak_unlikely(cache == NULL)) {
        return NULL;
    }
    hak_note_cached(mine, cache, sc);
    hak_owner_lock_take_owner(&mine->lock);
    hak_block_t *block = hak_pool_cache_take_owner(cache, hak_pool_class(sc), most);
    hak_owner_lock_drop_owner(&mine->lock);
    return block;
}

static hak_block_t *hak_refill(hak_heap_t *mine, unsigned sc) {
    return hak_take(mine, sc, hak_pool_cache_batch(hak_pool_class(sc)));
}

static hak_block_t *hak_refill_one(hak_heap_t *mine, unsigned sc) { return hak_take(mine, sc, 0); }

static void hak_take_back(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_pool_cache_t *cache = hak_pool_cache_of_owner(mine);
    unsigned ci = hak_pool_class(sc);
    hak_cache_policy_note_overflow_owner(mine, sc);
    hak_owner_lock_take_owner(&mine->lock);
    if (hak_likely(cache != NULL)) {
        hak_note_cached(mine, cache, sc);
        hak_count_add(&cache->bin[ci].counters.frees, 1);
        hak_pool_cache_put_owner(cache, ci, block);
    } else {
        hak_pool_shard_send_mt(hak_pool_page_of((uintptr_t)block), ci, block);
    }
    hak_owner_lock_drop_owner(&mine->lock);
}

/* A thread that has no heap takes the collector's lock instead of its heap's: a check or a fork
 * holds both kinds, and finds no block on its way. */
static bool hak_take_back_remote(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_pool_page_t *page = hak_pool_page_of((uintptr_t)block);
    unsigned ci = hak_pool_class(sc);
    uint32_t place = (uint32_t)((uintptr_t)block % HAK_UNIT_BYTES) / hak_pool_bytes(ci);
    /* relaxed: only grows while a block is in use */
    if (page == NULL || place >= hak_load_rlx(&page->carved)) {
        return false;
    }
    if (mine == NULL) {
        hak_pool_shard_lock();
        hak_pool_cache_send_mt(NULL, page, ci, block);
        hak_pool_shard_unlock();
        return true;
    }
    hak_pool_cache_t *cache = hak_pool_cache_of_owner(mine);
    hak_owner_lock_take_owner(&mine->lock);
    if (cache != NULL) {
        hak_count_add(&cache->bin[ci].counters.frees, 1);
    }
    hak_pool_cache_send_mt(cache, page, ci, block);
    hak_owner_lock_drop_owner(&mine->lock);
    return true;
}

static void hak_thread_flush(hak_heap_t *mine) {
    hak_pool_cache_t *cache = hak_pool_cache_find(mine);
    if (cache == NULL) {
        return;
    }
    hak_owner_lock_take_owner(&mine->lock);
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        unsigned sc = hak_pool_sc(ci);
        if (hak_tls.bin[sc].head != NULL) { /* only if somebody fills bins that have no room */
            hak_pool_shard_put_mt(ci, hak_tls_sll_take_all(sc, mine->bin_cap[sc]));
        }
    }
    hak_pool_cache_flush_owner(cache);
    hak_owner_lock_drop_owner(&mine->lock);
}

/* Empties the caches of heaps whose thread is gone, or has not been here for `lease_ms`. */
static void hak_flush_others(const hak_heap_t *mine, uint64_t now_ms, uint64_t lease_ms,
                             uint64_t most) {
    uint64_t made, idle;
    hak_heap_counts(&made, &idle);
    for (uint64_t i = 0; i < most && i < made; i++) {
        hak_heap_t *heap = hak_heap_step_mt(&hak_cursor);
        hak_pool_cache_t *cache = heap == NULL || heap == mine ? NULL : hak_pool_cache_find(heap);
        /* relaxed: hints, the lock decides */
        if (cache == NULL || hak_load_rlx(&cache->touched) == 0 ||
            (hak_load_rlx(&heap->idle) == 0 &&
             hak_load_rlx(&heap->active_ms) + lease_ms > now_ms)) {
            continue;
        }
        if (hak_owner_lock_try_guest(&heap->lock)) {
            hak_pool_cache_flush_owner(cache);
            hak_owner_lock_drop_guest(&heap->lock);
        }
    }
}

static size_t hak_purge(hak_heap_t *mine, const hak_purge_order_t *order) {
    bool all = order->delay_ms == 0;
    if (all && mine != NULL) {
        hak_thread_flush(mine);
    }
    hak_flush_others(mine, order->now_ms, order->delay_ms, all ? UINT64_MAX : HAK_PURGE_HEAPS);
    if (all) {
        hak_pool_shard_lock();
    } else if (!hak_pool_shard_try_lock()) {
        return 0; /* another pass is on its way */
    }
    (void)hak_pool_shard_collect_locked(order->now_ms, order->delay_ms,
                                        all ? UINT32_MAX : HAK_PURGE_PAGES);
    size_t bytes = hak_pool_page_purge_mt(order->max_calls, order->keep_bytes);
    hak_pool_shard_unlock();
    return bytes;
}

void hak_mid_pool_learn_purge(uint64_t now_ms, bool turned) {
    (void)turned; /* its classes are fixed */
    hak_purge_order_t order = {now_ms, hak_option(HAK_OPTION_PURGE_DELAY_MS), HAK_PURGE_CALLS, 0};
    (void)hak_purge(NULL, &order);
}

static bool hak_has_garbage(void) {
    bool any = hak_pool_page_has_dirty();
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES && !any; ci++) {
        any = hak_pool_shard_mask(ci) != 0;
    }
    return any;
}

static bool hak_describe(uintptr_t address, hak_block_info_t *info) {
    const hak_pool_page_t *page = hak_pool_page_of(address);
    unsigned sc = page == NULL ? 0 : hak_load_acq(&page->sc); /* pairs with pool_page's release */
    if (sc == 0) {
        return false;
    }
    uint32_t bytes = hak_sc_bytes[sc];
    info->block = address - address % bytes; /* a power of two, and so is the page */
    info->bytes = bytes;
    /* relaxed: only read to explain an error */
    info->handed_out = address % HAK_UNIT_BYTES / bytes < hak_load_rlx(&page->carved);
    return true;
}

/* A purge by another thread may be on its way; a check looks at pages, so it waits for it too. */
static void hak_fork_take(void) {
    hak_pool_shard_lock();
    hak_learn_fork_take();
    hak_dyn_class_fork_take();
}

/* All of the pool happens under an owner lock or ours: the child's copy is whole. */
static void hak_fork_drop(bool in_child) {
    hak_dyn_class_fork_drop();
    hak_learn_fork_drop(in_child);
    hak_pool_shard_unlock();
}

static bool hak_configure(bool warn) {
    hak_learn_configure(&hak_mid_pool_learn, warn);
    return true;
}
static void hak_start(void) { hak_learn_start(&hak_mid_pool_learn); }

static size_t hak_check(void) {
    size_t faults = hak_pool_page_check_locked() + hak_pool_shard_check_locked();
    for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        const hak_pool_cache_t *cache = hak_pool_cache_find(heap);
        faults += cache == NULL ? 0 : hak_pool_cache_check_locked(cache);
    }
    return faults;
}

/* Nothing beyond what thread_flush does. */
static void hak_thread_exit(hak_heap_t *mine) { (void)mine; }

const hak_backend_t hak_backend_mid_pool = {
    .name = "mid_pool",
    .has_cache = true,
    .refill = hak_refill,
    .refill_one = hak_refill_one,
    .take_back = hak_take_back,
    .take_back_remote = hak_take_back_remote,
    .thread_flush = hak_thread_flush,
    .thread_exit = hak_thread_exit,
    .configure = hak_configure,
    .start = hak_start,
    .purge = hak_purge,
    .has_garbage = hak_has_garbage,
    .describe = hak_describe,
    .stats = hak_mid_pool_stats,
    .counters = hak_mid_pool_counters,
    .fork_take = hak_fork_take,
    .fork_drop = hak_fork_drop,
    .check = hak_check,
};
