#include "boxes/exact_sizes/exact_sizes.h"

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/exact_policy/exact_policy.h"
#include "boxes/grain_hist/grain_hist.h"
#include "boxes/learn_log/learn_log.h"
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

static bool hak_is_auto(void) {
    uint64_t option = hak_option(HAK_OPTION_EXACT_AUTO);
    return option == HAK_EXACT_AUTO_LEARN ? hak_option(HAK_OPTION_LEARN) != 0
                                          : option == HAK_EXACT_AUTO_ON;
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
    bool watch = hak_is_auto();
    if (watch && warn) {
        hak_learn_log_check_mt();
    }
    if (!watch) {
        hak_drop_all(hak_exact.chosen);
        hak_exact.chosen = 0;
        hak_exact.state = (hak_exact_state_t){.slabs = {0}};
    }
    hak_store_rlx(&hak_exact_sizes_auto, watch); /* relaxed: a switch */
    hak_lock_drop(&hak_exact.lock);
    return accepted;
}

/* How many slabs are to be opened until the next step. With a fixed number a program that only
 * grows would pay for steps in which little can have changed. */
static uint64_t hak_next_window(const hak_exact_window_t *window) {
    enum { GROWN_SHARE = 8 };
    uint64_t slabs = 0;
    for (unsigned sc = HAK_SC_OF_GRAIN(HAK_EXACT_FIRST_GRAIN);
         sc <= HAK_SC_OF_GRAIN(HAK_EXACT_GRAINS - 1); sc++) {
        slabs += window->slabs[sc];
    }
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        slabs += window->ids[id].open;
    }
    return slabs / GROWN_SHARE > HAK_GRAIN_WINDOW_SLABS ? slabs / GROWN_SHARE
                                                        : HAK_GRAIN_WINDOW_SLABS;
}

typedef struct {
    unsigned count;
    hak_change_t change[2];
} hak_changes_t;

static void hak_note_add(hak_changes_t *out, const hak_exact_decision_t *decision, bool added) {
    out->change[out->count++] = (hak_change_t){
        .kind = added ? HAK_CHANGE_EXACT_ADD : HAK_CHANGE_EXACT_REFUSED,
        .after = added ? decision->add_bytes : 0,
        .bytes = decision->add_bytes,
        .seen = decision->add_opened,
        .limit = decision->add_sample,
        .samples = decision->add_saves,
    };
}

static void hak_note_drop(hak_changes_t *out, const hak_exact_decision_t *decision) {
    out->change[out->count++] = (hak_change_t){
        .kind = HAK_CHANGE_EXACT_DROP,
        .before = decision->drop_bytes,
        .bytes = decision->drop_bytes,
        .seen = HAK_EXACT_COLD_WINDOWS,
        .limit = decision->drop_slabs,
    };
}

static void hak_step_locked(hak_changes_t *out) {
    hak_exact_window_t *window = &hak_exact.window;
    hak_slot_pool_class_slabs_mt(window->slabs);
    hak_dyn_class_list_mt(window->ids);
    hak_grain_hist_take_mt(window->opened, hak_next_window(window));
    window->fixed = hak_exact.by_hand;
    hak_exact_decision_t decision = hak_exact_policy_step(&hak_exact.state, window);
    if (decision.drop_bytes != 0) {
        hak_note_drop(out, &decision);
        (void)hak_dyn_class_drop_exact_mt(decision.drop_bytes);
        hak_exact.chosen &= ~(1ull << (decision.drop_bytes >> HAK_EXACT_GRAIN_SHIFT));
        hak_exact.dropped++;
    }
    if (decision.add_bytes == 0) {
        return;
    }
    bool added = hak_dyn_class_add_exact_mt(decision.add_bytes);
    hak_note_add(out, &decision, added);
    if (added) {
        hak_exact.chosen |= 1ull << (decision.add_bytes >> HAK_EXACT_GRAIN_SHIFT);
        hak_exact.added++;
    } else {
        hak_exact.refused++;
    }
}

void hak_exact_sizes_opened_mt(size_t size) {
    hak_changes_t changes = {0};
    if (!hak_grain_hist_add_mt(size) || !hak_lock_try(&hak_exact.lock)) {
        return;
    }
    /* nobody has turned it off or taken the window meanwhile */
    if (hak_exact_sizes_watch() && hak_grain_hist_is_due_mt()) {
        hak_step_locked(&changes);
    }
    hak_lock_drop(&hak_exact.lock);
    for (unsigned i = 0; i < changes.count; i++) { /* writes to a file: under no lock */
        changes.change[i].now_ms = hak_os_now_ms();
        hak_learn_log_add_mt(&changes.change[i]);
    }
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
