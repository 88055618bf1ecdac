/* Exact sizes up to 1 KiB, and the table that malloc's hit path reads. It begins as the constant
 * one of base/size_class, and without exact sizes it stays so.
 */
#include "core/dyn_class/dyn_class.h"
#include "core/dyn_class/dyn_class_internal.h"

#define ONE(i)                                                                                     \
    { HAK_SC_OF_GRAIN(i) << HAK_BIN_SHIFT }
#define E8(i)                                                                                      \
    ONE(i), ONE((i) + 1), ONE((i) + 2), ONE((i) + 3), ONE((i) + 4), ONE((i) + 5), ONE((i) + 6),    \
        ONE((i) + 7)

hak_a16_t hak_dyn_class_small[HAK_EXACT_GRAINS] = {
    E8(0), E8(8), E8(16), E8(24), E8(32), E8(40), E8(48), E8(56), ONE(64),
};

/* The smallest of the classes that hold `bytes`, a multiple of 16. */
static unsigned hak_best_locked(uint32_t bytes) {
    unsigned best = hak_sc_of(bytes);
    uint32_t least = hak_sc_bytes[best];
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        uint32_t size = hak_load_rlx(&hak_dyn_class_sizes[id]); /* relaxed: under the lock */
        if ((hak_dyn.exact >> id & 1u) != 0 && size >= bytes && size < least) {
            least = size;
            best = HAK_DYN_FIRST_SC + id;
        }
    }
    return best;
}

static void hak_rebuild_locked(void) {
    for (uint32_t grain = HAK_EXACT_ABOVE_BYTES >> HAK_EXACT_GRAIN_SHIFT; grain < HAK_EXACT_GRAINS;
         grain++) {
        unsigned sc = hak_best_locked(grain << HAK_EXACT_GRAIN_SHIFT);
        /* relaxed: see the header's invariant */
        hak_store_rlx(&hak_dyn_class_small[grain], (uint16_t)(sc << HAK_BIN_SHIFT));
    }
}

static uint32_t hak_round(size_t bytes) {
    return ((uint32_t)bytes + HAK_EXACT_GRAIN_BYTES - 1) & ~(HAK_EXACT_GRAIN_BYTES - 1u);
}

bool hak_dyn_class_add_exact_mt(size_t bytes) {
    if (!hak_sc_may_be_exact(bytes)) {
        return false;
    }
    hak_lock_take(&hak_dyn.lock);
    unsigned id = hak_dyn_pick_locked(hak_round(bytes));
    if (id != HAK_NO_ID && (hak_dyn.exact >> id & 1u) == 0) {
        hak_dyn.exact |= 1u << id;
        hak_rebuild_locked();
    }
    hak_lock_drop(&hak_dyn.lock);
    return id != HAK_NO_ID;
}

bool hak_dyn_class_drop_exact_mt(size_t bytes) {
    if (!hak_sc_may_be_exact(bytes)) {
        return false;
    }
    bool dropped = false;
    hak_lock_take(&hak_dyn.lock);
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        uint32_t size = hak_load_rlx(&hak_dyn_class_sizes[id]); /* relaxed: under the lock */
        if (size == hak_round(bytes) && (hak_dyn.exact >> id & 1u) != 0) {
            hak_dyn.exact &= ~(1u << id);
            hak_rebuild_locked();
            dropped = true;
        }
    }
    hak_lock_drop(&hak_dyn.lock);
    return dropped;
}
