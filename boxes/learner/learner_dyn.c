/* DYN1 and DYN2: a size gets a class of its own when two windows in a row agree that no other size
 * between 2 and 32 KiB costs as much by rounding, and that it costs enough. Cost is what a request
 * loses to the fixed class that would serve it, times requests, so a size that a fixed class fits
 * is never a candidate, however hot it is.
 */
#include <stddef.h>

#include "boxes/learner/learner_internal.h"

enum {
    HAK_ABOVE_BYTES = 2048,
    HAK_BELOW_BYTES = 32768,
    HAK_GRAIN_BYTES = 128,    /* of core/dyn_class */
    HAK_LEAST_SHARE = 16,     /* of all requests in the range: one part in so many */
    HAK_LEAST_SAVING = 16,    /* of the fixed class: one part in so many */
    HAK_DWELL_WINDOWS = 10,   /* a size is kept for so long */
    HAK_TAKES_OVER_TIMES = 2, /* a new size must cost so many times what the present one saves */
};

typedef struct {
    uint32_t bytes;
    uint64_t requests, cost;
    uint32_t saved; /* by one request */
} hak_candidate_t;

static uint32_t hak_fixed_class(uint32_t bytes) {
    uint32_t fixed = HAK_ABOVE_BYTES;
    while (fixed < bytes) {
        fixed *= 2;
    }
    return fixed;
}

static hak_candidate_t hak_candidate(const hak_size_hist_window_t *sizes, unsigned bin) {
    hak_candidate_t none = {0};
    uint32_t most = sizes->most[bin];
    if (sizes->count[bin] == 0 || most <= HAK_ABOVE_BYTES) {
        return none;
    }
    uint32_t bytes = (most + HAK_GRAIN_BYTES - 1) / HAK_GRAIN_BYTES * HAK_GRAIN_BYTES;
    uint32_t fixed = hak_fixed_class(bytes);
    if (bytes >= HAK_BELOW_BYTES || fixed - bytes < fixed / HAK_LEAST_SAVING) {
        return none;
    }
    return (hak_candidate_t){bytes, sizes->count[bin], sizes->count[bin] * (fixed - bytes),
                             fixed - bytes};
}

static uint64_t hak_requests(const hak_size_hist_window_t *sizes) {
    uint64_t sum = 0;
    for (unsigned bin = HAK_ABOVE_BYTES / HAK_SIZE_HIST_GRAIN;
         bin < HAK_BELOW_BYTES / HAK_SIZE_HIST_GRAIN; bin++) {
        sum += sizes->count[bin];
    }
    return sum;
}

/* The costliest size, other than `taken`. */
static hak_candidate_t hak_peak(const hak_size_hist_window_t *sizes, uint64_t requests,
                                uint32_t taken) {
    hak_candidate_t peak = {0};
    for (unsigned bin = HAK_ABOVE_BYTES / HAK_SIZE_HIST_GRAIN;
         bin < HAK_BELOW_BYTES / HAK_SIZE_HIST_GRAIN; bin++) {
        hak_candidate_t c = hak_candidate(sizes, bin);
        bool is_taken = taken != 0 && (taken - 1) / HAK_SIZE_HIST_GRAIN == bin;
        if (!is_taken && c.cost > peak.cost && c.requests * HAK_LEAST_SHARE >= requests) {
            peak = c;
        }
    }
    return peak;
}

/* What the size in use saved in this window. */
static uint64_t hak_saved(const hak_size_hist_window_t *sizes, uint32_t bytes) {
    return bytes == 0
               ? 0
               : sizes->count[(bytes - 1) / HAK_SIZE_HIST_GRAIN] * (hak_fixed_class(bytes) - bytes);
}

/* The window before had its peak in the same bin; the class then holds the sizes of both. */
static bool hak_agrees(hak_candidate_t *peak, uint32_t before) {
    if (peak->bytes == 0 || before == 0 ||
        (peak->bytes - 1) / HAK_SIZE_HIST_GRAIN != (before - 1) / HAK_SIZE_HIST_GRAIN) {
        return false;
    }
    if (before > peak->bytes) {
        peak->cost -= peak->requests * (before - peak->bytes);
        peak->saved -= before - peak->bytes;
        peak->bytes = before;
    }
    return true;
}

static void hak_assign(hak_learner_t *state, unsigned which, const hak_candidate_t *peak,
                       uint64_t requests, uint64_t now_ms, hak_learner_decisions_t *out) {
    hak_learner_dyn_t *dyn = &state->dyn[which];
    hak_change_t *change = hak_learner_add(out, HAK_CHANGE_DYN, which, now_ms);
    if (change == NULL) {
        return;
    }
    change->before = state->dyn_bytes[which];
    change->after = change->bytes = peak->bytes;
    change->seen = peak->requests;
    change->limit = requests;
    change->samples = peak->saved;
    state->dyn_bytes[which] = peak->bytes;
    dyn->changed_at = state->windows;
    dyn->changed = true;
}

bool hak_learner_step_dyn(hak_learner_t *state, const hak_learner_window_t *window,
                          hak_learner_decisions_t *out) {
    const hak_size_hist_window_t *sizes = &window->at->sizes;
    uint64_t requests = hak_requests(sizes), now_ms = window->at->now_ms;
    bool any = false;
    for (unsigned which = 0; which < HAK_POLICY_DYN; which++) {
        hak_learner_dyn_t *dyn = &state->dyn[which];
        if (!state->config.dyn_auto[which] || requests < state->config.min_samples) {
            continue;
        }
        any = true;
        hak_candidate_t peak = hak_peak(sizes, requests, state->dyn_bytes[1 - which]);
        bool agreed = hak_agrees(&peak, dyn->bytes);
        dyn->bytes = peak.bytes;
        bool dwells = dyn->changed && state->windows - dyn->changed_at < HAK_DWELL_WINDOWS;
        bool is_in_use = peak.bytes == state->dyn_bytes[which];
        uint64_t saved = hak_saved(sizes, state->dyn_bytes[which]);
        if (agreed && !dwells && !is_in_use && peak.cost >= HAK_TAKES_OVER_TIMES * saved) {
            hak_assign(state, which, &peak, requests, now_ms, out);
        }
    }
    return any;
}
