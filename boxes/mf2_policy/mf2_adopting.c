#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_policy/mf2_policy.h"

const char hak_mf2_policy_name[] = "adopt";
const bool hak_mf2_policy_orphans = true;
const bool hak_mf2_policy_ticks = false;

bool hak_mf2_policy_find_owner(hak_mf2_heap_t *mine, unsigned index, uint64_t now_ms) {
    return hak_mf2_adopt_find_owner(mine, index, now_ms);
}

void hak_mf2_policy_tick_owner(hak_mf2_heap_t *mine, unsigned index) {
    (void)mine;
    (void)index;
}
