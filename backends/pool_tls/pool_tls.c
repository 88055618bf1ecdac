#include "backends/pool_tls/pool_tls.h"

#include "backends/pool_tls/pool_tls_internal.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/page_arena/page_arena.h"
#include "boxes/pool_heap/pool_heap.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/options/options.h"
#include "core/owner_lock/owner_lock_inl.h"

enum { HAK_DRAIN_BLOCKS = 256 }; /* in one refill, so that it does not pay for all */

uint32_t hak_pool_tls_refill_blocks(unsigned sc) {
    static const uint8_t eighths[HAK_POOL_CLASSES] = {8, 6, 4, 3, 2};
    return (uint32_t)hak_option(HAK_OPTION_POOL_REFILL) * eighths[hak_pool_class(sc)] / 8;
}

/* Under the owner lock. */
static hak_pool_list_t hak_take(hak_heap_t *mine, unsigned sc, uint32_t want) {
    hak_pool_heap_t *pool = hak_pool_heap_make_owner(mine);
    if (pool == NULL) {
        return (hak_pool_list_t){NULL, 0};
    }
    if (hak_pool_heap_has_remote(pool)) {
        (void)hak_pool_heap_drain_owner(pool, HAK_DRAIN_BLOCKS);
    }
    hak_pool_list_t list = hak_pool_heap_take_owner(pool, sc, want);
    if (list.count != 0) {
        hak_count_add(&mine->counters.refills, 1);
        hak_count_add(&mine->counters.refill_blocks, list.count);
    }
    return list;
}

static hak_block_t *hak_refill_one(hak_heap_t *mine, unsigned sc) {
    hak_owner_lock_take_owner(&mine->lock);
    hak_pool_list_t list = hak_take(mine, sc, 1);
    hak_owner_lock_drop_owner(&mine->lock);
    return list.head;
}

static hak_block_t *hak_refill(hak_heap_t *mine, unsigned sc) {
    if (hak_unlikely(!hak_cache_policy_keeps())) {
        return hak_refill_one(mine, sc);
    }
    hak_owner_lock_take_owner(&mine->lock);
    hak_pool_list_t list = hak_take(mine, sc, hak_pool_tls_refill_blocks(sc));
    if (list.head != NULL) {
        hak_cache_policy_fill_owner(mine, sc, hak_block_next(list.head), list.count - 1);
    }
    hak_owner_lock_drop_owner(&mine->lock);
    return list.head;
}

/* Under the owner lock: whose the chunk is cannot change if it is ours, and does not matter if it
 * is not. */
static void hak_put_back(hak_heap_t *mine, hak_block_t *block) {
    hak_pool_unit_t *unit = hak_pool_unit_of((uintptr_t)block);
    hak_pool_heap_t *pool = hak_pool_chunk_heap(hak_pool_unit_chunk(unit));
    if (hak_likely(pool->heap == mine)) {
        hak_pool_heap_put_back_owner(pool, unit, block);
    } else {
        hak_pool_heap_send_mt(unit, block);
    }
}

static void hak_take_back(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_cache_policy_note_overflow_owner(mine, sc);
    hak_owner_lock_take_owner(&mine->lock);
    hak_put_back(mine, block);
    hak_count_add(&mine->counters.flushed_blocks, 1);
    hak_owner_lock_drop_owner(&mine->lock);
}

static bool hak_take_back_remote(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_pool_unit_t *unit = hak_pool_unit_of((uintptr_t)block);
    /* relaxed: only grows while the caller's block is in use */
    if (unit == NULL ||
        hak_pool_unit_block_index(unit, sc, (uintptr_t)block) >= hak_load_rlx(&unit->carved)) {
        return false;
    }
    hak_pool_heap_send_mt(unit, block);
    if (mine != NULL) {
        hak_count_add(&mine->counters.remote_blocks, 1);
        hak_count_add(&mine->counters.remote_batches, 1);
    }
    return true;
}

static void hak_thread_flush(hak_heap_t *mine) {
    hak_owner_lock_take_owner(&mine->lock);
    for (unsigned class_index = 0; class_index < HAK_POOL_CLASSES; class_index++) {
        unsigned sc = hak_pool_sc(class_index);
        hak_block_t *block = hak_tls_sll_take_all(sc, mine->bin_cap[sc]);
        uint64_t count = 0;
        while (block != NULL) {
            hak_block_t *next = hak_block_next(block);
            hak_put_back(mine, block);
            block = next;
            count++;
        }
        hak_count_add(&mine->counters.flushed_blocks, count);
    }
    hak_owner_lock_drop_owner(&mine->lock);
}

/* Chunks stay with the heap, for its next thread, for an adopter, or for a purge. */
static void hak_thread_exit(hak_heap_t *mine) {
    hak_pool_heap_t *pool = hak_pool_heap_of(mine);
    if (pool != NULL) {
        hak_owner_lock_take_owner(&mine->lock);
        (void)hak_pool_heap_drain_owner(pool, UINT32_MAX);
        hak_owner_lock_drop_owner(&mine->lock);
    }
}

static void hak_fork_take(void) { hak_page_arena_fork_take(); }

/* A push that a fork caught in the middle is lost to the child: a thread that is gone had that
 * block in its hand. */
static void hak_fork_drop(bool in_child) {
    for (hak_heap_t *heap = hak_heap_first(); in_child && heap != NULL; heap = heap->next_all) {
        hak_pool_heap_t *pool = hak_pool_heap_of(heap);
        if (pool != NULL) {
            hak_pool_remote_reset(&pool->remote);
        }
    }
    hak_page_arena_fork_drop();
}

const hak_backend_t hak_backend_pool_tls = {
    .name = "pool_tls",
    .refill = hak_refill,
    .refill_one = hak_refill_one,
    .take_back = hak_take_back,
    .take_back_remote = hak_take_back_remote,
    .thread_flush = hak_thread_flush,
    .thread_exit = hak_thread_exit,
    .purge = hak_pool_tls_purge,
    .has_garbage = hak_pool_tls_has_garbage,
    .describe = hak_pool_tls_describe,
    .stats = hak_pool_tls_stats,
    .counters = hak_pool_tls_counters,
    .fork_take = hak_fork_take,
    .fork_drop = hak_fork_drop,
    .check = hak_pool_tls_check,
};
