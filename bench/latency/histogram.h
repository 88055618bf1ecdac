/* histogram: counts of nanoseconds in bins that are never wider than 1/32 of their value.
 *
 * Owns       nothing.
 * Threads    any; a histogram belongs to one thread until it is merged.
 * Layer      bench. Used by bench/latency.
 */
#ifndef HAK_BENCH_LATENCY_HISTOGRAM_H_
#define HAK_BENCH_LATENCY_HISTOGRAM_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Up to 2^36 ns, a minute; what is longer counts as that long, but `max` keeps it. */
enum { HAK_BENCH_BIN_LOG = 5, HAK_BENCH_BIN_COUNT = (36 - HAK_BENCH_BIN_LOG + 1) << 5 };

typedef struct {
    uint64_t count;
    uint64_t max;
    uint64_t bin[HAK_BENCH_BIN_COUNT];
} hak_bench_histogram_t;

void hak_bench_histogram_add(hak_bench_histogram_t *histogram, uint64_t ns);

/* Adds the counts of `from` to those of `into`. */
void hak_bench_histogram_merge(hak_bench_histogram_t *into, const hak_bench_histogram_t *from);

/* A value that at least `per_100k` (1 to 100,000) in 100,000 samples do not exceed: the upper end
 * of the bin in which the sample of that rank lies, or the maximum if that is less. 0 without
 * samples. */
uint64_t hak_bench_histogram_at(const hak_bench_histogram_t *histogram, unsigned per_100k);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BENCH_LATENCY_HISTOGRAM_H_ */
