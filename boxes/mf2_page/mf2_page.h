/* mf2_page: a run of 64 KiB with blocks of one size class, and its descriptor.
 *
 * A region is 2 MiB of memory aligned to 2 MiB, cut into 32 pages; a page is one unit of the
 * registry, so an address leads to its page in two steps and never to a wrong one. The descriptor
 * stands out of band. Blocks lie `stride` bytes apart: the user's size plus the header of
 * //config:mf2_header (0, 16 or 32 bytes). Only this box converts between the start of a stride
 * and the address that a user sees.
 *
 *   owner       who may touch the owner line
 *   0           nobody: the page was handed out whole. All its blocks are at users, in thread
 *               caches or on its remote stack
 *   ORPHAN      boxes/mf2_orphans, under its lock
 *   a heap      the thread of that heap inside its owner lock, or a guest inside it
 *
 *   from     to       by                                       ordering
 *   0        heap     who took the page from a pending stack   load acquire, CAS relaxed
 *   0        ORPHAN   the sweeper, the same way                load acquire, store relaxed
 *   ORPHAN   0        the sweeper, if nothing came free        store release
 *   heap     0        that heap alone: the page is used up     store release
 *   heap     ORPHAN   that heap alone: its thread ends         relaxed, under the orphans' lock
 *   ORPHAN   heap     under the lock of the orphans            store release; relaxed by who took
 *                                                              the page from a pending stack
 *   heap     heap     who took it so, in the old heap's lock   relaxed, see boxes/mf2_remote
 *
 * Owns       layout; each field names the box that writes it.
 * Threads    *_owner: who owns the page.
 * Invariant  carved = used + length of the free list; used counts the remote stack.
 * Layer      4 (boxes). Uses base, registry, boxes/block.
 */
#ifndef HAK_BOXES_MF2_PAGE_MF2_PAGE_H_
#define HAK_BOXES_MF2_PAGE_MF2_PAGE_H_

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"
#include "boxes/block/block.h"
#include "config/hak_config.h"
#include "core/dyn_class/dyn_class.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_MF2_FIXED = 5,                             /* 2, 4, 8, 16 and 32 KiB */
    HAK_MF2_CLASSES = HAK_MF2_FIXED + HAK_DYN_IDS, /* and those whose size is chosen later */
    HAK_MF2_FIRST_SC = 40,
    HAK_MF2_SC_STEP = 8,
    HAK_MF2_PAGE_BYTES = HAK_UNIT_BYTES,
    HAK_MF2_REGION_BYTES = HAK_WINDOW_BYTES,
    HAK_MF2_REGION_PAGES = HAK_MF2_REGION_BYTES / HAK_MF2_PAGE_BYTES,
};

/* Value of `owner` besides 0 and the address of a heap. */
#define HAK_MF2_ORPHAN ((uintptr_t)1)

struct hak_mf2_heap;

typedef struct hak_mf2_page {
    /* Owner line. */
    hak_block_t *free;
    hak_a32_t used;
    hak_a32_t carved;
    hak_a32_t sc;     /* mf2_page: the class while the page is open, else 0 */
    uint32_t cap;     /* blocks that fit */
    hak_a32_t stride; /* mf2_page: the page's own, whatever its class means later */
    uint8_t slot;     /* index in the region, fixed */
    uint8_t listed;   /* mf2_heap, mf2_orphans: on the list of the owner */
    struct hak_mf2_page *next, *prev;
    hak_a64_t transfer_ms; /* mf2_adopt: when it last moved between heaps; 0: never */
    /* Remote line. */
    hak_align_as(64) hak_a64_t remote; /* mf2_remote */
    hak_a32_t pending_next;            /* mf2_pending: number of the next page plus 1 */
    hak_aptr_t owner;                  /* mf2_heap, mf2_orphans, mf2_adopt: see above */
    hak_aptr_t home;                   /* mf2_adopt: hak_mf2_heap_t whose stack it is put on */
} hak_mf2_page_t;

hak_static_assert(sizeof(hak_mf2_page_t) == 2 * HAK_CACHE_LINE,
                  "a line for the owner, a line for the others");

typedef struct hak_mf2_region {
    hak_region_t region; /* first: the registry leads here */
    uint32_t number;     /* mf2_page: fixed */
    /* Everything up to `mapped` belongs to mf2_pool, under its lock. */
    uint32_t free_mask;  /* pages that are not open */
    uint32_t dirty_mask; /* of them touched since the last purge */
    uint32_t aged_mask;  /* of them since before the last visit of purge */
    bool visiting;       /* on the visit list */
    uint64_t visit_at_ms;
    uint64_t refused_until_ms; /* the kernel took a page not: no purge before this time */
    struct hak_mf2_region *next, *prev;
    struct hak_mf2_region *visit_next;
    struct hak_mf2_region *all_next; /* every descriptor ever made; never changes */
    hak_a32_t mapped;                /* 1 while it has memory */
    hak_mf2_page_t page[HAK_MF2_REGION_PAGES];
} hak_mf2_region_t;

/* 0..HAK_MF2_CLASSES - 1 for a class that MF2 may serve. */
static inline unsigned hak_mf2_index(unsigned sc) {
    return sc >= HAK_DYN_FIRST_SC ? sc - HAK_DYN_FIRST_SC + HAK_MF2_FIXED
                                  : (sc - HAK_MF2_FIRST_SC) / HAK_MF2_SC_STEP;
}
static inline unsigned hak_mf2_sc(unsigned index) {
    return index >= HAK_MF2_FIXED ? HAK_DYN_FIRST_SC + index - HAK_MF2_FIXED
                                  : HAK_MF2_FIRST_SC + HAK_MF2_SC_STEP * index;
}
/* Classes that may have a page: those below it. A bound for those who look through all. */
static inline unsigned hak_mf2_classes(void) { return HAK_MF2_FIXED + hak_dyn_class_ids(); }
/* Distance between blocks, header and user's size, of a page that was open at least once. */
static inline uint32_t hak_mf2_page_stride(const hak_mf2_page_t *page) {
    return hak_load_rlx(&page->stride); /* relaxed: fixed while one of its blocks is in use */
}
/* The user's size of its blocks. */
static inline uint32_t hak_mf2_page_bytes(const hak_mf2_page_t *page) {
    return hak_mf2_page_stride(page) - (uint32_t)hak_cfg_mf2_header;
}

static inline hak_mf2_region_t *hak_mf2_page_region(const hak_mf2_page_t *page) {
    return hak_container_of(page - page->slot, hak_mf2_region_t, page);
}
static inline uintptr_t hak_mf2_page_base(const hak_mf2_page_t *page) {
    return hak_region_base(&hak_mf2_page_region(page)->region) +
           ((uintptr_t)page->slot << HAK_UNIT_SHIFT);
}
/* The user's address of the block with this index. */
static inline uintptr_t hak_mf2_page_block(const hak_mf2_page_t *page, uint32_t index) {
    return hak_mf2_page_base(page) + (uintptr_t)index * hak_mf2_page_stride(page) +
           (uintptr_t)hak_cfg_mf2_header;
}

/* The page that holds `address`, open or not, or NULL if no region does. */
hak_mf2_page_t *hak_mf2_page_of(uintptr_t address);

/* Gives a new region its number. False if there are too many or no memory. By mf2_pool, under its
 * lock. */
bool hak_mf2_page_number_region(hak_mf2_region_t *region);
/* A number that stands for the page as long as the process lives, and back. Descriptors are never
 * unmapped, so any number that was ever given leads to one. */
static inline uint32_t hak_mf2_page_number(const hak_mf2_page_t *page) {
    return hak_mf2_page_region(page)->number * HAK_MF2_REGION_PAGES + page->slot;
}
hak_mf2_page_t *hak_mf2_page_numbered(uint32_t number);

/* Makes `page`, fresh from mf2_pool, one of class `sc` that `owner` owns, with no carved block. */
void hak_mf2_page_open(hak_mf2_page_t *page, unsigned sc, struct hak_mf2_heap *owner, uint32_t tag);
/* Makes it no page of any class: no block is in use, nothing is queued. */
void hak_mf2_page_close(hak_mf2_page_t *page);

/* True if there is nothing to take but what others push to the remote stack. */
static inline bool hak_mf2_page_is_used_up(const hak_mf2_page_t *page) {
    return page->free == NULL && hak_load_rlx(&page->carved) == page->cap; /* relaxed: owner's */
}
/* Links `count` blocks that were never handed out, in address order, and counts them as used.
 * count <= cap - carved. */
hak_block_t *hak_mf2_page_carve_owner(hak_mf2_page_t *page, uint32_t count);
/* Takes the whole free list; its blocks count as used. */
hak_block_t *hak_mf2_page_take_owner(hak_mf2_page_t *page, uint32_t *count);
/* Takes one block off the free list, or carves it; NULL if the page is used up. */
hak_block_t *hak_mf2_page_take_one_owner(hak_mf2_page_t *page);
/* Puts a list of `count` used blocks on the free list. */
void hak_mf2_page_put_owner(hak_mf2_page_t *page, hak_block_t *list, uint32_t count);

/* Index of the block whose user address is `address`, or UINT32_MAX if none starts there. */
uint32_t hak_mf2_page_block_index(const hak_mf2_page_t *page, uintptr_t address);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_PAGE_MF2_PAGE_H_ */
