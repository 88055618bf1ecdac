/* Superslabs by class. Within a class EMPTY slots come before UNUSED ones and the fullest superslab
 * first. A class with one slab holds 2 MiB of address space: the price of never mixing.
 */
#include "base/bits.h"
#include "boxes/slot_policy/slot_policy.h"
#include "boxes/ss_bins/ss_bins.h"

const char hak_slot_policy_name[] = "per_class";

static hak_ss_bins_t hak_bins[HAK_TINY_CLASSES + 1]; /* by hak_sc_tiny_index */

static hak_ss_bins_t *hak_bins_of(unsigned sc) { return &hak_bins[hak_sc_tiny_index(sc)]; }

static void hak_put(hak_superslab_t *ss) {
    hak_ss_bins_put_locked(hak_bins_of(ss->sc), ss, hak_bit_count32(ss->free_mask),
                           ss->dirty_mask != 0);
}

bool hak_slot_policy_serves(unsigned sc) { return hak_sc_is_tiny(sc); }

hak_slab_t *hak_slot_policy_find_locked(unsigned sc, hak_slot_stage_t *stage) {
    hak_superslab_t *ss = hak_ss_bins_find_locked(hak_bins_of(sc), 1);
    if (ss == NULL) {
        return NULL;
    }
    *stage = ss->dirty_mask != 0 ? HAK_STAGE_EMPTY : HAK_STAGE_UNUSED;
    return &ss->slab[hak_lowest_bit(ss->dirty_mask != 0 ? ss->dirty_mask : ss->free_mask)];
}

void hak_slot_policy_add_locked(hak_superslab_t *ss, unsigned sc) {
    ss->sc = (uint8_t)sc;
    hak_put(ss);
}

void hak_slot_policy_remove_locked(hak_superslab_t *ss) {
    hak_ss_bins_remove_locked(hak_bins_of(ss->sc), ss);
    ss->sc = 0;
}

void hak_slot_policy_moved_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                                  hak_slot_state_t to) {
    (void)slots;
    (void)from;
    (void)to;
    hak_ss_bins_remove_locked(hak_bins_of(ss->sc), ss);
    hak_put(ss);
}

static size_t hak_check_one(const hak_superslab_t *ss, unsigned room, bool warm, void *context) {
    const hak_ss_bins_t *bins = context;
    size_t faults = hak_bins_of(ss->sc) != bins || room != hak_bit_count32(ss->free_mask) ||
                    warm != (ss->dirty_mask != 0);
    uint32_t active = hak_slot_state_mask(ss, HAK_SLOT_ACTIVE);
    for (; active != 0; active &= active - 1) {
        faults += ss->slab[hak_lowest_bit(active)].last_sc != ss->sc;
    }
    return faults;
}

size_t hak_slot_policy_check_locked(void) {
    size_t faults = 0;
    for (unsigned i = 1; i <= HAK_TINY_CLASSES; i++) {
        faults += hak_ss_bins_check_locked(&hak_bins[i], hak_check_one, &hak_bins[i]);
    }
    return faults;
}
