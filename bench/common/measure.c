/* measure: the parts that loop or enter the kernel, so that inlining them would gain nothing. */
#include "bench/common/measure.h"

#include "base/bits.h"
#include "bench/common/measure_inl.h"

#include <errno.h>
#include <time.h>

/* splitmix64 spreads the seed, as the generator's authors advise; it never gives two zeros. */
hak_bench_rng_t hak_bench_rng(uint64_t seed) {
    hak_bench_rng_t rng;
    rng.a = hak_mix64(seed);
    rng.b = hak_mix64(seed + 0x9e3779b97f4a7c15u);
    return rng;
}

size_t hak_bench_log_size(hak_bench_rng_t *rng, size_t min, size_t max) {
    unsigned low = hak_log2_floor(min);
    unsigned high = hak_log2_floor(max);

    for (;;) {
        uint64_t draw = hak_bench_next(rng);
        size_t octave = (size_t)1 << (low + hak_bench_below(draw, high - low + 1));
        size_t size = octave + (size_t)hak_bench_below(hak_bench_next(rng), octave);
        if (size >= min && size <= max) {
            return size;
        }
    }
}

/* Each octave counts by the share of it that lies in the range: draws outside are drawn again. */
size_t hak_bench_log_size_mean(size_t min, size_t max) {
    double weight = 0;
    double sum = 0;

    for (unsigned i = hak_log2_floor(min); i <= hak_log2_floor(max); i++) {
        size_t octave = (size_t)1 << i;
        size_t first = octave > min ? octave : min;
        size_t last = octave - 1 < max - octave ? octave * 2 - 1 : max;
        double share = (double)(last - first + 1) / (double)octave;
        weight += share;
        sum += share * ((double)first + (double)last) / 2;
    }
    return (size_t)(sum / weight);
}

void hak_bench_touch(unsigned char *block, size_t size, unsigned char mark) {
    for (size_t i = 0; i < size; i += 4096) {
        block[i] = mark;
    }
    block[size - 1] = mark;
    hak_bench_escape(block);
}

double hak_bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void hak_bench_sleep_ms(uint64_t ms) {
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
