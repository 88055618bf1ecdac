/* One list of superslabs with a free slot, and for each class the superslab it used last. Slots of
 * all classes mix, so a superslab is wholly free only when every class has left it: that is the
 * weakness of this policy, kept for comparison.
 */
#include "base/bits.h"
#include "boxes/slot_policy/slot_policy.h"
#include "boxes/ss_bins/ss_bins.h"

const char hak_slot_policy_name[] = "shared";

enum { HAK_FULL, HAK_HAS_ROOM }; /* the two lists in use */
static hak_ss_bins_t hak_bins;
static hak_superslab_t *hak_hint[HAK_TINY_CLASSES + 1];

static void hak_put(hak_superslab_t *ss) {
    hak_ss_bins_put_locked(&hak_bins, ss, ss->free_mask != 0 ? HAK_HAS_ROOM : HAK_FULL, false);
}

bool hak_slot_policy_serves(unsigned sc) { return hak_sc_is_tiny(sc); }

hak_slab_t *hak_slot_policy_find_locked(unsigned sc, hak_slot_stage_t *stage) {
    hak_superslab_t **hint = &hak_hint[hak_sc_tiny_index(sc)];
    hak_superslab_t *ss = *hint;
    if (ss == NULL || ss->free_mask == 0) {
        ss = hak_ss_bins_find_locked(&hak_bins, HAK_HAS_ROOM);
        if (ss == NULL) {
            return NULL;
        }
        *hint = ss;
    }
    *stage = ss->dirty_mask != 0 ? HAK_STAGE_EMPTY : HAK_STAGE_UNUSED;
    return &ss->slab[hak_lowest_bit(ss->dirty_mask != 0 ? ss->dirty_mask : ss->free_mask)];
}

void hak_slot_policy_add_locked(hak_superslab_t *ss, unsigned sc) {
    hak_hint[hak_sc_tiny_index(sc)] = ss;
    hak_put(ss);
}

void hak_slot_policy_remove_locked(hak_superslab_t *ss) {
    hak_ss_bins_remove_locked(&hak_bins, ss);
    for (unsigned i = 1; i <= HAK_TINY_CLASSES; i++) {
        hak_hint[i] = hak_hint[i] == ss ? NULL : hak_hint[i];
    }
}

void hak_slot_policy_moved_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                                  hak_slot_state_t to) {
    (void)slots;
    (void)from;
    (void)to;
    if ((ss->free_mask != 0) != (ss->bin == HAK_HAS_ROOM)) {
        hak_ss_bins_remove_locked(&hak_bins, ss);
        hak_put(ss);
    }
}

/* Ticks off the hints that lead to `ss`. */
static size_t hak_check_one(const hak_superslab_t *ss, unsigned room, bool warm, void *context) {
    uint64_t *good_hints = context;
    for (unsigned i = 1; i <= HAK_TINY_CLASSES; i++) {
        *good_hints |= hak_hint[i] == ss ? 1ull << i : 0;
    }
    return warm || room != (ss->free_mask != 0 ? HAK_HAS_ROOM : HAK_FULL);
}

size_t hak_slot_policy_check_locked(void) {
    uint64_t good_hints = 0;
    size_t faults = hak_ss_bins_check_locked(&hak_bins, hak_check_one, &good_hints);
    for (unsigned i = 1; i <= HAK_TINY_CLASSES; i++) {
        faults += hak_hint[i] != NULL && (good_hints >> i & 1u) == 0;
    }
    return faults;
}
