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
    HAK_ROW(mf2_pages_allocated, COUNTER, "MF2 pages taken from the pool of empty ones."),
    HAK_ROW(mf2_page_reuses, COUNTER,
            "MF2 pages allocated from again after their remote frees were taken in."),
    HAK_ROW(mf2_adoptions, COUNTER, "MF2 pages that moved to another heap."),
    HAK_ROW(mf2_pending_enqueued, COUNTER, "Times that an MF2 page got its first remote free."),
    HAK_ROW(mf2_pending_drained, COUNTER, "Times that those were taken in."),
    HAK_ROW(mf2_requeues, COUNTER, "MF2 pages put back because they could not be had."),
    HAK_ROW(mf2_lease_skips, COUNTER, "Of those, pages that had moved too recently."),
    HAK_ROW(mf2_drain_tries, COUNTER, "Opportunistic drains: policies own, rr and hybrid."),
    HAK_ROW(mf2_drain_other, COUNTER, "Of those, drains of another heap's pages."),
    HAK_ROW(mf2_handoffs, COUNTER, "MF2 pages that those drains made the thread's active ones."),
    HAK_ROW(mf2_orphan_pages, GAUGE, "MF2 pages with free blocks that no thread owns."),
    HAK_ROW(mf2_alignment_bugs, GAUGE, "MF2 pages that are not at a multiple of 64 KiB."),
    HAK_ROW(mf2_registry_collisions, GAUGE, "MF2 pages whose address leads elsewhere."),
    HAK_ROW(mf2_lookup_success_percent, GAUGE, "MF2 pages that the registry knows in full."),
    HAK_ROW(mf2_silent_drops, GAUGE, "MF2 blocks that are unaccounted for."),
};

uint64_t hak_stats_table_value(const hak_stats_t *stats, const hak_stat_row_t *row) {
    uint64_t value;
    memcpy(&value, (const char *)stats + row->offset, sizeof value);
    return value;
}
