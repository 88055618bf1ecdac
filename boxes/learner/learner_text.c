/* The three lines of a canary are those of the notes, to the letter: programs look for them. */
#include "boxes/learner/learner_text.h"

void hak_learner_put_fixed(hak_text_t *text, uint64_t number, unsigned places) {
    uint64_t unit = 1;
    for (unsigned i = 0; i < places; i++) {
        unit *= 10;
    }
    hak_text_put_u64(text, number / unit);
    if (places != 0) {
        hak_text_put(text, ".");
    }
    for (uint64_t part = unit / 10; part != 0; part /= 10) {
        hak_text_put_u64(text, number / part % 10);
    }
}

static void hak_put_arrow(hak_text_t *text, uint64_t before, uint64_t after, unsigned places) {
    hak_learner_put_fixed(text, before, places);
    hak_text_put(text, " -> ");
    hak_learner_put_fixed(text, after, places);
}

static void hak_put_cap(hak_text_t *text, const hak_change_t *change) {
    hak_text_put(text, "CAP mid ");
    hak_text_put_u64(text, change->bytes);
    hak_text_put(text, ": ");
    hak_put_arrow(text, change->before, change->after, 0);
    hak_text_put(text, " (hit ");
    hak_learner_put_fixed(text, change->seen, 3);
    if (change->kind == HAK_CHANGE_BUDGET_CUT) {
        hak_text_put(text, ", budget ");
        hak_text_put_u64(text, change->limit);
    } else {
        hak_text_put(text, change->kind == HAK_CHANGE_CAP_RAISE ? " below " : " above ");
        hak_learner_put_fixed(text, change->limit, 3);
    }
    hak_text_put(text, " of ");
    hak_text_put_u64(text, change->samples);
    hak_text_put(text, ")");
}

static void hak_put_dyn(hak_text_t *text, const hak_change_t *change) {
    hak_text_put(text, change->index == 0 ? "DYN1: " : "DYN2: ");
    hak_put_arrow(text, change->before, change->after, 0);
    hak_text_put(text, " (");
    hak_text_put_u64(text, change->seen);
    hak_text_put(text, " of ");
    hak_text_put_u64(text, change->limit);
    hak_text_put(text, " requests, saves ");
    hak_text_put_u64(text, change->samples);
    hak_text_put(text, " bytes each)");
}

static void hak_put_exact(hak_text_t *text, const hak_change_t *change) {
    bool added = change->kind == HAK_CHANGE_EXACT_ADD;
    hak_text_put(text, added ? "EXACT: + " : "EXACT: refused ");
    hak_text_put_u64(text, change->bytes);
    hak_text_put(text, " (");
    hak_text_put_u64(text, change->seen);
    hak_text_put(text, " of ");
    hak_text_put_u64(text, change->limit);
    hak_text_put(text, added ? " new slabs, saves " : " new slabs, would save ");
    hak_text_put_u64(text, change->samples);
    hak_text_put(text, added ? " bytes each)" : " bytes each, no spare class)");
}

static void hak_put_exact_drop(hak_text_t *text, const hak_change_t *change) {
    hak_text_put(text, "EXACT: - ");
    hak_text_put_u64(text, change->bytes);
    hak_text_put(text, " (cold for ");
    hak_text_put_u64(text, change->seen);
    hak_text_put(text, " windows, ");
    hak_text_put_u64(text, change->limit);
    hak_text_put(text, " slabs left)");
}

void hak_learner_put_change(hak_text_t *text, const hak_change_t *change) {
    hak_text_put(text, "[Learner] ");
    switch (change->kind) {
    case HAK_CHANGE_W_MAX_START:
        hak_text_put(text, "W_MAX mid canary start: ");
        hak_learner_put_fixed(text, change->after, 2);
        break;
    case HAK_CHANGE_W_MAX_ADOPT:
        hak_text_put(text, "W_MAX mid canary adopt");
        break;
    case HAK_CHANGE_W_MAX_REVERT:
        hak_text_put(text, "W_MAX mid canary revert to ");
        hak_learner_put_fixed(text, change->after, 2);
        break;
    case HAK_CHANGE_W_MAX_SET:
        hak_text_put(text, "W_MAX mid: ");
        hak_put_arrow(text, change->before, change->after, 2);
        break;
    case HAK_CHANGE_DYN:
        hak_put_dyn(text, change);
        break;
    case HAK_CHANGE_EXACT_ADD:
    case HAK_CHANGE_EXACT_REFUSED:
        hak_put_exact(text, change);
        break;
    case HAK_CHANGE_EXACT_DROP:
        hak_put_exact_drop(text, change);
        break;
    case HAK_CHANGE_CAP_RAISE:
    case HAK_CHANGE_CAP_CUT:
    case HAK_CHANGE_BUDGET_CUT:
    case HAK_CHANGE_KINDS:
    default:
        hak_put_cap(text, change);
        break;
    }
}

const char *hak_learner_reason(hak_change_kind_t kind) {
    static const char *const reasons[HAK_CHANGE_KINDS] = {
        [HAK_CHANGE_CAP_RAISE] = "hit_low",        [HAK_CHANGE_CAP_CUT] = "hit_high",
        [HAK_CHANGE_BUDGET_CUT] = "budget",        [HAK_CHANGE_W_MAX_START] = "canary_start",
        [HAK_CHANGE_W_MAX_ADOPT] = "canary_adopt", [HAK_CHANGE_W_MAX_REVERT] = "canary_revert",
        [HAK_CHANGE_W_MAX_SET] = "ucb1",           [HAK_CHANGE_DYN] = "hot_size",
        [HAK_CHANGE_EXACT_ADD] = "hot_size",       [HAK_CHANGE_EXACT_DROP] = "cold_size",
        [HAK_CHANGE_EXACT_REFUSED] = "no_class",
    };
    return kind < HAK_CHANGE_KINDS ? reasons[kind] : "unknown";
}

void hak_learner_put_what(hak_text_t *text, const hak_change_t *change) {
    switch (change->kind) {
    case HAK_CHANGE_W_MAX_START:
    case HAK_CHANGE_W_MAX_ADOPT:
    case HAK_CHANGE_W_MAX_REVERT:
    case HAK_CHANGE_W_MAX_SET:
        hak_text_put(text, "w_max_mid");
        break;
    case HAK_CHANGE_DYN:
        hak_text_put(text, change->index == 0 ? "dyn1" : "dyn2");
        break;
    case HAK_CHANGE_EXACT_ADD:
    case HAK_CHANGE_EXACT_DROP:
    case HAK_CHANGE_EXACT_REFUSED:
        hak_text_put(text, "exact_");
        hak_text_put_u64(text, change->bytes);
        break;
    case HAK_CHANGE_CAP_RAISE:
    case HAK_CHANGE_CAP_CUT:
    case HAK_CHANGE_BUDGET_CUT:
    case HAK_CHANGE_KINDS:
    default:
        hak_text_put(text, "cap_");
        hak_text_put_u64(text, change->bytes);
        break;
    }
}
