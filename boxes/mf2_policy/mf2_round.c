#include "boxes/mf2_policy/mf2_round.h"

#include "backends/os/os.h"
#include "boxes/mf2_adopt/mf2_adopt.h"
#include "core/options/options.h"

static void hak_count_reuse(hak_mf2_heap_t *mine, unsigned pages) {
    hak_mf2_count(&mine->counters.page_reuses, pages);
    hak_mf2_count(&mine->counters.handoffs, pages);
}

void hak_mf2_round_own_owner(hak_mf2_heap_t *mine, unsigned index) {
    hak_mf2_count(&mine->counters.drain_tries, 1);
    hak_count_reuse(mine, hak_mf2_adopt_drain_owner(mine, index, 1));
}

void hak_mf2_round_other_owner(hak_mf2_heap_t *mine) {
    hak_mf2_heap_t *heap = mine->rr_heap;
    unsigned index = mine->rr_index;
    if (heap == NULL) { /* `mine` is on the list, so it is not empty */
        heap = hak_mf2_heap_first();
    }
    mine->rr_heap = heap->all_next;
    if (mine->rr_heap == NULL) {
        mine->rr_index = (index + 1) % hak_mf2_classes();
    }
    hak_mf2_count(&mine->counters.drain_tries, 1);
    if (heap == mine) {
        hak_count_reuse(mine, hak_mf2_adopt_drain_owner(mine, index, 1));
        return;
    }
    hak_mf2_count(&mine->counters.drain_other, 1);
    if (hak_option(HAK_OPTION_MF2_HANDOFF) == 0) {
        (void)hak_mf2_adopt_drain_for_mt(heap, index, 1);
    } else if (hak_mf2_adopt_from_owner(mine, heap, index, hak_os_now_ms())) {
        hak_count_reuse(mine, 1);
    }
}
