/* histogram: the first 32 bins hold one nanosecond each; from there on each doubling has 32. */
#include "bench/latency/histogram.h"

#include "base/bits.h"

enum { FINE = 1 << HAK_BENCH_BIN_LOG };

static unsigned bin_of(uint64_t ns) {
    if (ns < FINE) {
        return (unsigned)ns;
    }
    unsigned shift = hak_log2_floor(ns) - HAK_BENCH_BIN_LOG;
    uint64_t bin = ((uint64_t)shift << HAK_BENCH_BIN_LOG) + (ns >> shift);
    return bin < HAK_BENCH_BIN_COUNT ? (unsigned)bin : HAK_BENCH_BIN_COUNT - 1;
}

/* The greatest value of a bin. */
static uint64_t end_of(unsigned bin) {
    if (bin < FINE) {
        return bin;
    }
    unsigned shift = bin / FINE - 1;
    return (((uint64_t)(bin % FINE + FINE) + 1) << shift) - 1;
}

void hak_bench_histogram_add(hak_bench_histogram_t *histogram, uint64_t ns) {
    histogram->bin[bin_of(ns)]++;
    histogram->count++;
    histogram->max = ns > histogram->max ? ns : histogram->max;
}

void hak_bench_histogram_merge(hak_bench_histogram_t *into, const hak_bench_histogram_t *from) {
    for (unsigned i = 0; i < HAK_BENCH_BIN_COUNT; i++) {
        into->bin[i] += from->bin[i];
    }
    into->count += from->count;
    into->max = from->max > into->max ? from->max : into->max;
}

uint64_t hak_bench_histogram_at(const hak_bench_histogram_t *histogram, unsigned per_100k) {
    uint64_t rank = (histogram->count * per_100k + 99999) / 100000;
    uint64_t seen = 0;

    for (unsigned i = 0; i < HAK_BENCH_BIN_COUNT - 1; i++) {
        seen += histogram->bin[i];
        if (seen >= rank) {
            return end_of(i) < histogram->max ? end_of(i) : histogram->max;
        }
    }
    return histogram->max;
}
