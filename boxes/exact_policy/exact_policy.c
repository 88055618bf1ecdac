#include "boxes/exact_policy/exact_policy.h"

#include <stdbool.h>

static uint32_t hak_grain_bytes(unsigned grain) { return grain << HAK_EXACT_GRAIN_SHIFT; }

static uint32_t hak_slab_of_bytes(uint32_t bytes) { return HAK_UNIT_BYTES / bytes; }

/* The id to which requests of this grain lead, or HAK_DYN_IDS. */
static unsigned hak_id_of(const hak_exact_window_t *window, unsigned grain) {
    unsigned best = HAK_DYN_IDS;
    uint32_t least = hak_sc_bytes[hak_sc_of(hak_grain_bytes(grain))];
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        uint32_t bytes = window->ids[id].bytes;
        if (window->ids[id].current && bytes >= hak_grain_bytes(grain) && bytes < least) {
            least = bytes;
            best = id;
        }
    }
    return best;
}

/* Blocks by where they came from: a fixed class, or one of the ids behind those. */
typedef struct {
    uint64_t of[HAK_SC_FIXED + 1 + HAK_DYN_IDS];
    uint64_t all;
} hak_sums_t;

static void hak_sum(const hak_exact_window_t *window, hak_sums_t *sums) {
    *sums = (hak_sums_t){.all = 0};
    for (unsigned grain = 0; grain < HAK_EXACT_GRAINS; grain++) {
        unsigned id = hak_id_of(window, grain);
        unsigned from =
            id < HAK_DYN_IDS ? HAK_SC_FIXED + 1 + id : hak_sc_of(hak_grain_bytes(grain));
        sums->of[from] += window->blocks[grain];
        sums->all += window->blocks[grain];
    }
}

/* Slabs that an exact class would save of those that its class has now, in 1/256; 0: not worth it.
 */
static uint64_t hak_saving(const hak_exact_state_t *state, const hak_exact_window_t *window,
                           const hak_sums_t *sums, unsigned grain) {
    unsigned sc = hak_sc_of(hak_grain_bytes(grain));
    uint64_t blocks = window->blocks[grain], class_blocks = sums->of[sc];
    uint32_t exact = hak_slab_of_bytes(hak_grain_bytes(grain));
    uint32_t gain = exact - hak_slab_of_bytes(hak_sc_bytes[sc]);
    if (blocks < HAK_EXACT_LEAST_BLOCKS || blocks * HAK_EXACT_HOT_SHARE < class_blocks ||
        gain * HAK_EXACT_LEAST_GAIN < exact ||
        window->slabs[sc] < state->slabs[sc] + HAK_EXACT_LEAST_GROWTH) {
        return 0;
    }
    return (uint64_t)window->slabs[sc] * blocks / class_blocks * gain * 256 / exact;
}

/* Counts the windows in which each size without a class was hot. Returns the best of those that
 * have been for long enough, or 0. */
static unsigned hak_find_hot(hak_exact_state_t *state, const hak_exact_window_t *window,
                             const hak_sums_t *sums) {
    unsigned best = 0;
    uint64_t most = 0;
    for (unsigned grain = HAK_EXACT_FIRST_GRAIN; grain < HAK_EXACT_GRAINS; grain++) {
        bool has_class = hak_id_of(window, grain) < HAK_DYN_IDS;
        uint64_t saving = has_class || !hak_sc_may_be_exact(hak_grain_bytes(grain))
                              ? 0
                              : hak_saving(state, window, sums, grain);
        /* a slab at least: each thread that uses the class has one that is not full */
        if (saving < 256) {
            state->hot[grain] = 0;
            continue;
        }
        state->hot[grain] += state->hot[grain] < HAK_EXACT_HOT_WINDOWS;
        if (state->hot[grain] == HAK_EXACT_HOT_WINDOWS && saving > most) {
            most = saving;
            best = grain;
        }
    }
    return best;
}

/* The same for those that have a class and were cold. `count` becomes the number of classes. */
static unsigned hak_find_cold(hak_exact_state_t *state, const hak_exact_window_t *window,
                              const hak_sums_t *sums, unsigned *count) {
    unsigned coldest = 0;
    *count = 0;
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        *count += window->ids[id].current;
    }
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        unsigned grain = window->ids[id].bytes >> HAK_EXACT_GRAIN_SHIFT;
        if (!window->ids[id].current || grain >= HAK_EXACT_GRAINS ||
            (window->fixed >> grain & 1u) != 0) {
            continue;
        }
        bool cold = sums->of[HAK_SC_FIXED + 1 + id] * HAK_EXACT_COLD_SHARE < sums->all;
        uint8_t before = state->cold[grain];
        state->cold[grain] = (uint8_t)(!cold                             ? 0
                                       : before < HAK_EXACT_COLD_WINDOWS ? before + 1
                                                                         : before);
        if (state->cold[grain] == HAK_EXACT_COLD_WINDOWS &&
            (window->ids[id].open <= HAK_EXACT_FEW_SLABS || *count >= HAK_EXACT_MOST)) {
            coldest = grain;
        }
    }
    return coldest;
}

hak_exact_decision_t hak_exact_policy_step(hak_exact_state_t *state,
                                           const hak_exact_window_t *window) {
    hak_sums_t sums;
    hak_sum(window, &sums);
    unsigned count;
    unsigned cold = hak_find_cold(state, window, &sums, &count);
    unsigned hot = hak_find_hot(state, window, &sums);
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        state->slabs[sc] = window->slabs[sc];
    }
    hak_exact_decision_t decision = {0, hak_grain_bytes(cold)};
    if (cold != 0) {
        state->cold[cold] = 0;
        count--;
    }
    if (hot != 0 && count < HAK_EXACT_MOST) {
        state->hot[hot] = 0;
        decision.add_bytes = hak_grain_bytes(hot);
    }
    return decision;
}
