/* slot_pool: the process's superslabs and who uses which of their slots.
 *
 * boxes/slot_state has the states of a slot and their transitions. A superslab is for slabs of one
 * number of units (1, 2 or 16, aligned to their size), or tiny slabs whose places boxes/slot_policy
 * chooses; one that is wholly free goes to boxes/ss_lru and may become anything.
 * A request takes EMPTY slots before UNUSED ones before a superslab from the LRU before a new one,
 * and among superslabs the fullest, so that the others drain and can be given back. A slab takes
 * EMPTY slots also of a superslab of another kind, and of one in the LRU, before it lets memory
 * become resident beside them; where it finds no run of them that is long enough it is a shorter
 * slab. Each step of that order looks at a bit mask and at a few superslabs: no search grows with
 * their number.
 *
 * Owns       the pool part of hak_superslab_t and `head`; `units`, `slot`, `last_sc`,
 *            `last_units` and `kept` of hak_slab_t; a stock of address space for superslabs to
 *            come, which is mapped several at a time.
 * Threads    *_mt: any; take the pool's lock (HAK_RANK_POOL). Purging, unmapping and the touch of a
 *            huge page drop it during system calls.
 * Invariant  slots are ACTIVE exactly where a slab is. Tags of slots that are not ACTIVE are 0. A
 *            superslab without ACTIVE or PURGING slots is in the LRU, or its taker is just
 *            touching it. Descriptors are never unmapped.
 * Layer      4 (boxes). Uses boxes/slab, slot_state, ss_bins, ss_lru, slot_policy, registry, core,
 *            backends/os.
 */
#ifndef HAK_BOXES_SLOT_POOL_SLOT_POOL_H_
#define HAK_BOXES_SLOT_POOL_SLOT_POOL_H_

#include "boxes/slab/slab.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A slab of hak_sc_units(sc) slots for size class `sc`, or of fewer that hold two blocks, not
 * opened. NULL with errno ENOMEM. */
hak_slab_t *hak_slot_pool_take_mt(unsigned sc);
/* The same from EMPTY slots alone, so that no more memory becomes resident. NULL if there are none
 * that fit; errno is not set. */
hak_slab_t *hak_slot_pool_take_warm_mt(unsigned sc);
/* Takes it back, closed: its free list holds what it has carved. */
void hak_slot_pool_give_mt(hak_slab_t *slab);

/* Purges EMPTY slots that have been idle for between half and all of `delay_ms` at `now_ms`, parts
 * of a huge page for two and a half; delay 0: all of them. Unmaps superslabs that were in the LRU
 * for too long; delay 0: all but a few. Stops after `max_calls` system calls, of which those for a
 * few slots count a quarter. Leaves `keep_bytes` of dirty memory alone. Returns the bytes of memory
 * and of address space given back. */
size_t hak_slot_pool_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                              size_t keep_bytes);
/* Unmaps the wholly free superslabs that such a purge leaves: for who needs address space. */
void hak_slot_pool_release_free_mt(void);
/* True if something waits to be purged. No lock: a hint. */
bool hak_slot_pool_has_dirty(void);
/* The number of slots that may hold memory: in use, EMPTY, or being purged. No lock: a hint. */
uint64_t hak_slot_pool_touched(void);

/* Calls `visit` for every superslab descriptor ever made. No lock: descriptors stay, their content
 * may change. */
void hak_slot_pool_each(void (*visit)(hak_superslab_t *ss, void *context), void *context);

typedef struct {
    uint64_t superslabs, superslabs_made, active_slots, dirty_slots;
    /* Address space mapped for more of them; both together at most. */
    uint64_t stock_superslabs, mapped_superslabs_peak;
    uint64_t from_empty, from_unused, from_new; /* takes, by stage */
    uint64_t taken, given;
    uint64_t purges, purged_bytes;
    uint64_t huge_touched; /* superslabs that became resident as one huge page */
    /* Tiny slabs: takes by stage, slabs now and at most, classes that ever had one, superslabs
     * made for them. */
    uint64_t tiny_from_empty, tiny_from_cross, tiny_from_unused, tiny_from_new;
    uint64_t tiny_slabs_active, tiny_slabs_peak, tiny_classes_used, tiny_superslabs_made;
    uint64_t lru_hits, lru_misses, lru_pushes, lru_evictions, lru_superslabs;
    uint64_t locks, lock_waits; /* times the lock was taken; of them not at once */
} hak_slot_pool_stats_t;
void hak_slot_pool_stats_mt(hak_slot_pool_stats_t *out);

/* Slabs in use of each class. */
void hak_slot_pool_class_slabs_mt(uint32_t slabs[HAK_SC_COUNT]);

/* Checks masks, counts and lists; the caller holds the lock by hak_slot_pool_fork_take. Returns
 * the number of faults. */
size_t hak_slot_pool_check_locked(void);

void hak_slot_pool_fork_take(void);
void hak_slot_pool_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_SLOT_POOL_SLOT_POOL_H_ */
