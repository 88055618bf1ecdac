/* A step: the window's differences, then caps, W_MAX and sizes, each on its own. */
#include "boxes/learner/learner.h"

#include <stddef.h>

#include "boxes/learner/learner_internal.h"

/* The figures of the mid pool's notes, phase 6.27. */
void hak_learner_defaults(hak_learner_config_t *config) {
    static const hak_learner_config_t defaults = {
        .learn_caps = true,
        .target_permille = 650,
        .band_permille = 50,
        .cap_start = {64, 64, 64, 32, 16, 64, 64},
        .cap_step = 4,
        .cap_min = 16,
        .cap_max = 512,
        .cap_dwell_ms = 3000,
        .min_samples = 256,
        .canary = true,
        .w_max_start = 160,
        .w_max_arm = {140, 150, 160, 170},
        .w_max_arms = 4,
        .w_max_trial_ms = 5000,
        .w_max_dwell_ms = 10000,
        .w_max_adopt_permille = 10,
    };
    *config = defaults;
}

static uint32_t hak_clamp(uint32_t value, uint32_t low, uint32_t high) {
    return value < low ? low : value > high ? high : value;
}

/* The arm of `value`, which becomes one if it is none: the first one gives way. */
static uint32_t hak_arm_of(hak_learner_config_t *config, uint32_t value) {
    for (uint32_t i = 0; i < config->w_max_arms; i++) {
        if (config->w_max_arm[i] == value) {
            return i;
        }
    }
    if (config->w_max_arms < HAK_LEARNER_ARMS) {
        config->w_max_arm[config->w_max_arms++] = value;
        return config->w_max_arms - 1;
    }
    config->w_max_arm[0] = value;
    return 0;
}

void hak_learner_init(hak_learner_t *state, const hak_learner_config_t *config) {
    *state = (hak_learner_t){.config = *config};
    hak_learner_config_t *c = &state->config;
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        state->cap[ci].cap = hak_clamp(c->cap_start[ci], c->cap_min, c->cap_max);
        state->cap[ci].step = c->cap_step;
    }
    if (c->learn_w_max) {
        state->w_max.base = state->w_max.current = hak_arm_of(c, c->w_max_start);
    }
}

hak_change_t *hak_learner_add(hak_learner_decisions_t *out, hak_change_kind_t kind, uint32_t index,
                              uint64_t now_ms) {
    if (out->count == HAK_LEARNER_CHANGES) {
        return NULL;
    }
    hak_change_t *change = &out->change[out->count++];
    *change = (hak_change_t){.kind = kind, .index = index, .now_ms = now_ms};
    return change;
}

static uint64_t hak_grown(uint64_t now, uint64_t before) { return now > before ? now - before : 0; }

static void hak_compare(const hak_learner_totals_t *now, const hak_learner_totals_t *before,
                        hak_learner_window_t *out) {
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        out->hits[ci] = hak_grown(now->hits[ci], before->hits[ci]);
        out->misses[ci] = hak_grown(now->misses[ci], before->misses[ci]);
    }
    hak_ace_window(&now->ace, &before->ace, &out->ace);
    out->at = now;
}

static void hak_fill_policy(const hak_learner_t *state, hak_policy_values_t *policy) {
    const hak_learner_config_t *c = &state->config;
    *policy = (hak_policy_values_t){0};
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES && c->learn_caps; ci++) {
        policy->cap[ci] = state->cap[ci].cap;
    }
    policy->w_max_mid = c->learn_w_max ? c->w_max_arm[state->w_max.current] : c->w_max_start;
    for (unsigned which = 0; which < HAK_POLICY_DYN; which++) {
        policy->dyn_bytes[which] = state->dyn_bytes[which];
    }
}

void hak_learner_step(hak_learner_t *state, const hak_learner_totals_t *totals,
                      hak_learner_decisions_t *out) {
    hak_learner_window_t window;
    out->count = 0;
    for (unsigned which = 0; which < HAK_POLICY_DYN; which++) {
        state->dyn_bytes[which] = totals->class_bytes[HAK_POLICY_FIXED + which];
    }
    if (!state->started) {
        state->started = true;
        state->w_max.since_ms = state->w_max.settled_ms = totals->now_ms;
    } else {
        hak_compare(totals, &state->last, &window);
        bool any = hak_learner_step_caps(state, &window, out);
        any |= hak_learner_step_w_max(state, &window, out);
        any |= hak_learner_step_dyn(state, &window, out);
        state->windows++;
        state->quiet_windows += !any;
    }
    state->last = *totals;
    hak_fill_policy(state, &out->policy);
}

void hak_learner_dyn_is(hak_learner_t *state, unsigned which, uint32_t bytes) {
    state->dyn_bytes[which] = bytes;
}
