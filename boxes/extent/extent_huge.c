/* Huge pages. Where large blocks are written from end to end (boxes/dense) the kernel is asked for
 * huge pages in the windows of 2 MiB that lie wholly in a new block and have no page yet: one page
 * fault then takes the place of 512. A page comes when the block is written there, so one that is
 * not written to its end pays for a window at most. The first ones are touched at once, to see how
 * long it takes (boxes/huge_cost).
 *
 * A huge page in which one part is free and clean would be resident as a whole without being
 * counted. So of a window that huge pages are asked for in, either all units are free and clean, or
 * none: who takes or purges a part of it ends that first, and a purge has the kernel split the page
 * or it would stay in use as a whole.
 *
 * One window in eight is left with small pages: what blocks do with those tells if it still pays.
 */
#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/extent/extent_internal.h"
#include "boxes/huge_cost/huge_cost.h"

enum {
    HAK_WINDOWS_PER_PROBE = 8,
    /* Each is a boundary of a mapping for the kernel, which allows a process 65,530. */
    HAK_HUGE_MOST_EDGES = 8192,
};

/* The last one that is committed, too: what is committed next becomes one mapping with it. */
static bool hak_is_probe(const hak_tract_t *tract, uint32_t window) {
    return window % HAK_WINDOWS_PER_PROBE == HAK_WINDOWS_PER_PROBE - 1 ||
           (window + 1) * HAK_WINDOW_UNITS >= tract->committed;
}

static char *hak_window(hak_tract_t *tract, uint32_t window) {
    return (char *)hak_region_base(&tract->region) + (size_t)window * HAK_WINDOW_BYTES;
}

static uint64_t hak_edges_locked(const hak_tract_t *tract) {
    uint64_t edges = 0, before = 0;
    for (unsigned i = 0; i < HAK_TRACT_WINDOWS / 64; i++) {
        uint64_t word = hak_load_rlx(&tract->huge[i]); /* relaxed: under the lock */
        edges += hak_bit_count64(word ^ (word << 1 | before));
        before = word >> 63;
    }
    return edges + before;
}

/* Notes windows [first, end) as such in which huge pages are asked for or not. */
static void hak_mark_locked(hak_tract_t *tract, uint32_t first, uint32_t end, bool huge) {
    hak_extents.huge_edges -= hak_edges_locked(tract);
    for (uint32_t window = first; window < end; window++) {
        hak_a64_t *word = &tract->huge[window / 64];
        uint64_t bit = UINT64_C(1) << (window % 64);
        uint64_t others = hak_load_rlx(word) & ~bit; /* relaxed: written under the lock */
        hak_store_rlx(word, huge ? others | bit : others);
    }
    hak_extents.huge_edges += hak_edges_locked(tract);
}

/* The kernel makes one mapping again of neighbours that are alike, so that a block can leave, if
 * their pages hang on one list (anon_vma): it exists from the first page on, and a mapping that is
 * split later hands it on. Hence the write. The purge takes it back, with what tables there are. */
static void hak_ask_locked(hak_tract_t *tract, uint32_t first, uint32_t end) {
    if (first >= end || hak_extents.huge_edges >= HAK_HUGE_MOST_EDGES) {
        return;
    }
    char *base = hak_window(tract, first);
    size_t bytes = (size_t)(end - first) * HAK_WINDOW_BYTES;
    *(volatile char *)base = 0;
    if (!hak_os_purge(base, bytes) || !hak_os_want_huge(base, bytes)) {
        hak_os_no_huge(base, bytes); /* a part may have been done */
        return;
    }
    hak_mark_locked(tract, first, end, true);
    hak_extents.huge_windows += end - first;
}

static void hak_ask_no_longer_locked(hak_tract_t *tract, uint32_t window) {
    hak_os_no_huge(hak_window(tract, window), HAK_WINDOW_BYTES);
    hak_mark_locked(tract, window, window + 1, false);
}

/* The part of [*first, *end) that lies in a window. True if that is all of the window. */
static bool hak_part_of(uint32_t window, uint32_t *first, uint32_t *end) {
    uint32_t window_first = window * HAK_WINDOW_UNITS;
    uint32_t window_end = window_first + HAK_WINDOW_UNITS;
    *first = *first < window_first ? window_first : *first;
    *end = *end < window_end ? *end : window_end;
    return *end - *first == HAK_WINDOW_UNITS;
}

void hak_extent_want_huge_locked(hak_tract_t *tract, uint32_t first, uint32_t end) {
    bool pays = hak_dense_pays() && hak_huge_cost_is_fine();
    uint32_t ask = first / HAK_WINDOW_UNITS; /* where the run of those to ask for begins */
    uint32_t window = ask;
    for (; window * HAK_WINDOW_UNITS < end; window++) {
        uint32_t from = first, to = end;
        bool whole = hak_part_of(window, &from, &to);
        uint32_t dirty = hak_extent_bits_count(tract->dirty, from, to - from);
        bool want = pays && whole && dirty == 0 && !hak_is_probe(tract, window);
        bool is_huge = hak_extent_is_huge(tract, window);
        if (!want || is_huge) {
            hak_ask_locked(tract, ask, window);
            ask = window + 1;
        }
        if (!want && is_huge && dirty != to - from) {
            hak_ask_no_longer_locked(tract, window);
        }
    }
    hak_ask_locked(tract, ask, window);
}

void hak_extent_try_huge(hak_extent_t *extent) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t first = extent->index;
    uint32_t last = first + hak_extent_units(extent) - HAK_WINDOW_UNITS; /* where one may begin */
    uint32_t window = (uint32_t)hak_align_up(first, HAK_WINDOW_UNITS) / HAK_WINDOW_UNITS;
    while (window * HAK_WINDOW_UNITS <= last && !hak_extent_is_huge(tract, window)) {
        window++;
    }
    uint32_t end = window; /* of the first run */
    while (end * HAK_WINDOW_UNITS <= last && hak_extent_is_huge(tract, end)) {
        end++;
    }
    size_t touched;
    if (window != end && !hak_huge_cost_try(hak_window(tract, window), end - window, &touched)) {
        hak_lock_take(&hak_extents.lock);
        for (window += (uint32_t)touched; window * HAK_WINDOW_UNITS <= last; window++) {
            if (hak_extent_is_huge(tract, window)) {
                hak_ask_no_longer_locked(tract, window);
            }
        }
        hak_lock_drop(&hak_extents.lock);
    }
}

static unsigned hak_part_window(hak_tract_t *tract, uint32_t window, uint32_t first, uint32_t end,
                                uint64_t *parted) {
    uint64_t bit = UINT64_C(1) << (window % 64);
    if (hak_part_of(window, &first, &end) || !hak_extent_is_huge(tract, window) ||
        (parted[window / 64] & bit) != 0) {
        return 0;
    }
    parted[window / 64] |= bit;
    hak_os_no_huge(hak_window(tract, window), HAK_WINDOW_BYTES);
    hak_os_split_huge((char *)hak_region_base(&tract->region) + ((size_t)first << HAK_UNIT_SHIFT));
    return 1;
}

unsigned hak_extent_part_huge(hak_tract_t *tract, uint32_t first, uint32_t end, uint64_t *parted) {
    return hak_part_window(tract, first / HAK_WINDOW_UNITS, first, end, parted) +
           hak_part_window(tract, (end - 1) / HAK_WINDOW_UNITS, first, end, parted);
}

/* A block that is exactly a mapping would leave it without a list of pages, and between neighbours
 * with huge pages it would get one of its own and never join them again. So what is before it, or
 * else behind, is part of its mapping. */
static void hak_end_beside_locked(hak_tract_t *tract, uint32_t first, uint32_t end,
                                  uint64_t *parted) {
    if (first != 0) {
        (void)hak_part_window(tract, (first - 1) / HAK_WINDOW_UNITS, first - 1, first, parted);
    } else if (end < tract->committed) {
        (void)hak_part_window(tract, end / HAK_WINDOW_UNITS, end, end + 1, parted);
    }
}

/* Content stays, of the parts of huge pages at the ends, too. */
void hak_extent_end_huge_locked(hak_tract_t *tract, uint32_t first, uint32_t end, uint64_t *were) {
    (void)hak_extent_part_huge(tract, first, end, were);
    hak_end_beside_locked(tract, first, end, were);
    hak_extent_parted_locked(tract, were);
    for (unsigned i = 0; i < HAK_TRACT_WINDOWS / 64; i++) {
        were[i] = 0;
    }
    for (uint32_t window = first / HAK_WINDOW_UNITS; window * HAK_WINDOW_UNITS < end; window++) {
        if (hak_extent_is_huge(tract, window)) {
            hak_ask_no_longer_locked(tract, window);
            were[window / 64] |= UINT64_C(1) << (window % 64);
        }
    }
}

void hak_extent_huge_again_locked(hak_tract_t *tract, const uint64_t *were) {
    uint32_t window = 0;
    uint32_t run;
    while ((run = hak_extent_bits_run(were, &window, HAK_TRACT_WINDOWS)) != 0) {
        (void)hak_os_want_huge(hak_window(tract, window), (size_t)run * HAK_WINDOW_BYTES);
        hak_mark_locked(tract, window, window + run, true);
        window += run;
    }
}

void hak_extent_parted_locked(hak_tract_t *tract, const uint64_t *parted) {
    uint32_t window = 0;
    uint32_t run;
    while ((run = hak_extent_bits_run(parted, &window, HAK_TRACT_WINDOWS)) != 0) {
        hak_mark_locked(tract, window, window + run, false);
        window += run;
    }
}

/* What is behind the block's last byte is written by nobody. */
void hak_extent_dense(hak_extent_t *extent, uint64_t bytes, hak_dense_t *out) {
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t first = (uint32_t)hak_align_up(extent->index, HAK_WINDOW_UNITS) / HAK_WINDOW_UNITS;
    uint32_t end = (extent->index + (uint32_t)(bytes >> HAK_UNIT_SHIFT)) / HAK_WINDOW_UNITS;
    *out = (hak_dense_t){.block = hak_extent_base(extent)};
    for (uint32_t at = end; extent->fresh && at > first && out->count < HAK_DENSE_LOOKS; at--) {
        if (!hak_extent_is_huge(tract, at - 1)) {
            out->window[out->count++] = hak_window(tract, at - 1);
        }
    }
}
