/* What looks at all heaps: purge, and the functions that only read. */
#include <stddef.h>

#include "backends/os/os.h"
#include "backends/pool_tls/pool_tls_internal.h"
#include "boxes/adoption/adoption.h"
#include "boxes/page_arena/page_arena.h"
#include "boxes/pool_heap/pool_heap.h"
#include "core/owner_lock/owner_lock_inl.h"
#include "include/hakmem.h"

enum {
    HAK_PURGE_HEAPS = 64,   /* heaps to look at in one pass */
    HAK_GUEST_CALLS = 16,   /* system calls for which a thread at work may have to wait */
    HAK_CALLS_AT_ONCE = 48, /* a pass that may make so many system calls takes in once */
    HAK_BREATH_MS = 1,      /* between two times: an owner that waits can go in */
};

static hak_aptr_t hak_purge_cursor; /* hak_heap_t; any value is right */

static uint64_t hak_dirty_bytes(void) {
    uint64_t units = 0;
    for (const hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        const hak_pool_heap_t *pool = hak_pool_heap_of(heap);
        units += pool == NULL ? 0 : hak_load_rlx(&pool->dirty_units); /* relaxed: a statistic */
    }
    return units << HAK_UNIT_SHIFT;
}

/* As a guest. A thread that is at work with blocks of these classes takes its own in; it is
 * disturbed only if something is to be given back. */
static size_t hak_visit_other(hak_heap_t *heap, hak_pool_heap_t *pool, hak_pool_visit_t *visit) {
    /* relaxed: hints, the lock decides */
    bool sleeps = hak_load_rlx(&heap->idle) != 0 ||
                  hak_load_rlx(&heap->active_ms) + HAK_ADOPTION_LEASE_MS <= visit->now_ms ||
                  visit->delay_ms == 0;
    bool leaves = sleeps || hak_load_rlx(&pool->takes_in) == 0;
    if (!leaves) {
        hak_store_rlx(&pool->takes_in, 0); /* and until the next look? relaxed: a hint */
    }
    if (!(leaves && hak_pool_heap_has_remote(pool)) &&
        !hak_pool_heap_is_due(pool, visit->now_ms, visit->delay_ms)) {
        return 0;
    }
    if (!hak_owner_lock_try_guest(&heap->lock)) {
        return 0;
    }
    unsigned most = visit->max_calls;
    if (!sleeps && most > visit->calls + HAK_GUEST_CALLS) {
        visit->max_calls = visit->calls + HAK_GUEST_CALLS;
    }
    size_t bytes = hak_pool_heap_visit_owner(pool, visit);
    visit->max_calls = most;
    hak_owner_lock_drop_guest(&heap->lock);
    return bytes;
}

static size_t hak_visit_others(const hak_heap_t *mine, hak_pool_visit_t *visit) {
    size_t bytes = 0;
    uint64_t made, idle;
    hak_heap_counts(&made, &idle);
    uint64_t most = visit->delay_ms == 0 || made < HAK_PURGE_HEAPS ? made : HAK_PURGE_HEAPS;
    for (uint64_t i = 0; i < most && visit->calls < visit->max_calls; i++) {
        hak_heap_t *heap = hak_heap_step_mt(&hak_purge_cursor);
        hak_pool_heap_t *pool = heap == NULL ? NULL : hak_pool_heap_of(heap);
        if (pool != NULL && heap != mine) {
            bytes += hak_visit_other(heap, pool, visit);
        }
    }
    return bytes;
}

/* Lets the owners in whose queues were taken in: the thread is hakmem's own. */
static void hak_breathe(void) {
    uint32_t word = 0;
    hak_os_wait(&word, 0, HAK_BREATH_MS); /* nobody wakes it: it sleeps */
}

size_t hak_pool_tls_purge(hak_heap_t *mine, const hak_purge_order_t *order) {
    size_t bytes = 0;
    uint64_t dirty = hak_dirty_bytes();
    hak_pool_visit_t visit = {order->now_ms,
                              order->delay_ms,
                              0,
                              order->max_calls,
                              order->keep_bytes == 0      ? UINT64_MAX
                              : dirty > order->keep_bytes ? dirty - order->keep_bytes
                                                          : 0,
                              false};
    hak_pool_heap_t *own = mine == NULL ? NULL : hak_pool_heap_of(mine);
    if (own != NULL) {
        hak_owner_lock_take_owner(&mine->lock);
        bytes += hak_pool_heap_visit_owner(own, &visit);
        hak_owner_lock_drop_owner(&mine->lock);
    }
    bytes += hak_visit_others(mine, &visit);
    /* No malloc waits for a pass that may make many calls: it takes in as much as its share. */
    for (unsigned n = order->max_calls / HAK_CALLS_AT_ONCE; visit.is_cut && n > 1; n--) {
        hak_breathe();
        visit.is_cut = false;
        bytes += hak_visit_others(mine, &visit);
    }
    /* not 0 if more waits */
    bytes += visit.is_cut;
    return bytes + hak_page_arena_purge_mt(order->now_ms, order->delay_ms, order->keep_bytes);
}

bool hak_pool_tls_has_garbage(void) {
    hak_page_arena_stats_t pages;
    hak_page_arena_stats_mt(&pages);
    return pages.bytes != 0 || hak_dirty_bytes() != 0;
}

bool hak_pool_tls_describe(uintptr_t address, hak_block_info_t *info) {
    const hak_pool_unit_t *unit = hak_pool_unit_of(address);
    /* acquire: pairs with the release in hak_pool_chunk_open_owner */
    unsigned sc = unit == NULL ? 0 : hak_load_acq(&unit->sc);
    if (sc == 0) {
        return false;
    }
    uint32_t bytes = hak_sc_bytes[sc];
    uintptr_t offset = address - hak_pool_unit_base(unit);
    info->block = address - offset % bytes;
    info->bytes = bytes;
    /* relaxed: only read to explain an error */
    info->handed_out = offset / bytes < hak_load_rlx(&unit->carved);
    return true;
}

static void hak_add_chunk(hak_pool_chunk_t *chunk, void *context) {
    hak_backend_stats_t *out = context;
    uint32_t units = hak_load_rlx(&chunk->units); /* relaxed: as hak_pool_chunk_map says */
    for (unsigned i = 0; i < units; i++) {
        const hak_pool_unit_t *unit = &chunk->unit[i];
        unsigned sc = hak_load_acq(&unit->sc); /* pairs with the release in open_owner */
        if (sc == 0) {
            continue;
        }
        uint64_t bytes = hak_sc_bytes[sc];
        /* relaxed: exact when nobody works on the unit */
        uint64_t used = hak_load_rlx(&unit->used);
        uint64_t carved = hak_load_rlx(&unit->carved);
        hak_stats_add_run(out, HAK_UNIT_BYTES, carved * bytes, used, bytes);
    }
}

void hak_pool_tls_stats(hak_backend_stats_t *out) {
    hak_pool_chunk_each(hak_add_chunk, out);
    hak_pool_chunk_stats_t chunks;
    hak_pool_chunk_stats(&chunks);
    hak_page_arena_stats_t pages;
    hak_page_arena_stats_mt(&pages);
    out->mapped_bytes = chunks.mapped_bytes + pages.bytes;
    out->mapped_peak_bytes = chunks.mapped_peak_bytes;
    out->empty_dirty_bytes = hak_dirty_bytes() + pages.bytes;
    out->purges = chunks.purges;
    out->purged_bytes = chunks.purged_bytes;
}

static void hak_count_chunk(hak_pool_chunk_t *chunk, void *context) {
    *(uint64_t *)context += hak_load_rlx(&chunk->units) != 0; /* relaxed: a statistic */
}

void hak_pool_tls_counters(struct hak_stats *out) {
    hak_pool_chunk_stats_t chunks;
    hak_pool_chunk_stats(&chunks);
    out->pool_tls_chunks = out->pool_tls_refill_failures = out->pool_tls_adopted_chunks = 0;
    hak_pool_chunk_each(hak_count_chunk, &out->pool_tls_chunks);
    out->pool_tls_chunks_made = chunks.made;
    out->pool_tls_chunk_failures = chunks.failed;
    for (const hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        const hak_pool_heap_t *pool = hak_pool_heap_of(heap);
        if (pool != NULL) {
            /* relaxed: statistics */
            out->pool_tls_refill_failures += hak_load_rlx(&pool->refill_failures);
            out->pool_tls_adopted_chunks += hak_load_rlx(&pool->adopted_chunks);
        }
    }
    hak_page_arena_stats_t pages;
    hak_page_arena_stats_mt(&pages);
    if (hak_page_arena_is_on()) {
        out->page_arena_hits = pages.hits;
        out->page_arena_misses = pages.misses;
        out->page_arena_bytes = pages.bytes;
    }
}

size_t hak_pool_tls_check(void) {
    size_t faults = hak_page_arena_check_locked();
    uint64_t listed = 0, mapped = 0;
    for (const hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        const hak_pool_heap_t *pool = hak_pool_heap_of(heap);
        faults += pool == NULL ? 0 : hak_pool_heap_check_locked(pool, &listed);
    }
    hak_pool_chunk_each(hak_count_chunk, &mapped);
    return faults + (listed != mapped);
}
