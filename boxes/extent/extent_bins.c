/* Free extents by length. A bit mask finds the next bin that has one, so no search grows with the
 * number of extents: among those of one bin, which differ by a quarter at most, a few are compared.
 */
#include "base/bits.h"
#include "boxes/extent/extent_internal.h"

enum { HAK_BIN_LOOK = 16 }; /* extents of one bin that a search compares */

unsigned hak_extent_bin_of(uint32_t units) {
    if (units <= HAK_EXACT_BINS) {
        return units - 1;
    }
    unsigned log2 = hak_log2_floor(units);
    return HAK_EXACT_BINS + 4 * (log2 - 5) + ((units >> (log2 - 2)) & 3);
}

static uint64_t hak_word_bits(uint32_t first, uint32_t count, uint32_t word) {
    uint32_t low = word * 64 < first ? first - word * 64 : 0;
    uint32_t end = first + count - word * 64;
    return (~UINT64_C(0) << low) & (end >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << end) - 1);
}

uint32_t hak_extent_bits_count(const uint64_t *words, uint32_t first, uint32_t count) {
    uint32_t sum = 0;
    for (uint32_t w = first / 64; w * 64 < first + count; w++) {
        sum += hak_bit_count64(words[w] & hak_word_bits(first, count, w));
    }
    return sum;
}

void hak_extent_bits_set(uint64_t *words, uint32_t first, uint32_t count) {
    for (uint32_t w = first / 64; w * 64 < first + count; w++) {
        words[w] |= hak_word_bits(first, count, w);
    }
}

void hak_extent_bits_clear(hak_tract_t *tract, uint32_t first, uint32_t count) {
    for (uint32_t w = first / 64; w * 64 < first + count; w++) {
        uint64_t others = ~hak_word_bits(first, count, w);
        tract->dirty[w] &= others;
        tract->aged[w] &= others;
        tract->refused[w] &= others;
    }
}

uint32_t hak_extent_bits_run(const uint64_t *words, uint32_t *first, uint32_t end) {
    uint32_t at = *first;
    while (at < end && (words[at / 64] >> (at % 64) & 1u) == 0) {
        uint64_t rest = words[at / 64] >> (at % 64);
        at = rest == 0 ? (at / 64 + 1) * 64 : at + hak_lowest_bit(rest);
    }
    *first = at;
    uint32_t stop = at;
    while (stop < end && (words[stop / 64] >> (stop % 64) & 1u) != 0) {
        stop++;
    }
    return stop > at ? stop - at : 0;
}

void hak_extent_bin_put_locked(hak_extent_t *extent) {
    uint32_t units = hak_extent_units(extent);
    hak_extent_bins_t *bins = &hak_extents.bins[extent->dirty != 0];
    unsigned bin = hak_extent_bin_of(units);
    extent->in_bin = bin + 1;
    extent->prev = NULL;
    extent->next = bins->first[bin];
    if (extent->next != NULL) {
        extent->next->prev = extent;
    }
    bins->first[bin] = extent;
    bins->mask |= UINT64_C(1) << bin;
}

void hak_extent_bin_remove_locked(hak_extent_t *extent) {
    hak_extent_bins_t *bins = &hak_extents.bins[extent->dirty != 0];
    unsigned bin = extent->in_bin - 1;
    if (extent->prev != NULL) {
        extent->prev->next = extent->next;
    } else {
        bins->first[bin] = extent->next;
        if (extent->next == NULL) {
            bins->mask &= ~(UINT64_C(1) << bin);
        }
    }
    if (extent->next != NULL) {
        extent->next->prev = extent->prev;
    }
    extent->in_bin = 0;
}

/* The shortest of at least `units` among the first of a bin. */
static hak_extent_t *hak_best_of(hak_extent_t *extent, uint32_t units) {
    hak_extent_t *best = NULL;
    for (int i = 0; extent != NULL && i < HAK_BIN_LOOK; i++, extent = extent->next) {
        if (hak_extent_units(extent) >= units &&
            (best == NULL || hak_extent_units(extent) < hak_extent_units(best))) {
            best = extent;
        }
    }
    return best;
}

hak_extent_t *hak_extent_find_locked(uint32_t units, bool dirty) {
    const hak_extent_bins_t *bins = &hak_extents.bins[dirty];
    unsigned bin = hak_extent_bin_of(units);
    uint64_t mask = bins->mask & (~UINT64_C(0) << bin);
    while (mask != 0) {
        hak_extent_t *found = hak_best_of(bins->first[hak_lowest_bit(mask)], units);
        if (found != NULL) {
            return found;
        }
        mask &= mask - 1; /* only the bin of `units` itself may have shorter ones */
    }
    return NULL;
}

hak_extent_t *hak_extent_find_committed_locked(uint32_t units) {
    for (unsigned i = 0; i < 2 * HAK_EXTENT_BINS; i++) {
        hak_extent_t *extent = hak_extents.bins[i % 2].first[i / 2];
        for (; extent != NULL; extent = extent->next) {
            if (hak_extent_units(extent) >= units &&
                hak_tract_is_usable(hak_extent_tract(extent), extent->index,
                                    extent->index + units)) {
                return extent;
            }
        }
    }
    return NULL;
}

hak_extent_t *hak_extent_longest_dirty_locked(unsigned skip) {
    const hak_extent_bins_t *bins = &hak_extents.bins[true];
    for (uint64_t mask = bins->mask; mask != 0;) {
        unsigned bin = hak_log2_floor(mask);
        for (hak_extent_t *extent = bins->first[bin]; extent != NULL; extent = extent->next) {
            if (skip-- == 0) {
                return extent;
            }
        }
        mask &= ~(UINT64_C(1) << bin);
    }
    return NULL;
}
