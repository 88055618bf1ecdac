/* stats: sorts a copy, so that the least and the greatest sample are those of the whole set and
 * not of the rounds that somebody looked at. */
#include "bench/common/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

bool hak_bench_stats_of(const double *samples, size_t count, hak_bench_stats_t *out) {
    double sorted[HAK_BENCH_ROUNDS_MAX];
    double sum = 0;

    memset(out, 0, sizeof *out);
    if (count == 0 || count > HAK_BENCH_ROUNDS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(samples[i])) {
            return false;
        }
        sorted[i] = samples[i];
        sum += samples[i];
    }
    /* glibc's qsort may allocate for large arrays only; this one fits its stack buffer. */
    qsort(sorted, count, sizeof sorted[0], by_value);
    out->min = sorted[0];
    out->max = sorted[count - 1];
    out->median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    out->mean = sum / (double)count;
    return true;
}
