/* The statistics' fields. */
#include "boxes/ace/ace.h"
#include "boxes/learn/learn_internal.h"
#include "boxes/policy/policy.h"
#include "boxes/size_hist/size_hist.h"
#include "include/hakmem.h"

static uint64_t hak_changes(hak_change_kind_t kind) {
    return hak_load_rlx(&hak_learn_count.changes[kind]); /* relaxed: a statistic */
}

void hak_learn_counters(struct hak_stats *out) {
    hak_policy_values_t policy;
    hak_ace_totals_t ace;
    hak_policy_read_mt(&policy);
    hak_ace_read(&ace);
    /* relaxed, both: statistics */
    out->learn_windows = hak_load_rlx(&hak_learn_count.windows);
    out->learn_quiet_windows = hak_load_rlx(&hak_learn_count.quiet_windows);
    out->learn_cap_raises = hak_changes(HAK_CHANGE_CAP_RAISE);
    out->learn_cap_cuts = hak_changes(HAK_CHANGE_CAP_CUT);
    out->learn_budget_cuts = hak_changes(HAK_CHANGE_BUDGET_CUT);
    out->learn_canary_starts = hak_changes(HAK_CHANGE_W_MAX_START);
    out->learn_canary_adopts = hak_changes(HAK_CHANGE_W_MAX_ADOPT);
    out->learn_canary_reverts = hak_changes(HAK_CHANGE_W_MAX_REVERT);
    out->learn_w_max_sets = hak_changes(HAK_CHANGE_W_MAX_SET);
    out->learn_dyn_sets = hak_changes(HAK_CHANGE_DYN);
    out->learn_dyn_refusals = hak_load_rlx(&hak_learn_count.refusals); /* relaxed: as above */
    out->learn_policy_version = policy.version;
    out->learn_w_max_percent = policy.w_max_mid;
    out->learn_cap_two_kib = policy.cap[0];
    out->learn_cap_four_kib = policy.cap[1];
    out->learn_cap_eight_kib = policy.cap[2];
    out->learn_cap_sixteen_kib = policy.cap[3];
    out->learn_cap_thirtytwo_kib = policy.cap[4];
    out->learn_sampled = hak_size_hist_total();
    out->ace_large_hits = ace.count[HAK_ACE_LARGE_HIT];
    out->ace_large_misses = ace.count[HAK_ACE_LARGE_MISS];
    out->ace_l1_fallbacks = ace.count[HAK_ACE_L1_FALLBACK];
    out->ace_waste_bytes = ace.waste_bytes;
}
