/* pool_chunk: the memory of the thread pools, and what describes it.
 *
 * A chunk is 1, 2, 4 or 8 MiB from the kernel, aligned to 2 MiB, cut into units of 64 KiB. A unit
 * that is in use holds blocks of one class. A chunk and all its units belong to one heap, so all
 * of this is under that heap's owner lock and there is no lock of its own; a chunk goes to another
 * heap as a whole. Descriptors stand apart from the memory and are never unmapped.
 *
 *   unit: from    to        by            what happens to the memory
 *   FREE, clean   in use    open          reads as zero
 *   FREE, dirty   in use    open          keeps old content
 *   in use        FREE      close         stays resident: dirty
 *   dirty         clean     purge         madvise
 *
 * Owns       hak_pool_chunk_t, hak_pool_unit_t but for what a field's comment says; the tags of
 *            the units.
 * Threads    *_owner: inside the owner lock of the chunk's heap, or while the caller alone knows
 *            the chunk. *_mt and those without suffix: any; atomics may be read by anyone.
 * Invariant  free, and dirty within free, and aged within dirty. A unit in use: used + length of
 *            its free list = carved <= its capacity. Tags of free units are 0.
 * Layer      4 (boxes). Uses registry, core/meta, backends/os, boxes/page_arena.
 */
#ifndef HAK_BOXES_POOL_CHUNK_POOL_CHUNK_H_
#define HAK_BOXES_POOL_CHUNK_POOL_CHUNK_H_

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"
#include "boxes/block/block.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hak_pool_heap;

enum {
    HAK_POOL_LEAST_BYTES = 1 << 20, /* first chunk of a heap; each next one is twice as large */
    HAK_POOL_MOST_BYTES = 8 << 20,  /* up to this */
    HAK_POOL_CHUNK_UNITS = HAK_POOL_MOST_BYTES / HAK_UNIT_BYTES,
    HAK_POOL_MASKS = HAK_POOL_CHUNK_UNITS / 64,
    HAK_POOL_CLASSES = 5
};

/* 2, 4, 8, 16, 32 KiB: classes 40, 48, 56, 64, 72 are the pool's classes 0 to 4. */
static inline bool hak_pool_has_class(unsigned sc) { return sc >= 40 && sc <= 72 && sc % 8 == 0; }
static inline unsigned hak_pool_class(unsigned sc) { return (sc - 40) / 8; }
static inline unsigned hak_pool_sc(unsigned class_index) { return 40 + 8 * class_index; }

typedef struct hak_pool_unit {
    hak_block_t *free;                 /* pool_heap */
    hak_a32_t used;                    /* pool_heap: blocks that are anywhere but on `free` */
    hak_a32_t carved;                  /* blocks that were ever handed out */
    hak_a32_t sc;                      /* the class while it is in use, else 0 */
    uint16_t index;                    /* in the chunk, fixed */
    uint16_t listed;                   /* pool_heap: on the list of its class */
    struct hak_pool_unit *next, *prev; /* pool_heap */
} hak_pool_unit_t;

typedef struct hak_pool_chunk {
    hak_region_t region; /* first: the registry leads here */
    hak_a32_t units;     /* while it has memory, else 0 */
    uint32_t is_open;    /* pool_heap: on the list of chunks with free units */
    /* hak_pool_heap_t that owns the chunk; changes under that heap's lock */
    hak_aptr_t heap;
    /* a bit per unit */
    hak_a64_t free_mask[HAK_POOL_MASKS];
    hak_a64_t dirty_mask[HAK_POOL_MASKS]; /* of the free ones: touched since the last purge */
    hak_a64_t aged_mask[HAK_POOL_MASKS];  /* of the dirty ones: since before the last visit */
    struct hak_pool_chunk *next, *prev;   /* pool_heap */
    struct hak_pool_chunk *all_next;      /* every descriptor ever made; never changes */
    hak_pool_unit_t unit[HAK_POOL_CHUNK_UNITS];
} hak_pool_chunk_t;

static inline hak_pool_chunk_t *hak_pool_unit_chunk(const hak_pool_unit_t *unit) {
    return hak_container_of(unit - unit->index, hak_pool_chunk_t, unit);
}
static inline uintptr_t hak_pool_unit_base(const hak_pool_unit_t *unit) {
    return hak_region_base(&hak_pool_unit_chunk(unit)->region) +
           ((uintptr_t)unit->index << HAK_UNIT_SHIFT);
}
static inline struct hak_pool_heap *hak_pool_chunk_heap(const hak_pool_chunk_t *chunk) {
    /* pairs with the release in hak_pool_chunk_set_heap_owner */
    return (struct hak_pool_heap *)hak_load_acq(&chunk->heap);
}
static inline uint32_t hak_pool_capacity(unsigned sc) { return HAK_UNIT_BYTES / hak_sc_bytes[sc]; }

/* Maps a chunk of `bytes`, less if that is all there is, all of it free. `*spares` is a list, by
 * `next`, of descriptors without memory: one is taken from it, or made. NULL with errno ENOMEM. */
hak_pool_chunk_t *hak_pool_chunk_map(hak_pool_chunk_t **spares, size_t bytes);
/* Gives the memory of a chunk without a unit in use back. The descriptor, on no list, is a spare
 * one then. */
void hak_pool_chunk_unmap_owner(hak_pool_chunk_t *chunk);
/* Who owns the chunk. By who alone knows it, or under the old owner's lock. */
void hak_pool_chunk_set_heap_owner(hak_pool_chunk_t *chunk, struct hak_pool_heap *heap);

/* Takes a free unit, a dirty one first, for blocks of class `sc` with this tag; NULL: none. */
hak_pool_unit_t *hak_pool_chunk_open_owner(hak_pool_chunk_t *chunk, unsigned sc, uint32_t tag);
/* The unit is free again; none of its blocks is in use and it is on no list. */
void hak_pool_chunk_close_owner(hak_pool_unit_t *unit);
/* Links `count` blocks that were never handed out into a list in address order that ends in
 * `tail`; returns its head. count <= capacity - carved. */
hak_block_t *hak_pool_chunk_carve_owner(hak_pool_unit_t *unit, uint32_t count, hak_block_t *tail);

unsigned hak_pool_chunk_free_units(const hak_pool_chunk_t *chunk);
unsigned hak_pool_chunk_dirty_units(const hak_pool_chunk_t *chunk);
/* True if no unit is in use and every dirty one is aged, or if `at_once` is set. */
bool hak_pool_chunk_can_go_owner(const hak_pool_chunk_t *chunk, bool at_once);
/* Purges the dirty units that are aged, or all with `at_once`, and makes those that stay dirty
 * aged. `*calls` counts the system calls and bounds them by `max_calls`. Returns the units purged;
 * `*refused` is set if the kernel did not take one. */
unsigned hak_pool_chunk_purge_owner(hak_pool_chunk_t *chunk, bool at_once, unsigned *calls,
                                    unsigned max_calls, bool *refused);

/* The unit that holds `address`, in use or not, or NULL if no chunk does. */
hak_pool_unit_t *hak_pool_unit_of(uintptr_t address);
/* Index of the block that starts at `address` in this unit of class `sc`, or UINT32_MAX. */
uint32_t hak_pool_unit_block_index(const hak_pool_unit_t *unit, unsigned sc, uintptr_t address);

/* Calls `visit` for every descriptor ever made. No lock: their content may change. */
void hak_pool_chunk_each(void (*visit)(hak_pool_chunk_t *chunk, void *context), void *context);
/* Faults of the chunk's masks, tags and units; nobody is inside its heap. */
size_t hak_pool_chunk_faults_owner(const hak_pool_chunk_t *chunk, uint32_t owner_tag);

typedef struct {
    uint64_t made, failed; /* chunks mapped; requests to the kernel that it refused */
    uint64_t mapped_bytes, mapped_peak_bytes;
    uint64_t purges, purged_bytes; /* system calls, and what they gave back */
} hak_pool_chunk_stats_t;
void hak_pool_chunk_stats(hak_pool_chunk_stats_t *out);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_CHUNK_POOL_CHUNK_H_ */
