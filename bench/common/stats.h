/* stats: what a set of measured rounds amounts to.
 *
 * Owns       nothing.
 * Threads    any; works on its arguments.
 * Layer      bench. Uses nothing.
 */
#ifndef HAK_BENCH_COMMON_STATS_H_
#define HAK_BENCH_COMMON_STATS_H_

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* More rounds than this are refused by the argument parser. */
enum { HAK_BENCH_ROUNDS_MAX = 256 };

typedef struct {
    double min;
    double median; /* mean of the two middle samples if their number is even */
    double mean;
    double max;
} hak_bench_stats_t;

/* Fills `*out`. False, with `*out` all zero, if count is 0 or above HAK_BENCH_ROUNDS_MAX, or if a
 * sample is not a finite number. The order of `samples` does not matter and is kept. */
bool hak_bench_stats_of(const double *samples, size_t count, hak_bench_stats_t *out);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BENCH_COMMON_STATS_H_ */
