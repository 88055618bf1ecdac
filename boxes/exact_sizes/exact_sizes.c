#include "boxes/exact_sizes/exact_sizes.h"

#include "base/bits.h"
#include "boxes/exact_policy/exact_policy.h"
#include "boxes/grain_hist/grain_hist.h"
#include "boxes/slot_pool/slot_pool.h"
#include "core/dyn_class/dyn_class.h"
#include "core/lock/lock.h"
#include "core/options/options.h"
#include "include/hakmem.h"

hak_a32_t hak_exact_sizes_auto;

/* Sizes are sets of bits: bit i for 16 * i bytes. */
static struct {
    hak_lock_t lock;
    uint64_t option;  /* value of the option that is in force */
    uint64_t by_hand; /* its sizes */
    uint64_t chosen;  /* those of the policy; none is in both */
    uint64_t added, dropped, refused;
    hak_exact_state_t state;
    hak_exact_window_t window; /* of the step that is taken; here because it is large */
} hak_exact = {.lock = HAK_LOCK_INIT(HAK_RANK_EXACT_SIZES)};

static size_t hak_lowest_size(uint64_t sizes) {
    return (size_t)hak_lowest_bit(sizes) << HAK_EXACT_GRAIN_SHIFT;
}

static uint64_t hak_set_of(uint64_t option) {
    uint64_t sizes = 0;
    for (; option != 0; option >>= 8) {
        sizes |= 1ull << (option & 63);
    }
    return sizes;
}

static void hak_drop_all(uint64_t sizes) {
    for (; sizes != 0; sizes &= sizes - 1) {
        (void)hak_dyn_class_drop_exact_mt(hak_lowest_size(sizes));
    }
}

/* Returns those that could not be had. */
static uint64_t hak_add_all(uint64_t sizes) {
    uint64_t failed = 0;
    for (; sizes != 0; sizes &= sizes - 1) {
        failed |= hak_dyn_class_add_exact_mt(hak_lowest_size(sizes)) ? 0 : sizes & (0 - sizes);
    }
    return failed;
}

/* The sizes of the option come first: if there is no id for one, those of the policy go. */
static bool hak_set_by_hand_locked(uint64_t sizes) {
    uint64_t before = hak_exact.by_hand;
    hak_drop_all(before & ~sizes);
    uint64_t failed = hak_add_all(sizes & ~before);
    if (failed != 0) {
        hak_drop_all(hak_exact.chosen & ~sizes);
        hak_exact.chosen = 0;
        failed = hak_add_all(failed);
    }
    if (failed != 0) {
        hak_drop_all(sizes & ~before);
        /* their ids are as they were, or others are free */
        (void)hak_add_all(before & ~sizes);
        return false;
    }
    hak_exact.chosen &= ~sizes;
    hak_exact.by_hand = sizes;
    return true;
}

bool hak_exact_sizes_configure_mt(bool warn) {
    bool accepted = true;
    hak_lock_take(&hak_exact.lock);
    uint64_t option = hak_option(HAK_OPTION_EXACT_SIZES);
    if (option != hak_exact.option) {
        accepted = hak_set_by_hand_locked(hak_set_of(option));
        if (accepted) {
            hak_exact.option = option;
        } else {
            hak_options_refuse(HAK_OPTION_EXACT_SIZES, hak_exact.option,
                               warn ? "blocks of other sizes are in all spare classes" : NULL);
        }
    }
    bool watch = hak_option(HAK_OPTION_EXACT_AUTO) != 0;
    if (!watch) {
        hak_drop_all(hak_exact.chosen);
        hak_exact.chosen = 0;
        hak_exact.state = (hak_exact_state_t){.slabs = {0}};
    }
    hak_store_rlx(&hak_exact_sizes_auto, watch); /* relaxed: a switch */
    hak_lock_drop(&hak_exact.lock);
    return accepted;
}

static void hak_step_locked(void) {
    hak_exact_window_t *window = &hak_exact.window;
    hak_grain_hist_take_mt(window->blocks);
    hak_slot_pool_class_slabs_mt(window->slabs);
    hak_dyn_class_list_mt(window->ids);
    window->fixed = hak_exact.by_hand;
    hak_exact_decision_t decision = hak_exact_policy_step(&hak_exact.state, window);
    if (decision.drop_bytes != 0) {
        (void)hak_dyn_class_drop_exact_mt(decision.drop_bytes);
        hak_exact.chosen &= ~(1ull << (decision.drop_bytes >> HAK_EXACT_GRAIN_SHIFT));
        hak_exact.dropped++;
    }
    if (decision.add_bytes == 0) {
        return;
    }
    if (hak_dyn_class_add_exact_mt(decision.add_bytes)) {
        hak_exact.chosen |= 1ull << (decision.add_bytes >> HAK_EXACT_GRAIN_SHIFT);
        hak_exact.added++;
    } else {
        hak_exact.refused++;
    }
}

void hak_exact_sizes_opened_owner(hak_heap_t *mine) {
    if (!hak_grain_hist_add_owner(&mine->grains) || !hak_lock_try(&hak_exact.lock)) {
        return;
    }
    if (hak_exact_sizes_watch()) { /* nobody has turned it off meanwhile */
        hak_step_locked();
    }
    hak_lock_drop(&hak_exact.lock);
}

void hak_exact_sizes_stats_mt(hak_stats_t *stats) {
    uint64_t *const fields[HAK_DYN_IDS][2] = {
        {&stats->exact_1_bytes, &stats->exact_1_slabs},
        {&stats->exact_2_bytes, &stats->exact_2_slabs},
        {&stats->exact_3_bytes, &stats->exact_3_slabs},
        {&stats->exact_4_bytes, &stats->exact_4_slabs},
        {&stats->exact_5_bytes, &stats->exact_5_slabs},
        {&stats->exact_6_bytes, &stats->exact_6_slabs},
        {&stats->exact_7_bytes, &stats->exact_7_slabs},
        {&stats->exact_8_bytes, &stats->exact_8_slabs},
    };
    hak_dyn_id_t ids[HAK_DYN_IDS];
    hak_lock_take(&hak_exact.lock);
    hak_dyn_class_list_mt(ids);
    stats->exact_added = hak_exact.added;
    stats->exact_dropped = hak_exact.dropped;
    stats->exact_refused = hak_exact.refused;
    hak_lock_drop(&hak_exact.lock);
    stats->exact_sizes = 0;
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        stats->exact_sizes += ids[id].current;
        *fields[id][0] = ids[id].current || ids[id].open != 0 ? ids[id].bytes : 0;
        *fields[id][1] = ids[id].open;
    }
}

void hak_exact_sizes_fork_take(void) { hak_lock_take(&hak_exact.lock); }
void hak_exact_sizes_fork_drop(void) { hak_lock_drop(&hak_exact.lock); }
