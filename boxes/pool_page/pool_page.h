/* pool_page: the mid pool's memory: 64 KiB pages of equal blocks, and their descriptors.
 *
 * Pages come from regions of 2 MiB. What a free page holds goes back to the kernel by purge, and so
 * do regions without an open page, but for a few: they are unmapped, and their descriptors wait,
 * with their numbers, for other memory. Everything about a block is out of band: a block is named
 * by an id, page number * 32 + place in the page, and the link that a free list needs stands in the
 * page's descriptor. Nobody ever reads a free block's memory to find the next one.
 *
 *   carved blocks of a page    shared (on a list of boxes/pool_shard) + all others: at users, in
 *                              caches (boxes/pool_cache), on their way between threads
 *
 * A page all of whose carved blocks are shared can be closed: pool_shard takes them off its lists.
 *
 * Owns       regions, page descriptors; each field names the box that writes it.
 * Threads    *_mt: any; takes the lock HAK_RANK_MID_PAGES. Atomics may be read by anyone.
 * Invariant  shared <= carved <= 65536 / block size. A page of state FREE has tag 0. Descriptors
 *            are never unmapped: who follows an id too late reads an old link, nobody's memory.
 * Layer      4 (boxes). Uses boxes/heap, registry, core/meta, core/lock, backends/os.
 */
#ifndef HAK_BOXES_POOL_PAGE_POOL_PAGE_H_
#define HAK_BOXES_POOL_PAGE_POOL_PAGE_H_

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"
#include "boxes/block/block.h"
#include "boxes/heap/heap.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_POOL_CLASSES = 5,       /* 2, 4, 8, 16, 32 KiB */
    HAK_POOL_FIRST_CLASS = 40,  /* size class of 2 KiB; then every eighth */
    HAK_POOL_PAGE_BLOCKS = 32,  /* of 2 KiB */
    HAK_POOL_REGION_PAGES = 32, /* of 64 KiB in 2 MiB */
    HAK_POOL_REGIONS = 1 << 22, /* 8 TiB: ids have 32 bits */
    HAK_POOL_SHARDS_MOST = 64   /* a mask of 64 bits tells which have blocks */
};

/* from     to       by                                  ordering
 * FREE     ACTIVE   hak_pool_page_take_mt               under the lock
 * PARKED   ACTIVE   hak_pool_page_take_mt               under the lock
 * ACTIVE   FULL     who carves the last block           store release
 * ACTIVE   PARKED   hak_pool_page_park_mt               under the lock
 * ACTIVE   FREE     hak_pool_page_park_mt, none carved  under the lock
 * FULL     FREE     hak_pool_page_close_mt              under the lock
 * PARKED   FREE     hak_pool_page_close_mt              under the lock
 */
typedef enum {
    HAK_POOL_PAGE_FREE,
    HAK_POOL_PAGE_ACTIVE, /* a heap carves it */
    HAK_POOL_PAGE_PARKED, /* partly carved, nobody's: the next refill of the class takes it */
    HAK_POOL_PAGE_FULL    /* wholly carved */
} hak_pool_page_state_t;

typedef struct hak_pool_page {
    hak_a32_t state;  /* pool_page, pool_cache (to FULL) */
    hak_a32_t sc;     /* pool_page: size class, 0 while FREE */
    hak_a32_t carved; /* pool_cache: blocks that were ever taken */
    hak_a32_t shared; /* pool_shard: blocks on lists, or about to be pushed or just popped */
    hak_aptr_t heap;  /* pool_page: hak_heap_t whose tag the page has */
    /* pool_shard: since when all carved blocks are shared, as far as was seen; 0: not */
    hak_a64_t free_since_ms;
    uint32_t in_hand; /* pool_shard: blocks that the collector holds; 0 while it does not run */
    struct hak_pool_page *due_next; /* pool_shard: pages that the collector will close */
    uint8_t slot;                   /* index in the region, fixed */
    uint8_t shard; /* pool_page: where free blocks of the page go; fixed while not FREE */
    /* pool_page: list of parked pages of the class */
    struct hak_pool_page *next, *prev;
    /* Links of free lists: id or 0. Written by who holds the block. */
    hak_align_as(64) hak_a32_t link[HAK_POOL_PAGE_BLOCKS];
} hak_pool_page_t;

typedef struct hak_pool_region {
    hak_region_t region; /* first: the registry leads here */
    uint32_t number;     /* from 1 on, fixed once it has one */
    /* Under the lock. */
    uint32_t free_mask;  /* pages that are FREE and not in a purge's hand */
    uint32_t dirty_mask; /* of them touched since the last purge */
    bool mapped;
    struct hak_pool_region *next, *prev; /* regions with a FREE page, or (next) without memory */
    hak_pool_page_t page[HAK_POOL_REGION_PAGES];
} hak_pool_region_t;

/* Bytes of a block of the pool's class 0..4, and its size class. */
static inline uint32_t hak_pool_bytes(unsigned ci) { return 2048u << ci; }
static inline unsigned hak_pool_sc(unsigned ci) { return HAK_POOL_FIRST_CLASS + 8 * ci; }
static inline unsigned hak_pool_class(unsigned sc) { return (sc - HAK_POOL_FIRST_CLASS) / 8; }
/* Blocks of a page: the bound of carving. */
static inline uint32_t hak_pool_blocks(unsigned ci) { return HAK_UNIT_BYTES / hak_pool_bytes(ci); }

static inline hak_pool_region_t *hak_pool_page_region(const hak_pool_page_t *page) {
    return hak_container_of(page - page->slot, hak_pool_region_t, page);
}
static inline uintptr_t hak_pool_page_base(const hak_pool_page_t *page) {
    return hak_region_base(&hak_pool_page_region(page)->region) +
           ((uintptr_t)page->slot << HAK_UNIT_SHIFT);
}

/* The page that holds `address`, or NULL if no region of the pool does. Any thread. */
hak_pool_page_t *hak_pool_page_of(uintptr_t address);
hak_pool_page_t *hak_pool_page_of_id(uint32_t id);
/* The id of its first block; the next ones follow. */
static inline uint32_t hak_pool_page_first_id(const hak_pool_page_t *page) {
    uint32_t number = hak_pool_page_region(page)->number * HAK_POOL_REGION_PAGES + page->slot;
    return number * HAK_POOL_PAGE_BLOCKS;
}
/* The id of a block of this class, and back. */
uint32_t hak_pool_page_id(unsigned ci, const hak_block_t *block);
hak_block_t *hak_pool_page_block(unsigned ci, uint32_t id);
/* Its link: a hak_tagged_link_fn. */
hak_a32_t *hak_pool_page_link(uint32_t id);

/* Takes up to `count` pages for `heap` to carve, each with room: parked ones, free ones, pages of
 * a new region. New ones send free blocks to `shard`. Returns how many; 0 with errno ENOMEM. */
unsigned hak_pool_page_take_mt(hak_heap_t *heap, unsigned ci, unsigned shard, unsigned count,
                               hak_pool_page_t **pages);
/* The heap carves the page no further. */
void hak_pool_page_park_mt(hak_pool_page_t *page);
/* Takes the next `count` blocks of an ACTIVE page; the first of them. By who carves the page. */
hak_block_t *hak_pool_page_carve_owner(hak_pool_page_t *page, unsigned ci, uint32_t count);
/* Makes the page FREE: its `blocks` blocks are all in the caller's hand. False if it has carved
 * more, or is being carved. */
bool hak_pool_page_close_mt(hak_pool_page_t *page, uint32_t blocks);

/* Gives dirty memory back, all but `keep_bytes`, in about `max_calls` system calls, and unmaps
 * regions without an open page but for a few. One caller at a time. Returns the bytes, those of a
 * region that it unmapped whole. */
size_t hak_pool_page_purge_mt(unsigned max_calls, size_t keep_bytes);
bool hak_pool_page_has_dirty(void); /* a hint */

/* Regions ever made: numbers 1..this. Some may be without memory: then all their pages are FREE. */
uint32_t hak_pool_page_regions(void);
hak_pool_region_t *hak_pool_page_region_at(uint32_t number);

typedef struct {
    hak_a64_t opened[HAK_POOL_CLASSES]; /* pages taken that were FREE */
    hak_a64_t in_use[HAK_POOL_CLASSES]; /* pages that are not FREE */
    hak_a64_t unparked;
    hak_a64_t closed;
    hak_a64_t dirty_pages;
    hak_a64_t mapped, mapped_peak; /* regions */
    hak_a64_t purges, purged_bytes;
} hak_pool_page_counters_t;
extern hak_pool_page_counters_t hak_pool_page_counters;

/* Masks, states, tags, parked lists; nobody takes or gives pages. Returns the faults. */
size_t hak_pool_page_check_locked(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_PAGE_POOL_PAGE_H_ */
