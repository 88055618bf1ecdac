/* Huge pages. A superslab that a slab of small blocks asks for is touched as one huge page once the
 * pool is large: such blocks will fill it, and 512 page faults become one. Blocks above 1 KiB are
 * often buffers that nobody fills, so superslabs for those stay with OS pages.
 *
 * What the touch makes resident beyond the slab that was asked for is EMPTY: every request prefers
 * it to memory that nobody has touched, and what none takes is purged after the delay.
 */
#include "backends/os/os.h"
#include "boxes/huge_cost/huge_cost.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "core/options/options.h"

enum {
    /* Slots in use for each that is EMPTY or about to be: a sixteenth more at most becomes resident
     * ahead of its use. */
    HAK_ACTIVE_PER_EMPTY = 16,
};

static bool hak_huge_pays_locked(const hak_superslab_t *ss) {
    uint64_t ahead = hak_pool.slots[HAK_SLOT_EMPTY] +
                     (uint64_t)HAK_SUPERSLAB_SLOTS * (hak_pool.touches_in_flight + 1);
    return hak_option(HAK_OPTION_THP) == HAK_THP_DENSE && ss->dirty_mask == 0 &&
           hak_pool.slots[HAK_SLOT_ACTIVE] >= HAK_ACTIVE_PER_EMPTY * ahead &&
           hak_option(HAK_OPTION_PURGE_DELAY_MS) != 0 && hak_huge_cost_is_fine() &&
           !hak_pool.fork_waits;
}

void hak_pool_touch_huge_locked(hak_superslab_t *ss) {
    if (!hak_huge_pays_locked(ss)) {
        return;
    }
    hak_pool.touches_in_flight++;
    hak_pool.calls_in_flight++;
    hak_lock_drop(&hak_pool.lock);
    uint64_t began_us = hak_os_thread_us();
    bool done = hak_os_touch_huge((void *)hak_region_base(&ss->region), HAK_SUPERSLAB_BYTES);
    uint64_t now_ms = hak_os_now_ms();
    hak_huge_cost_note(done, hak_os_thread_us() - began_us);
    hak_pool_lock_take();
    hak_pool.calls_in_flight--;
    hak_pool.touches_in_flight--;
    if (done) {
        hak_pool_move_locked(ss, UINT32_MAX, HAK_SLOT_UNUSED, HAK_SLOT_EMPTY);
        ss->huge = true;
        ss->spared = 0;
        hak_pool.stats.huge_touched++;
        hak_pool_visit_later_locked(ss, now_ms + hak_option(HAK_OPTION_PURGE_DELAY_MS) / 2);
    }
}
