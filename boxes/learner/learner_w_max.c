/* W_MAX: which rounding limit gives the best score per request.
 *
 * UCB1 (Auer, Cesa-Bianchi and Fischer, "Finite-time Analysis of the Multiarmed Bandit Problem",
 * 2002) picks the arm to try. With canary, a trial runs for its time, is compared with the last
 * measurement of the base, and is adopted or undone; the base is measured between trials, so that a
 * load that changes is not held against an arm. Rewards are scores per request, from -2 (every
 * request refused) to 1 (every request a hit), moved to 0..1 in millionths.
 *
 * The paper's bonus is made for rewards that fill 0..1. Ours lie within a few hundredths of each
 * other, so it counts an eighth: with the whole of it every arm would be tried as often as any.
 */
#include <stddef.h>

#include "boxes/learner/learner_internal.h"

enum { HAK_PPM = 1000000, HAK_MILLI = 1000, HAK_BONUS_SHARE = 8 };

uint64_t hak_learner_sqrt(uint64_t n) {
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 31; bit != 0; bit >>= 1) {
        if ((root + bit) * (root + bit) <= n) {
            root += bit;
        }
    }
    return root;
}

/* ln(n) = ln(2) * log2(n); the fraction bit by bit, by squaring. 16 bits of it are kept. */
uint64_t hak_learner_log_milli(uint64_t n) {
    enum { BITS = 16, LN2_PPM = 693147 };
    unsigned whole = 0;
    while (n >> whole > 1) {
        whole++;
    }
    /* 1 <= mantissa < 2 with 31 bits behind the point */
    uint64_t mantissa = whole <= 31 ? n << (31 - whole) : n >> (whole - 31);
    uint64_t log2 = (uint64_t)whole << BITS;
    for (unsigned bit = 1; bit <= BITS; bit++) {
        mantissa = mantissa * mantissa >> 31;
        if (mantissa >> 32 != 0) {
            mantissa >>= 1;
            log2 += (uint64_t)1 << (BITS - bit);
        }
    }
    return (log2 * LN2_PPM / HAK_MILLI) >> BITS;
}

unsigned hak_learner_pick_arm(const hak_learner_arm_t *arm, unsigned arms) {
    uint64_t trials = 0, best_value = 0;
    unsigned best = 0;
    for (unsigned i = 0; i < arms; i++) {
        if (arm[i].trials == 0) {
            return i;
        }
        trials += arm[i].trials;
    }
    uint64_t two_log_milli = 2 * hak_learner_log_milli(trials);
    for (unsigned i = 0; i < arms; i++) {
        /* sqrt(2 ln N / n), in millionths: the root of 10^12 times that, of 10^9 times the milli */
        uint64_t bonus = hak_learner_sqrt(two_log_milli * 1000000000ull / arm[i].trials);
        uint64_t value = arm[i].reward_ppm / arm[i].trials + bonus / HAK_BONUS_SHARE;
        if (value > best_value) {
            best_value = value;
            best = i;
        }
    }
    return best;
}

static uint64_t hak_requests(const hak_ace_totals_t *ace) {
    uint64_t sum = 0;
    for (unsigned kind = 0; kind < HAK_ACE_KINDS; kind++) {
        sum += ace->count[kind];
    }
    return sum;
}

/* (score per request + 2) / 3 in millionths. Waste can push a score below -2. */
static uint64_t hak_reward_ppm(const hak_learner_w_max_t *w) {
    int64_t per_request = w->score_milli * HAK_MILLI / (int64_t)w->requests;
    int64_t reward = (per_request + 2 * HAK_PPM) / 3;
    return reward < 0 ? 0 : reward > HAK_PPM ? HAK_PPM : (uint64_t)reward;
}

static void hak_begin(hak_learner_w_max_t *w, uint32_t arm, uint64_t now_ms) {
    w->current = arm;
    w->since_ms = now_ms;
    w->score_milli = 0;
    w->requests = 0;
}

static void hak_say(hak_learner_t *state, hak_change_kind_t kind, uint32_t before, uint32_t after,
                    uint64_t reward, uint64_t now_ms, hak_learner_decisions_t *out) {
    const hak_learner_w_max_t *w = &state->w_max;
    hak_change_t *change = hak_learner_add(out, kind, w->current, now_ms);
    if (change == NULL) {
        return; /* the log is short of a line; the trial itself stands in the policy */
    }
    change->before = state->config.w_max_arm[before];
    change->after = state->config.w_max_arm[after];
    change->seen = reward;
    change->limit = w->base_ppm;
    change->samples = w->arm[w->current].trials;
}

/* A trial of another arm than the base is over. */
static void hak_judge(hak_learner_t *state, uint64_t reward, uint64_t now_ms,
                      hak_learner_decisions_t *out) {
    hak_learner_w_max_t *w = &state->w_max;
    uint64_t needed =
        w->base_ppm + w->base_ppm * state->config.w_max_adopt_permille / HAK_LEARNER_PERMILLE;
    if (reward >= needed && reward > w->base_ppm) {
        hak_say(state, HAK_CHANGE_W_MAX_ADOPT, w->base, w->current, reward, now_ms, out);
        w->base = w->current;
        w->base_ppm = reward;
    } else {
        hak_say(state, HAK_CHANGE_W_MAX_REVERT, w->current, w->base, reward, now_ms, out);
    }
    w->settled_ms = now_ms;
    w->has_base = false; /* the next trial begins with a fresh measurement of what it is against */
    hak_begin(w, w->base, now_ms);
}

/* The base's own trial is over: perhaps another arm's turn. */
static void hak_next(hak_learner_t *state, uint64_t reward, uint64_t now_ms,
                     hak_learner_decisions_t *out) {
    hak_learner_w_max_t *w = &state->w_max;
    const hak_learner_config_t *c = &state->config;
    w->base_ppm = reward;
    w->has_base = true;
    unsigned arm = w->base;
    if (now_ms - w->settled_ms >= c->w_max_dwell_ms) {
        arm = hak_learner_pick_arm(w->arm, c->w_max_arms);
    }
    hak_begin(w, arm, now_ms);
    if (arm != w->base) {
        hak_say(state, HAK_CHANGE_W_MAX_START, w->base, arm, reward, now_ms, out);
    }
}

static void hak_next_without_canary(hak_learner_t *state, uint64_t reward, uint64_t now_ms,
                                    hak_learner_decisions_t *out) {
    hak_learner_w_max_t *w = &state->w_max;
    unsigned arm = hak_learner_pick_arm(w->arm, state->config.w_max_arms);
    uint32_t before = w->current;
    hak_begin(w, arm, now_ms);
    if (arm != before) {
        hak_say(state, HAK_CHANGE_W_MAX_SET, before, arm, reward, now_ms, out);
    }
    w->base = arm;
}

bool hak_learner_step_w_max(hak_learner_t *state, const hak_learner_window_t *window,
                            hak_learner_decisions_t *out) {
    hak_learner_w_max_t *w = &state->w_max;
    uint64_t requests = hak_requests(&window->ace), now_ms = window->at->now_ms;
    if (!state->config.learn_w_max || requests < state->config.min_samples) {
        return false; /* what was seen of the trial so far stays */
    }
    w->score_milli += hak_ace_score_milli(&window->ace);
    w->requests += requests;
    if (now_ms - w->since_ms < state->config.w_max_trial_ms) {
        return true;
    }
    uint64_t reward = hak_reward_ppm(w);
    w->arm[w->current].trials++;
    w->arm[w->current].reward_ppm += reward;
    if (!state->config.canary) {
        hak_next_without_canary(state, reward, now_ms, out);
    } else if (w->current != w->base) {
        hak_judge(state, reward, now_ms, out);
    } else {
        hak_next(state, reward, now_ms, out);
    }
    return true;
}
