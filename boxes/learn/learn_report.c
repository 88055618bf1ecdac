/* The size histogram, and behind it the log of decisions. */
#include "boxes/learn/learn_report.h"

#include "boxes/learn_log/learn_log_report.h"
#include "boxes/size_hist/size_hist.h"

/* Bins that hold something, by their greatest size. */
static void hak_put_bins(hak_text_t *text, const char *between, const char *before,
                         const char *middle, const char *after) {
    bool first = true;
    for (unsigned bin = 0; bin < HAK_SIZE_HIST_BINS; bin++) {
        uint64_t count = hak_size_hist_bin(bin);
        if (count == 0) {
            continue;
        }
        hak_text_put(text, first ? "" : between);
        hak_text_put(text, before);
        hak_text_put_u64(text, (bin + 1) * HAK_SIZE_HIST_GRAIN);
        hak_text_put(text, middle);
        hak_text_put_u64(text, count);
        hak_text_put(text, after);
        first = false;
    }
}

void hak_learn_report(hak_text_t *text, hak_stats_format_t format) {
    switch (format) {
    case HAK_STATS_TEXT:
        hak_put_bins(text, "", "  sizes up to ", ": ", " requests\n");
        break;
    case HAK_STATS_JSON:
        hak_text_put(text, ",\"learn_sizes\":{");
        hak_put_bins(text, ",", "\"", "\":", "");
        hak_text_put(text, "}");
        break;
    case HAK_STATS_OPENMETRICS:
        hak_text_put(text, "# TYPE hakmem_learn_sizes counter\n# HELP hakmem_learn_sizes Sampled "
                           "requests by size, up to `bytes`.\n");
        hak_put_bins(text, "", "hakmem_learn_sizes_total{bytes=\"", "\"} ", "\n");
        break;
    case HAK_STATS_SUMMARY:
    default:
        break;
    }
    hak_learn_log_report(text, format);
}
