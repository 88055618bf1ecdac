#include "boxes/learn_log/learn_log_report.h"

#include "boxes/learn_log/learn_log.h"
#include "boxes/learner/learner_text.h"

static void hak_put_text(hak_text_t *text, const hak_change_t *change, unsigned count,
                         uint64_t total) {
    if (total > count) {
        hak_text_put(text, "  the last ");
        hak_text_put_u64(text, count);
        hak_text_put(text, " of ");
        hak_text_put_u64(text, total);
        hak_text_put(text, " decisions:\n");
    }
    for (unsigned i = 0; i < count; i++) {
        hak_text_put(text, "  ");
        hak_text_put_u64(text, change[i].now_ms);
        hak_text_put(text, " ms ");
        hak_learner_put_change(text, &change[i]);
        hak_text_put(text, "\n");
    }
}

static void hak_put_json_number(hak_text_t *text, const char *name, uint64_t number) {
    hak_text_put(text, ",\"");
    hak_text_put(text, name);
    hak_text_put(text, "\":");
    hak_text_put_u64(text, number);
}

/* No string in it needs escapes. */
static void hak_put_json(hak_text_t *text, const hak_change_t *change, unsigned count,
                         uint64_t total) {
    hak_put_json_number(text, "learn_changes", total);
    hak_text_put(text, ",\"learn_log\":[");
    for (unsigned i = 0; i < count; i++) {
        const hak_change_t *c = &change[i];
        hak_text_put(text, i == 0 ? "{\"what\":\"" : ",{\"what\":\"");
        hak_learner_put_what(text, c);
        hak_text_put(text, "\",\"reason\":\"");
        hak_text_put(text, hak_learner_reason(c->kind));
        hak_text_put(text, "\"");
        hak_put_json_number(text, "ms", c->now_ms);
        hak_put_json_number(text, "before", c->before);
        hak_put_json_number(text, "after", c->after);
        hak_put_json_number(text, "seen", c->seen);
        hak_put_json_number(text, "limit", c->limit);
        hak_put_json_number(text, "samples", c->samples);
        hak_text_put(text, ",\"text\":\"");
        hak_learner_put_change(text, c);
        hak_text_put(text, "\"}");
    }
    hak_text_put(text, "]");
}

/* Decisions whose labels are the same. */
static bool hak_is_alike(const hak_change_t *a, const hak_change_t *b) {
    bool same = a->kind == b->kind;
    switch (a->kind) {
    case HAK_CHANGE_CAP_RAISE:
    case HAK_CHANGE_CAP_CUT:
    case HAK_CHANGE_BUDGET_CUT:
    case HAK_CHANGE_EXACT_ADD:
    case HAK_CHANGE_EXACT_DROP:
    case HAK_CHANGE_EXACT_REFUSED:
        return same && a->bytes == b->bytes;
    case HAK_CHANGE_DYN:
        return same && a->index == b->index;
    case HAK_CHANGE_W_MAX_START:
    case HAK_CHANGE_W_MAX_ADOPT:
    case HAK_CHANGE_W_MAX_REVERT:
    case HAK_CHANGE_W_MAX_SET:
    case HAK_CHANGE_KINDS:
    default:
        return same;
    }
}

static bool hak_is_latest(const hak_change_t *change, unsigned count, unsigned at) {
    for (unsigned i = at + 1; i < count; i++) {
        if (hak_is_alike(&change[i], &change[at])) {
            return false;
        }
    }
    return true;
}

/* What each of the last decisions left behind: a metric has one sample for each set of labels. */
static void hak_put_metrics(hak_text_t *text, const hak_change_t *change, unsigned count) {
    hak_text_put(text, "# TYPE hakmem_learn_decision gauge\n# HELP hakmem_learn_decision Latest "
                       "value that the learner gave for the reason; W_MAX in hundredths.\n");
    for (unsigned i = 0; i < count; i++) {
        if (!hak_is_latest(change, count, i)) {
            continue;
        }
        hak_text_put(text, "hakmem_learn_decision{what=\"");
        hak_learner_put_what(text, &change[i]);
        hak_text_put(text, "\",reason=\"");
        hak_text_put(text, hak_learner_reason(change[i].kind));
        hak_text_put(text, "\"} ");
        hak_text_put_u64(text, change[i].after);
        hak_text_put(text, "\n");
    }
}

void hak_learn_log_report(hak_text_t *text, hak_stats_format_t format) {
    hak_change_t change[HAK_LEARN_LOG_MOST];
    uint64_t total;
    unsigned count = hak_learn_log_read_mt(change, HAK_LEARN_LOG_MOST, &total);
    switch (format) {
    case HAK_STATS_TEXT:
        hak_put_text(text, change, count, total);
        break;
    case HAK_STATS_JSON:
        hak_put_json(text, change, count, total);
        break;
    case HAK_STATS_OPENMETRICS:
        hak_put_metrics(text, change, count);
        break;
    case HAK_STATS_SUMMARY:
    default:
        break;
    }
}
