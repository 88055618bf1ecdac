/* Statistics and the box against itself: extents, bits, bins and the registry tell the same story.
 * Not on any path of malloc or free.
 */
#include "base/bits.h"
#include "boxes/extent/extent_internal.h"

typedef struct {
    uint64_t extents_free; /* in all tracts */
    uint64_t used_units, dirty_units, committed_units, tracts;
    size_t faults;
} hak_census_t;

static void hak_check_extent(hak_tract_t *tract, hak_extent_t *extent, hak_census_t *census) {
    uint32_t units = hak_extent_units(extent);
    uint32_t first = extent->index;
    uint64_t bytes = hak_load_rlx(&extent->bytes); /* relaxed: a block of somebody, or 0 */
    uint32_t dirty = hak_extent_bits_count(tract->dirty, first, units);
    uint32_t tag = hak_registry_tag((uintptr_t)hak_extent_base(extent));
    if (extent->in_bin != 0) {
        census->extents_free++;
        census->faults += bytes != 0 || tag != HAK_TAG_NONE;
        census->faults += extent->in_bin != hak_extent_bin_of(units) + 1;
        census->faults += extent->dirty != dirty;
        hak_extent_t *behind = extent + units;
        census->faults += first + units < tract->units && behind->in_bin != 0;
    } else {
        census->used_units += units;
        census->faults += dirty != 0 || !hak_tract_is_usable(tract, first, first + units);
        census->faults += bytes > (uint64_t)units << HAK_UNIT_SHIFT;
        census->faults += bytes != 0 && tag != HAK_TAG_EXTENT;
    }
    for (uint32_t i = first + 1; i < first + units; i++) {
        census->faults += hak_extent_units(&tract->extent[i]) != 0;
        census->faults += hak_load_rlx(&tract->extent[i].bytes) != 0; /* relaxed: as above */
    }
}

/* Of a window that huge pages are asked for in, all units are free and clean, or none. */
static void hak_check_huge(const hak_tract_t *tract, hak_census_t *census) {
    uint32_t units;
    for (uint32_t at = 0; at < tract->units; at += units) {
        const hak_extent_t *extent = &tract->extent[at];
        units = hak_extent_units(extent);
        for (uint32_t w = at / HAK_WINDOW_UNITS; w * HAK_WINDOW_UNITS < at + units; w++) {
            uint32_t first = w * HAK_WINDOW_UNITS, end = first + HAK_WINDOW_UNITS;
            first = first < at ? at : first;
            end = end < at + units ? end : at + units;
            uint32_t clean = end - first - hak_extent_bits_count(tract->dirty, first, end - first);
            census->faults += hak_extent_is_huge(tract, w) && extent->in_bin != 0 && clean != 0 &&
                              clean != HAK_WINDOW_UNITS;
        }
    }
}

/* Windows that were shed have nothing in them. Returns how many there are. */
static uint32_t hak_check_shed(const hak_tract_t *tract, hak_census_t *census) {
    uint32_t shed = 0, run;
    for (uint32_t at = 0; (run = hak_extent_bits_run(tract->shed, &at, HAK_TRACT_WINDOWS)) != 0;
         at += run) {
        uint32_t first = at * HAK_WINDOW_UNITS, units = run * HAK_WINDOW_UNITS;
        census->faults += first + units > tract->committed;
        census->faults += hak_extent_bits_count(tract->dirty, first, units) != 0;
        shed += run;
    }
    census->faults += shed != tract->shed_windows;
    return shed;
}

static void hak_check_tract(hak_tract_t *tract, hak_census_t *census) {
    uint32_t before = 0;
    uint32_t at = 0;
    while (at < tract->units) {
        hak_extent_t *extent = &tract->extent[at];
        uint32_t units = hak_extent_units(extent);
        if (units == 0 || at + units > tract->units || extent->index != at ||
            extent->before != before) {
            census->faults++;
            return; /* the rest cannot be found */
        }
        hak_check_extent(tract, extent, census);
        before = units;
        at += units;
    }
    census->faults += tract->extent[at].before != before;
    uint32_t dirty = hak_extent_bits_count(tract->dirty, 0, HAK_TRACT_UNITS);
    census->faults += dirty != tract->dirty_units || tract->committed > tract->units;
    census->faults += hak_extent_bits_count(tract->dirty, 0, tract->committed) != dirty;
    for (unsigned i = 0; i < HAK_TRACT_WORDS; i++) {
        census->faults += ((tract->aged[i] | tract->refused[i]) & ~tract->dirty[i]) != 0;
        census->faults += tract->refused[i] != 0 && tract->retry_ms == 0;
    }
    uint32_t shed = hak_check_shed(tract, census);
    hak_check_huge(tract, census);
    uintptr_t base = hak_region_base(&tract->region);
    for (size_t i = 0; i < (size_t)tract->units << HAK_UNIT_SHIFT; i += HAK_WINDOW_BYTES) {
        census->faults += hak_registry_region(base + i) != &tract->region;
    }
    census->tracts++;
    census->dirty_units += dirty;
    census->committed_units += tract->committed - shed * HAK_WINDOW_UNITS;
}

static uint64_t hak_check_bins(const hak_extent_bins_t *bins, bool dirty, size_t *faults) {
    uint64_t count = 0;
    for (unsigned bin = 0; bin < HAK_EXTENT_BINS; bin++) {
        *faults += (bins->first[bin] != NULL) != ((bins->mask >> bin & 1u) != 0);
        const hak_extent_t *prev = NULL;
        for (hak_extent_t *at = bins->first[bin]; at != NULL; prev = at, at = at->next) {
            *faults += at->prev != prev || at->in_bin != bin + 1 || (at->dirty != 0) != dirty;
            count++;
        }
    }
    return count;
}

size_t hak_extent_check_locked(void) {
    hak_census_t census = {0};
    for (hak_tract_t *tract = hak_extents.all; tract != NULL; tract = tract->all_next) {
        if (tract->units != 0) {
            hak_check_tract(tract, &census);
        }
    }
    if (census.faults != 0) {
        return census.faults; /* lists that may be broken are not walked */
    }
    uint64_t listed = hak_check_bins(&hak_extents.bins[0], false, &census.faults) +
                      hak_check_bins(&hak_extents.bins[1], true, &census.faults);
    census.faults += listed != census.extents_free;
    census.faults += census.dirty_units != hak_load_rlx(&hak_extents.dirty_units); /* under lock */
    census.faults += census.used_units != hak_extents.used_units;
    census.faults += census.committed_units != hak_extents.committed_units;
    census.faults += census.tracts != hak_extents.tracts;
    return census.faults;
}

static void hak_add_tract(hak_tract_t *tract, hak_extent_stats_t *out) {
    uint32_t units;
    for (uint32_t at = 0; at < tract->units; at += units) {
        hak_extent_t *extent = &tract->extent[at];
        units = hak_extent_units(extent);
        uint64_t bytes = hak_load_rlx(&extent->bytes); /* relaxed: it may come or go meanwhile */
        uint64_t whole = (uint64_t)units << HAK_UNIT_SHIFT;
        if (bytes != 0) {
            out->blocks++;
            out->bytes += bytes;
            out->tail_bytes += whole - bytes;
        } else if (extent->in_bin == 0) {
            out->cached_bytes += whole;
        }
    }
}

void hak_extent_stats_mt(hak_extent_stats_t *out) {
    hak_lock_take(&hak_extents.lock);
    /* relaxed: under the lock */
    *out = (hak_extent_stats_t){
        .cached_bytes = hak_load_rlx(&hak_extents.dirty_units) << HAK_UNIT_SHIFT,
        .mapped_bytes = hak_extents.committed_units << HAK_UNIT_SHIFT,
        .mapped_peak_bytes = hak_extents.committed_peak_units << HAK_UNIT_SHIFT,
        .purges = hak_extents.purges,
        .purged_bytes = hak_extents.purged_bytes,
        .tracts = hak_extents.tracts,
        .tracts_made = hak_extents.tracts_made,
        .grown = hak_extents.grown,
        .moved = hak_extents.moved,
        .left = hak_extents.left,
        .huge_windows = hak_extents.huge_windows,
    };
    for (hak_tract_t *tract = hak_extents.all; tract != NULL; tract = tract->all_next) {
        hak_add_tract(tract, out);
    }
    hak_lock_drop(&hak_extents.lock);
}
