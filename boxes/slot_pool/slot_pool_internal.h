/* slot_pool_internal: what the two halves of the box share: supply (slot_pool.c) and return
 * (slot_purge.c). */
#ifndef HAK_BOXES_SLOT_POOL_SLOT_POOL_INTERNAL_H_
#define HAK_BOXES_SLOT_POOL_SLOT_POOL_INTERNAL_H_

#include "boxes/slot_pool/slot_pool.h"
#include "core/lock/lock.h"

enum {
    HAK_KIND_1,
    HAK_KIND_4,
    HAK_KIND_16,
    HAK_KIND_RUN,
    HAK_KIND_NONE, /* wholly free: may become any kind */
    HAK_KINDS,
    /* by what the superslab can still give; see hak_pool_room */
    HAK_BINS = HAK_SUPERSLAB_SLOTS + 1,
};

typedef struct {
    hak_lock_t lock;
    /* Superslabs by kind, by whether they have EMPTY slots (index 1), by room. Bit b of `bins`:
     * list b has some. */
    hak_superslab_t *list[HAK_KINDS][2][HAK_BINS];
    uint64_t bins[HAK_KINDS][2];
    hak_superslab_t *spare; /* descriptors without memory */
    /* Superslabs with EMPTY slots in the order of their next visit by purge. */
    hak_superslab_t *visit_head, *visit_tail;
    uint64_t visit_count;
    hak_aptr_t all;            /* hak_superslab_t, every descriptor ever made */
    unsigned purges_in_flight; /* system calls for which the lock was dropped */
    uint64_t refused_until_ms; /* the kernel refused a purge: no other before this time */
    hak_a64_t dirty_slots;
    hak_slot_pool_stats_t stats;
} hak_pool_t;
extern hak_pool_t hak_pool;

/* Puts a superslab on the list that its masks call for, or takes it off. Under the lock. */
void hak_pool_list_locked(hak_superslab_t *ss);
void hak_pool_unlist_locked(hak_superslab_t *ss);
/* Changes masks, keeping the count of dirty slots. The superslab is off its list. */
void hak_pool_set_dirty_locked(hak_superslab_t *ss, uint32_t dirty_mask);
/* Puts it at the end of the visit list if it is not on it. */
void hak_pool_visit_later_locked(hak_superslab_t *ss, uint64_t at_ms);

#endif /* HAK_BOXES_SLOT_POOL_SLOT_POOL_INTERNAL_H_ */
