/* Three masks for four states: taking a slot and giving it back, the frequent moves, touch two. */
#include "boxes/slot_state/slot_state.h"

#include "base/attr.h"
#include "core/errors/errors.h"

/* Bits of one row: those lines of the list that begin with its state. */
#define HAK_BIT(from, to) | (uint16_t)(1u << (4 * HAK_SLOT_##from + HAK_SLOT_##to))
enum { HAK_LEGAL = 0 HAK_SLOT_TRANSITIONS(HAK_BIT) };
hak_static_assert(HAK_SLOT_STATES == 4, "a row is 4 bits");

uint8_t hak_slot_state_legal[HAK_SLOT_STATES] = {HAK_LEGAL & 15, HAK_LEGAL >> 4 & 15,
                                                 HAK_LEGAL >> 8 & 15, HAK_LEGAL >> 12};

void hak_slot_state_init_locked(hak_superslab_t *ss) {
    ss->free_mask = UINT32_MAX;
    ss->dirty_mask = ss->purge_mask = ss->aged_mask = 0;
}

void hak_slot_state_move_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                                hak_slot_state_t to) {
    hak_debug_assert((hak_slot_state_legal[from] >> to & 1) != 0);
    hak_debug_assert((slots & ~hak_slot_state_mask(ss, from)) == 0);
    ss->free_mask &= ~slots;
    ss->dirty_mask &= ~slots;
    ss->purge_mask &= ~slots;
    ss->free_mask |= to == HAK_SLOT_UNUSED || to == HAK_SLOT_EMPTY ? slots : 0;
    ss->dirty_mask |= to == HAK_SLOT_EMPTY ? slots : 0;
    ss->purge_mask |= to == HAK_SLOT_PURGING ? slots : 0;
    ss->aged_mask &= ~slots;
}

size_t hak_slot_state_check_locked(const hak_superslab_t *ss) {
    size_t faults = 0;
    faults += (ss->dirty_mask & ~ss->free_mask) != 0;
    faults += (ss->purge_mask & ss->free_mask) != 0;
    faults += (ss->aged_mask & ~ss->dirty_mask) != 0;
    return faults;
}
