/* What the GNU C library offers to inspect and tune its malloc, as far as it makes sense for ours.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/attr.h"
#include "front/api/stats_table.h"
#include "front/gate/gate.h"
#include "include/hakmem.h"

/* Older values that <malloc.h> still names, and those it does not. */
enum {
    HAK_M_NLBLKS = 2,
    HAK_M_GRAIN = 3,
    HAK_M_KEEP = 4,
    HAK_MXFAST_MAX = 80 * (int)sizeof(size_t) / 4
};

static hak_stats_t hak_take_stats(void) {
    hak_stats_t stats = {.struct_bytes = sizeof stats};
    hak_gate_stats(&stats);
    return stats;
}

static uint64_t hak_minus(uint64_t all, uint64_t part) { return all > part ? all - part : 0; }

/* The fields keep the meaning that mallinfo(3) gives them where hakmem has a counterpart: "mmapped"
 * is what stands in mappings of its own, "arena" the superslabs. Fields about bins and fastbins,
 * which hakmem lacks, are 0. */
hak_export struct mallinfo2 mallinfo2(void) {
    hak_stats_t stats = hak_take_stats();
    struct mallinfo2 info = {
        .arena = hak_minus(stats.mapped_bytes, stats.large_bytes + stats.huge_cached_bytes),
        .hblks = stats.large_blocks,
        .hblkhd = stats.large_bytes,
        .uordblks = hak_minus(stats.live_bytes, stats.large_bytes),
        .fordblks = stats.slab_free_bytes + stats.slab_uncarved_bytes + stats.empty_dirty_bytes,
        .keepcost = stats.empty_dirty_bytes,
    };
    return info;
}

static int hak_saturate(size_t value) { return value > INT_MAX ? INT_MAX : (int)value; }

/* Its fields are ints, which a process of today outgrows; a field that does is INT_MAX and not a
 * remainder. */
hak_export struct mallinfo mallinfo(void) {
    struct mallinfo2 wide = mallinfo2();
    struct mallinfo info = {
        .arena = hak_saturate(wide.arena),
        .hblks = hak_saturate(wide.hblks),
        .hblkhd = hak_saturate(wide.hblkhd),
        .uordblks = hak_saturate(wide.uordblks),
        .fordblks = hak_saturate(wide.fordblks),
        .keepcost = hak_saturate(wide.keepcost),
    };
    return info;
}

/* 1: done or without a meaning here, 0: an error. The parameters steer arenas, bins and thresholds
 * that hakmem does not have, so a program that tunes them asks for speed or space and loses
 * nothing. M_PERTURB asks for content that a program can see, and hakmem does not give it: 0, as
 * for an unknown parameter. But with a value of 0 it asks for none. */
hak_export int mallopt(int parameter, int value) {
    switch (parameter) {
    case M_MXFAST:
        return value >= 0 && value <= HAK_MXFAST_MAX;
    case M_PERTURB:
        return value == 0;
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
    case HAK_M_NLBLKS:
    case HAK_M_GRAIN:
    case HAK_M_KEEP:
        return 1;
    default:
        return 0;
    }
}

/* The totals under the names that readers of the GNU C library's output know, then every statistic
 * of hakmem. The numbers are taken first: the stream may allocate its buffer while we print. */
hak_export int malloc_info(int options, FILE *stream) {
    if (options != 0) {
        errno = EINVAL;
        return -1;
    }
    hak_stats_t stats = hak_take_stats();
    bool failed =
        fprintf(stream,
                "<malloc version=\"1\">\n"
                "<total type=\"mmap\" count=\"%" PRIu64 "\" size=\"%" PRIu64 "\"/>\n"
                "<system type=\"current\" size=\"%" PRIu64 "\"/>\n"
                "<system type=\"max\" size=\"%" PRIu64 "\"/>\n"
                "<aspace type=\"total\" size=\"%" PRIu64 "\"/>\n"
                "<hakmem version=\"%s\" pid=\"%" PRIu32 "\">\n",
                stats.large_blocks, stats.large_bytes, stats.mapped_bytes, stats.mapped_peak_bytes,
                stats.mapped_bytes, hak_version(), stats.pid) < 0;
    for (size_t i = 0; i < HAK_STAT_ROWS && !failed; i++) {
        const hak_stat_row_t *row = &hak_stat_rows[i];
        uint64_t value = hak_stats_table_value(&stats, row);
        if (value == HAK_STAT_DISABLED) {
            failed = fprintf(stream, "<stat name=\"%s\" value=\"disabled\"/>\n", row->name) < 0;
        } else {
            failed = fprintf(stream, "<stat name=\"%s\" value=\"%" PRIu64 "\"/>\n", row->name,
                             value) < 0;
        }
    }
    failed = failed || fputs("</hakmem>\n</malloc>\n", stream) < 0;
    return failed ? -1 : 0;
}

hak_export void malloc_stats(void) {
    int saved = errno;
    (void)hak_stats_write(STDERR_FILENO, HAK_STATS_TEXT); /* has no way to report an error */
    errno = saved;
}
