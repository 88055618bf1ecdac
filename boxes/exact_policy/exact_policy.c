#include "boxes/exact_policy/exact_policy.h"

#include <stdbool.h>

enum { HAK_FIRST_SC = HAK_SC_OF_GRAIN(HAK_EXACT_FIRST_GRAIN) };

static uint32_t hak_bytes_of(unsigned grain) { return grain << HAK_EXACT_GRAIN_SHIFT; }

/* The id to which requests of this grain lead, or HAK_DYN_IDS. */
static unsigned hak_id_of(const hak_exact_window_t *window, unsigned grain) {
    unsigned best = HAK_DYN_IDS;
    uint32_t least = hak_sc_bytes[hak_sc_of(hak_bytes_of(grain))];
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        uint32_t bytes = window->ids[id].bytes;
        if (window->ids[id].current && bytes >= hak_bytes_of(grain) && bytes < least) {
            least = bytes;
            best = id;
        }
    }
    return best;
}

/* Adds the window to the samples of the fixed classes, and to `of_ids` what went to each id, last
 * all of it. */
static void hak_collect(hak_exact_state_t *state, const hak_exact_window_t *window,
                        uint64_t of_ids[HAK_DYN_IDS + 1]) {
    for (unsigned grain = HAK_EXACT_FIRST_GRAIN; grain < HAK_EXACT_GRAINS; grain++) {
        unsigned id = hak_id_of(window, grain);
        of_ids[HAK_DYN_IDS] += window->blocks[grain];
        if (id < HAK_DYN_IDS) {
            of_ids[id] += window->blocks[grain];
            state->blocks[grain] = 0;
            state->hot[grain] = 0;
        } else {
            state->blocks[grain] += window->blocks[grain];
        }
    }
}

/* Slabs that an exact class would save of those that its class has, in 1/256; 0: not worth it. Half
 * a slab at least: each thread that uses a class has one that is not full. */
static uint64_t hak_saving(const hak_exact_state_t *state, unsigned grain, uint64_t sample,
                           uint32_t slabs) {
    uint64_t blocks = state->blocks[grain];
    uint32_t exact = HAK_UNIT_BYTES / hak_bytes_of(grain);
    uint32_t gain = exact - HAK_UNIT_BYTES / hak_sc_bytes[hak_sc_of(hak_bytes_of(grain))];
    if (blocks * HAK_EXACT_HOT_SHARE < sample || gain * HAK_EXACT_LEAST_GAIN < exact) {
        return 0;
    }
    uint64_t saving = slabs * blocks * gain * 256 / (sample * exact);
    return saving < 128 ? 0 : saving;
}

/* Looks at the grains first..last, which are those of a class. */
static void hak_look_at_class(hak_exact_state_t *state, const hak_exact_window_t *window,
                              unsigned sc, unsigned first, unsigned last, uint64_t *most,
                              unsigned *best) {
    uint64_t sample = 0;
    for (unsigned grain = first; grain <= last; grain++) {
        sample += state->blocks[grain];
    }
    if (sample < HAK_EXACT_SAMPLE) {
        return;
    }
    bool grows = window->slabs[sc] > state->slabs[sc];
    state->slabs[sc] = window->slabs[sc];
    for (unsigned grain = first; grain <= last; grain++) {
        uint64_t saving = hak_saving(state, grain, sample, window->slabs[sc]);
        if (saving == 0) {
            state->hot[grain] = 0;
        } else if (grows && state->hot[grain] < HAK_EXACT_HOT_SAMPLES) {
            state->hot[grain]++;
        }
        if (grows && state->hot[grain] == HAK_EXACT_HOT_SAMPLES && saving > *most) {
            *most = saving;
            *best = grain;
        }
        state->blocks[grain] = 0;
    }
}

/* The best of the sizes that have been hot for long enough, or 0. */
static unsigned hak_find_hot(hak_exact_state_t *state, const hak_exact_window_t *window) {
    unsigned best = 0;
    uint64_t most = 0;
    unsigned first = HAK_EXACT_FIRST_GRAIN;
    for (unsigned sc = HAK_FIRST_SC; first < HAK_EXACT_GRAINS; sc++) {
        unsigned last = hak_sc_bytes[sc] >> HAK_EXACT_GRAIN_SHIFT;
        hak_look_at_class(state, window, sc, first, last, &most, &best);
        first = last + 1;
    }
    return best;
}

/* Counts the windows in which sizes with a class were cold. Returns one that is to give it up, or
 * 0. `count` is the number of classes. */
static unsigned hak_find_cold(hak_exact_state_t *state, const hak_exact_window_t *window,
                              const uint64_t of_ids[HAK_DYN_IDS + 1], unsigned count) {
    unsigned coldest = 0;
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        unsigned grain = window->ids[id].bytes >> HAK_EXACT_GRAIN_SHIFT;
        if (!window->ids[id].current || (window->fixed >> grain & 1u) != 0) {
            continue;
        }
        bool cold = of_ids[id] * HAK_EXACT_COLD_SHARE < of_ids[HAK_DYN_IDS];
        uint8_t before = state->cold[grain];
        state->cold[grain] = (uint8_t)(!cold                             ? 0
                                       : before < HAK_EXACT_COLD_WINDOWS ? before + 1
                                                                         : before);
        if (state->cold[grain] == HAK_EXACT_COLD_WINDOWS &&
            (window->ids[id].open <= HAK_EXACT_FEW_SLABS || count >= HAK_EXACT_MOST)) {
            coldest = grain;
        }
    }
    return coldest;
}

hak_exact_decision_t hak_exact_policy_step(hak_exact_state_t *state,
                                           const hak_exact_window_t *window) {
    uint64_t of_ids[HAK_DYN_IDS + 1] = {0};
    hak_collect(state, window, of_ids);
    unsigned count = 0;
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        count += window->ids[id].current;
    }
    unsigned cold = hak_find_cold(state, window, of_ids, count);
    unsigned hot = hak_find_hot(state, window);
    hak_exact_decision_t decision = {0, hak_bytes_of(cold)};
    if (cold != 0) {
        state->cold[cold] = 0;
        count--;
    }
    if (hot != 0 && count < HAK_EXACT_MOST) {
        decision.add_bytes = hak_bytes_of(hot);
    }
    return decision;
}
