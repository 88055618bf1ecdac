/* slot_policy: the port that decides which slot a tiny slab gets. Tiny: blocks of at most 1 KiB,
 * all slabs of one unit.
 *
 *   any         none of its own: tiny slabs share superslabs with all slabs of one unit, fullest
 *               first, EMPTY before UNUSED (the default)
 *   per_class   a superslab holds slabs of one class
 *   shared      any class takes any free slot, from the superslab that the class used last
 *   sp_slot     EMPTY slots wait on a list of their class (stage 1); then an UNUSED slot of any
 *               superslab (stage 2); then an EMPTY one of another class (stage 1b)
 *
 * Stage 3, a superslab from the LRU or from the kernel, belongs to the pool, and so do locks,
 * states, purging and the unmapping of superslabs: a policy only remembers what is free.
 *
 * Owns       `class_mask` and `sc` of hak_superslab_t, `next`, `prev` and `bin` of the superslabs
 *            that were added, `next` and `prev` of hak_slab_t while the slot is EMPTY.
 * Threads    all but `serves`: under the pool's lock.
 * Invariant  every free slot of an added superslab is found by some call; no entry of a superslab
 *            survives its removal. Each call takes at most 32 steps.
 * Layer      4 (boxes). Uses boxes/slab, boxes/slot_state, boxes/ss_bins. Used by boxes/slot_pool.
 */
#ifndef HAK_BOXES_SLOT_POLICY_SLOT_POLICY_H_
#define HAK_BOXES_SLOT_POLICY_SLOT_POLICY_H_

#include "boxes/slot_state/slot_state.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_TINY_FIXED = 32, /* classes 1..32 */
    HAK_TINY_CLASSES = HAK_TINY_FIXED + HAK_SC_SPARE
};

/* Where a slot came from. */
typedef enum {
    HAK_STAGE_EMPTY,  /* 1 */
    HAK_STAGE_CROSS,  /* 1b */
    HAK_STAGE_UNUSED, /* 2 */
    HAK_STAGE_NEW,    /* 3; set by the pool */
    HAK_STAGES
} hak_slot_stage_t;

/* Spare classes are: of them only exact sizes have slabs. */
static inline bool hak_sc_is_tiny(unsigned sc) {
    return sc - 1 < HAK_TINY_FIXED || sc > HAK_SC_FIXED;
}
/* 1..HAK_TINY_CLASSES for tiny classes, 0 for class 0. */
static inline unsigned hak_sc_tiny_index(unsigned sc) {
    return sc <= HAK_TINY_FIXED ? sc : sc - HAK_SC_FIXED + HAK_TINY_FIXED;
}

/* As HAKMEM_SS_POLICY calls it. */
extern const char hak_slot_policy_name[];

/* False: the pool finds slots for this class by itself. */
bool hak_slot_policy_serves(unsigned sc);

/* A free slot for a slab of class `sc`, still free, and where it was found. NULL: a superslab has
 * to be added. */
hak_slab_t *hak_slot_policy_find_locked(unsigned sc, hak_slot_stage_t *stage);

/* `ss`, all of whose slots are free, is there for tiny slabs; `sc` is the class that needed it. */
void hak_slot_policy_add_locked(hak_superslab_t *ss, unsigned sc);
/* `ss` leaves: all of its slots are free. */
void hak_slot_policy_remove_locked(hak_superslab_t *ss);
/* Slots of an added superslab have changed their state. `last_sc` of their descriptors is the class
 * that they served last, or 0. */
void hak_slot_policy_moved_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                                  hak_slot_state_t to);

/* The number of faults in the policy's lists. */
size_t hak_slot_policy_check_locked(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_SLOT_POLICY_SLOT_POLICY_H_ */
