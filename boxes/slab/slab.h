/* slab: a run of equal blocks, and its descriptor.
 *
 * A superslab is 2 MiB of memory aligned to 2 MiB, cut into 32 slots of 64 KiB. A slab is 1, 2 or
 * 16 slots, of two slabs of one class perhaps not the same number. The descriptor of each slot
 * stands here, out of band: a heap overflow cannot reach it and descriptors do not collide in the
 * cache as headers at equal offsets would. Only the first slot's descriptor of a slab is in use;
 * `head` leads to it.
 *
 *   free blocks of a slab:   free list (owner) + remote list (anyone) + never carved
 *   used                     all others: at users, in thread caches, in batches, and what came to
 *                            the remote list since the last drain
 *
 * Owns       layout only; each field names the box that writes it.
 * Threads    fields of the owner line change under the owner lock of the slab's heap; atomics may
 *            be read by anyone.
 * Invariant  carved = used + left + length of the free list; 0 <= used <= carved <= cap. So it is
 *            while the slab is closed and its memory kept, with nothing used or left.
 * Layer      4 (boxes). Uses base, core/dyn_class, registry, boxes/block.
 */
#ifndef HAK_BOXES_SLAB_SLAB_H_
#define HAK_BOXES_SLAB_SLAB_H_

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"
#include "boxes/block/block.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_SUPERSLAB_BYTES = HAK_WINDOW_BYTES,
    HAK_SUPERSLAB_SLOTS = HAK_SUPERSLAB_BYTES / HAK_UNIT_BYTES
};

struct hak_heap;

typedef struct hak_slab {
    /* Owner line. */
    hak_block_t *free;     /* free_local, refill; slab while it is closed */
    hak_a32_t used;        /* free_local, refill, pending */
    hak_a32_t carved;      /* refill; slab while it is closed */
    hak_a32_t sc;          /* slab: the class while it is open, else 0 */
    hak_a32_t left;        /* drain, refill: blocks on the remote list that `used` leaves out */
    uint16_t cap;          /* slab: blocks that fit */
    uint8_t units;         /* slot_pool: slots of the slab; 0: not the first slot of one */
    uint8_t listed;        /* heap: on its heap's list of partial slabs */
    uint8_t slot;          /* index in the superslab, fixed */
    uint8_t last_sc;       /* slot_pool: class of the slab that the slot began last */
    bool kept;             /* slot_pool: that slab had the same class and no more slots, and
                              nothing has touched its memory since it was closed */
    hak_a32_t block_bytes; /* slab: size of its blocks; of its former ones while `sc` is 0 */
    hak_a32_t last_units;  /* slot_pool: slots of the slab that the slot began last */
    struct hak_slab *next; /* heap while the slot is ACTIVE, slot_policy while it is EMPTY */
    struct hak_slab *prev; /* the same */
    /* adoption: hak_heap_t that owns the slab; changes under that heap's lock */
    hak_aptr_t heap;
    /* Remote line. */
    hak_align_as(64) hak_a64_t remote; /* free_remote */
    struct hak_slab *pending_next;     /* pending */
} hak_slab_t;

hak_static_assert(sizeof(hak_slab_t) == 2 * HAK_CACHE_LINE,
                  "a line for the owner, a line for the others");

typedef struct hak_superslab {
    hak_region_t region; /* first: the registry leads here */
    /* Everything up to `head` belongs to slot_pool, under its lock. */
    /* slot_state: the three masks that say in which state each slot is */
    uint32_t free_mask;  /* slots that are UNUSED or EMPTY */
    uint32_t dirty_mask; /* of them EMPTY: touched since the last purge */
    uint32_t purge_mask; /* PURGING: in the hand of a purge */
    uint32_t aged_mask;  /* of dirty_mask: EMPTY since before the last visit of purge */
    uint32_t class_mask; /* slot_policy: EMPTY slots on the list of their class */
    uint32_t kept_mask;  /* slots where a slab began whose memory is as it was given back */
    uint8_t kind;        /* what it holds: slabs of 1, 2 or 16 units, tiny slabs; or cached */
    uint8_t bin;         /* ss_bins: list that it is on */
    uint8_t sc;          /* slot_policy: the one class that it holds */
    bool visiting;       /* on the visit list */
    bool huge;           /* one huge page of the kernel's, of which no part was purged */
    uint8_t spared;      /* visits that purged no part of it for that reason */
    uint64_t visit_at_ms;
    uint64_t refused_until_ms;         /* the kernel refused a purge here: no other before */
    uint64_t cached_ms;                /* ss_lru: when it became wholly free */
    struct hak_superslab *next, *prev; /* ss_bins, ss_lru */
    struct hak_superslab *visit_next;
    struct hak_superslab *all_next; /* every descriptor ever made; never changes */
    hak_a32_t mapped;               /* 1 while it has memory */
    /* slots of slabs that were EMPTY when the slab was opened: resident, carved or not */
    hak_a32_t warm_mask;
    /* slot_pool, under its lock: first slot of the slab that holds the slot. Atomic for the sake
     * of those who look up an address in which no block lives, after a wild free. */
    hak_a32_t head[HAK_SUPERSLAB_SLOTS];
    hak_slab_t slab[HAK_SUPERSLAB_SLOTS];
} hak_superslab_t;

static inline hak_superslab_t *hak_slab_superslab(const hak_slab_t *slab) {
    return hak_container_of(slab - slab->slot, hak_superslab_t, slab);
}
static inline uintptr_t hak_slab_base(const hak_slab_t *slab) {
    return hak_region_base(&hak_slab_superslab(slab)->region) +
           ((uintptr_t)slab->slot << HAK_UNIT_SHIFT);
}
static inline struct hak_heap *hak_slab_heap(const hak_slab_t *slab) {
    /* relaxed: without the heap's lock a caller only compares it, or pushes to its `pending`, which
     * is atomic and whose first value is the kernel's zero */
    return (struct hak_heap *)hak_load_rlx(&slab->heap);
}

/* Bytes from its start on that may be resident, of `units` slots of which `carved_bytes` have been
 * blocks. Any thread; exact when nobody works on the slab. */
static inline uint64_t hak_slab_touched_bytes(const hak_slab_t *slab, unsigned units,
                                              uint64_t carved_bytes) {
    /* relaxed: a statistic */
    uint32_t warm =
        hak_load_rlx(&hak_slab_superslab(slab)->warm_mask) & hak_mask32(slab->slot, units);
    if (warm == 0) {
        return carved_bytes;
    }
    uint64_t bytes = (uint64_t)(hak_log2_floor(warm) + 1 - slab->slot) << HAK_UNIT_SHIFT;
    return bytes < carved_bytes ? carved_bytes : bytes;
}

/* Size of its blocks, by who has one or is inside the owner lock. */
static inline uint32_t hak_slab_block_bytes(const hak_slab_t *slab) {
    return hak_load_rlx(&slab->block_bytes); /* relaxed: fixed while the slab is open */
}

/* Where carving has come to: no block was ever handed out from there on. By who has a
 * block, or is inside the owner lock. */
static inline uintptr_t hak_slab_carved_end(const hak_slab_t *slab) {
    /* relaxed: only grows while a block is in use */
    return hak_slab_base(slab) +
           (uintptr_t)hak_load_rlx(&slab->carved) * hak_slab_block_bytes(slab);
}

/* The slab that holds `address`, or NULL if no superslab does. Any thread; the answer is stable
 * only while a block of it is in use. */
hak_slab_t *hak_slab_of(uintptr_t address);

/* Makes `slab`, fresh from slot_pool, a slab of class `sc` without owner, tag or block in use. Its
 * carved blocks are none, or, if its memory was kept, those of its life before, which are all on
 * its free list: to carve them again would cost more than to take them. From here until it is
 * closed a class whose size was chosen at run time keeps that size. */
void hak_slab_open(hak_slab_t *slab, unsigned sc);
/* Gives the slab to `heap` with this tag. By the thread that alone holds it, or under the old
 * owner's lock. */
void hak_slab_set_heap_owner(hak_slab_t *slab, struct hak_heap *heap, uint32_t tag);
/* Of a slab that nobody has: none of its blocks counts as carved, now or when it is opened again.
 */
static inline void hak_slab_forget(hak_slab_t *slab) {
    slab->free = NULL;
    hak_store_rlx(&slab->carved, 0); /* relaxed: nobody else has it */
}
/* Makes it no slab again: clears class and tags. No block is in use. What it has carved is on
 * its free list, and may be there when it is opened again; else hak_slab_forget has to follow. */
void hak_slab_close(hak_slab_t *slab);

/* Links `count` blocks that were never handed out into a list in address order that ends in
 * `tail`; returns its head. count <= cap - carved. */
hak_block_t *hak_slab_carve_owner(hak_slab_t *slab, uint32_t count, hak_block_t *tail);

/* Index of the block that starts at `address` inside this slab, or UINT32_MAX if none starts
 * there. */
uint32_t hak_slab_block_index(const hak_slab_t *slab, uintptr_t address);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_SLAB_SLAB_H_ */
