/* Blocks. Free extents with dirty units come first, so that memory that was touched is touched
 * again before new memory is; among them the shortest that is long enough, cut at its end. What is
 * cut off stays free and joined with its neighbours: a program that grows one block again and again
 * finds the units of the block before behind it.
 *
 * Rejected: one mapping for each block, kept when it was freed and handed out again to requests of
 * its size. Random sizes seldom fit, and a block that grows asks the kernel at each step.
 */
#include "boxes/extent/extent.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "boxes/extent/extent_internal.h"
#include "core/options/options.h"
#include "registry/registry_inl.h"

enum {
    /* What else may be resident above the peak of blocks: a part of it, or this many blocks of the
     * usual length, or 8 MiB, whatever is most. */
    HAK_SLACK_PART = 8,
    HAK_SLACK_BLOCKS = 3,
    HAK_SLACK_MIN_UNITS = 128,
    HAK_SLACK_PURGES = 8, /* extents that one request tries */
};

hak_extents_t hak_extents = {.lock = HAK_LOCK_INIT(HAK_RANK_EXTENT)};

static uint32_t hak_units(size_t bytes) {
    return (uint32_t)((bytes + HAK_UNIT_BYTES - 1) >> HAK_UNIT_SHIFT);
}

hak_extent_t *hak_extent_make_locked(hak_tract_t *tract, uint32_t first, uint32_t units) {
    hak_extent_t *extent = &tract->extent[first];
    hak_store_rlx(&extent->units, units); /* relaxed: others only look where a block of theirs is */
    extent->index = (uint16_t)first;
    tract->extent[first + units].before = (uint16_t)units;
    return extent;
}

static void hak_count_dirty_locked(hak_tract_t *tract, uint32_t units) {
    tract->dirty_units += units;
    hak_count_add(&hak_extents.dirty_units, (uint64_t)(int32_t)units);
}

hak_extent_t *hak_extent_join_locked(hak_extent_t *extent) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t first = extent->index;
    uint32_t end = first + hak_extent_units(extent);
    uint32_t dirty = extent->dirty;
    hak_extent_t *behind = &tract->extent[end];
    if (end < tract->units && behind->in_bin != 0) {
        hak_extent_bin_remove_locked(behind);
        end += hak_extent_units(behind);
        dirty += behind->dirty;
        hak_store_rlx(&behind->units, 0); /* relaxed: as in hak_extent_make_locked */
    }
    hak_extent_t *before = extent - extent->before;
    if (extent->before != 0 && before->in_bin != 0) {
        hak_extent_bin_remove_locked(before);
        hak_store_rlx(&extent->units, 0); /* relaxed: as above */
        first = before->index;
        dirty += before->dirty;
    }
    extent = hak_extent_make_locked(tract, first, end - first);
    extent->dirty = dirty;
    hak_extent_bin_put_locked(extent);
    return extent;
}

/* Cuts `units` from the start of a free extent. Returns true if they read as zero. */
static bool hak_cut_locked(hak_extent_t *extent, uint32_t units) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t first = extent->index;
    uint32_t whole = hak_extent_units(extent);
    uint32_t all_dirty = extent->dirty;
    hak_extent_bin_remove_locked(extent);
    uint32_t dirty = all_dirty == whole ? units : 0;
    if (dirty == 0 && all_dirty != 0) {
        dirty = hak_extent_bits_count(tract->dirty, first, units);
    }
    if (dirty != units) {
        hak_extent_want_huge_locked(tract, first, first + units);
    }
    if (dirty != 0) {
        hak_extent_bits_clear(tract, first, units);
        hak_count_dirty_locked(tract, -dirty);
    }
    if (whole > units) {
        (void)hak_extent_make_locked(tract, first, units);
        hak_extent_t *rest = hak_extent_make_locked(tract, first + units, whole - units);
        rest->dirty = all_dirty - dirty;
        hak_extent_bin_put_locked(rest);
    }
    return dirty == 0;
}

/* `room` is more than `units` for a block that grows. Dirty units with less room go before clean
 * ones with all of it: those would be paid for by giving the dirty ones back. An eighth is asked
 * for, so that the copies of a block that moves each time are a multiple of its last size. */
static hak_extent_t *hak_find_locked(uint32_t units, uint32_t room) {
    hak_extent_t *extent = NULL;
    if (room > units) {
        extent = hak_extent_find_locked(room, true);
        extent = extent != NULL ? extent : hak_extent_find_locked(units + units / 8, true);
        extent = extent != NULL ? extent : hak_extent_find_locked(room, false);
    }
    extent = extent != NULL ? extent : hak_extent_find_locked(units, true);
    extent = extent != NULL ? extent : hak_extent_find_locked(units, false);
    return extent != NULL ? extent : hak_tract_new_locked(units);
}

/* Gives ends of the longest free extents back until no more than `most` units are resident. What
 * is known to be refused is passed over without a call; where nothing else is found it rests. */
static void hak_give_slack_locked(uint64_t most) {
    unsigned skip = 0;
    for (int tries = 0; tries < HAK_SLACK_PURGES; tries++) {
        hak_extent_t *longest = hak_extent_longest_dirty_locked(skip);
        /* relaxed: under the lock */
        uint64_t resident = hak_extents.used_units + hak_load_rlx(&hak_extents.dirty_units);
        if (longest == NULL || resident <= most) {
            return;
        }
        uint64_t excess = resident - most;
        hak_cleaning_t cleaning = {
            .what = HAK_CLEAN_DIRTY,
            .units_left = excess < HAK_TRACT_UNITS ? (uint32_t)excess : HAK_TRACT_UNITS,
            .calls_left = UINT_MAX,
        };
        (void)hak_extent_clean_locked(longest, &cleaning);
        skip += cleaning.bytes == 0;
    }
    if (skip == HAK_SLACK_PURGES) {
        hak_extents.slack_refused_until_ms = hak_os_now_ms() + HAK_EXTENT_REFUSED_PAUSE_MS;
    }
}

/* Called when units are taken. What is free and dirty may bring resident memory above the most that
 * blocks ever had by some slack; beyond that it goes back. So a program's peak is that of its
 * blocks and not of holes that were too short. The slack has room for a few blocks: a program that
 * replaces some of nearly one length would else give pages back for each and touch others. Drops
 * the lock meanwhile.
 */
static void hak_use_locked(uint32_t units) {
    hak_extents.used_units += units;
    if (hak_extents.used_peak_units < hak_extents.used_units) {
        hak_extents.used_peak_units = hak_extents.used_units;
    }
    uint64_t slack = hak_extents.used_peak_units / HAK_SLACK_PART;
    uint64_t blocks = hak_extents.recent_units * HAK_SLACK_BLOCKS / HAK_EXTENT_RECENT;
    slack = slack < blocks ? blocks : slack;
    slack = slack < HAK_SLACK_MIN_UNITS ? HAK_SLACK_MIN_UNITS : slack;
    uint64_t most = hak_extents.used_peak_units + slack;
    /* relaxed: under the lock */
    if (hak_extents.used_units + hak_load_rlx(&hak_extents.dirty_units) > most &&
        hak_os_now_ms() >= hak_extents.slack_refused_until_ms) {
        hak_give_slack_locked(most);
    }
}

/* An extent of `units` in the caller's hand, if possible with `room` behind its start; where the
 * kernel gives no more, any that is usable already. NULL with errno ENOMEM. */
static hak_extent_t *hak_take_locked(uint32_t units, uint32_t room, bool *zeroed) {
    hak_extent_t *extent = hak_find_locked(units, room);
    if (extent == NULL ||
        !hak_tract_commit_locked(hak_extent_tract(extent), extent->index, extent->index + units)) {
        extent = hak_extent_find_committed_locked(units);
    }
    if (extent == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    *zeroed = hak_cut_locked(extent, units);
    extent->fresh = *zeroed;
    hak_extents.recent_units += units - hak_extents.recent_units / HAK_EXTENT_RECENT;
    hak_use_locked(units);
    return extent;
}

/* Frees an extent in hand. The cache has a bound; what passes it goes back at once. */
static void hak_give_locked(hak_extent_t *extent) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t units = hak_extent_units(extent);
    hak_extent_bits_set(tract->dirty, extent->index, units);
    hak_count_dirty_locked(tract, units);
    hak_extents.used_units -= units;
    extent->dirty = units;
    extent = hak_extent_join_locked(extent);
    /* relaxed: under the lock */
    if (hak_unlikely(hak_load_rlx(&hak_extents.dirty_units) << HAK_UNIT_SHIFT >
                     hak_option(HAK_OPTION_HUGE_CACHE_MB) << 20)) {
        hak_cleaning_t cleaning = {
            .what = HAK_CLEAN_DIRTY, .units_left = HAK_TRACT_UNITS, .calls_left = UINT_MAX};
        (void)hak_extent_clean_locked(extent, &cleaning);
    }
}

/* Makes a block of an extent in hand. */
static void *hak_bring_to_life(hak_extent_t *extent, size_t bytes) {
    /* release: pairs with the acquire in hak_extent_free_mt */
    hak_store_rel(&extent->bytes, hak_align_up(bytes, hak_os_page_bytes()));
    return hak_extent_base(extent);
}

void *hak_extent_alloc_mt(size_t bytes, hak_aptr_t *parked, bool *zeroed) {
    uint32_t units = hak_units(bytes);
    if (parked != NULL && bytes <= HAK_EXTENT_PARKED_MAX_BYTES) {
        hak_extent_t *extent = hak_extent_parked_take(parked, units);
        if (extent != NULL) {
            *zeroed = false;
            return hak_bring_to_life(extent, bytes);
        }
    }
    bool may_be_huge = bytes >= HAK_WINDOW_BYTES;
    if (may_be_huge) {
        hak_dense_asked();
    }
    hak_extents_enter();
    hak_extent_t *extent = hak_take_locked(units, units, zeroed);
    hak_lock_drop(&hak_extents.lock);
    if (extent == NULL) {
        return NULL;
    }
    if (may_be_huge && extent->fresh) {
        hak_dense_t dense;
        hak_extent_try_huge(extent);
        hak_extent_dense(extent, bytes, &dense);
        hak_dense_made(&dense);
    }
    hak_registry_set_tags((uintptr_t)hak_extent_base(extent), 1, HAK_TAG_EXTENT);
    return hak_bring_to_life(extent, bytes);
}

hak_extent_t *hak_extent_entry(uintptr_t address) {
    hak_region_t *region = hak_registry_find_region(address);
    if (region == NULL || region->kind != HAK_REGION_EXTENT) {
        return NULL;
    }
    hak_tract_t *tract = (hak_tract_t *)region;
    uintptr_t index = (address - hak_region_base(region)) >> HAK_UNIT_SHIFT;
    return index < HAK_TRACT_UNITS ? &tract->extent[index] : NULL;
}

/* Puts an extent that is no block any more back under the lock. Its tag is that of a block until
 * then, so that a parked one need not set it. */
void hak_extent_free_slowly(hak_extent_t *extent) {
    hak_registry_set_tags((uintptr_t)hak_extent_base(extent), 1, HAK_TAG_NONE);
    hak_extents_enter();
    hak_give_locked(extent);
    hak_lock_drop(&hak_extents.lock);
}

bool hak_extent_free_mt(void *block, hak_aptr_t *parked) {
    hak_extent_t *extent = hak_extent_entry((uintptr_t)block);
    /* relaxed: the swap decides; of two threads that free the same block one finds 0. acquire: who
     * frees a block that another thread has just got in that place, by mistake, finds the extent
     * of that one; pairs with hak_bring_to_life */
    uint64_t bytes = 0;
    if (extent == NULL || ((uintptr_t)block & (HAK_UNIT_BYTES - 1)) != 0 ||
        hak_load_rlx(&extent->bytes) == 0 || (bytes = hak_swap_acq(&extent->bytes, 0)) == 0) {
        return false;
    }
    if (extent->fresh && bytes >= HAK_WINDOW_BYTES) {
        hak_dense_t dense;
        hak_extent_dense(extent, bytes, &dense);
        hak_dense_freed(&dense);
    }
    if (parked != NULL && hak_option(HAK_OPTION_HUGE_CACHE_MB) != 0) {
        extent = hak_extent_park(parked, extent);
    }
    if (extent != NULL) {
        hak_extent_free_slowly(extent);
    }
    return true;
}

/* Takes the units that are missing from the free extent behind. */
static bool hak_grow_locked(hak_extent_t *extent, uint32_t units) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t old = hak_extent_units(extent);
    hak_extent_t *behind = extent + old;
    if (extent->index + old >= tract->units || behind->in_bin == 0 ||
        hak_extent_units(behind) < units - old ||
        !hak_tract_commit_locked(tract, extent->index + old, extent->index + units)) {
        return false;
    }
    extent->fresh &= hak_cut_locked(behind, units - old);
    hak_store_rlx(&behind->units, 0); /* relaxed: as in hak_extent_make_locked */
    (void)hak_extent_make_locked(tract, extent->index, units);
    hak_use_locked(units - old);
    hak_extents.grown++;
    return true;
}

static void hak_shrink_locked(hak_extent_t *extent, uint32_t units) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t rest = hak_extent_units(extent) - units;
    (void)hak_extent_make_locked(tract, extent->index, units);
    hak_give_locked(hak_extent_make_locked(tract, extent->index + units, rest));
}

void *hak_extent_resize_mt(void *block, size_t bytes) {
    hak_extent_t *extent = hak_extent_entry((uintptr_t)block);
    uint32_t units = hak_units(bytes);
    uint32_t old = hak_extent_units(extent);
    if (units == old) {
        return hak_bring_to_life(extent, bytes);
    }
    hak_extent_t *other = NULL;
    hak_dense_forget(block);
    hak_extents_enter();
    if (units < old) {
        (void)hak_bring_to_life(extent, bytes); /* never more than its units hold */
        hak_shrink_locked(extent, units);
    } else if (!hak_grow_locked(extent, units)) {
        bool zeroed;
        uint32_t room = units * 2 < HAK_TRACT_UNITS ? units * 2 : HAK_TRACT_UNITS;
        other = hak_take_locked(units, room, &zeroed);
        hak_extents.moved += other != NULL;
        if (other == NULL) {
            extent = NULL;
        }
    }
    hak_lock_drop(&hak_extents.lock);
    if (extent == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    if (other == NULL) {
        return hak_bring_to_life(extent, bytes);
    }
    void *moved = hak_extent_base(other);
    memcpy(moved, block, hak_load_rlx(&extent->bytes)); /* relaxed: the block is the caller's */
    hak_registry_set_tags((uintptr_t)moved, 1, HAK_TAG_EXTENT);
    (void)hak_bring_to_life(other, bytes);
    (void)hak_extent_free_mt(block, NULL);
    return moved;
}

size_t hak_extent_describe(uintptr_t address, uintptr_t *block) {
    hak_extent_t *entry = hak_extent_entry(address);
    if (entry == NULL) {
        return 0;
    }
    uintptr_t start = hak_align_down(address, HAK_UNIT_BYTES);
    uintptr_t base = hak_region_base(hak_registry_region(address));
    /* Back to where an extent begins: at once, but for pointers into a block. */
    while (hak_extent_units(entry) == 0 && start > base) {
        entry--;
        start -= HAK_UNIT_BYTES;
    }
    /* relaxed: as hak_extent_units */
    size_t bytes = hak_load_rlx(&entry->bytes);
    *block = start;
    return address - start < hak_align_up(bytes, HAK_UNIT_BYTES) ? bytes : 0;
}

/* The child must not inherit an extent that is in the hand of a purge. */
void hak_extent_fork_take(void) {
    hak_lock_take_quiet(&hak_extents.lock, &hak_extents.in_flight, &hak_extents.fork_waits);
}
void hak_extent_fork_drop(void) { hak_lock_drop(&hak_extents.lock); }
