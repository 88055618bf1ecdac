/* A bin that overflows and then runs dry was too short: if it has overflowed often for the time,
 * its cap doubles, within a budget of bytes. So a program that frees and allocates in bursts soon
 * runs on hits alone, and one that does not, or is slow at it, keeps little. Each thread has a
 * budget of its own; what it wants beyond comes out of a pot for all threads, so that many cannot
 * hoard. The pot is as large as the whole thread cache of gperftools' tcmalloc (its
 * TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES). A bin that passes blocks of other threads on grows
 * little.
 *
 * A block that is allocated after one was freed takes its place, so the places that are in use do
 * not change, and a class that a program has nearly given up keeps all slabs that it ever filled.
 * Before memory grows such classes do without their bins until their blocks have been replaced, so
 * that new ones come from one slab after the other and the others become empty. Where that does not
 * help, because blocks stay, it is tried again only when there are more slabs.
 */
#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/tls_sll/tls_sll.h"
#include "boxes/transfer/transfer.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"
#include "core/owner_lock/owner_lock_inl.h"

enum {
    HAK_CAP_MOST_BYTES = 1 << 20,     /* of one bin */
    HAK_CAP_BUDGET_BYTES = 1 << 20,   /* growth of all bins of a thread together */
    HAK_CAP_WITH_POT_BYTES = 1 << 23, /* the same with what comes out of the pot */
    HAK_CAP_POT_BYTES = 1 << 25,      /* growth of all threads beyond their budgets */
    /* Often is once in so many ms, on the average of so many times: at a microsecond for each, bins
     * of fifty classes that overflow less often cost about a hundredth of the time. Of fewer times
     * chance would make a few quick ones in the end, and what has grown stays. */
    HAK_OFTEN_MS = 4,
    HAK_OFTEN_TIMES = 8,
    HAK_SPARSE_SLABS = 8,       /* many, and as many are looked at */
    HAK_SPARSE_PART = 2,        /* less than this part of them is in use: few blocks */
    HAK_HOME_TURNS = 4,         /* times that these may be replaced */
    HAK_HOME_LOOK = 64,         /* frees between two looks whether there are still few */
    HAK_HOME_LOST = 16,         /* part of the slabs that must be gone for it to have been of use */
    HAK_HOME_ROOM = -(1 << 30), /* no free finds room, however many blocks leave the bin */
};

/* What threads have out of the pot. */
static hak_a64_t hak_cap_taken;

const char hak_cache_policy_name[] = "bounded";

bool hak_cache_policy_keeps(void) { return hak_option(HAK_OPTION_TINY_TLS_SLL) != 0; }

static uint32_t hak_beyond_budget(uint32_t growth_bytes) {
    return growth_bytes > HAK_CAP_BUDGET_BYTES ? growth_bytes - HAK_CAP_BUDGET_BYTES : 0;
}

void hak_cache_policy_end_owner(hak_heap_t *mine) {
    hak_sub_rlx(&hak_cap_taken, hak_beyond_budget(mine->cap_growth_bytes)); /* relaxed: a sum */
    mine->cap_growth_bytes = 0;
}

void hak_cache_policy_start_owner(hak_heap_t *mine) {
    bool keeps = hak_cache_policy_keeps();
    uint32_t now_ms = (uint32_t)hak_os_now_ms();
    for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
        uint32_t bytes = hak_dyn_class_bytes(sc);
        mine->overflows[sc] = 0;
        mine->home_left[sc] = mine->home_slabs[sc] = 0;
        mine->overflows_since_ms[sc] = now_ms;
        mine->bin_cap[sc] = keeps && sc != 0 ? hak_tls_sll_first_cap(bytes) : 0;
        if (sc > HAK_SC_FIXED) {
            mine->spare_bytes[sc - HAK_SC_FIXED - 1] = bytes;
        }
        /* the heap has slabs of the class, or shares it: frees may fill the bin */
        bool shares = (mine->shares[sc >> 6] >> (sc & 63) & 1u) != 0;
        if (shares || hak_load_rlx(&mine->cached_max[sc]) != 0) {
            hak_store_rlx(&mine->cached_max[sc], mine->bin_cap[sc]); /* relaxed: a statistic */
        }
    }
    hak_cache_policy_end_owner(mine); /* of a thread that vanished in a fork */
}

/* False if the thread's bins may not grow by `bytes` more. */
static bool hak_pay_for_growth(hak_heap_t *mine, uint32_t bytes) {
    uint32_t growth = mine->cap_growth_bytes + bytes;
    uint32_t more = hak_beyond_budget(growth) - hak_beyond_budget(mine->cap_growth_bytes);
    if (growth > HAK_CAP_WITH_POT_BYTES) {
        return false;
    }
    /* relaxed, both: a sum, and nothing else depends on it */
    if (more != 0 && hak_add_rlx(&hak_cap_taken, more) + more > HAK_CAP_POT_BYTES) {
        hak_sub_rlx(&hak_cap_taken, more);
        return false;
    }
    mine->cap_growth_bytes = growth;
    return true;
}

/* What the bin's growth cost is paid back. */
bool hak_cache_policy_resize_owner(hak_heap_t *mine, unsigned sc, uint32_t bytes) {
    uint32_t *known = &mine->spare_bytes[sc - HAK_SC_FIXED - 1];
    if (*known == bytes) {
        return false;
    }
    uint32_t cap = mine->bin_cap[sc], first = hak_tls_sll_first_cap(*known);
    uint32_t growth = mine->cap_growth_bytes;
    uint32_t cost = cap > first ? (cap - first) * *known : 0;
    if (cost <= growth) { /* else the thread has left, and all is paid back */
        mine->cap_growth_bytes = growth - cost;
        uint32_t given = hak_beyond_budget(growth) - hak_beyond_budget(mine->cap_growth_bytes);
        hak_sub_rlx(&hak_cap_taken, given); /* relaxed: a sum */
    }
    *known = bytes;
    mine->bin_cap[sc] = hak_cache_policy_keeps() ? hak_tls_sll_first_cap(bytes) : 0;
    if (hak_tls.heap == mine) { /* else it is borrowed */
        hak_tls_sll_resize(sc, bytes, mine->bin_cap[sc]);
    }
    hak_store_rlx(&mine->cached_max[sc], 0); /* relaxed: a statistic */
    return true;
}

/* The bin of the class has overflowed and now is empty: lets it hold twice as much, if it does so
 * often and the budget allows. */
static hak_noinline void hak_grow_cap(hak_heap_t *mine, unsigned sc) {
    uint32_t now_ms = (uint32_t)hak_os_now_ms(), overflows = mine->overflows[sc];
    uint32_t took_ms = now_ms - mine->overflows_since_ms[sc];
    bool enough = overflows >= HAK_OFTEN_TIMES;
    if (!enough && took_ms <= HAK_OFTEN_TIMES * HAK_OFTEN_MS) {
        return; /* it may become often */
    }
    mine->overflows[sc] = 0;
    mine->overflows_since_ms[sc] = now_ms;
    if (!enough || took_ms > overflows * HAK_OFTEN_MS) {
        return;
    }
    uint32_t cap = mine->bin_cap[sc];
    uint32_t bytes = cap * hak_dyn_class_bytes(sc);
    if (2 * bytes <= HAK_CAP_MOST_BYTES && hak_pay_for_growth(mine, bytes)) {
        mine->bin_cap[sc] = 2 * cap;
    }
}

/* The bin of the class may hold up to `most` blocks. */
static void hak_may_hold(hak_heap_t *mine, unsigned sc, uint32_t most) {
    if (hak_load_rlx(&mine->cached_max[sc]) < most) { /* relaxed, both: a statistic */
        hak_store_rlx(&mine->cached_max[sc], most);
    }
}

void hak_cache_policy_fill_owner(hak_heap_t *mine, unsigned sc, hak_block_t *list, uint32_t count) {
    if (hak_unlikely(mine->overflows[sc] != 0)) {
        hak_grow_cap(mine, sc);
    }
    hak_may_hold(mine, sc, hak_tls_sll_fill(sc, list, count, mine->bin_cap[sc]));
    if (hak_unlikely(mine->home_left[sc] != 0)) {
        hak_tls.bin[sc].room = HAK_HOME_ROOM;
    }
}

/* Blocks at users and in bins, if the class has many slabs with room and the fewest of them are in
 * those at one end of its list: reckoned for all of them. 0: it is not so. */
static uint32_t hak_sparse_blocks(const hak_heap_t *mine, unsigned sc) {
    uint32_t slabs = hak_heap_partial_slabs(mine, sc);
    if (slabs < HAK_SPARSE_SLABS) {
        return 0;
    }
    const hak_slab_t *first = mine->partial[sc], *last = mine->partial_last[sc];
    uint32_t used_first = 0, used_last = 0, cap = 0;
    for (int i = 0; i < HAK_SPARSE_SLABS; i++, first = first->next, last = last->prev) {
        used_first += hak_load_rlx(&first->used); /* relaxed, both: inside the lock */
        used_last += hak_load_rlx(&last->used);
        cap += first->cap;
    }
    bool sparse = (used_first < used_last ? used_first : used_last) * HAK_SPARSE_PART < cap;
    return sparse ? (used_first + used_last) / (2 * HAK_SPARSE_SLABS) * slabs + 1 : 0;
}

/* Owner lock held. */
static void hak_empty_bin_locked(hak_heap_t *mine, unsigned sc, int32_t room) {
    hak_block_t *list = hak_tls_sll_take_all(sc, mine->bin_cap[sc]);
    (void)hak_flush_list_locked(mine, sc, &list, UINT32_MAX);
    hak_tls.bin[sc].room = room;
}

void hak_cache_policy_growing_locked(hak_heap_t *mine) {
    if (hak_tls.heap != mine) {
        return; /* it is borrowed */
    }
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        uint32_t slabs = hak_heap_partial_slabs(mine, sc);
        if (mine->home_left[sc] != 0 || slabs < mine->home_slabs[sc] || mine->bin_cap[sc] == 0) {
            continue;
        }
        mine->home_left[sc] = hak_sparse_blocks(mine, sc) * HAK_HOME_TURNS;
        if (mine->home_left[sc] != 0) {
            mine->home_slabs[sc] = slabs;
            hak_empty_bin_locked(mine, sc, HAK_HOME_ROOM);
        }
    }
}

/* A class that has lost few of its slabs is left alone until it has more of them: blocks that stay
 * for long keep them. */
static void hak_stop_sending_home_locked(hak_heap_t *mine, unsigned sc) {
    uint32_t before = mine->home_slabs[sc], slabs = hak_heap_partial_slabs(mine, sc);
    mine->home_slabs[sc] =
        slabs > before - before / HAK_HOME_LOST ? slabs + slabs / HAK_HOME_LOST : 0;
    mine->home_left[sc] = 0;
    hak_empty_bin_locked(mine, sc, (int32_t)mine->bin_cap[sc]);
}

static hak_noinline void hak_send_home(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_tls.bin[sc].room = HAK_HOME_ROOM;
    hak_block_link(block, NULL);
    hak_owner_lock_take_owner(&mine->lock);
    (void)hak_flush_list_locked(mine, sc, &block, 1);
    uint32_t left = --mine->home_left[sc];
    if (left == 0 || (left % HAK_HOME_LOOK == 0 && hak_sparse_blocks(mine, sc) == 0)) {
        hak_stop_sending_home_locked(mine, sc);
    }
    hak_owner_lock_drop_owner(&mine->lock);
}

void hak_cache_policy_wants_owner(hak_heap_t *mine, unsigned sc) {
    uint64_t bit = 1ull << (sc & 63);
    if ((mine->shares[sc >> 6] & bit) == 0 && hak_heap_is_shared(sc)) {
        mine->shares[sc >> 6] |= bit;
        hak_may_hold(mine, sc, mine->bin_cap[sc]); /* frees may fill the bin */
        if (hak_tls.heap == mine) {                /* else it is borrowed */
            hak_tls_sll_share(sc);
        }
    }
}

void hak_cache_policy_share_owner(const hak_heap_t *mine) {
    for (unsigned word = 0; word < 2; word++) {
        for (uint64_t mask = mine->shares[word]; mask != 0; mask &= mask - 1) {
            hak_tls_sll_share(word * 64 + hak_lowest_bit(mask));
        }
    }
}

void hak_cache_policy_note_overflow_owner(hak_heap_t *mine, unsigned sc) {
    hak_tls.bin[sc].room++;
    mine->overflows[sc] += mine->overflows[sc] != UINT16_MAX;
}

enum { HAK_BATCH_MOST = 256, HAK_PASS_MOST_BYTES = 1 << 18 };

/* How many blocks leave a full bin for their slabs at once: a part of it, so that the frees that
 * follow find room and the next malloc finds a block, and not so many that one free takes long. */
static uint32_t hak_overflow_batch(const hak_heap_t *mine, unsigned sc) {
    enum { PART = 4 };
    uint32_t batch = mine->bin_cap[sc] / PART;
    return batch < 1 ? 1 : batch > HAK_BATCH_MOST ? HAK_BATCH_MOST : batch;
}

/* How many are passed on: for this they are only counted. */
static uint32_t hak_pass_batch(const hak_heap_t *mine, unsigned sc) {
    uint32_t batch = mine->bin_cap[sc] / 2;
    uint32_t most = HAK_PASS_MOST_BYTES / hak_dyn_class_bytes(sc);
    most = most < HAK_BATCH_MOST ? most : HAK_BATCH_MOST;
    return batch < 1 ? 1 : batch > most ? most : batch;
}

/* The first blocks of a bin, of which one at least is another thread's, go to whichever thread
 * wants them next: to send each home, for its owner to hand it out again, would take longer.
 * Returns how many; 0: there is no place. */
static uint32_t hak_pass_on(hak_heap_t *mine, hak_bin_t *bin, unsigned sc) {
    bool shares = (mine->shares[sc >> 6] >> (sc & 63) & 1u) != 0;
    if (!shares || mine->bin_cap[sc] == 0 || !hak_transfer_has_room(sc)) {
        return 0;
    }
    uint32_t count = 1, most = hak_pass_batch(mine, sc);
    hak_block_t *list = bin->head, *tail = list, *rest = hak_block_next(list);
    for (; count < most && rest != NULL; count++) {
        tail = rest;
        rest = hak_block_next(rest);
    }
    hak_block_link(tail, NULL);
    if (!hak_transfer_put_mt(sc, list, count)) {
        hak_block_link(tail, rest);
        return 0;
    }
    bin->head = rest;
    hak_count_add(&mine->counters.passed_blocks, count);
    return count;
}

/* What a bin has too much and passes on is what another thread lacks: a longer one would hold more
 * and spare few trips, for a whole list leaves at once. So for that it grows to a multiple of its
 * first length and no further. */
static bool hak_is_long_for_sharing(const hak_heap_t *mine, unsigned sc) {
    enum { MOST_GROWTH = 4 };
    return mine->bin_cap[sc] >= MOST_GROWTH * hak_tls_sll_first_cap(hak_dyn_class_bytes(sc));
}

/* A part of a full bin leaves it. Owner lock held. */
static uint32_t hak_shorten_locked(hak_heap_t *mine, hak_bin_t *bin, unsigned sc) {
    uint32_t batch = hak_overflow_batch(mine, sc);
    uint32_t gone = hak_flush_own_locked(mine, &bin->head, batch);
    if (gone < batch && bin->head != NULL) { /* another thread's */
        uint32_t passed = hak_pass_on(mine, bin, sc);
        if (passed != 0 && hak_is_long_for_sharing(mine, sc)) {
            mine->overflows[sc] = 0;
        }
        gone += passed != 0 ? passed : hak_flush_list_locked(mine, sc, &bin->head, batch - gone);
    }
    return gone;
}

void hak_cache_policy_overflow_owner(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_bin_t *bin = &hak_tls.bin[sc];
    if (hak_unlikely(bin->room < HAK_HOME_ROOM / 2)) { /* home_left is another line */
        hak_send_home(mine, block, sc);
        return;
    }
    hak_cache_policy_note_overflow_owner(mine, sc);
    hak_block_link(block, bin->head);
    bin->head = block;
    hak_owner_lock_take_owner(&mine->lock);
    bin->room += (int32_t)hak_shorten_locked(mine, bin, sc) - 1;
    hak_owner_lock_drop_owner(&mine->lock);
}
