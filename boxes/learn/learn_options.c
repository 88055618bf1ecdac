/* From options to the learner's settings, and what options set without a learner; sampling. */
#include "base/bits.h"
#include "boxes/ace/ace.h"
#include "boxes/learn/learn_internal.h"
#include "boxes/policy/policy.h"
#include "boxes/size_hist/size_hist.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"

enum { HAK_MS = 1000, HAK_NO_LIMIT = 200 };

static uint32_t hak_number(hak_option_id_t id) { return (uint32_t)hak_option(id); }

static uint32_t hak_cap_option(unsigned ci) {
    return hak_option_item(hak_option(HAK_OPTION_CAP_MID), HAK_OPTION_CAP_BITS, ci);
}

static void hak_read_caps(hak_learner_config_t *out) {
    out->target_permille = hak_number(HAK_OPTION_TARGET_HIT_MID);
    out->cap_step = hak_number(HAK_OPTION_CAP_STEP_MID);
    out->cap_min = hak_number(HAK_OPTION_CAP_MIN_MID);
    out->cap_max = hak_number(HAK_OPTION_CAP_MAX_MID);
    out->cap_dwell_ms = hak_number(HAK_OPTION_CAP_DWELL_SEC_MID) * HAK_MS;
    out->budget = hak_number(HAK_OPTION_BUDGET_MID);
    for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
        uint32_t cap = hak_cap_option(ci);
        out->cap_start[ci] = cap != 0 ? cap : out->cap_start[ci];
    }
    out->cap_start[HAK_POLICY_FIXED] = hak_number(HAK_OPTION_CAP_MID_DYN1);
    out->cap_start[HAK_POLICY_FIXED + 1] = hak_number(HAK_OPTION_CAP_MID_DYN2);
}

static void hak_read_w_max(hak_learner_config_t *out) {
    uint32_t limit = hak_number(HAK_OPTION_WMAX_MID), item;
    uint64_t list = hak_option(HAK_OPTION_WMAX_CANDIDATES_MID);
    out->learn_w_max = hak_option(HAK_OPTION_WMAX_LEARN) != 0 && list != 0;
    out->canary = hak_option(HAK_OPTION_WMAX_CANARY) != 0;
    if (!out->learn_w_max || limit != HAK_NO_LIMIT) {
        out->w_max_start = limit;
    }
    out->w_max_arms = 0;
    for (unsigned i = 0; (item = hak_option_item(list, HAK_OPTION_WMAX_BITS, i)) != 0; i++) {
        out->w_max_arm[out->w_max_arms++] = item;
    }
    out->w_max_trial_ms = hak_number(HAK_OPTION_WMAX_TRIAL_SEC) * HAK_MS;
    out->w_max_dwell_ms = hak_number(HAK_OPTION_WMAX_DWELL_SEC) * HAK_MS;
    out->w_max_adopt_permille = hak_number(HAK_OPTION_WMAX_ADOPT_PCT);
}

void hak_learn_read_options(const hak_learn_pool_t *pool, hak_learner_config_t *out) {
    hak_learner_defaults(out);
    out->learn_caps = pool->has_caps;
    hak_read_caps(out);
    hak_read_w_max(out);
    out->dyn_auto[0] = pool->has_dyn && hak_option(HAK_OPTION_DYN1_AUTO) != 0;
    out->dyn_auto[1] = pool->has_dyn && hak_option(HAK_OPTION_DYN2_AUTO) != 0;
}

/* A line for a value that somebody chose: nobody asked for the default. */
static void hak_give_way(hak_option_id_t id, uint32_t initial, const char *why) {
    if (hak_option(id) != initial) {
        hak_options_refuse(id, initial, why);
    }
}

/* Both give way: who swapped the two meant neither as it stands. */
static void hak_check_bounds(bool warn) {
    hak_learner_config_t defaults;
    if (hak_option(HAK_OPTION_CAP_MIN_MID) <= hak_option(HAK_OPTION_CAP_MAX_MID)) {
        return;
    }
    hak_learner_defaults(&defaults);
    const char *why = warn ? "the least cap is above the greatest" : NULL;
    hak_give_way(HAK_OPTION_CAP_MIN_MID, defaults.cap_min, why);
    hak_give_way(HAK_OPTION_CAP_MAX_MID, defaults.cap_max, why);
}

void hak_learn_configure(const hak_learn_pool_t *pool, bool warn) {
    hak_check_bounds(warn);
    if (hak_option(HAK_OPTION_LEARN) != 0) {
        return; /* its thread publishes */
    }
    hak_policy_values_t values = {.w_max_mid = hak_number(HAK_OPTION_WMAX_MID)}, now;
    bool any = values.w_max_mid != HAK_NO_LIMIT;
    for (unsigned ci = 0; ci < HAK_POLICY_FIXED && pool->has_caps; ci++) {
        values.cap[ci] = hak_cap_option(ci);
        any |= values.cap[ci] != 0;
    }
    hak_policy_read_mt(&now);
    if (any && now.version == 0) { /* these options are fixed at start: once is enough */
        hak_dyn_class_limit_mt(values.w_max_mid);
        hak_policy_publish_mt(&values);
    }
}

void hak_learn_note_large_mt(bool kept) {
    if (hak_load_rlx(&hak_learn_sampling) != 0) { /* relaxed: a hint */
        hak_ace_note_mt(kept ? HAK_ACE_LARGE_HIT : HAK_ACE_LARGE_MISS, 1);
    }
}

uint32_t hak_learn_sample_mt(size_t size, unsigned sc, uint32_t step) {
    enum { SOONER = 16 };
    uint32_t one_in = hak_load_rlx(&hak_learn_sampling); /* relaxed: a hint */
    uint32_t random = hak_size_hist_random(step);
    uint32_t sooner = random % SOONER;
    if (one_in == 0 || random / SOONER % one_in != 0) {
        return sooner;
    }
    uint32_t weight = one_in * HAK_LEARN_LOOK_STEPS, bytes = hak_dyn_class_bytes(sc);
    hak_size_hist_add_mt(size, weight);
    if (size <= HAK_SC_SMALL_MAX_BYTES || size >= HAK_DYN_BELOW_BYTES) {
        return sooner;
    }
    hak_ace_round_mt(size, bytes, weight);
    if (sc < HAK_DYN_FIRST_SC && !hak_is_pow2(bytes)) {
        hak_ace_note_mt(HAK_ACE_L1_FALLBACK, weight);
    }
    return sooner;
}
