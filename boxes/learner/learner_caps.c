/* Caps: an integrator with a dead band. The hit rate answers to the cap with a gain that the
 * learner does not know, so a fixed step may jump across the band for ever; a step that is halved
 * at each turn comes to rest inside of it. If one page decides between too few hits and too many,
 * there is no rest; then each turn doubles the time until the next. Two changes in one direction
 * show that the load has moved: the dwell time is the first again, and four double the step.
 */
#include <stddef.h>

#include "boxes/learner/learner_internal.h"

enum {
    HAK_RUN = 4,           /* changes in one direction after which the step grows again */
    HAK_PATIENCE_MOST = 4, /* the dwell time grows to 2^4 times itself */
};

typedef struct {
    uint64_t samples; /* requests */
    uint32_t hit_permille;
    uint64_t deficit; /* hits that are missing to the lower end of the band, in thousandths */
    int wish;         /* 1: more, -1: less, 0: the band, or nothing is known */
    bool done;        /* served in this step */
} hak_demand_t;

static uint32_t hak_low(const hak_learner_config_t *c) {
    return c->target_permille > c->band_permille ? c->target_permille - c->band_permille : 0;
}
static uint32_t hak_high(const hak_learner_config_t *c) {
    return c->target_permille + c->band_permille;
}

static void hak_look(const hak_learner_t *state, const hak_learner_window_t *window, unsigned ci,
                     hak_demand_t *out) {
    const hak_learner_config_t *c = &state->config;
    *out = (hak_demand_t){.samples = window->hits[ci] + window->misses[ci]};
    if (window->at->class_bytes[ci] == 0 || out->samples == 0) {
        out->samples = 0;
        return;
    }
    out->hit_permille = (uint32_t)(window->hits[ci] * HAK_LEARNER_PERMILLE / out->samples);
    bool known = out->samples >= c->min_samples;
    if (known && out->hit_permille < hak_low(c)) {
        out->wish = 1;
        out->deficit = (hak_low(c) - out->hit_permille) * out->samples;
    } else if (known && out->hit_permille > hak_high(c)) {
        out->wish = -1;
    }
}

static bool hak_dwells(const hak_learner_t *state, unsigned ci, uint64_t now_ms) {
    const hak_learner_cap_t *cap = &state->cap[ci];
    uint64_t dwell_ms = (uint64_t)state->config.cap_dwell_ms << cap->patience;
    return cap->changed && now_ms - cap->before_ms < dwell_ms;
}

/* The step that a change in this direction has. */
static uint32_t hak_step_for(const hak_learner_t *state, unsigned ci, int direction) {
    const hak_learner_cap_t *cap = &state->cap[ci];
    uint32_t step = cap->step;
    if (cap->direction == -direction) {
        step = step > 1 ? step / 2 : 1;
    } else if (cap->direction == direction && cap->same >= HAK_RUN) {
        step = step * 2 < state->config.cap_step ? step * 2 : state->config.cap_step;
    }
    return step;
}

static void hak_note_turn(hak_learner_cap_t *cap, int direction, uint32_t step) {
    bool turns = cap->direction == -direction;
    if (!turns) {
        cap->patience = 0;
    } else if (step == 1 && cap->patience < HAK_PATIENCE_MOST) {
        cap->patience++;
    }
    cap->same = cap->direction == direction && step == cap->step ? cap->same + 1 : 1;
    cap->direction = direction;
    cap->step = step;
}

/* Sets a cap and says why. False: no room for one more decision. */
static bool hak_set(hak_learner_t *state, const hak_learner_window_t *window, unsigned ci,
                    hak_change_kind_t kind, uint32_t after, const hak_demand_t *demand,
                    hak_learner_decisions_t *out) {
    hak_learner_cap_t *cap = &state->cap[ci];
    hak_change_t *change = hak_learner_add(out, kind, ci, window->at->now_ms);
    if (change == NULL) {
        return false;
    }
    change->before = cap->cap;
    change->after = after;
    change->bytes = window->at->class_bytes[ci];
    change->seen = demand->hit_permille;
    change->limit = kind == HAK_CHANGE_CAP_RAISE ? hak_low(&state->config)
                    : kind == HAK_CHANGE_CAP_CUT ? hak_high(&state->config)
                                                 : state->config.budget;
    change->samples = demand->samples;
    cap->cap = after;
    cap->before_ms = window->at->now_ms;
    cap->changed = true;
    return true;
}

static uint64_t hak_sum(const hak_learner_t *state, const hak_learner_window_t *window) {
    uint64_t sum = 0;
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        sum += window->at->class_bytes[ci] == 0 ? 0 : state->cap[ci].cap;
    }
    return sum;
}

static void hak_cut_high(hak_learner_t *state, const hak_learner_window_t *window,
                         const hak_demand_t *demand, hak_learner_decisions_t *out) {
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        uint32_t cap = state->cap[ci].cap, least = state->config.cap_min;
        if (demand[ci].wish != -1 || cap <= least || hak_dwells(state, ci, window->at->now_ms)) {
            continue;
        }
        uint32_t step = hak_step_for(state, ci, -1);
        uint32_t after = cap - least > step ? cap - step : least;
        if (hak_set(state, window, ci, HAK_CHANGE_CAP_CUT, after, &demand[ci], out)) {
            hak_note_turn(&state->cap[ci], -1, step);
        }
    }
}

/* The class with the least demand that has something to give: not `but`, and no class that is below
 * its band itself and has as much demand. -1: none. */
static int hak_poorest(const hak_learner_t *state, const hak_learner_window_t *window,
                       const hak_demand_t *demand, int but, uint32_t least) {
    int poorest = -1;
    for (int ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        bool gives = ci != but && window->at->class_bytes[ci] != 0 && state->cap[ci].cap > least;
        if (gives && but >= 0) {
            gives = demand[ci].wish <= 0 && demand[ci].samples < demand[but].samples;
        }
        if (gives && (poorest < 0 || demand[ci].samples < demand[poorest].samples)) {
            poorest = ci;
        }
    }
    return poorest;
}

/* Takes up to `want` pages from classes with less demand than `but`. Returns how many. */
static uint32_t hak_collect(hak_learner_t *state, const hak_learner_window_t *window,
                            const hak_demand_t *demand, int but, uint32_t want,
                            hak_learner_decisions_t *out) {
    uint32_t least = state->config.cap_min, got = 0;
    while (got < want) {
        int ci = hak_poorest(state, window, demand, but, least);
        if (ci < 0) {
            break;
        }
        uint32_t spare = state->cap[ci].cap - least;
        uint32_t part = spare < want - got ? spare : want - got;
        if (!hak_set(state, window, (unsigned)ci, HAK_CHANGE_BUDGET_CUT, state->cap[ci].cap - part,
                     &demand[ci], out)) {
            break;
        }
        got += part;
    }
    return got;
}

/* Raises by what the budget allows: the greatest deficit first, like water that finds the deepest
 * place. */
static void hak_raise_low(hak_learner_t *state, const hak_learner_window_t *window,
                          hak_demand_t *demand, hak_learner_decisions_t *out) {
    const hak_learner_config_t *c = &state->config;
    for (;;) {
        int neediest = -1;
        for (int ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
            bool may = demand[ci].wish == 1 && !demand[ci].done && state->cap[ci].cap < c->cap_max;
            if (may && !hak_dwells(state, (unsigned)ci, window->at->now_ms) &&
                (neediest < 0 || demand[ci].deficit > demand[neediest].deficit)) {
                neediest = ci;
            }
        }
        if (neediest < 0) {
            return;
        }
        unsigned ci = (unsigned)neediest;
        uint32_t step = hak_step_for(state, ci, 1), cap = state->cap[ci].cap;
        uint32_t grant = c->cap_max - cap < step ? c->cap_max - cap : step;
        demand[ci].done = true;
        if (c->budget != 0) {
            uint64_t sum = hak_sum(state, window);
            uint32_t left = sum < c->budget ? (uint32_t)(c->budget - sum) : 0;
            if (left < grant) {
                left += hak_collect(state, window, demand, neediest, grant - left, out);
            }
            grant = left < grant ? left : grant;
        }
        if (grant != 0 &&
            hak_set(state, window, ci, HAK_CHANGE_CAP_RAISE, cap + grant, &demand[ci], out)) {
            hak_note_turn(&state->cap[ci], 1, step);
        }
    }
}

/* The caps that the state began with, or a class that came into use, may exceed the budget: who
 * has least demand gives first, and below the least cap all give alike. */
static void hak_keep_budget(hak_learner_t *state, const hak_learner_window_t *window,
                            const hak_demand_t *demand, hak_learner_decisions_t *out) {
    uint32_t budget = state->config.budget;
    uint64_t sum = hak_sum(state, window);
    if (budget == 0 || sum <= budget) {
        return;
    }
    uint32_t over = (uint32_t)(sum - budget);
    over -= hak_collect(state, window, demand, -1, over, out);
    uint32_t classes = 0;
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        classes += window->at->class_bytes[ci] != 0;
    }
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES && over != 0; ci++) {
        uint32_t share = budget / classes;
        if (window->at->class_bytes[ci] != 0 && state->cap[ci].cap > share) {
            (void)hak_set(state, window, ci, HAK_CHANGE_BUDGET_CUT, share, &demand[ci], out);
        }
    }
}

bool hak_learner_step_caps(hak_learner_t *state, const hak_learner_window_t *window,
                           hak_learner_decisions_t *out) {
    hak_demand_t demand[HAK_POLICY_CLASSES];
    bool any = false;
    if (!state->config.learn_caps) {
        return false;
    }
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        hak_look(state, window, ci, &demand[ci]);
        any |= demand[ci].samples >= state->config.min_samples;
    }
    hak_keep_budget(state, window, demand, out);
    if (any) {
        hak_cut_high(state, window, demand, out);
        hak_raise_low(state, window, demand, out);
    }
    return any;
}
