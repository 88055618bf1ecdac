/* Statistics, trim and check: what concerns the whole process. */
#include <stddef.h>
#include <string.h>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/transfer/transfer.h"
#include "core/dyn_class/dyn_class.h"
#include "core/meta/meta.h"
#include "front/decay/decay.h"
#include "front/gate/gate_inl.h"
#include "front/gate/gate_internal.h"
#include "front/thread/thread.h"
#include "registry/registry.h"

int hak_gate_trim(size_t keep_bytes) {
    hak_thread_flush_all();
    return hak_decay_trim(keep_bytes) != 0;
}

void hak_gate_make_room(bool large) {
    if (!hak_os_address_space_is_free()) {
        (void)hak_registry_give_room(); /* the process has limited itself since it started */
    }
    (void)hak_gate_trim(0);
    if (large) {
        hak_slot_pool_release_free_mt();
    }
}

void hak_gate_thread_flush(void) { hak_thread_flush_all(); }

void hak_gate_audit(hak_audit_result_t *out) {
    hak_gate_init(NULL);
    hak_thread_stop_all();
    hak_audit_count_locked(out);
    hak_thread_go_on();
}

size_t hak_gate_check_heap(void) {
    size_t faults = 0;
    hak_gate_init(NULL);
    hak_thread_stop_all();
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        faults += (*b)->check();
    }
    faults += hak_large_check_locked();
    /* Lists that are broken must not be walked; other threads' lists move while they run. */
    if (faults == 0 && hak_audit_is_alone()) {
        hak_audit_result_t result;
        hak_audit_count_locked(&result);
        faults += !hak_audit_is_whole(&result);
    }
    hak_thread_go_on();
    if (faults != 0) {
        hak_error_report(HAK_ERROR_CORRUPT, "hak_check", NULL, NULL, 0);
    }
    return faults;
}

static void hak_add_heap(const hak_heap_t *heap, hak_stats_t *stats) {
    const hak_heap_counters_t *c = &heap->counters;
    /* relaxed, all of them: statistics */
    stats->refills += hak_load_rlx(&c->refills);
    stats->refill_blocks += hak_load_rlx(&c->refill_blocks);
    stats->flushed_blocks += hak_load_rlx(&c->flushed_blocks);
    stats->cache_drains += hak_load_rlx(&c->cache_drains);
    stats->remote_blocks += hak_load_rlx(&c->remote_blocks);
    stats->remote_batches += hak_load_rlx(&c->remote_batches);
    stats->drained_blocks += hak_load_rlx(&c->drained_blocks);
    stats->adopted_slabs += hak_load_rlx(&c->adopted_slabs);
    stats->slabs_made += hak_load_rlx(&c->slabs_made);
    stats->slabs_retired += hak_load_rlx(&c->slabs_retired);
    if (hak_load_rlx(&heap->idle) != 0 && hak_load_rlx(&heap->has_left) == 0) {
        return; /* no thread and none that left its bins */
    }
    stats->cached_max_bytes += hak_load_rlx(&heap->batched_bytes);
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        stats->cached_max_bytes +=
            (uint64_t)hak_load_rlx(&heap->cached_max[sc]) * hak_dyn_class_bytes(sc);
    }
}

static void hak_add_blocks(hak_stats_t *stats) {
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        hak_backend_stats_t s = {0};
        (*b)->stats(&s);
        stats->live_blocks += s.blocks;
        stats->live_bytes += s.bytes;
        stats->slabs_active += s.slabs;
        stats->slab_free_bytes += s.free_bytes;
        stats->slab_uncarved_bytes += s.uncarved_bytes;
        stats->mapped_bytes += s.mapped_bytes;
        stats->mapped_peak_bytes += s.mapped_peak_bytes;
        stats->empty_dirty_bytes += s.empty_dirty_bytes;
        stats->purges += s.purges;
        stats->purged_bytes += s.purged_bytes;
    }
    hak_large_stats_t large;
    hak_large_stats_mt(&large);
    stats->large_blocks = large.backend.blocks;
    stats->large_bytes = large.backend.bytes;
    stats->live_blocks += large.backend.blocks;
    stats->live_bytes += large.backend.bytes;
    stats->slab_free_bytes += large.backend.free_bytes;
    stats->mapped_bytes += large.backend.mapped_bytes;
    stats->mapped_peak_bytes += large.backend.mapped_peak_bytes;
    stats->purges += large.backend.purges;
    stats->purged_bytes += large.backend.purged_bytes;
    stats->huge_cached_bytes = large.cached_bytes;
    stats->huge_asked = large.huge_windows;
}

static void hak_add_tiny(const hak_slot_pool_stats_t *pool, hak_stats_t *stats) {
    stats->tiny_from_empty = pool->tiny_from_empty;
    stats->tiny_from_cross = pool->tiny_from_cross;
    stats->tiny_from_unused = pool->tiny_from_unused;
    stats->tiny_from_new = pool->tiny_from_new;
    stats->tiny_slabs_active = pool->tiny_slabs_active;
    stats->tiny_slabs_peak = pool->tiny_slabs_peak;
    stats->tiny_classes_used = pool->tiny_classes_used;
    stats->tiny_superslabs_made = pool->tiny_superslabs_made;
    stats->lru_hits = pool->lru_hits;
    stats->lru_misses = pool->lru_misses;
    stats->lru_pushes = pool->lru_pushes;
    stats->lru_evictions = pool->lru_evictions;
    stats->lru_superslabs = pool->lru_superslabs;
    stats->huge_touched = pool->huge_touched;
    stats->pool_locks = pool->locks;
    stats->pool_lock_waits = pool->lock_waits;
}

static void hak_add_supply(hak_stats_t *stats) {
    hak_slot_pool_stats_t pool;
    hak_slot_pool_stats_mt(&pool);
    stats->superslabs = pool.superslabs;
    stats->superslabs_made = pool.superslabs_made;
    stats->slot_from_empty = pool.from_empty;
    stats->slot_from_unused = pool.from_unused;
    stats->slot_from_new = pool.from_new;
    hak_add_tiny(&pool, stats);
    stats->purges += pool.purges;
    stats->purged_bytes += pool.purged_bytes;
    stats->empty_dirty_bytes += pool.dirty_slots << HAK_UNIT_SHIFT;
    stats->mapped_bytes += (pool.superslabs + pool.stock_superslabs) << HAK_WINDOW_SHIFT;
    stats->mapped_peak_bytes += pool.mapped_superslabs_peak << HAK_WINDOW_SHIFT;
    hak_os_calls_t calls;
    hak_os_calls(&calls);
    stats->mmap_calls = calls.mmap;
    stats->munmap_calls = calls.munmap;
    stats->madvise_calls = calls.madvise;
    stats->mremap_calls = calls.mremap;
}

/* What only some backends count stands at the end of the struct, from mid_mt_allocs on: at first
 * all HAK_STAT_DISABLED. */
static void hak_add_counters(hak_stats_t *stats) {
    memset(&stats->mid_mt_allocs, 0xff, sizeof *stats - offsetof(hak_stats_t, mid_mt_allocs));
    bool shares = !hak_cfg_cache_drain && !hak_cfg_check_interior;
    stats->passed_blocks = shares ? 0 : HAK_STAT_DISABLED;
    for (const hak_heap_t *heap = hak_heap_first(); shares && heap != NULL; heap = heap->next_all) {
        stats->passed_blocks += hak_load_rlx(&heap->counters.passed_blocks); /* a statistic */
    }
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        if ((*b)->counters != NULL) {
            (*b)->counters(stats);
        }
    }
}

void hak_gate_stats(hak_stats_t *stats) {
    hak_gate_init(NULL);
    uint32_t struct_bytes = stats->struct_bytes;
    memset(stats, 0, sizeof *stats);
    stats->struct_bytes = struct_bytes;
    stats->pid = hak_os_pid();
    for (const hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        hak_add_heap(heap, stats);
    }
    uint64_t lone = hak_load_rlx(&hak_gate_lone_blocks); /* relaxed: a statistic */
    stats->remote_blocks += lone;
    stats->remote_batches += lone;
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        stats->cached_max_bytes += hak_transfer_count(sc) * hak_sc_bytes[sc];
    }
    hak_heap_counts(&stats->heaps, &stats->heaps_idle);
    hak_add_counters(stats);
    hak_add_blocks(stats);
    hak_add_supply(stats);
    if (stats->cached_max_bytes > stats->live_bytes) {
        stats->cached_max_bytes =
            stats->live_bytes; /* a bin that may grow has no bound of its own */
    }
    stats->metadata_bytes = hak_meta_bytes() + (hak_registry_leaves() << HAK_UNIT_SHIFT);
    stats->resident_max_bytes = stats->live_bytes + stats->slab_free_bytes +
                                stats->empty_dirty_bytes + stats->huge_cached_bytes +
                                stats->metadata_bytes;
    stats->errors = hak_error_count();
    stats->registry_flat = hak_registry_is_flat();
    stats->malloc_calls = hak_gate_calls(HAK_CALL_MALLOC);
    stats->free_calls = hak_gate_calls(HAK_CALL_FREE);
    stats->realloc_calls = hak_gate_calls(HAK_CALL_REALLOC);
    stats->failed_calls = hak_gate_calls(HAK_CALL_FAILED);
}
