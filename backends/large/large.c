#include "backends/large/large.h"

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/extent/extent.h"
#include "boxes/huge/huge.h"
#include "boxes/learn/learn.h"
#include "config/hak_config.h"
#include "registry/registry.h"

/* A huge block that becomes smaller than this should not keep a window of 2 MiB. */
enum { HAK_HUGE_LEAST_BYTES = 1 << 20 };

hak_static_assert((int)HAK_HEAP_PARKED == (int)HAK_EXTENT_PARKED, "a heap has the places");

static bool hak_is_extent(const void *block) {
    return hak_registry_tag((uintptr_t)block) == HAK_TAG_EXTENT;
}

void *hak_large_alloc_mt(hak_heap_t *mine, size_t bytes, size_t align, bool *zeroed) {
    bool is_extent = bytes <= HAK_EXTENT_MAX_BYTES && align <= HAK_UNIT_BYTES;
    void *block = is_extent ? hak_extent_alloc_mt(bytes, mine == NULL ? NULL : mine->parked, zeroed)
                            : hak_huge_alloc_mt(bytes, align, zeroed);
    if (hak_cfg_learn && block != NULL) {
        hak_learn_note_large_mt(!*zeroed); /* the kernel's zeroes: memory that was not there */
    }
    return block;
}

bool hak_large_free_mt(hak_heap_t *mine, void *block) {
    return hak_extent_free_mt(block, mine == NULL ? NULL : mine->parked) || hak_huge_free_mt(block);
}

/* A block of an extent that is too large for one from now on: its pages move. NULL: nothing
 * changed. */
static void *hak_become_huge(void *block, size_t bytes) {
    size_t old_bytes;
    void *pages = hak_extent_leave_mt(block, &old_bytes);
    if (pages == NULL) {
        return NULL;
    }
    void *moved = hak_huge_adopt_mt(pages, old_bytes, bytes);
    if (moved == NULL) {
        hak_extent_come_back_mt(block, pages, old_bytes);
        return NULL;
    }
    hak_extent_left_mt(block);
    return moved;
}

void *hak_large_resize_mt(void *block, size_t bytes) {
    if (bytes <= HAK_SC_MAX_BYTES) {
        return NULL;
    }
    if (hak_is_extent(block)) {
        return bytes <= HAK_EXTENT_MAX_BYTES ? hak_extent_resize_mt(block, bytes)
                                             : hak_become_huge(block, bytes);
    }
    return bytes > HAK_HUGE_LEAST_BYTES ? hak_huge_resize_mt(block, bytes) : NULL;
}

size_t hak_large_good_bytes(size_t bytes) { return hak_align_up(bytes, hak_os_page_bytes()); }

bool hak_large_describe(uintptr_t address, hak_block_info_t *info) {
    info->bytes = hak_extent_describe(address, &info->block);
    if (info->bytes == 0) {
        info->bytes = hak_huge_describe_mt(address, &info->block);
    }
    info->handed_out = true;
    return info->bytes != 0;
}

bool hak_large_ends_before(uintptr_t address) { return hak_huge_ends_before_mt(address); }

static size_t hak_purge_huge(const hak_purge_order_t *order, unsigned max_calls) {
    return hak_huge_purge_mt(order->now_ms, order->delay_ms, max_calls, order->keep_bytes);
}

/* What remains of `calls` once `bytes` were given back. */
static unsigned hak_calls_left(unsigned calls, size_t bytes) {
    size_t spent = hak_align_up(bytes, HAK_WINDOW_BYTES) / HAK_WINDOW_BYTES;
    return spent < calls ? calls - (unsigned)spent : 0;
}

/* One malloc waits for all of it, so both kinds share the calls: huge blocks are sure of half of
 * them, and get what extents leave. */
size_t hak_large_purge_mt(const hak_purge_order_t *order) {
    for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        hak_extent_unpark_mt(heap->parked);
    }
    unsigned half = order->max_calls / 2;
    size_t huge = hak_purge_huge(order, half);
    unsigned left = hak_calls_left(order->max_calls, huge);
    size_t extent = hak_extent_purge_mt(order->now_ms, order->delay_ms, left, order->keep_bytes);
    left = hak_calls_left(left, extent);
    if (order->delay_ms != 0 && left != 0) {
        huge += hak_purge_huge(order, left);
    }
    return extent + huge;
}

bool hak_large_has_garbage(void) {
    bool parked = false;
    for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        for (unsigned i = 0; i < HAK_HEAP_PARKED; i++) {
            parked |= hak_load_rlx(&heap->parked[i]) != 0; /* relaxed: a hint */
        }
    }
    return parked || hak_extent_has_dirty() || hak_huge_has_cached();
}

void hak_large_stats_mt(hak_large_stats_t *out) {
    hak_huge_stats_t huge;
    hak_extent_stats_t extent;
    hak_huge_stats_mt(&huge);
    hak_extent_stats_mt(&extent);
    *out = (hak_large_stats_t){
        .backend = {.blocks = huge.blocks + extent.blocks,
                    .bytes = huge.bytes + extent.bytes,
                    .free_bytes = extent.tail_bytes,
                    .mapped_bytes = huge.bytes + huge.cached_bytes + extent.mapped_bytes,
                    .mapped_peak_bytes = huge.mapped_peak_bytes + extent.mapped_peak_bytes,
                    .purges = huge.purges + extent.purges,
                    .purged_bytes = huge.purged_bytes + extent.purged_bytes},
        .cached_bytes = huge.cached_bytes + extent.cached_bytes,
        .huge_windows = huge.huge_windows + extent.huge_windows,
    };
}

size_t hak_large_check_locked(void) { return hak_extent_check_locked(); }

void hak_large_fork_take(void) {
    hak_huge_fork_take();
    hak_extent_fork_take();
}
void hak_large_fork_drop(void) {
    hak_extent_fork_drop();
    hak_huge_fork_drop();
}
