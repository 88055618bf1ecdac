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
 * all of it. Most grains have nothing. */
static void hak_collect(hak_exact_state_t *state, const hak_exact_window_t *window,
                        uint64_t of_ids[HAK_DYN_IDS + 1]) {
    for (unsigned grain = HAK_EXACT_FIRST_GRAIN; grain < HAK_EXACT_GRAINS; grain++) {
        uint64_t opened = window->opened[grain];
        if (opened == 0) {
            continue;
        }
        unsigned id = hak_id_of(window, grain);
        of_ids[HAK_DYN_IDS] += opened;
        if (id < HAK_DYN_IDS) {
            of_ids[id] += opened;
            state->opened[grain] = 0;
            state->hot[grain] = 0;
        } else {
            state->opened[grain] += opened;
        }
    }
}

/* Slabs that an exact class would save of those that its class has, in 1/256; 0: not worth it. Half
 * a slab at least: each thread that uses a class has one that is not full. */
static uint64_t hak_saving(const hak_exact_state_t *state, unsigned grain, uint64_t sample,
                           uint32_t slabs) {
    uint64_t opened = state->opened[grain];
    uint32_t exact = HAK_UNIT_BYTES / hak_bytes_of(grain);
    uint32_t gain = exact - HAK_UNIT_BYTES / hak_sc_bytes[hak_sc_of(hak_bytes_of(grain))];
    if (opened * 100 < sample * HAK_EXACT_HOT_PERCENT || gain * HAK_EXACT_LEAST_GAIN < exact) {
        return 0;
    }
    uint64_t saving = slabs * opened * gain * 256 / (sample * exact);
    return saving < 128 ? 0 : saving;
}

typedef struct {
    uint64_t saving;
    unsigned grain; /* 0: none */
    uint32_t opened, sample, bytes;
} hak_best_t;

/* Looks at the grains first..last, which are those of a class. */
static void hak_look_at_class(hak_exact_state_t *state, const hak_exact_window_t *window,
                              unsigned sc, unsigned first, unsigned last, hak_best_t *best) {
    uint64_t sample = 0;
    for (unsigned grain = first; grain <= last; grain++) {
        sample += state->opened[grain];
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
        } else if (grows && state->opened[grain] == sample) {
            state->hot[grain] = HAK_EXACT_HOT_SAMPLES;
        } else if (grows && state->hot[grain] < HAK_EXACT_HOT_SAMPLES) {
            state->hot[grain]++;
        }
        if (grows && state->hot[grain] == HAK_EXACT_HOT_SAMPLES && saving > best->saving) {
            *best = (hak_best_t){saving, grain, (uint32_t)state->opened[grain], (uint32_t)sample,
                                 hak_sc_bytes[sc] - hak_bytes_of(grain)};
        }
        state->opened[grain] = 0;
    }
}

/* The best of the sizes that have been hot for long enough. */
static hak_best_t hak_find_hot(hak_exact_state_t *state, const hak_exact_window_t *window) {
    hak_best_t best = {0};
    unsigned first = HAK_EXACT_FIRST_GRAIN;
    for (unsigned sc = HAK_FIRST_SC; first < HAK_EXACT_GRAINS; sc++) {
        unsigned last = hak_sc_bytes[sc] >> HAK_EXACT_GRAIN_SHIFT;
        hak_look_at_class(state, window, sc, first, last, &best);
        first = last + 1;
    }
    return best;
}

/* Whether a size that has been cold for long may go. */
static bool hak_may_go(const hak_dyn_id_t *id, uint32_t most, unsigned count) {
    return id->open <= HAK_EXACT_FEW_SLABS ||
           (count >= HAK_EXACT_MOST && id->open <= most / HAK_EXACT_LOST_SHARE);
}

/* Counts the windows in which sizes with a class were cold. Returns the id of one that is to give
 * it up, or HAK_DYN_IDS. `count` is the number of classes. */
static unsigned hak_find_cold(hak_exact_state_t *state, const hak_exact_window_t *window,
                              const uint64_t of_ids[HAK_DYN_IDS + 1], unsigned count) {
    unsigned coldest = HAK_DYN_IDS;
    for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
        unsigned grain = window->ids[id].bytes >> HAK_EXACT_GRAIN_SHIFT;
        if (!window->ids[id].current || (window->fixed >> grain & 1u) != 0) {
            continue;
        }
        uint32_t open = window->ids[id].open;
        state->most[grain] = open > state->most[grain] ? open : state->most[grain];
        bool cold = of_ids[id] * HAK_EXACT_COLD_SHARE < of_ids[HAK_DYN_IDS];
        uint8_t before = state->cold[grain];
        state->cold[grain] = (uint8_t)(!cold                             ? 0
                                       : before < HAK_EXACT_COLD_WINDOWS ? before + 1
                                                                         : before);
        if (state->cold[grain] == HAK_EXACT_COLD_WINDOWS &&
            hak_may_go(&window->ids[id], state->most[grain], count)) {
            coldest = id;
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
    hak_best_t hot = hak_find_hot(state, window);
    hak_exact_decision_t decision = {0};
    if (cold < HAK_DYN_IDS) {
        decision.drop_bytes = window->ids[cold].bytes;
        decision.drop_slabs = window->ids[cold].open;
        state->cold[decision.drop_bytes >> HAK_EXACT_GRAIN_SHIFT] = 0;
        state->most[decision.drop_bytes >> HAK_EXACT_GRAIN_SHIFT] = 0;
        count--;
    }
    if (hot.grain != 0 && count < HAK_EXACT_MOST) {
        decision.add_bytes = hak_bytes_of(hot.grain);
        decision.add_opened = hot.opened;
        decision.add_sample = hot.sample;
        decision.add_saves = hot.bytes;
    }
    return decision;
}
