/* The ids, and the table of the mid sizes.
 *
 * Why an id keeps its size: blocks of a class wait in bins, where nobody asks for their size. Would
 * the id of a class get a larger size while some of the old blocks are in a bin, malloc would hand
 * one out for a request that it cannot hold. A block in a bin keeps its page open, so an id without
 * an open page is in no bin.
 *
 * All is written under the lock; who reads without it takes what comes and checks afterwards.
 */
#include "core/dyn_class/dyn_class.h"

#include "base/bits.h"
#include "core/dyn_class/dyn_class_internal.h"
#include "core/errors/errors.h"

#define ONE(sc)                                                                                    \
    { (sc) << HAK_BIN_SHIFT }
#define E8(sc) ONE(sc), ONE(sc), ONE(sc), ONE(sc), ONE(sc), ONE(sc), ONE(sc), ONE(sc)
#define E16(sc) E8(sc), E8(sc)
#define E32(sc) E16(sc), E16(sc)
#define E64(sc) E32(sc), E32(sc)

/* 1 KiB and below, not looked up; 2, 4, 8, 16 and 32 KiB; eight classes up to 64 KiB. */
hak_a32_t hak_dyn_class_table[HAK_SC_MAX_BYTES / HAK_DYN_GRAIN_BYTES] = {
    E8(32),  E8(40),  E16(48), E32(56), E64(64), E64(72), E64(72), E32(73),
    E32(74), E32(75), E32(76), E32(77), E32(78), E32(79), E32(80),
};
hak_a32_t hak_dyn_class_sizes[HAK_DYN_IDS];
hak_a32_t hak_dyn_class_opened[HAK_DYN_IDS];

hak_dyn_t hak_dyn = {.lock = HAK_LOCK_INIT(HAK_RANK_DYN_CLASS)};

static uint32_t hak_open_locked(unsigned id) {
    return hak_load_rlx(&hak_dyn_class_opened[id]); /* relaxed: under the lock */
}

static uint32_t hak_size_locked(unsigned which) {
    unsigned id = hak_dyn.in_use[which];
    return id == 0 ? 0 : hak_load_rlx(&hak_dyn_class_sizes[id - 1]); /* relaxed: under the lock */
}

bool hak_dyn_is_current_locked(unsigned id) {
    return hak_dyn.in_use[0] == id + 1 || hak_dyn.in_use[1] == id + 1 ||
           (hak_dyn.exact >> id & 1u) != 0;
}

unsigned hak_dyn_pick_locked(uint32_t bytes) {
    unsigned free_id = HAK_NO_ID;
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        uint32_t size = hak_load_rlx(&hak_dyn_class_sizes[id]); /* relaxed: under the lock */
        if (size == bytes) {
            return id;
        }
        bool vacant = size == 0 || (!hak_dyn_is_current_locked(id) && hak_open_locked(id) == 0);
        if (vacant && free_id == HAK_NO_ID) {
            free_id = id;
        }
    }
    if (free_id != HAK_NO_ID) {
        hak_store_rlx(&hak_dyn_class_sizes[free_id], bytes); /* relaxed: the id has no page */
        if (free_id >= hak_load_rlx(&hak_dyn.ids)) {
            hak_store_rlx(&hak_dyn.ids, free_id + 1); /* relaxed: a bound for loops */
        }
    }
    return free_id;
}

/* The smallest of the classes that hold `bytes`, a multiple of 128; one of eight to a doubling if
 * the power of two is too large under the limit. */
static unsigned hak_best_locked(uint32_t bytes) {
    unsigned best = hak_sc_of_pow2(bytes);
    if (hak_dyn.limit != 0 &&
        (uint64_t)hak_sc_bytes[best] * 100 > (uint64_t)bytes * hak_dyn.limit) {
        best = hak_sc_of_eighth(bytes);
    }
    uint32_t least = hak_sc_bytes[best];
    for (unsigned which = 0; which < HAK_DYN_CLASSES; which++) {
        uint32_t size = hak_size_locked(which);
        if (size >= bytes && size < least) {
            least = size;
            best = HAK_DYN_FIRST_SC + hak_dyn.in_use[which] - 1;
        }
    }
    return best;
}

static void hak_write_locked(uint32_t bytes, unsigned sc) {
    /* relaxed: see the header's invariant */
    hak_store_rlx(&hak_dyn_class_table[(bytes - 1) >> HAK_DYN_GRAIN_SHIFT], sc << HAK_BIN_SHIFT);
}

static void hak_rebuild_locked(void) {
    for (uint32_t bytes = HAK_SC_SMALL_MAX_BYTES + HAK_DYN_GRAIN_BYTES;
         bytes <= HAK_DYN_BELOW_BYTES; bytes += HAK_DYN_GRAIN_BYTES) {
        hak_write_locked(bytes, hak_best_locked(bytes));
    }
}

void hak_dyn_class_limit_mt(uint32_t hundredths) {
    hak_lock_take(&hak_dyn.lock);
    if (hak_dyn.limit != hundredths) {
        hak_dyn.limit = hundredths;
        if (!hak_dyn.uses_all) {
            hak_rebuild_locked();
        }
    }
    hak_lock_drop(&hak_dyn.lock);
}

static bool hak_assign_locked(unsigned which, uint32_t bytes) {
    unsigned id = HAK_NO_ID;
    if (bytes != 0) {
        if (bytes == hak_size_locked(1 - which)) {
            return false;
        }
        id = hak_dyn_pick_locked(bytes);
        if (id == HAK_NO_ID) {
            return false;
        }
    }
    hak_dyn.in_use[which] = id == HAK_NO_ID ? 0 : id + 1;
    hak_rebuild_locked();
    return true;
}

bool hak_dyn_class_assign_mt(unsigned which, size_t bytes) {
    if (which >= HAK_DYN_CLASSES || bytes >= HAK_DYN_BELOW_BYTES) {
        return false;
    }
    uint32_t rounded = ((uint32_t)bytes + HAK_DYN_GRAIN_BYTES - 1) & ~(HAK_DYN_GRAIN_BYTES - 1u);
    if (rounded != 0 && (rounded <= HAK_DYN_ABOVE_BYTES || hak_is_pow2(rounded))) {
        return false;
    }
    hak_lock_take(&hak_dyn.lock);
    bool done = hak_size_locked(which) == rounded || hak_assign_locked(which, rounded);
    hak_lock_drop(&hak_dyn.lock);
    return done;
}

uint32_t hak_dyn_class_size_mt(unsigned which) {
    hak_lock_take(&hak_dyn.lock);
    uint32_t size = hak_size_locked(which);
    hak_lock_drop(&hak_dyn.lock);
    return size;
}

unsigned hak_dyn_class_ids(void) { return hak_load_rlx(&hak_dyn.ids); /* relaxed: as above */ }

bool hak_dyn_class_is_current_mt(unsigned sc) {
    if (sc < HAK_DYN_FIRST_SC) {
        return true;
    }
    hak_lock_take(&hak_dyn.lock);
    bool current = hak_dyn_is_current_locked(sc - HAK_DYN_FIRST_SC);
    hak_lock_drop(&hak_dyn.lock);
    return current;
}

uint32_t hak_dyn_class_open_mt(unsigned sc) {
    if (sc < HAK_DYN_FIRST_SC) {
        return hak_sc_bytes[sc];
    }
    unsigned id = sc - HAK_DYN_FIRST_SC;
    hak_lock_take(&hak_dyn.lock);
    /* relaxed, here and below: under the lock, and a hint to others */
    hak_store_rlx(&hak_dyn_class_opened[id], hak_open_locked(id) + 1);
    uint32_t bytes = hak_load_rlx(&hak_dyn_class_sizes[id]); /* relaxed: under the lock */
    hak_lock_drop(&hak_dyn.lock);
    hak_debug_assert(bytes != 0);
    return bytes;
}

void hak_dyn_class_close_mt(unsigned sc) {
    if (sc < HAK_DYN_FIRST_SC) {
        return;
    }
    unsigned id = sc - HAK_DYN_FIRST_SC;
    hak_lock_take(&hak_dyn.lock);
    hak_debug_assert(hak_open_locked(id) != 0);
    hak_store_rlx(&hak_dyn_class_opened[id], hak_open_locked(id) - 1);
    hak_lock_drop(&hak_dyn.lock);
}

void hak_dyn_class_list_mt(hak_dyn_id_t ids[HAK_DYN_IDS]) {
    hak_lock_take(&hak_dyn.lock);
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        /* relaxed: under the lock */
        ids[id] = (hak_dyn_id_t){hak_load_rlx(&hak_dyn_class_sizes[id]), hak_open_locked(id),
                                 hak_dyn_is_current_locked(id)};
    }
    hak_lock_drop(&hak_dyn.lock);
}

void hak_dyn_class_use_all_mt(void) {
    hak_lock_take(&hak_dyn.lock);
    hak_dyn.uses_all = true;
    for (uint32_t bytes = HAK_SC_SMALL_MAX_BYTES + HAK_DYN_GRAIN_BYTES; bytes <= HAK_SC_MAX_BYTES;
         bytes += HAK_DYN_GRAIN_BYTES) {
        hak_write_locked(bytes, hak_sc_of_eighth(bytes));
    }
    hak_lock_drop(&hak_dyn.lock);
}

void hak_dyn_class_fork_take(void) { hak_lock_take(&hak_dyn.lock); }
void hak_dyn_class_fork_drop(void) { hak_lock_drop(&hak_dyn.lock); }
