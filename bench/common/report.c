/* report: one function per part of the report, each in both forms, side by side, so that text and
 * JSON cannot come to say different things. */
#include "bench/common/report.h"

#include "bench/common/machine.h"
#include "include/hakmem.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Paths and versions are the only strings that are not ours. */
static void put_json_string(const char *text) {
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < 0x20) {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static void put_string(const hak_bench_options_t *options, const char *key, const char *value) {
    if (options->json) {
        printf("\"%s\":", key);
        put_json_string(value);
        putchar(',');
    } else {
        printf("%s: %s\n", key, value);
    }
}

/* For people: 64 KiB, 3.5 MiB. */
static const char *bytes_text(uint64_t bytes, char *text, size_t room) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t i = 0;

    while (value >= 1024 && i + 1 < sizeof unit / sizeof unit[0]) {
        value /= 1024;
        i++;
    }
    snprintf(text, room, i == 0 ? "%.0f %s" : "%.1f %s", value, unit[i]);
    return text;
}

static void put_bytes(const hak_bench_options_t *options, const char *key, uint64_t bytes) {
    char text[32];
    if (options->json) {
        printf("\"%s\":%" PRIu64 ",", key, bytes);
    } else {
        printf("%s: %" PRIu64 " (%s)\n", key, bytes, bytes_text(bytes, text, sizeof text));
    }
}

static void put_parameters(const hak_bench_program_t *program, const hak_bench_options_t *options) {
    fputs(options->json ? "\"parameters\":{" : "parameters:", stdout);
    for (size_t i = 0; i < program->param_count; i++) {
        printf(options->json ? "%s\"%s\":%" PRIu64 : "%s %s=%" PRIu64,
               options->json && i > 0 ? "," : "", program->params[i].name, options->param[i]);
    }
    fputs(options->json ? "}," : "\n", stdout);
}

static void put_server(const hak_bench_options_t *options) {
    hak_bench_server_t server;

    hak_bench_server_get(&server);
    put_string(options, "allocator", server.name);
    put_string(options, "variant", server.variant[0] != '\0' ? server.variant : "none");
    put_string(options, "version", server.version[0] != '\0' ? server.version : "unknown");
    put_string(options, "served_by_malloc", server.malloc_path);
    put_string(options, "served_by_free", server.free_path);
    if (server.split) {
        hak_bench_fail("malloc comes from %s but free from %s", server.malloc_path,
                       server.free_path);
    }
}

void hak_bench_report_head(const hak_bench_program_t *program, const hak_bench_options_t *options) {
    unsigned cpus = hak_bench_cpu_count();
    const char *end = options->json ? "," : "\n";
    const char *mark = options->json ? "\"" : "";
    const char *gap = options->json ? "" : " ";

    if (options->json) {
        putchar('{');
    }
    put_string(options, "program", program->name);
    put_server(options);
    put_parameters(program, options);
    printf("%srounds%s:%s%u%s", mark, mark, gap, options->rounds, end);
    printf("%scpus%s:%s%u%s", mark, mark, gap, cpus, end);
    put_bytes(options, "l3_bytes", options->l3_bytes);
    put_bytes(options, "os_page_bytes", (uint64_t)sysconf(_SC_PAGESIZE));
    if (options->json) {
        printf("\"smoke\":%s,\"unit\":\"ns_per_op\",\"rows\":[", options->smoke ? "true" : "false");
        return;
    }
    if (options->l3_bytes == 0) {
        puts("warning: the size of the L3 cache is unknown, working sets cannot be judged");
    }
    if (options->smoke) {
        puts("warning: a smoke run checks the program; its figures say nothing");
    }
    printf("%-18s %12s %12s %10s %10s %10s %10s %14s\n", "row", "working set", "operations", "min",
           "median", "mean", "max", "unit");
    fflush(stdout);
}

static bool exceeds_l3(const hak_bench_options_t *options, const hak_bench_result_t *result) {
    return options->l3_bytes != 0 && result->working_set_bytes > options->l3_bytes;
}

static void put_row_json(const hak_bench_options_t *options, const hak_bench_result_t *result) {
    const hak_bench_stats_t *stats = &result->stats;

    printf("{\"row\":\"%s\",\"working_set_bytes\":%" PRIu64 ",\"exceeds_l3\":%s,\"ops\":%" PRIu64
           ",\"min\":%.4f,\"median\":%.4f,\"mean\":%.4f,\"max\":%.4f,\"samples\":[",
           result->row->name, result->working_set_bytes,
           exceeds_l3(options, result) ? "true" : "false", result->last.ops, stats->min,
           stats->median, stats->mean, stats->max);
    for (unsigned i = 0; i < options->rounds; i++) {
        printf("%s%.4f", i > 0 ? "," : "", result->ns_per_op[i]);
    }
    printf("],\"notes\":{");
    for (size_t i = 0; i < result->last.note_count; i++) {
        printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", result->last.note[i].name,
               result->last.note[i].value);
    }
    printf("}}");
}

static void put_row_text(const hak_bench_options_t *options, const hak_bench_result_t *result) {
    const hak_bench_stats_t *stats = &result->stats;
    char text[32];
    char l3[32];

    bytes_text(result->working_set_bytes, text, sizeof text);
    printf("%-18s %12s %12" PRIu64 " %10.2f %10.2f %10.2f %10.2f %14s\n", result->row->name, text,
           result->last.ops, stats->min, stats->median, stats->mean, stats->max, "ns/operation");
    for (size_t i = 0; i < result->last.note_count; i++) {
        printf("  %s: %" PRIu64 "\n", result->last.note[i].name, result->last.note[i].value);
    }
    if (exceeds_l3(options, result)) {
        printf("  warning: the working set of %s exceeds the L3 cache of %s: this row measures "
               "memory as much as the allocator\n",
               text, bytes_text(options->l3_bytes, l3, sizeof l3));
    }
    fflush(stdout);
}

void hak_bench_report_row(const hak_bench_options_t *options, const hak_bench_result_t *result,
                          bool first) {
    if (options->json) {
        fputs(first ? "" : ",", stdout);
        put_row_json(options, result);
    } else {
        put_row_text(options, result);
    }
}

/* A function of hakmem.h in whoever serves malloc, or NULL if that is no hakmem. Found by name at
 * run time: the program links no allocator. */
static void *hakmem_function(const char *name) {
    hak_bench_server_t server;
    hak_bench_server_get(&server);
    return server.version[0] != '\0' ? dlsym(RTLD_DEFAULT, name) : NULL;
}

/* What it is made of and how it was set. */
static void put_hakmem_options(const hak_bench_options_t *options) {
    static const char *const names[] = {
        "ss_policy",
        "cache_policy",
        "tiny_tls_sll",
        "tiny_sll_drain_enable",
        "tiny_sll_drain_interval",
        "tiny_sll_drain_batch",
        "tiny_cross_class_empty",
        "superslab_max_cached",
        "purge_delay_ms",
    };
    int (*option_get)(const char *, char *, size_t);
    void *symbol = hakmem_function("hak_option_get");

    if (symbol == NULL) {
        return;
    }
    memcpy(&option_get, &symbol, sizeof option_get);
    fputs(options->json ? "\"hakmem_options\":{" : "hakmem options:", stdout);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char value[64];
        if (option_get(names[i], value, sizeof value) < 0) {
            snprintf(value, sizeof value, "none");
        }
        printf(options->json ? "%s\"%s\":\"%s\"" : "%s %s=%s", options->json && i > 0 ? "," : "",
               names[i], value);
    }
    fputs(options->json ? "}," : "\n", stdout);
}

/* How many of the superslabs that were wanted had been kept; nothing if none was wanted. */
static void put_lru_rate(const hak_bench_options_t *options, uint64_t hits, uint64_t misses) {
    if (hits + misses != 0) {
        printf(options->json ? ",\"lru_hit_percent\":%.1f" : " lru_hit_percent=%.1f",
               100.0 * (double)hits / (double)(hits + misses));
    }
}

/* What it counted. */
static void put_hakmem(const hak_bench_options_t *options) {
    static const struct {
        const char *name;
        size_t offset;
    } field[] = {
#define FIELD(name) {#name, offsetof(hak_stats_t, name)}
        FIELD(superslabs),
        FIELD(superslabs_made),
        FIELD(slabs_active),
        FIELD(slabs_made),
        FIELD(slabs_retired),
        FIELD(refills),
        FIELD(flushed_blocks),
        FIELD(cache_drains),
        FIELD(remote_blocks),
        FIELD(remote_batches),
        FIELD(drained_blocks),
        FIELD(adopted_slabs),
        FIELD(passed_blocks),
        FIELD(heaps),
        FIELD(purged_bytes),
        FIELD(mmap_calls),
        FIELD(munmap_calls),
        FIELD(madvise_calls),
        FIELD(metadata_bytes),
        FIELD(tiny_from_empty),
        FIELD(tiny_from_cross),
        FIELD(tiny_from_unused),
        FIELD(tiny_from_new),
        FIELD(tiny_slabs_active),
        FIELD(tiny_slabs_peak),
        FIELD(tiny_classes_used),
        FIELD(tiny_superslabs_made),
        FIELD(lru_hits),
        FIELD(lru_misses),
        FIELD(lru_pushes),
        FIELD(lru_evictions),
        FIELD(lru_superslabs),
        FIELD(pool_locks),
        FIELD(pool_lock_waits),
        FIELD(huge_touched),
        FIELD(huge_asked),
#undef FIELD
    };
    hak_stats_t stats = {.struct_bytes = sizeof stats};
    int (*stats_get)(hak_stats_t *);
    void *symbol = hakmem_function("hak_stats_get");

    if (symbol == NULL) {
        return;
    }
    memcpy(&stats_get, &symbol, sizeof stats_get);
    if (stats_get(&stats) != 0) {
        return;
    }
    fputs(options->json ? "\"hakmem\":{" : "hakmem:", stdout);
    for (size_t i = 0; i < sizeof field / sizeof field[0]; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&stats + field[i].offset, sizeof value);
        printf(options->json ? "%s\"%s\":" : "%s %s=", options->json && i > 0 ? "," : "",
               field[i].name);
        if (value == HAK_STAT_DISABLED) {
            fputs(options->json ? "null" : "disabled", stdout);
        } else {
            printf("%" PRIu64, value);
        }
    }
    put_lru_rate(options, stats.lru_hits, stats.lru_misses);
    fputs(options->json ? "}," : "\n", stdout);
}

void hak_bench_report_tail(const hak_bench_options_t *options) {
    if (options->json) {
        fputs("],", stdout);
    }
    put_hakmem_options(options);
    put_hakmem(options);
    put_bytes(options, "rss_bytes", hak_bench_rss_bytes());
    put_bytes(options, "peak_rss_bytes", hak_bench_peak_rss_bytes());
    if (options->json) {
        puts("\"finished\":true}");
    }
    fflush(stdout);
}
