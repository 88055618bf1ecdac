#include "front/api/stats_write.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/text/text.h"
#include "front/api/stats_table.h"

static bool hak_ends_with(const char *name, const char *end) {
    size_t length = strlen(name);
    size_t tail = strlen(end);
    return length >= tail && memcmp(name + length - tail, end, tail) == 0;
}

static void hak_put_spaces(hak_text_t *text, size_t count) {
    for (; count != 0; count--) {
        hak_text_put(text, " ");
    }
}

static size_t hak_digits(uint64_t number) {
    size_t count = 1;
    for (; number >= 10; number /= 10) {
        count++;
    }
    return count;
}

static void hak_put_head(hak_text_t *text, const hak_stats_t *stats) {
    hak_text_put(text, "hakmem[");
    hak_text_put_u64(text, stats->pid);
    hak_text_put(text, "]: ");
}

/* "12.3 MiB"; one decimal, cut and not rounded. */
static void hak_put_size(hak_text_t *text, uint64_t bytes) {
    static const char *const units[] = {" KiB", " MiB", " GiB", " TiB"};
    unsigned unit = 0;
    while (unit < 3 && bytes >> (10 * (unit + 2)) != 0) {
        unit++;
    }
    unsigned shift = 10 * (unit + 1);
    hak_text_put_u64(text, bytes >> shift);
    hak_text_put(text, ".");
    hak_text_put_u64(text, ((bytes & (((uint64_t)1 << shift) - 1)) * 10) >> shift);
    hak_text_put(text, units[unit]);
}

static void hak_write_summary(hak_text_t *text, const hak_stats_t *stats, const char *version) {
    hak_put_head(text, stats);
    hak_text_put(text, version);
    hak_text_put(text, ": live ");
    hak_put_size(text, stats->live_bytes);
    hak_text_put(text, " in ");
    hak_text_put_u64(text, stats->live_blocks);
    hak_text_put(text, " blocks, resident at most ");
    hak_put_size(text, stats->resident_max_bytes);
    hak_text_put(text, ", mapped ");
    hak_put_size(text, stats->mapped_bytes);
    hak_text_put(text, " (peak ");
    hak_put_size(text, stats->mapped_peak_bytes);
    hak_text_put(text, "), refills ");
    hak_text_put_u64(text, stats->refills);
    hak_text_put(text, ", remote frees ");
    hak_text_put_u64(text, stats->remote_blocks);
    hak_text_put(text, ", purged ");
    hak_put_size(text, stats->purged_bytes);
    if (stats->malloc_calls != HAK_STAT_DISABLED) {
        hak_text_put(text, ", malloc calls ");
        hak_text_put_u64(text, stats->malloc_calls);
    }
    hak_text_put(text, ", errors ");
    hak_text_put_u64(text, stats->errors);
    hak_text_put(text, "\n");
}

static void hak_write_text(hak_text_t *text, const hak_stats_t *stats, const char *version) {
    enum { NAME_WIDTH = 20, NUMBER_WIDTH = 16 };
    hak_put_head(text, stats);
    hak_text_put(text, "statistics of ");
    hak_text_put(text, version);
    hak_text_put(text, "\n");
    for (size_t i = 0; i < HAK_STAT_ROWS; i++) {
        const hak_stat_row_t *row = &hak_stat_rows[i];
        uint64_t value = hak_stats_table_value(stats, row);
        bool disabled = value == HAK_STAT_DISABLED;
        size_t name = strlen(row->name);
        size_t number = disabled ? strlen("disabled") : hak_digits(value);
        hak_text_put(text, "  ");
        hak_text_put(text, row->name);
        hak_put_spaces(text, name < NAME_WIDTH ? NAME_WIDTH - name : 0);
        hak_put_spaces(text, number < NUMBER_WIDTH ? NUMBER_WIDTH - number : 1);
        if (disabled) {
            hak_text_put(text, "disabled");
        } else {
            hak_text_put_u64(text, value);
        }
        hak_text_put(text, "  ");
        hak_text_put(text, row->help);
        hak_text_put(text, "\n");
    }
}

/* One object on one line. No string in it needs escapes: names and the version hold letters, digits
 * and ._() . */
static void hak_write_json(hak_text_t *text, const hak_stats_t *stats, const char *version,
                           hak_stats_more_fn *more) {
    hak_text_put(text, "{\"version\":\"");
    hak_text_put(text, version);
    hak_text_put(text, "\",\"pid\":");
    hak_text_put_u64(text, stats->pid);
    for (size_t i = 0; i < HAK_STAT_ROWS; i++) {
        uint64_t value = hak_stats_table_value(stats, &hak_stat_rows[i]);
        hak_text_put(text, ",\"");
        hak_text_put(text, hak_stat_rows[i].name);
        hak_text_put(text, "\":");
        if (value == HAK_STAT_DISABLED) {
            hak_text_put(text, "null");
        } else {
            hak_text_put_u64(text, value);
        }
    }
    more(text, HAK_STATS_JSON);
    hak_text_put(text, "}\n");
}

static void hak_put_family(hak_text_t *text, const char *keyword, const char *name) {
    hak_text_put(text, keyword);
    hak_text_put(text, " hakmem_");
    hak_text_put(text, name);
    hak_text_put(text, " ");
}

static void hak_write_metric(hak_text_t *text, const hak_stat_row_t *row, uint64_t value) {
    bool counter = row->kind == HAK_STAT_IS_COUNTER;
    hak_put_family(text, "# TYPE", row->name);
    hak_text_put(text, counter ? "counter\n" : "gauge\n");
    if (hak_ends_with(row->name, "_bytes")) {
        hak_put_family(text, "# UNIT", row->name);
        hak_text_put(text, "bytes\n");
    }
    hak_put_family(text, "# HELP", row->name);
    hak_text_put(text, row->help);
    hak_text_put(text, "\nhakmem_");
    hak_text_put(text, row->name);
    hak_text_put(text, counter ? "_total " : " ");
    hak_text_put_u64(text, value);
    hak_text_put(text, "\n");
}

/* OpenMetrics 1.0 text format: metadata before samples, counters end in _total, the last line is #
 * EOF. */
static void hak_write_openmetrics(hak_text_t *text, const hak_stats_t *stats, const char *version,
                                  hak_stats_more_fn *more) {
    hak_put_family(text, "# TYPE", "process");
    hak_text_put(text, "info\n");
    hak_put_family(text, "# HELP", "process");
    hak_text_put(text, "The allocator and the process it serves.\nhakmem_process_info{version=\"");
    hak_text_put(text, version);
    hak_text_put(text, "\",pid=\"");
    hak_text_put_u64(text, stats->pid);
    hak_text_put(text, "\"} 1\n");
    for (size_t i = 0; i < HAK_STAT_ROWS; i++) {
        uint64_t value = hak_stats_table_value(stats, &hak_stat_rows[i]);
        if (value != HAK_STAT_DISABLED) {
            hak_write_metric(text, &hak_stat_rows[i], value);
        }
    }
    more(text, HAK_STATS_OPENMETRICS);
    hak_text_put(text, "# EOF\n");
}

static void hak_nothing(hak_text_t *text, hak_stats_format_t format) {
    (void)text;
    (void)format;
}

int hak_stats_write_to(int fd, hak_stats_format_t format, const hak_stats_t *stats,
                       const char *version, hak_stats_more_fn *more) {
    if (fd < 0) {
        errno = EBADF;
        return -1;
    }
    hak_text_t text;
    hak_text_init(&text, fd);
    more = more != NULL ? more : hak_nothing;
    switch (format) {
    case HAK_STATS_TEXT:
        hak_write_text(&text, stats, version);
        more(&text, format);
        break;
    case HAK_STATS_JSON:
        hak_write_json(&text, stats, version, more);
        break;
    case HAK_STATS_OPENMETRICS:
        hak_write_openmetrics(&text, stats, version, more);
        break;
    case HAK_STATS_SUMMARY:
        hak_write_summary(&text, stats, version);
        break;
    default:
        errno = EINVAL;
        return -1;
    }
    return hak_text_flush(&text) ? 0 : -1;
}
