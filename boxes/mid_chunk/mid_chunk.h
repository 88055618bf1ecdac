/* mid_chunk: 4 MiB (or less) of equal blocks of 8, 16 or 32 KiB, and its descriptor.
 *
 * The descriptor stands out of band. Its segment is the state that allocation works on, as the
 * notes lay it out: everything that a take needs lies in its first 32 bytes. In the notes a thread
 * has one segment for each class and forgets a chunk when it refills; here each chunk keeps its
 * segment, and a heap allocates from the first chunk of its list. So frees into older chunks find
 * their counts in place.
 *
 *   blocks of a chunk:   on the free list | given back (in `purged` units) | above `current`
 *   used                 all others: at users, in thread caches, on the remote stack
 *
 * Owns       layout; each field names the box that writes it.
 * Threads    fields that are not atomic change under the owner lock of the chunk's heap.
 * Invariant  (current - base) / size = used_count + length of the free list + blocks in purged
 *            units. No block of a purged unit is on a list, and the unit has no tag.
 * Layer      4 (boxes). Uses base, registry, boxes/block, boxes/mid_registry.
 */
#ifndef HAK_BOXES_MID_CHUNK_MID_CHUNK_H_
#define HAK_BOXES_MID_CHUNK_MID_CHUNK_H_

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"
#include "boxes/block/block.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_MID_CLASSES = 3,    /* 8, 16 and 32 KiB */
    HAK_MID_FIRST_SC = 56,  /* of 8 KiB; the next power of two is 8 classes further */
    HAK_MID_MOST_UNITS = 64 /* of 64 KiB: a bit of a mask each */
};

struct hak_mid_heap;

typedef struct {
    hak_block_t *free_list; /* mid_segment */
    hak_aptr_t current;     /* mid_segment: no block was ever handed out from here on */
    hak_aptr_t end;         /* mid_chunk */
    hak_a32_t used_count;   /* mid_segment */
    uint32_t padding0;
    uintptr_t chunk_base; /* mid_chunk */
    hak_a64_t chunk_size; /* mid_supply: bytes of the mapping, 0: none */
    uint32_t block_size;  /* mid_chunk */
    uint32_t unit_blocks; /* mid_chunk: blocks in 64 KiB */
    hak_align_as(8) uint64_t padding1;
} hak_align_as(HAK_CACHE_LINE) hak_mid_segment_t;

hak_static_assert(offsetof(hak_mid_segment_t, free_list) == 0, "hot 32 bytes, as in the notes");
hak_static_assert(offsetof(hak_mid_segment_t, current) == 8, "hot 32 bytes, as in the notes");
hak_static_assert(offsetof(hak_mid_segment_t, end) == 16, "hot 32 bytes, as in the notes");
hak_static_assert(offsetof(hak_mid_segment_t, used_count) == 24, "hot 32 bytes, as in the notes");
hak_static_assert(offsetof(hak_mid_segment_t, padding0) == 28, "hot 32 bytes, as in the notes");
hak_static_assert(offsetof(hak_mid_segment_t, chunk_base) == 32, "then what is seldom read");
hak_static_assert(sizeof(hak_mid_segment_t) == HAK_CACHE_LINE, "one line");

typedef struct hak_mid_chunk {
    hak_region_t region; /* first: the registry leads here */
    /* mid_chunk: the class while blocks may be taken from it, else 0 */
    hak_a32_t sc;
    uint32_t tag;     /* mid_chunk: of its units that have one */
    hak_aptr_t owner; /* mid_chunk: hak_mid_heap_t; changes under that heap's lock */
    struct hak_mid_chunk *next, *prev; /* mid_heap while open, else mid_supply */
    struct hak_mid_chunk *all_next;    /* every descriptor ever made; never changes */
    bool listed;                       /* mid_heap: on its heap's list of the class */
    uint64_t visit_at_ms;              /* mid_return, mid_supply: when purge looks next */
    /* mid_segment, a bit per unit: */
    hak_a64_t dirty;  /* touched since the kernel gave it */
    hak_a64_t purged; /* all its blocks were handed out once and are now given back */
    uint64_t full;    /* all its blocks are on the free list */
    uint64_t aged;    /* nothing was taken from it since the last visit of purge */
    uint8_t free_in_unit[HAK_MID_MOST_UNITS]; /* mid_segment: blocks on the free list */
    hak_mid_segment_t segment;
    /* Remote line. */
    hak_align_as(HAK_CACHE_LINE) hak_a64_t remote; /* mid_remote */
    struct hak_mid_chunk *pending_next;            /* mid_remote */
} hak_mid_chunk_t;

/* 0, 1, 2 for 8, 16, 32 KiB. */
static inline unsigned hak_mid_index(unsigned sc) { return (sc - HAK_MID_FIRST_SC) >> 3; }
static inline unsigned hak_mid_sc(unsigned index) { return HAK_MID_FIRST_SC + (index << 3); }

static inline struct hak_mid_heap *hak_mid_chunk_owner(const hak_mid_chunk_t *chunk) {
    /* pairs with the release in hak_mid_chunk_set_owner */
    return (struct hak_mid_heap *)hak_load_acq(&chunk->owner);
}

/* The chunk that holds `address`, or NULL; by the page registry or, if HAKMEM_MID_REGISTRY says so,
 * by the sorted one. Stable only while a block of it is in use. */
hak_mid_chunk_t *hak_mid_chunk_of(uintptr_t address);

/* Makes `chunk`, fresh from mid_supply, one of blocks of class `sc` without owner or tags. */
void hak_mid_chunk_open(hak_mid_chunk_t *chunk, unsigned sc);
/* Gives it to `owner`, whose heap has the tag `owner_tag`. By the thread that alone holds it, or
 * under the old owner's lock. */
void hak_mid_chunk_set_owner(hak_mid_chunk_t *chunk, struct hak_mid_heap *owner,
                             uint32_t owner_tag);
/* Closes it: no class, no tags. No block is in use. */
void hak_mid_chunk_close(hak_mid_chunk_t *chunk);

/* Index of the block that starts at `address`, or UINT32_MAX if none starts there. */
uint32_t hak_mid_chunk_block_index(const hak_mid_chunk_t *chunk, uintptr_t address);
/* Blocks below `current`. */
uint32_t hak_mid_chunk_carved(const hak_mid_chunk_t *chunk);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MID_CHUNK_MID_CHUNK_H_ */
