/* extent_internal: what the parts of the box share: blocks (extent.c), parked ones (extent_park.c),
 * tracts (extent_tract.c), free extents and the search for one (extent_bins.c), purging
 * (extent_purge.c), huge pages (extent_huge.c), blocks that leave their extent (extent_leave.c),
 * statistics and checks (extent_check.c).
 *
 * Owns       the state of the box.
 * Threads    *_locked: under the box's lock.
 * Layer      4 (boxes), inside the box.
 */
#ifndef HAK_BOXES_EXTENT_EXTENT_INTERNAL_H_
#define HAK_BOXES_EXTENT_EXTENT_INTERNAL_H_

#include "base/atomic.h"
#include "base/size_class.h"
#include "boxes/dense/dense.h"
#include "boxes/extent/extent.h"
#include "core/lock/lock.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_TRACT_UNITS = 4096, /* 256 MiB */
    HAK_TRACT_WORDS = HAK_TRACT_UNITS / 64,
    HAK_WINDOW_UNITS = HAK_WINDOW_BYTES / HAK_UNIT_BYTES, /* what becomes usable at a time */
    HAK_TRACT_WINDOWS = HAK_TRACT_UNITS / HAK_WINDOW_UNITS,
    /* One bin for each length up to 32 units, then four for each doubling. */
    HAK_EXACT_BINS = 32,
    HAK_EXTENT_BINS = HAK_EXACT_BINS + 4 * 7 + 1,
    HAK_EXTENT_REFUSED_PAUSE_MS = 10000, /* until what the kernel refused is tried again */
    HAK_EXTENT_RECENT = 64,              /* requests that the usual length is the mean of, about */
};

/* Entry of a unit. It tells of the extent that begins there and, by `before`, of the one that ends
 * just before it. An extent is free (in a bin), or holds a live block (`bytes`), or is in the hand
 * of somebody: parked, being purged, about to become a block. */
typedef struct hak_extent {
    hak_a64_t bytes;                /* usable bytes of the live block; 0: none */
    hak_a32_t units;                /* length of the extent; 0: none begins here */
    uint16_t before;                /* length of the extent before it; 0: none */
    uint16_t index;                 /* of the unit in its tract, where an extent begins */
    uint16_t in_bin;                /* number of its bin plus 1, or 0 */
    bool fresh;                     /* a block: nothing of it was resident when it was made */
    uint32_t dirty;                 /* free or about to be: how many of its units are dirty */
    struct hak_extent *next, *prev; /* in the bin */
} hak_extent_t;

typedef struct hak_tract {
    hak_region_t region; /* first: the registry leads here */
    uint32_t units;      /* 0 while the descriptor has no memory */
    uint32_t committed;  /* units from the start that may be read and written, but for shed ones */
    uint32_t dirty_units;
    uint32_t shed_windows;                 /* bits of `shed` */
    uint64_t shed[HAK_TRACT_WINDOWS / 64]; /* bit per window below `committed`: held again */
    struct hak_tract *next;                /* spare descriptors */
    struct hak_tract *all_next;            /* every descriptor ever made; never changes */
    uint64_t dirty[HAK_TRACT_WORDS];   /* bit per unit: not in use and touched since the purge */
    uint64_t aged[HAK_TRACT_WORDS];    /* of them: since before visited_ms */
    uint64_t refused[HAK_TRACT_WORDS]; /* of dirty: the kernel did not take them */
    hak_a64_t huge[HAK_TRACT_WINDOWS / 64]; /* bit per window: huge pages were asked for */
    uint64_t visited_ms;                    /* when `aged` became what `dirty` was */
    uint64_t retry_ms;                      /* what was refused is forgotten then; 0: nothing was */
    hak_extent_t extent[HAK_TRACT_UNITS + 1]; /* the last one only has `before` */
} hak_tract_t;

typedef struct {
    hak_extent_t *first[HAK_EXTENT_BINS];
    uint64_t mask; /* bit per bin that is not empty */
} hak_extent_bins_t;

typedef struct {
    hak_lock_t lock;
    hak_extent_bins_t bins[2]; /* clean extents, extents with dirty units */
    hak_tract_t *all, *spare;
    unsigned in_flight;    /* system calls for which the lock was dropped */
    bool fork_waits;       /* until there are none: nobody begins another */
    hak_a64_t dirty_units; /* of all tracts */
    uint64_t committed_units, committed_peak_units, tracts, tracts_made;
    uint64_t used_units, used_peak_units; /* not free, now and at most */
    uint64_t recent_units; /* HAK_EXTENT_RECENT times the usual length of a request */
    uint64_t grown, moved, left;
    uint64_t huge_edges;   /* where windows with and without huge pages meet, in all tracts */
    uint64_t huge_windows; /* that huge pages were ever asked for */
    uint64_t purges, purged_bytes; /* given back to the kernel: by how many calls, how much */
    hak_tract_t *visit_next;       /* where purge goes on; NULL: at the first */
    /* So much was refused that none was taken: a purge with a delay, one for the sake of the bound
     * on resident memory rests until then. */
    uint64_t refused_until_ms, slack_refused_until_ms;
} hak_extents_t;
extern hak_extents_t hak_extents;

/* By who may drop the lock for a system call. */
static inline void hak_extents_enter(void) {
    hak_lock_take_unless(&hak_extents.lock, &hak_extents.fork_waits);
}

static inline hak_tract_t *hak_extent_tract(hak_extent_t *extent) {
    return hak_container_of(extent - extent->index, hak_tract_t, extent);
}
static inline uint32_t hak_extent_units(const hak_extent_t *extent) {
    /* relaxed: written under the lock or by who has the extent in hand */
    return hak_load_rlx(&extent->units);
}
static inline char *hak_extent_base(hak_extent_t *extent) {
    return (char *)hak_region_base(&hak_extent_tract(extent)->region) +
           ((size_t)extent->index << HAK_UNIT_SHIFT);
}

/* extent_park.c. What is parked and has this length, or NULL. Only the heap's thread takes and
 * parks; others may empty the places. */
hak_extent_t *hak_extent_parked_take(hak_aptr_t *parked, uint32_t units);
/* Parks an extent. Returns what has no place, or NULL. */
hak_extent_t *hak_extent_park(hak_aptr_t *parked, hak_extent_t *extent);

/* extent_bins.c. Puts a free extent into the bin of its length, takes it out. */
void hak_extent_bin_put_locked(hak_extent_t *extent);
void hak_extent_bin_remove_locked(hak_extent_t *extent);
unsigned hak_extent_bin_of(uint32_t units);
/* The shortest free extent of at least `units`, or nearly, still in its bin. NULL if none. */
hak_extent_t *hak_extent_find_locked(uint32_t units, bool dirty);
/* Any whose first `units` are usable already, still in its bin. NULL if none. Looks at all. */
hak_extent_t *hak_extent_find_committed_locked(uint32_t units);
/* One of the longest with dirty units, still in its bin, when `skip` others are left out. NULL if
 * there are no more. */
hak_extent_t *hak_extent_longest_dirty_locked(unsigned skip);
/* Bits of a range of units. */
uint32_t hak_extent_bits_count(const uint64_t *words, uint32_t first, uint32_t count);
void hak_extent_bits_set(uint64_t *words, uint32_t first, uint32_t count);
/* Of the dirty, the aged and the refused at once. */
void hak_extent_bits_clear(hak_tract_t *tract, uint32_t first, uint32_t count);
/* Length of the run of ones that begins at the first one at or behind `*first`, which is moved
 * there; 0 if there is none before `end`. */
uint32_t hak_extent_bits_run(const uint64_t *words, uint32_t *first, uint32_t end);

/* extent_tract.c. A new tract with room for `units`; all of it is one free extent, which is in its
 * bin and returned. NULL with errno ENOMEM. */
hak_extent_t *hak_tract_new_locked(uint32_t units);
/* Makes [first, end) usable; it belongs to one extent. */
bool hak_tract_commit_locked(hak_tract_t *tract, uint32_t first, uint32_t end);
/* True if it is. */
bool hak_tract_is_usable(const hak_tract_t *tract, uint32_t first, uint32_t end);
/* Holds windows without a block or a dirty unit again, so that nothing is charged for them. Returns
 * the entries and windows that it has looked at, about. */
unsigned hak_tract_shed_locked(hak_tract_t *tract);
/* Unmaps a tract that is one free extent, dirty or not. Drops the lock meanwhile. Returns the
 * bytes. */
size_t hak_tract_release_locked(hak_tract_t *tract);

/* extent.c. The entry of the unit that holds `address`, or NULL if no tract does. */
hak_extent_t *hak_extent_entry(uintptr_t address);
/* Makes [first, first + units) one extent, of nobody yet. */
hak_extent_t *hak_extent_make_locked(hak_tract_t *tract, uint32_t first, uint32_t units);
/* Joins an extent in hand with its free neighbours. Returns the whole, in its bin. */
hak_extent_t *hak_extent_join_locked(hak_extent_t *extent);
/* Puts an extent that is no block any more back, by way of the lock. */
void hak_extent_free_slowly(hak_extent_t *extent);

/* extent_huge.c. True if huge pages were asked for in a window. */
static inline bool hak_extent_is_huge(const hak_tract_t *tract, uint32_t window) {
    /* relaxed: who asks holds the lock or has a part of the window in hand */
    return (hak_load_rlx(&tract->huge[window / 64]) >> (window % 64) & 1u) != 0;
}
/* Units [first, end) are taken: asks for huge pages in windows of them that are clean, if it pays,
 * and in others no longer. */
void hak_extent_want_huge_locked(hak_tract_t *tract, uint32_t first, uint32_t end);
/* A new block of 2 MiB or more without a page: if huge pages were asked for in it, gets some, and
 * asks for no more if that took long. */
void hak_extent_try_huge(hak_extent_t *extent);
/* Makes a block one mapping. Notes in `were`, zero before, in which windows that ended huge pages
 * that are wholly in the block; again: these are asked for as before. */
void hak_extent_end_huge_locked(hak_tract_t *tract, uint32_t first, uint32_t end, uint64_t *were);
void hak_extent_huge_again_locked(hak_tract_t *tract, const uint64_t *were);
/* Splits huge pages of which [first, end), in hand, is a part. Returns how many. To be noted: */
unsigned hak_extent_part_huge(hak_tract_t *tract, uint32_t first, uint32_t end, uint64_t *parted);
void hak_extent_parted_locked(hak_tract_t *tract, const uint64_t *parted);
/* What tells of a block of `bytes` how full such blocks get. */
void hak_extent_dense(hak_extent_t *extent, uint64_t bytes, hak_dense_t *out);

typedef enum {
    HAK_CLEAN_ALL,   /* what is dirty */
    HAK_CLEAN_DIRTY, /* but for what was refused not long ago */
    HAK_CLEAN_AGED,  /* and only if it is aged */
} hak_clean_what_t;
typedef struct {
    hak_clean_what_t what;
    uint32_t units_left;        /* that may still be given back, of an extent the last ones first */
    unsigned calls_left, calls; /* that may still be made, or what takes as long; made */
    size_t bytes;               /* given back */
} hak_cleaning_t;
/* Gives units of a free extent back and counts them down. What is refused costs the kernel no time
 * and leaves units_left alone. Drops the lock meanwhile. Returns the extent that they are
 * part of then. */
hak_extent_t *hak_extent_clean_locked(hak_extent_t *extent, hak_cleaning_t *cleaning);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_EXTENT_EXTENT_INTERNAL_H_ */
