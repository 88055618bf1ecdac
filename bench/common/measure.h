/* measure: clock, random numbers and blocks, for inside a measured loop.
 *
 * Owns       nothing.
 * Threads    any; a generator belongs to one thread.
 * Layer      bench. The inline half is measure_inl.h.
 */
#ifndef HAK_BENCH_COMMON_MEASURE_H_
#define HAK_BENCH_COMMON_MEASURE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint64_t a;
    uint64_t b;
} hak_bench_rng_t;

/* Equal seeds give equal sequences on every machine; neighbouring seeds give unrelated ones. */
hak_bench_rng_t hak_bench_rng(uint64_t seed);

/* A size in [min, max], 1 <= min <= max, whose logarithm is spread evenly: each doubling is as
 * likely as the next, as in real programs, where small blocks are most of the blocks. */
size_t hak_bench_log_size(hak_bench_rng_t *rng, size_t min, size_t max);

/* The mean of these sizes. */
size_t hak_bench_log_size_mean(size_t min, size_t max);

/* Writes one byte in each 4 KiB of the block and its last one, so that it becomes resident. */
void hak_bench_touch(unsigned char *block, size_t size, unsigned char mark);

/* Seconds of CLOCK_MONOTONIC. */
double hak_bench_now(void);

/* Suspends the calling thread; goes on after a signal. */
void hak_bench_sleep_ms(uint64_t ms);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BENCH_COMMON_MEASURE_H_ */
