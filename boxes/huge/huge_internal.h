/* huge_internal: what the parts of the box share: blocks and the cache (huge.c), huge pages
 * (huge_pages.c), other sizes for a mapping (huge_resize.c).
 *
 * Owns       the state of the box.
 * Threads    *_locked: under the box's lock. The others take it, or have the mapping in hand.
 * Layer      4 (boxes), inside the box.
 */
#ifndef HAK_BOXES_HUGE_HUGE_INTERNAL_H_
#define HAK_BOXES_HUGE_HUGE_INTERNAL_H_

#include "base/atomic.h"
#include "boxes/dense/dense.h"
#include "boxes/huge/huge.h"
#include "core/lock/lock.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hak_huge {
    hak_region_t region; /* first: the registry leads here */
    hak_a64_t bytes;     /* usable; 0 while the descriptor holds no live block */
    size_t mapped_bytes; /* multiple of the OS page */
    bool fresh;          /* nothing was resident when the block was made */
    bool huge_pages;     /* were asked for */
    uint64_t freed_at_ms;
    struct hak_huge *next, *prev; /* cache, newest first; or free descriptors (next only) */
} hak_huge_t;

typedef struct {
    hak_lock_t lock;
    hak_huge_t *newest, *oldest; /* cache */
    hak_huge_t *spare;           /* descriptors without memory */
    unsigned in_flight;          /* mappings in work without the lock */
    bool fork_waits;             /* until there are none: nobody begins another */
    hak_a64_t cached_bytes;
    uint64_t used_peak_bytes; /* the most that live blocks had */
    hak_huge_stats_t stats;
} hak_huge_box_t;
extern hak_huge_box_t hak_huge;

/* huge.c. */
void hak_huge_note_peak_locked(void);
/* A descriptor without memory, or NULL; puts one back. */
hak_huge_t *hak_huge_descriptor(void);
void hak_huge_descriptor_put(hak_huge_t *huge);
/* Enters the memory of a descriptor in the registry, or unmaps it. False if `base` is NULL, too. */
bool hak_huge_register(hak_huge_t *huge, void *base, size_t mapped);
/* Before `more` bytes are mapped for blocks: what is cached may bring memory above the most that
 * blocks ever had by a part. Beyond that it goes, the oldest first: sizes that differ do not use
 * each other's mappings, and would else pile up. */
void hak_huge_make_room(size_t more);
/* Makes a block of a mapped descriptor. */
void *hak_huge_bring_to_life(hak_huge_t *huge, bool reused);
/* The descriptor of the huge block that starts at `block`, or NULL. */
hak_huge_t *hak_huge_find(const void *block);

/* huge_pages.c. Asks for huge pages in a new mapping if they pay, and for the first ones at once,
 * to see how long it takes. False: there are none but those, perhaps. */
bool hak_huge_try_pages(void *base, size_t mapped);
/* What tells of a block how full such blocks get: windows all over it. */
void hak_huge_dense(const hak_huge_t *huge, hak_dense_t *out);

/* huge_resize.c. Another size for a mapping in hand, which may move. False: nothing changed. */
bool hak_huge_fit(hak_huge_t *huge, size_t mapped);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_HUGE_HUGE_INTERNAL_H_ */
