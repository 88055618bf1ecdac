#include "front/api/stats_table.h"

#include <string.h>

#define HAK_ROW(field, kind, help)                                                                 \
    { #field, help, offsetof(hak_stats_t, field), HAK_STAT_IS_##kind }

const hak_stat_row_t hak_stat_rows[] = {
    HAK_ROW(live_bytes, GAUGE,
            "Blocks at users and in thread caches, rounded to their size class."),
    HAK_ROW(live_blocks, GAUGE, "Number of those blocks."),
    HAK_ROW(cached_max_bytes, GAUGE,
            "Upper bound of what of live_bytes is in thread caches and open remote batches."),
    HAK_ROW(slab_free_bytes, GAUGE, "Free blocks inside slabs in use."),
    HAK_ROW(slab_uncarved_bytes, GAUGE,
            "Address space of slabs in use that no block was ever taken from."),
    HAK_ROW(empty_dirty_bytes, GAUGE,
            "Empty slots of superslabs that the kernel has not got back yet."),
    HAK_ROW(large_bytes, GAUGE, "Live blocks above the largest size class, rounded to OS pages."),
    HAK_ROW(large_blocks, GAUGE, "Number of those blocks."),
    HAK_ROW(huge_cached_bytes, GAUGE, "Freed huge mappings kept for reuse."),
    HAK_ROW(metadata_bytes, GAUGE, "Address space of descriptors, heaps and maps."),
    HAK_ROW(mapped_bytes, GAUGE, "Address space of superslabs and huge mappings."),
    HAK_ROW(mapped_peak_bytes, GAUGE, "Most that mapped_bytes has been."),
    HAK_ROW(resident_max_bytes, GAUGE, "What of all this can be resident."),
    HAK_ROW(superslabs, GAUGE, "Superslabs mapped now."),
    HAK_ROW(superslabs_made, COUNTER, "Superslabs mapped since the start."),
    HAK_ROW(slabs_active, GAUGE, "Slabs in use."),
    HAK_ROW(slabs_made, COUNTER, "Slabs taken into use."),
    HAK_ROW(slabs_retired, COUNTER, "Slabs given back to the pool."),
    HAK_ROW(slot_from_empty, COUNTER, "Slots taken from emptied ones."),
    HAK_ROW(slot_from_unused, COUNTER, "Slots taken from never used ones."),
    HAK_ROW(slot_from_new, COUNTER, "Slots that needed a new superslab."),
    HAK_ROW(purges, COUNTER, "Times that empty memory was given back to the kernel."),
    HAK_ROW(purged_bytes, COUNTER, "Bytes given back by purges."),
    HAK_ROW(mmap_calls, COUNTER, "System calls of mmap."),
    HAK_ROW(munmap_calls, COUNTER, "System calls of munmap."),
    HAK_ROW(madvise_calls, COUNTER, "System calls of madvise."),
    HAK_ROW(mremap_calls, COUNTER, "System calls of mremap."),
    HAK_ROW(refills, COUNTER, "Times that a thread cache was refilled from a slab."),
    HAK_ROW(refill_blocks, COUNTER, "Blocks moved by refills."),
    HAK_ROW(flushed_blocks, COUNTER, "Blocks moved from thread caches to slabs."),
    HAK_ROW(cache_drains, COUNTER, "Times that a thread cache's list was drained to its slabs."),
    HAK_ROW(remote_blocks, COUNTER, "Blocks freed by a thread that did not own their slab."),
    HAK_ROW(remote_batches, COUNTER, "Batches in which those travelled."),
    HAK_ROW(drained_blocks, COUNTER, "Blocks that owners took from their remote lists."),
    HAK_ROW(adopted_slabs, COUNTER, "Slabs that moved to another heap."),
    HAK_ROW(heaps, GAUGE, "Thread heaps made."),
    HAK_ROW(heaps_idle, GAUGE, "Of those, heaps without a thread."),
    HAK_ROW(errors, COUNTER, "Misuses found."),
    HAK_ROW(registry_flat, GAUGE, "1: the address map is flat; 0: two levels."),
    HAK_ROW(malloc_calls, COUNTER, "Calls that asked for a new block."),
    HAK_ROW(free_calls, COUNTER, "Calls that freed a block."),
    HAK_ROW(realloc_calls, COUNTER, "Calls that asked to resize a block."),
    HAK_ROW(failed_calls, COUNTER, "Calls that found no memory."),
    HAK_ROW(pool_tls_chunks, GAUGE, "Chunks of thread pools mapped now."),
    HAK_ROW(pool_tls_chunks_made, COUNTER, "Chunks of thread pools mapped since the start."),
    HAK_ROW(pool_tls_chunk_failures, COUNTER, "Requests for a chunk that the kernel refused."),
    HAK_ROW(pool_tls_refill_failures, COUNTER, "Refills of thread pools that found no memory."),
    HAK_ROW(pool_tls_adopted_chunks, COUNTER, "Chunks that moved to another heap."),
    HAK_ROW(page_arena_hits, COUNTER, "Requests that a shelf of the page arena served."),
    HAK_ROW(page_arena_misses, COUNTER, "Requests that found their shelf empty."),
    HAK_ROW(page_arena_bytes, GAUGE, "Memory on the shelves of the page arena."),
};

uint64_t hak_stats_table_value(const hak_stats_t *stats, const hak_stat_row_t *row) {
    uint64_t value;
    memcpy(&value, (const char *)stats + row->offset, sizeof value);
    return value;
}
