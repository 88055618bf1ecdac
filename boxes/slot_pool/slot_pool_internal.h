/* slot_pool_internal: what the parts of the box share: takes and gives (slot_pool.c), superslabs
 * that come and go (slot_supply.c), huge pages (slot_huge.c), purging (slot_purge.c), checks
 * (slot_check.c).
 *
 * Owns       the pool.
 * Threads    *_locked: under the pool's lock.
 * Layer      4 (boxes), inside the box.
 */
#ifndef HAK_BOXES_SLOT_POOL_SLOT_POOL_INTERNAL_H_
#define HAK_BOXES_SLOT_POOL_SLOT_POOL_INTERNAL_H_

#include "boxes/slot_pool/slot_pool.h"
#include "boxes/slot_state/slot_state.h"
#include "boxes/ss_bins/ss_bins.h"
#include "boxes/ss_lru/ss_lru.h"
#include "core/lock/lock.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a superslab holds. */
enum {
    HAK_KIND_1,
    HAK_KIND_2,
    HAK_KIND_16,
    HAK_KINDS_IN_BINS,                 /* the kinds above are on the pool's own lists */
    HAK_KIND_TINY = HAK_KINDS_IN_BINS, /* on the lists of the policy */
    HAK_KIND_CACHED,                   /* in the LRU */
    HAK_KIND_LOOSE,                    /* on its way from one to another, or without memory */
};

enum { HAK_STOCK_MOST = 16 }; /* superslabs */

typedef struct {
    hak_lock_t lock;
    hak_ss_bins_t bins[HAK_KINDS_IN_BINS]; /* by what the superslab can give: hak_pool_room */
    hak_ss_lru_t lru;
    hak_superslab_t *spare; /* descriptors without memory */
    /* Address space for more superslabs, which nobody has touched: mapped several at a time. */
    uintptr_t stock, stock_end;
    /* Superslabs with EMPTY slots in the order of their next visit by purge. */
    hak_superslab_t *visit_head, *visit_tail;
    uint64_t visit_count;
    hak_aptr_t all;                  /* hak_superslab_t, every descriptor ever made */
    unsigned calls_in_flight;        /* system calls for which the lock was dropped */
    bool fork_waits;                 /* until there are none: no purge or touch begins another */
    unsigned touches_in_flight;      /* of them, those that fill a huge page */
    uint64_t refused_until_ms;       /* a pass met refusals only: no other before this time */
    uint64_t slots[HAK_SLOT_STATES]; /* of mapped superslabs, by state */
    /* for readers without the lock: slots[] of EMPTY ones, and of all that are not UNUSED */
    hak_a64_t dirty_slots, touched_slots;
    uint64_t tiny_classes;              /* bit per hak_sc_tiny_index */
    uint32_t class_slabs[HAK_SC_COUNT]; /* slabs of each class */
    hak_slot_pool_stats_t stats;
} hak_pool_t;
extern hak_pool_t hak_pool;

/* Takes the lock and counts whether it had to wait. */
void hak_pool_lock_take(void);

/* slot_pool.c: puts a loose superslab on the list that its kind and masks call for, or makes it
 * loose. `sc` is the class that a tiny one is for. */
unsigned hak_pool_room(const hak_superslab_t *ss);
void hak_pool_enter_locked(hak_superslab_t *ss, unsigned kind, unsigned sc);
void hak_pool_leave_locked(hak_superslab_t *ss);
/* Tells readers without the lock what slots[] says. */
void hak_pool_show_locked(void);
/* Changes states, and with them counts and lists. `slots` may be none. */
void hak_pool_move_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                          hak_slot_state_t to);

/* slot_supply.c: a loose superslab, all of it free, from the LRU or from the kernel. NULL with
 * errno ENOMEM. */
hak_superslab_t *hak_pool_supply_locked(bool for_tiny);
/* Unmaps the stock. Returns the bytes. */
size_t hak_pool_release_stock_locked(void);
/* Unmaps a loose superslab and keeps the descriptor; what its EMPTY slots hold counts as purged.
 * Drops the lock meanwhile. */
void hak_pool_release_locked(hak_superslab_t *ss);
/* Puts `ss` into the LRU if it is wholly free and then unmaps what is too much there. Drops the
 * lock meanwhile: `ss` may be anything afterwards. */
void hak_pool_settle_locked(hak_superslab_t *ss, uint64_t now_ms);

/* slot_huge.c: lets a loose superslab become one huge page, if that pays and the kernel has one;
 * its slots are EMPTY then. Drops the lock meanwhile. */
void hak_pool_touch_huge_locked(hak_superslab_t *ss);

/* slot_purge.c: puts it at the end of the visit list if it is not on it. */
void hak_pool_visit_later_locked(hak_superslab_t *ss, uint64_t at_ms);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_SLOT_POOL_SLOT_POOL_INTERNAL_H_ */
