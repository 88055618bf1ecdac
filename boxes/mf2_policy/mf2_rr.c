#include "boxes/mf2_policy/mf2_policy.h"
#include "boxes/mf2_policy/mf2_round.h"
#include "core/options/options.h"

const char hak_mf2_policy_name[] = "rr";
const bool hak_mf2_policy_orphans = false;
const bool hak_mf2_policy_ticks = true;

bool hak_mf2_policy_find_owner(hak_mf2_heap_t *mine, unsigned index, uint64_t now_ms) {
    (void)mine;
    (void)index;
    (void)now_ms;
    return false;
}

void hak_mf2_policy_tick_owner(hak_mf2_heap_t *mine, unsigned index) {
    (void)index;
    if (++mine->ops % hak_option(HAK_OPTION_MF2_DRAIN_EVERY) == 0) {
        hak_mf2_round_other_owner(mine);
    }
}
