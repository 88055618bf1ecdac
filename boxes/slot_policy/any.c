/* Nothing: the pool's own lists serve every class, so that slots of tiny slabs and of other slabs
 * of one unit fill the same superslabs.
 */
#include "boxes/slot_policy/slot_policy.h"

const char hak_slot_policy_name[] = "any";

bool hak_slot_policy_serves(unsigned sc) {
    (void)sc;
    return false;
}

hak_slab_t *hak_slot_policy_find_locked(unsigned sc, hak_slot_stage_t *stage) {
    (void)sc;
    (void)stage;
    return NULL;
}

void hak_slot_policy_add_locked(hak_superslab_t *ss, unsigned sc) {
    (void)ss;
    (void)sc;
}

void hak_slot_policy_remove_locked(hak_superslab_t *ss) { (void)ss; }

void hak_slot_policy_moved_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                                  hak_slot_state_t to) {
    (void)ss;
    (void)slots;
    (void)from;
    (void)to;
}

size_t hak_slot_policy_check_locked(void) { return 0; }
