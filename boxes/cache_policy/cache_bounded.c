/* A bin that overflows and then runs dry was too short: its cap doubles, within a budget of bytes
 * per thread. So a program that frees and allocates in bursts soon runs on hits alone, and one
 * that does not keeps little.
 */
#include "base/attr.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush_inl.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"
#include "core/owner_lock/owner_lock_inl.h"

enum {
    HAK_CAP_MOST_BYTES = 1 << 19,   /* of one bin */
    HAK_CAP_BUDGET_BYTES = 1 << 20, /* growth of all bins of a thread together */
};

const char hak_cache_policy_name[] = "bounded";

bool hak_cache_policy_keeps(void) { return hak_option(HAK_OPTION_TINY_TLS_SLL) != 0; }

void hak_cache_policy_start_owner(hak_heap_t *mine) {
    bool keeps = hak_cache_policy_keeps();
    for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
        mine->bin_cap[sc] = keeps ? hak_tls_sll_first_cap(sc) : 0;
        /* the heap has slabs of the class: frees may fill the bin */
        if (hak_load_rlx(&mine->cached_max[sc]) != 0) {
            hak_store_rlx(&mine->cached_max[sc], mine->bin_cap[sc]); /* relaxed: a statistic */
        }
    }
    mine->cap_growth_bytes = 0;
    mine->overflowed[0] = mine->overflowed[1] = 0;
}

/* The bin of the class overflowed and now is empty: lets it hold twice as much, if the budget
 * allows. */
static hak_noinline void hak_grow_cap(hak_heap_t *mine, unsigned sc) {
    mine->overflowed[sc >> 6] &= ~(1ull << (sc & 63));
    uint32_t cap = mine->bin_cap[sc];
    uint64_t bytes = (uint64_t)cap * hak_dyn_class_bytes(sc);
    if (2 * bytes <= HAK_CAP_MOST_BYTES && mine->cap_growth_bytes + bytes <= HAK_CAP_BUDGET_BYTES) {
        mine->cap_growth_bytes += (uint32_t)bytes;
        mine->bin_cap[sc] = 2 * cap;
    }
}

void hak_cache_policy_fill_owner(hak_heap_t *mine, unsigned sc, hak_block_t *list, uint32_t count) {
    if (hak_unlikely((mine->overflowed[sc >> 6] >> (sc & 63) & 1u) != 0)) {
        hak_grow_cap(mine, sc);
    }
    uint32_t most = hak_tls_sll_fill(sc, list, count, mine->bin_cap[sc]);
    if (hak_load_rlx(&mine->cached_max[sc]) < most) { /* relaxed: a statistic */
        hak_store_rlx(&mine->cached_max[sc], most);
    }
}

void hak_cache_policy_note_overflow_owner(hak_heap_t *mine, unsigned sc) {
    hak_tls.bin[sc].room++;
    mine->overflowed[sc >> 6] |= 1ull << (sc & 63);
}

void hak_cache_policy_overflow_owner(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_cache_policy_note_overflow_owner(mine, sc);
    hak_owner_lock_take_owner(&mine->lock);
    hak_flush_put_back(mine, block, sc);
    hak_count_add(&mine->counters.flushed_blocks, 1);
    hak_owner_lock_drop_owner(&mine->lock);
}
