/* Lists of EMPTY slots, one for each class, threaded through the descriptors of the slots;
 * `class_mask` of a superslab says which of its slots are on one. All other free slots are for
 * everybody: UNUSED ones, and those that were EMPTY when their superslab came out of the LRU.
 *
 * Of a class's EMPTY slots the newest comes first, because its memory is warm and the old ones may
 * be purged; but among the first few the one in the fullest superslab, so that others drain.
 */
#include "base/bits.h"
#include "boxes/slot_policy/slot_policy.h"
#include "boxes/ss_bins/ss_bins.h"
#include "core/options/options.h"

const char hak_slot_policy_name[] = "sp_slot";

enum { HAK_LOOK = 8 }; /* EMPTY slots to choose among */

static hak_slab_t *hak_empty[HAK_TINY_CLASSES + 1]; /* by hak_sc_tiny_index, newest first */
static uint64_t hak_empty_classes;                  /* bit per list: it is not empty */
static hak_ss_bins_t hak_bins;                      /* by the number of slots for everybody */

static uint32_t hak_for_all(const hak_superslab_t *ss) { return ss->free_mask & ~ss->class_mask; }

static void hak_put(hak_superslab_t *ss) {
    hak_ss_bins_put_locked(&hak_bins, ss, hak_bit_count32(hak_for_all(ss)),
                           (hak_for_all(ss) & ss->dirty_mask) != 0);
}

static void hak_list_empty(hak_superslab_t *ss, unsigned slot) {
    hak_slab_t *slab = &ss->slab[slot];
    unsigned index = hak_sc_tiny_index(slab->last_sc);
    hak_slab_t **list = &hak_empty[index];
    slab->prev = NULL;
    slab->next = *list;
    if (*list != NULL) {
        (*list)->prev = slab;
    }
    *list = slab;
    hak_empty_classes |= 1ull << index;
    ss->class_mask |= 1u << slot;
}

static void hak_unlist_empty(hak_superslab_t *ss, unsigned slot) {
    hak_slab_t *slab = &ss->slab[slot];
    unsigned index = hak_sc_tiny_index(slab->last_sc);
    hak_slab_t **list = &hak_empty[index];
    *(slab->prev != NULL ? &slab->prev->next : list) = slab->next;
    if (slab->next != NULL) {
        slab->next->prev = slab->prev;
    }
    slab->next = slab->prev = NULL;
    if (*list == NULL) {
        hak_empty_classes &= ~(1ull << index);
    }
    ss->class_mask &= ~(1u << slot);
}

/* Of the first few slots on a list that is not empty the one in the fullest superslab. */
static hak_slab_t *hak_choose(unsigned index) {
    hak_slab_t *best = hak_empty[index];
    unsigned least = hak_bit_count32(hak_slab_superslab(best)->free_mask);
    hak_slab_t *slab = best->next;
    for (int i = 1; slab != NULL && i < HAK_LOOK; i++, slab = slab->next) {
        unsigned free = hak_bit_count32(hak_slab_superslab(slab)->free_mask);
        if (free < least) {
            least = free;
            best = slab;
        }
    }
    return best;
}

bool hak_slot_policy_serves(unsigned sc) { return hak_sc_is_tiny(sc); }

hak_slab_t *hak_slot_policy_find_locked(unsigned sc, hak_slot_stage_t *stage) {
    unsigned index = hak_sc_tiny_index(sc);
    if (hak_empty[index] != NULL) {
        *stage = HAK_STAGE_EMPTY;
        return hak_choose(index);
    }
    hak_superslab_t *ss = hak_ss_bins_find_locked(&hak_bins, 1);
    if (ss != NULL) {
        uint32_t warm = hak_for_all(ss) & ss->dirty_mask;
        *stage = HAK_STAGE_UNUSED;
        return &ss->slab[hak_lowest_bit(warm != 0 ? warm : hak_for_all(ss))];
    }
    if (hak_empty_classes != 0 && hak_option(HAK_OPTION_TINY_CROSS_CLASS_EMPTY) != 0) {
        *stage = HAK_STAGE_CROSS;
        return hak_choose(hak_lowest_bit(hak_empty_classes));
    }
    return NULL;
}

void hak_slot_policy_add_locked(hak_superslab_t *ss, unsigned sc) {
    (void)sc;
    ss->class_mask = 0;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        ss->slab[i].last_sc = 0; /* what it was before the LRU is nobody's */
    }
    hak_put(ss);
}

void hak_slot_policy_remove_locked(hak_superslab_t *ss) {
    hak_ss_bins_remove_locked(&hak_bins, ss);
    while (ss->class_mask != 0) { /* at most 32 */
        hak_unlist_empty(ss, hak_lowest_bit(ss->class_mask));
    }
}

void hak_slot_policy_moved_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                                  hak_slot_state_t to) {
    hak_ss_bins_remove_locked(&hak_bins, ss);
    uint32_t listed = from == HAK_SLOT_EMPTY ? slots & ss->class_mask : 0;
    for (; listed != 0; listed &= listed - 1) {
        hak_unlist_empty(ss, hak_lowest_bit(listed));
    }
    for (uint32_t left = to == HAK_SLOT_EMPTY ? slots : 0; left != 0; left &= left - 1) {
        if (ss->slab[hak_lowest_bit(left)].last_sc != 0) {
            hak_list_empty(ss, hak_lowest_bit(left));
        }
    }
    hak_put(ss);
}

static size_t hak_check_one(const hak_superslab_t *ss, unsigned room, bool warm, void *context) {
    *(uint64_t *)context += hak_bit_count32(ss->class_mask);
    return (room != hak_bit_count32(hak_for_all(ss))) +
           (warm != ((hak_for_all(ss) & ss->dirty_mask) != 0)) +
           ((ss->class_mask & ~ss->dirty_mask) != 0);
}

size_t hak_slot_policy_check_locked(void) {
    uint64_t expected = 0, entries = 0;
    size_t faults = hak_ss_bins_check_locked(&hak_bins, hak_check_one, &expected);
    for (unsigned i = 0; i <= HAK_TINY_CLASSES; i++) {
        faults += (hak_empty[i] != NULL) != (hak_empty_classes >> i & 1u);
        const hak_slab_t *before = NULL;
        for (const hak_slab_t *slab = hak_empty[i]; slab != NULL; slab = slab->next) {
            const hak_superslab_t *ss = hak_slab_superslab(slab);
            if (slab->prev != before || entries++ > expected) {
                return faults + 1; /* the list may have no end */
            }
            faults +=
                hak_sc_tiny_index(slab->last_sc) != i || (ss->class_mask >> slab->slot & 1u) == 0;
            before = slab;
        }
    }
    return faults + (entries != expected);
}
