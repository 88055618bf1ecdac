/* slot_state: in which state each slot of a superslab is, and how that may change.
 *
 *   UNUSED    free, reads as zero
 *   ACTIVE    part of a slab
 *   EMPTY     free, holds memory, mostly with old content
 *   PURGING   in the hand of a purge, whose system call runs without the lock
 *
 * A slot is in exactly one state: it is ACTIVE if no mask has it, so the four masks cover all
 * slots by construction. What can go wrong is that the states disagree with what others know, and
 * hak_slot_pool_check_locked compares: with the slabs there are and with the pool's counts.
 *
 * Owns       free_mask, dirty_mask and purge_mask of hak_superslab_t, and clears bits of aged_mask.
 * Threads    *_locked: under the lock of the pool that has the superslab.
 * Invariant  dirty is part of free; free and purge are disjoint; aged is part of dirty.
 * Layer      4 (boxes). Uses boxes/slab. Used by boxes/slot_pool, boxes/slot_policy.
 */
#ifndef HAK_BOXES_SLOT_STATE_SLOT_STATE_H_
#define HAK_BOXES_SLOT_STATE_SLOT_STATE_H_

#include "boxes/slab/slab.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    HAK_SLOT_UNUSED,
    HAK_SLOT_ACTIVE,
    HAK_SLOT_EMPTY,
    HAK_SLOT_PURGING,
    HAK_SLOT_STATES
} hak_slot_state_t;

/* The legal transitions; no other ever happens. A superslab that is mapped begins with all slots
 * UNUSED, and may be unmapped when none is ACTIVE or PURGING.
 *
 *     from     to          by                                what happens to the memory
 */
#define HAK_SLOT_TRANSITIONS(X)                                                                    \
    X(UNUSED, ACTIVE)  /*  take                               reads as zero              */        \
    X(UNUSED, EMPTY)   /*  supply, of a huge page             resident, reads as zero    */        \
    X(EMPTY, ACTIVE)   /*  take                               keeps old content          */        \
    X(ACTIVE, EMPTY)   /*  give                               stays resident             */        \
    X(EMPTY, PURGING)  /*  purge, before the lock is dropped  still there                */        \
    X(PURGING, UNUSED) /*  purge, after the system call       is the kernel's            */        \
    X(PURGING, EMPTY)  /*  purge that the kernel refused      keeps old content          */

/* Bit `to` of entry `from`: the transition is in the list above. Only debug builds read it; a test
 * may allow one more, to see that the checks of others find what it breaks. */
extern uint8_t hak_slot_state_legal[HAK_SLOT_STATES];

/* The slots that are in `state`. */
static inline uint32_t hak_slot_state_mask(const hak_superslab_t *ss, hak_slot_state_t state) {
    return state == HAK_SLOT_UNUSED   ? ss->free_mask & ~ss->dirty_mask
           : state == HAK_SLOT_EMPTY  ? ss->dirty_mask
           : state == HAK_SLOT_ACTIVE ? ~(ss->free_mask | ss->purge_mask)
                                      : ss->purge_mask;
}

/* All slots are UNUSED: the memory is fresh from the kernel. */
void hak_slot_state_init_locked(hak_superslab_t *ss);

/* Moves `slots`, all of which are in state `from`, to state `to`. Debug builds abort if they are
 * not, or if the transition is illegal. */
void hak_slot_state_move_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                                hak_slot_state_t to);

/* The number of broken invariants of the masks. */
size_t hak_slot_state_check_locked(const hak_superslab_t *ss);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_SLOT_STATE_SLOT_STATE_H_ */
