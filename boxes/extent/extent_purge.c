/* Return. A unit is purged when two visits, half a delay apart, found it dirty: one that is taken
 * and given back in between starts anew, so memory in use is left alone without a time stamp. While
 * the kernel works on an extent it is in the purge's hand and the lock is free. What was refused,
 * as for locked memory, stays dirty and is tried again after a pause.
 */
#include <string.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/extent/extent_internal.h"

enum {
    HAK_REFUSED_PAUSE_MS = 10000,
    HAK_PURGES_IN_PASSING = 48, /* by a visit that has a delay; the next one goes on */
};

hak_extent_t *hak_extent_clean_locked(hak_extent_t *extent, bool aged_only, uint32_t keep_units,
                                      size_t *bytes) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t end = extent->index + hak_extent_units(extent);
    uint64_t chosen[HAK_TRACT_WORDS], done[HAK_TRACT_WORDS] = {0};
    memcpy(chosen, aged_only ? tract->aged : tract->dirty, sizeof chosen);
    char *base = (char *)hak_region_base(&tract->region);
    hak_extent_bin_remove_locked(extent);
    hak_extents.in_flight++;
    hak_lock_drop(&hak_extents.lock);
    uint32_t first = extent->index;
    uint32_t purged = 0;
    bool refused = false;
    for (uint32_t run; (run = hak_extent_bits_run(chosen, &first, end)) != 0; first += run) {
        if (keep_units != 0) {
            run = run < keep_units ? run : keep_units;
            keep_units -= run;
            continue;
        }
        if (hak_os_purge(base + ((size_t)first << HAK_UNIT_SHIFT), (size_t)run << HAK_UNIT_SHIFT)) {
            hak_extent_bits_set(done, first, run);
            purged += run;
        } else {
            refused = true;
        }
    }
    hak_lock_take(&hak_extents.lock);
    hak_extents.in_flight--;
    for (unsigned i = 0; i < HAK_TRACT_WORDS; i++) {
        tract->dirty[i] &= ~done[i];
        tract->aged[i] &= ~done[i];
    }
    tract->dirty_units -= purged;
    extent->dirty -= purged;
    hak_count_add(&hak_extents.dirty_units, -(uint64_t)purged);
    if (refused) {
        hak_extents.refused_until_ms = hak_os_now_ms() + HAK_REFUSED_PAUSE_MS;
    }
    *bytes += (size_t)purged << HAK_UNIT_SHIFT;
    return hak_extent_join_locked(extent);
}

typedef struct {
    size_t keep_bytes, bytes;
    bool all;
    unsigned left; /* extents that may still be cleaned */
} hak_visit_t;

static bool hak_wants_more_locked(const hak_visit_t *visit) {
    /* relaxed: under the lock */
    return visit->left != 0 &&
           hak_load_rlx(&hak_extents.dirty_units) << HAK_UNIT_SHIFT > visit->keep_bytes;
}

/* Cleans the free extents of a tract. The one in hand keeps the tract from going away. */
static void hak_visit_locked(hak_tract_t *tract, hak_visit_t *visit) {
    uint32_t at = 0;
    while (at < tract->units && hak_wants_more_locked(visit)) {
        hak_extent_t *extent = &tract->extent[at];
        uint32_t units = hak_extent_units(extent);
        const uint64_t *due = visit->all ? tract->dirty : tract->aged;
        if (extent->in_bin != 0 && extent->dirty != 0 &&
            hak_extent_bits_count(due, at, units) != 0) {
            visit->left--;
            extent = hak_extent_clean_locked(extent, !visit->all, 0, &visit->bytes);
        }
        at = extent->index + hak_extent_units(extent);
    }
    if (visit->left != 0) {
        memcpy(tract->aged, tract->dirty, sizeof tract->aged);
    }
}

bool hak_extent_is_refused_locked(uint64_t now_ms) { return now_ms < hak_extents.refused_until_ms; }

static bool hak_is_idle_locked(const hak_tract_t *tract) {
    return tract->units != 0 && tract->dirty_units == 0 && tract->extent[0].in_bin != 0 &&
           hak_extent_units(&tract->extent[0]) == tract->units;
}

size_t hak_extent_purge_mt(uint64_t now_ms, uint64_t delay_ms, size_t keep_bytes) {
    hak_visit_t visit = {.keep_bytes = keep_bytes,
                         .all = delay_ms == 0,
                         .left = delay_ms == 0 ? UINT32_MAX : HAK_PURGES_IN_PASSING};
    hak_lock_take(&hak_extents.lock);
    /* A time further off than the delay was set when the delay was longer. */
    bool early = hak_extents.visit_at_ms > now_ms && hak_extents.visit_at_ms - now_ms <= delay_ms;
    if (!visit.all && (early || hak_extent_is_refused_locked(now_ms))) {
        hak_lock_drop(&hak_extents.lock);
        return 0;
    }
    for (hak_tract_t *tract = hak_extents.all; tract != NULL; tract = tract->all_next) {
        if (tract->dirty_units != 0) {
            hak_visit_locked(tract, &visit);
        }
        if (hak_is_idle_locked(tract) && keep_bytes == 0) {
            visit.bytes += hak_tract_release_locked(tract);
        }
    }
    hak_extents.visit_at_ms = visit.left == 0 ? now_ms : now_ms + delay_ms / 2 + 1;
    hak_lock_drop(&hak_extents.lock);
    return visit.bytes;
}

bool hak_extent_has_dirty(void) {
    return hak_load_rlx(&hak_extents.dirty_units) != 0; /* relaxed: a hint */
}
