/* Return. A unit is purged when two visits, half a delay apart, found it dirty: one that is taken
 * and given back in between starts anew, so memory in use is left alone without a time stamp. While
 * the kernel works on an extent it is in the purge's hand and the lock is free.
 *
 * Tracts are visited in a ring: the next one is always the one whose last visit is the longest ago,
 * so a pass ends at the first that it finds too young, and a pass that was cut goes on where it
 * stopped. What is due in a tract is found by its bits, not by way of its extents: a program with
 * many blocks has few holes. Steps, words of bits and entries, are bounded besides system calls and
 * what they give back, since the lock is held for them.
 *
 * What was refused, as for locked memory, stays dirty and is passed over for a while, but keeps no
 * tract without a block from being unmapped. All rests only when one pass met nothing but refusals.
 */
#include <limits.h>
#include <string.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/extent/extent_internal.h"

enum {
    HAK_CALL_UNITS = HAK_WINDOW_BYTES / HAK_UNIT_BYTES, /* what is worth a call, in passing */
    HAK_STEPS_AT_ONCE = 16384, /* about; one tract takes 6,300 at most, seldom more than 200 */
    HAK_RELEASE_STEPS = 512,   /* what the release of a tract counts as */
    HAK_SPLIT_CALLS = 8,       /* what the split of a huge page counts as: 0.4 ms */
};

/* Bits of a tract's units, right for the words of one extent. */
typedef struct {
    hak_tract_t *tract;
    uint64_t chosen[HAK_TRACT_WORDS], done[HAK_TRACT_WORDS], refused[HAK_TRACT_WORDS];
    uint64_t parted[HAK_TRACT_WINDOWS / 64]; /* windows whose huge page is none any more */
} hak_clean_bits_t;

/* A word of the units that a purge would take. */
static uint64_t hak_due_word(const hak_tract_t *tract, hak_clean_what_t what, uint32_t word) {
    switch (what) {
    case HAK_CLEAN_AGED:
        return tract->aged[word] & ~tract->refused[word];
    case HAK_CLEAN_DIRTY:
        return tract->dirty[word] & ~tract->refused[word];
    default:
        return tract->dirty[word];
    }
}

/* One system call. Returns the units given back, all or none as far as is known. */
static uint32_t hak_try(hak_clean_bits_t *bits, uint32_t first, uint32_t run,
                        hak_cleaning_t *cleaning) {
    char *base = (char *)hak_region_base(&bits->tract->region);
    unsigned split = hak_extent_part_huge(bits->tract, first, first + run, bits->parted);
    bool done =
        hak_os_purge(base + ((size_t)first << HAK_UNIT_SHIFT), (size_t)run << HAK_UNIT_SHIFT);
    unsigned calls = done ? 1 + split * HAK_SPLIT_CALLS : 1; /* refused is quickly said */
    cleaning->calls++;
    cleaning->calls_left -= calls < cleaning->calls_left ? calls : cleaning->calls_left;
    hak_extent_bits_set(done ? bits->done : bits->refused, first, run);
    return done ? run : 0;
}

/* The kernel stops at the first page that it refuses, and one locked page must not keep all that is
 * behind it from going back. So a long run that was refused is halved: what of it is refused again
 * is halved further, of two such halves the first. The other waits as refused and is a run of its
 * own the next time. */
static uint32_t hak_give_run(hak_clean_bits_t *bits, uint32_t first, uint32_t run,
                             hak_cleaning_t *cleaning) {
    uint32_t purged = hak_try(bits, first, run, cleaning);
    bool refused = purged == 0;
    while (refused && run > HAK_CALL_UNITS && cleaning->calls_left >= 2) {
        uint32_t half = run / 2;
        uint32_t low = hak_try(bits, first, half, cleaning);
        uint32_t high = hak_try(bits, first + half, run - half, cleaning);
        purged += low + high;
        refused = low == 0 || high == 0;
        first += low;
        run = low == 0 ? half : run - half;
    }
    return purged;
}

/* The system calls, for [first, end) of the extent in hand. Returns the units given back. */
static uint32_t hak_give_back(hak_clean_bits_t *bits, uint32_t first, uint32_t end,
                              uint32_t keep_units, hak_cleaning_t *cleaning) {
    uint32_t purged = 0;
    for (uint32_t run;
         cleaning->calls_left != 0 && (run = hak_extent_bits_run(bits->chosen, &first, end)) != 0;
         first += run) {
        if (keep_units != 0) {
            run = run < keep_units ? run : keep_units;
            keep_units -= run;
            continue;
        }
        purged += hak_give_run(bits, first, run, cleaning);
    }
    cleaning->units_left -= purged;
    cleaning->bytes += (size_t)purged << HAK_UNIT_SHIFT;
    return purged;
}

static void hak_account_locked(hak_extent_t *extent, const hak_clean_bits_t *bits,
                               uint32_t purged) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t end = extent->index + hak_extent_units(extent);
    uint64_t refused = 0;
    for (uint32_t w = extent->index / 64; w * 64 < end; w++) {
        tract->dirty[w] &= ~bits->done[w];
        tract->aged[w] &= ~bits->done[w];
        tract->refused[w] = (tract->refused[w] | bits->refused[w]) & ~bits->done[w];
        refused |= bits->refused[w];
    }
    if (refused != 0 && tract->retry_ms == 0) {
        tract->retry_ms = hak_os_now_ms() + HAK_EXTENT_REFUSED_PAUSE_MS;
    }
    tract->dirty_units -= purged;
    extent->dirty -= purged;
    hak_count_add(&hak_extents.dirty_units, -(uint64_t)purged);
}

hak_extent_t *hak_extent_clean_locked(hak_extent_t *extent, hak_cleaning_t *cleaning) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t first = extent->index;
    uint32_t end = first + hak_extent_units(extent);
    hak_clean_bits_t bits;
    bits.tract = tract;
    memset(bits.parted, 0, sizeof bits.parted);
    memset(bits.done, 0, sizeof bits.done);
    memset(bits.refused, 0, sizeof bits.refused);
    for (uint32_t w = first / 64; w * 64 < end; w++) {
        bits.chosen[w] = hak_due_word(tract, cleaning->what, w);
    }
    uint32_t units = hak_extent_bits_count(bits.chosen, first, end - first);
    if (units == 0) {
        return extent;
    }
    hak_extent_bin_remove_locked(extent);
    hak_extents.in_flight++;
    hak_lock_drop(&hak_extents.lock);
    uint32_t keep = units > cleaning->units_left ? units - cleaning->units_left : 0;
    unsigned calls = cleaning->calls;
    uint32_t purged = hak_give_back(&bits, first, end, keep, cleaning);
    hak_lock_take(&hak_extents.lock);
    hak_extents.in_flight--;
    hak_extents.purges += cleaning->calls - calls;
    hak_extents.purged_bytes += (uint64_t)purged << HAK_UNIT_SHIFT;
    hak_account_locked(extent, &bits, purged);
    hak_extent_parted_locked(tract, bits.parted);
    return hak_extent_join_locked(extent);
}

typedef struct {
    hak_cleaning_t cleaning;
    size_t keep_bytes;
    int64_t steps_left;
    uint64_t now_ms, delay_ms;
} hak_visit_t;

/* Between two system calls: they may follow each other for a second, and all threads wait for a
 * fork that waits for the last one. Blocks and tracts may come and go meanwhile. */
static void hak_let_fork_in_locked(void) {
    if (hak_extents.fork_waits) {
        hak_lock_drop(&hak_extents.lock);
        hak_extents_enter();
    }
}

/* The first unit at or behind `at` that is due, or HAK_TRACT_UNITS. */
static uint32_t hak_next_due_locked(const hak_tract_t *tract, uint32_t at, hak_visit_t *visit) {
    for (uint32_t w = at / 64; w < HAK_TRACT_WORDS; w++) {
        uint64_t word = hak_due_word(tract, visit->cleaning.what, w);
        word &= w == at / 64 ? ~UINT64_C(0) << (at % 64) : ~UINT64_C(0);
        visit->steps_left--;
        if (word != 0) {
            return w * 64 + hak_lowest_bit(word);
        }
    }
    return HAK_TRACT_UNITS;
}

/* The extent that holds a unit. The way back to its start passes over units that are not due, so a
 * visit makes it once at most for each unit. */
static hak_extent_t *hak_extent_around_locked(hak_tract_t *tract, uint32_t at, hak_visit_t *visit) {
    hak_extent_t *extent = &tract->extent[at];
    while (hak_extent_units(extent) == 0) {
        extent--;
        visit->steps_left--;
    }
    return extent;
}

static bool hak_is_used_up(const hak_cleaning_t *cleaning) {
    return cleaning->calls_left == 0 || cleaning->units_left == 0;
}

/* Cleans the free extents of a tract. The one in hand keeps the tract from going away. False if
 * there is more than a pass may do. */
static bool hak_clean_tract_locked(hak_tract_t *tract, hak_visit_t *visit) {
    uint32_t at = 0;
    /* relaxed: under the lock */
    while (tract->dirty_units != 0 &&
           hak_load_rlx(&hak_extents.dirty_units) << HAK_UNIT_SHIFT > visit->keep_bytes) {
        at = hak_next_due_locked(tract, at, visit);
        if (at == HAK_TRACT_UNITS) {
            break;
        }
        if (hak_is_used_up(&visit->cleaning)) {
            return false;
        }
        hak_extent_t *extent = hak_extent_around_locked(tract, at, visit);
        if (extent->in_bin != 0) {
            extent = hak_extent_clean_locked(extent, &visit->cleaning);
        }
        /* Else there may be more to do in this extent. */
        if (!hak_is_used_up(&visit->cleaning)) {
            at = extent->index + hak_extent_units(extent);
        }
        hak_let_fork_in_locked();
    }
    return true;
}

/* A tract may go if a block is nowhere in it. With a delay, what is dirty must have gone before,
 * or be refused: locked memory stays dirty for good, but unmapped it may be. */
static void hak_release_if_idle_locked(hak_tract_t *tract, hak_visit_t *visit) {
    if (visit->keep_bytes == 0 && tract->units != 0 && tract->extent[0].in_bin != 0 &&
        hak_extent_units(&tract->extent[0]) == tract->units &&
        (visit->delay_ms == 0 || tract->dirty_units == 0 ||
         hak_extent_bits_count(tract->refused, 0, tract->units) == tract->dirty_units)) {
        /* Where the kernel takes pages now, it is enough for this pass. */
        visit->steps_left -= tract->dirty_units == 0 ? HAK_RELEASE_STEPS : HAK_STEPS_AT_ONCE;
        visit->cleaning.bytes += hak_tract_release_locked(tract);
        hak_let_fork_in_locked();
    }
}

/* True if half a delay has passed since the last visit. A time further off than the delay was set
 * when the delay was longer. */
static bool hak_is_due_locked(const hak_tract_t *tract, const hak_visit_t *visit) {
    uint64_t at_ms = tract->visited_ms + visit->delay_ms / 2 + 1;
    return at_ms <= visit->now_ms || at_ms - visit->now_ms > visit->delay_ms;
}

/* What was refused is forgotten only when the rest of the tract has had its turn, or a purge that
 * is cut would meet the same refusals for ever. */
static void hak_age_locked(hak_tract_t *tract, hak_visit_t *visit) {
    if (tract->retry_ms != 0 && visit->now_ms >= tract->retry_ms) {
        memset(tract->refused, 0, sizeof tract->refused);
        tract->retry_ms = 0;
    }
    if (tract->dirty_units != 0) { /* else there is no bit in either */
        memcpy(tract->aged, tract->dirty, sizeof tract->aged);
        visit->steps_left -= HAK_TRACT_WORDS;
    }
    tract->visited_ms = visit->now_ms;
}

static void hak_visit_due_locked(hak_visit_t *visit) {
    while (visit->steps_left > 0) {
        hak_tract_t *tract =
            hak_extents.visit_next != NULL ? hak_extents.visit_next : hak_extents.all;
        if (tract == NULL || !hak_is_due_locked(tract, visit)) {
            return;
        }
        visit->steps_left--;
        if (!hak_clean_tract_locked(tract, visit)) {
            if (visit->cleaning.bytes == 0) {
                hak_extents.refused_until_ms = hak_os_now_ms() + HAK_EXTENT_REFUSED_PAUSE_MS;
            }
            return;
        }
        hak_release_if_idle_locked(tract, visit);
        /* Another thread may have been here while the lock was dropped. */
        if (hak_is_due_locked(tract, visit)) {
            hak_age_locked(tract, visit);
            hak_extents.visit_next = tract->all_next;
        }
    }
}

static void hak_visit_all_locked(hak_visit_t *visit) {
    for (hak_tract_t *tract = hak_extents.all; tract != NULL; tract = tract->all_next) {
        visit->steps_left--;
        hak_release_if_idle_locked(tract, visit); /* one call instead of one for each dirty run */
        (void)hak_clean_tract_locked(tract, visit);
        hak_release_if_idle_locked(tract, visit); /* blocks may have been freed meanwhile */
        if (visit->keep_bytes == 0) {
            visit->steps_left -= hak_tract_shed_locked(tract);
        }
        if (visit->steps_left <= 0) { /* others get their turn */
            hak_lock_drop(&hak_extents.lock);
            hak_extents_enter();
            visit->steps_left = HAK_STEPS_AT_ONCE;
        }
    }
}

size_t hak_extent_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                           size_t keep_bytes) {
    bool all = delay_ms == 0;
    hak_visit_t visit = {
        .cleaning = {.what = all ? HAK_CLEAN_ALL : HAK_CLEAN_AGED,
                     .units_left = all ? UINT32_MAX : max_calls * HAK_CALL_UNITS,
                     .calls_left = all ? UINT_MAX : max_calls},
        .keep_bytes = keep_bytes,
        .steps_left = HAK_STEPS_AT_ONCE,
        .now_ms = now_ms,
        .delay_ms = delay_ms,
    };
    hak_extents_enter();
    if (all) {
        hak_visit_all_locked(&visit);
    } else if (max_calls != 0 && now_ms >= hak_extents.refused_until_ms) {
        hak_visit_due_locked(&visit);
    }
    hak_lock_drop(&hak_extents.lock);
    return visit.cleaning.bytes;
}

bool hak_extent_has_dirty(void) {
    return hak_load_rlx(&hak_extents.dirty_units) != 0; /* relaxed: a hint */
}
