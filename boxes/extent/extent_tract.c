/* Tracts come from the kernel as address space without access and become usable in steps of 2 MiB,
 * from the start on: a limit on charged memory or a locked process pays for what is used, and the
 * rest of the 256 MiB is room to grow. Where RLIMIT_DATA is set, which counts what may be written,
 * purged or not, a trim, and so what comes before a request is refused, sheds such steps in which
 * nothing is left: one block would keep 256 MiB from small ones. (vm.overcommit_memory=2 goes on
 * counting them.) mmap and mprotect run under the lock: two threads that both find no room would
 * else make two tracts where one is enough. munmap does not.
 */
#include <errno.h>
#include <string.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/extent/extent_internal.h"
#include "core/meta/meta.h"
#include "core/options/options.h"

enum { HAK_TRACT_SCARCE_UNITS = 2 * HAK_WINDOW_UNITS }; /* where address space is limited */

static hak_tract_t *hak_descriptor_locked(void) {
    hak_tract_t *tract = hak_extents.spare;
    if (tract != NULL) {
        hak_extents.spare = tract->next;
        return tract;
    }
    tract = hak_meta_alloc_mt(sizeof *tract);
    if (tract != NULL) {
        tract->region.kind = HAK_REGION_EXTENT;
        tract->all_next = hak_extents.all;
        hak_extents.all = tract;
    }
    return tract;
}

/* Holds 256 MiB; if that is refused or too much to ask for, what the request needs. */
static void *hak_hold(uint32_t needed, uint32_t *units) {
    *units = HAK_TRACT_UNITS;
    void *base = NULL;
    if (hak_os_address_space_is_free()) {
        base = hak_os_hold_aligned((size_t)*units << HAK_UNIT_SHIFT, HAK_WINDOW_BYTES);
    }
    if (base == NULL) {
        *units = (uint32_t)hak_align_up(needed, HAK_WINDOW_UNITS);
        *units = *units < HAK_TRACT_SCARCE_UNITS ? HAK_TRACT_SCARCE_UNITS : *units;
        base = hak_os_hold_aligned((size_t)*units << HAK_UNIT_SHIFT, HAK_WINDOW_BYTES);
    }
    return base;
}

hak_extent_t *hak_tract_new_locked(uint32_t units) {
    hak_tract_t *tract = hak_descriptor_locked();
    uint32_t held = 0;
    void *base = tract == NULL ? NULL : hak_hold(units, &held);
    size_t bytes = (size_t)held << HAK_UNIT_SHIFT;
    if (base != NULL) {
        hak_store_rlx(&tract->region.base,
                      (uintptr_t)base); /* relaxed: published by the registry */
        if (!hak_registry_add(&tract->region, (uintptr_t)base, bytes)) {
            hak_os_unmap(base, bytes);
            base = NULL;
        }
    }
    if (base == NULL) {
        if (tract != NULL) {
            tract->next = hak_extents.spare;
            hak_extents.spare = tract;
        }
        errno = ENOMEM;
        return NULL;
    }
    if (hak_option(HAK_OPTION_THP) != HAK_THP_SYSTEM) {
        hak_os_no_huge(base, bytes); /* a first touch would make 2 MiB resident */
    }
    tract->units = held;
    hak_extents.tracts++;
    hak_extents.tracts_made++;
    hak_extent_t *all = hak_extent_make_locked(tract, 0, held);
    all->dirty = 0;
    hak_extent_bin_put_locked(all);
    return all;
}

/* Units [first, first + units), which are held. */
static bool hak_commit_held_locked(hak_tract_t *tract, uint32_t first, uint32_t units) {
    char *base = (char *)hak_region_base(&tract->region) + ((size_t)first << HAK_UNIT_SHIFT);
    if (!hak_os_commit_held(base, (size_t)units << HAK_UNIT_SHIFT)) {
        return false;
    }
    hak_extents.committed_units += units;
    if (hak_extents.committed_peak_units < hak_extents.committed_units) {
        hak_extents.committed_peak_units = hak_extents.committed_units;
    }
    return true;
}

static uint32_t hak_end_window(uint32_t end) {
    return (uint32_t)hak_align_up(end, HAK_WINDOW_UNITS) / HAK_WINDOW_UNITS;
}

/* The windows that were shed of those that hold [first, end). */
static bool hak_commit_shed_locked(hak_tract_t *tract, uint32_t first, uint32_t end) {
    uint32_t window = first / HAK_WINDOW_UNITS;
    uint32_t run;
    while ((run = hak_extent_bits_run(tract->shed, &window, hak_end_window(end))) != 0) {
        if (!hak_commit_held_locked(tract, window * HAK_WINDOW_UNITS, run * HAK_WINDOW_UNITS)) {
            return false;
        }
        tract->shed_windows -= run;
        for (; run != 0; run--, window++) {
            tract->shed[window / 64] &= ~(UINT64_C(1) << (window % 64));
        }
    }
    return true;
}

bool hak_tract_commit_locked(hak_tract_t *tract, uint32_t first, uint32_t end) {
    if (tract->shed_windows != 0 && !hak_commit_shed_locked(tract, first, end)) {
        return false;
    }
    if (end <= tract->committed) {
        return true;
    }
    end = (uint32_t)hak_align_up(end, HAK_WINDOW_UNITS);
    if (!hak_commit_held_locked(tract, tract->committed, end - tract->committed)) {
        return false;
    }
    tract->committed = end;
    return true;
}

bool hak_tract_is_usable(const hak_tract_t *tract, uint32_t first, uint32_t end) {
    uint32_t window = first / HAK_WINDOW_UNITS;
    return end <= tract->committed &&
           (tract->shed_windows == 0 ||
            hak_extent_bits_run(tract->shed, &window, hak_end_window(end)) == 0);
}

/* Of windows [first, end), which hold no block, those that are usable and clean. */
static void hak_shed_windows_locked(hak_tract_t *tract, uint32_t first, uint32_t end) {
    uint64_t chosen[HAK_TRACT_WINDOWS / 64] = {0};
    for (uint32_t window = first; window < end; window++) {
        uint32_t unit = window * HAK_WINDOW_UNITS;
        if ((tract->shed[window / 64] >> (window % 64) & 1u) == 0 &&
            hak_extent_bits_count(tract->dirty, unit, HAK_WINDOW_UNITS) == 0) {
            hak_extent_bits_set(chosen, window, 1);
        }
    }
    for (uint32_t run; (run = hak_extent_bits_run(chosen, &first, end)) != 0; first += run) {
        char *base = (char *)hak_region_base(&tract->region) + (size_t)first * HAK_WINDOW_BYTES;
        if (!hak_os_hold_again(base, (size_t)run * HAK_WINDOW_BYTES)) {
            continue;
        }
        hak_extent_bits_set(tract->shed, first, run);
        tract->shed_windows += run;
        hak_extents.committed_units -= (uint64_t)run * HAK_WINDOW_UNITS;
    }
}

unsigned hak_tract_shed_locked(hak_tract_t *tract) {
    unsigned steps = 0;
    for (uint32_t at = 0; at < tract->committed; steps++) {
        const hak_extent_t *extent = &tract->extent[at];
        uint32_t first = hak_end_window(at);
        at += hak_extent_units(extent);
        uint32_t end = (at < tract->committed ? at : tract->committed) / HAK_WINDOW_UNITS;
        if (extent->in_bin != 0 && first < end) {
            hak_shed_windows_locked(tract, first, end);
            steps += end - first;
        }
    }
    return steps;
}

/* A descriptor without memory has no bit set. */
static void hak_forget_dirty_locked(hak_tract_t *tract) {
    if (tract->dirty_units != 0) {
        hak_extents.purges++;
        hak_extents.purged_bytes += (uint64_t)tract->dirty_units << HAK_UNIT_SHIFT;
        memset(tract->dirty, 0, sizeof tract->dirty);
        memset(tract->aged, 0, sizeof tract->aged);
        memset(tract->refused, 0, sizeof tract->refused);
        hak_count_add(&hak_extents.dirty_units, -(uint64_t)tract->dirty_units);
        tract->dirty_units = 0;
    }
    tract->retry_ms = 0;
}

size_t hak_tract_release_locked(hak_tract_t *tract) {
    uintptr_t base = hak_region_base(&tract->region);
    size_t bytes = (size_t)tract->units << HAK_UNIT_SHIFT;
    uint32_t usable = tract->committed - tract->shed_windows * HAK_WINDOW_UNITS;
    size_t mapped = (size_t)usable << HAK_UNIT_SHIFT;
    hak_extent_bin_remove_locked(&tract->extent[0]);
    hak_forget_dirty_locked(tract);
    hak_extents.committed_units -= usable;
    hak_extents.tracts--;
    hak_extent_parted_locked(tract,
                             (const uint64_t[HAK_TRACT_WINDOWS / 64]){~UINT64_C(0), ~UINT64_C(0)});
    tract->extent[tract->units].before = 0;
    hak_store_rlx(&tract->extent[0].units, 0); /* relaxed: under the lock */
    tract->units = 0;
    tract->committed = 0;
    tract->shed_windows = 0;
    memset(tract->shed, 0, sizeof tract->shed);
    hak_extents.in_flight++;
    hak_lock_drop(&hak_extents.lock);
    hak_registry_remove(base, bytes);
    hak_os_unmap((void *)base, bytes);
    hak_lock_take(&hak_extents.lock);
    hak_extents.in_flight--;
    tract->next = hak_extents.spare;
    hak_extents.spare = tract;
    return mapped;
}
