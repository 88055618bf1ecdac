// Percentiles of known samples: exact below 32 ns, within 1/32 above, and the maximum always exact.
#include "bench/latency/histogram.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>

namespace {

using Histogram = std::unique_ptr<hak_bench_histogram_t>;

Histogram Make() { return Histogram(new hak_bench_histogram_t()); }

TEST(Histogram, EmptySaysZero) {
    Histogram h = Make();
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 50000), 0u);
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 100000), 0u);
}

TEST(Histogram, SmallValuesAreExact) {
    Histogram h = Make();
    for (uint64_t ns = 1; ns <= 20; ns++) {
        hak_bench_histogram_add(h.get(), ns);
    }
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 5000), 1u);
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 50000), 10u);
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 95000), 19u);
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 100000), 20u);
}

TEST(Histogram, EveryValueComesBackWithinItsBin) {
    for (uint64_t ns = 1; ns < (UINT64_C(1) << 35); ns += 1 + ns / 7) {
        Histogram h = Make();
        hak_bench_histogram_add(h.get(), ns);
        hak_bench_histogram_add(h.get(), ns * 4); // so that the maximum does not hide the bin's end
        uint64_t at = hak_bench_histogram_at(h.get(), 50000);
        EXPECT_GE(at, ns);
        EXPECT_LE(at, ns + ns / 32 + 1);
    }
}

TEST(Histogram, OneSlowSampleShowsInTheMaximumAlone) {
    Histogram h = Make();
    for (int i = 0; i < 9999; i++) {
        hak_bench_histogram_add(h.get(), 25);
    }
    hak_bench_histogram_add(h.get(), 1234567);
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 99900), 25u);
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 100000), 1234567u);
    EXPECT_EQ(h->max, 1234567u);
}

TEST(Histogram, BeyondTheLastBinTheMaximumStands) {
    Histogram h = Make();
    hak_bench_histogram_add(h.get(), UINT64_C(1) << 50);
    EXPECT_EQ(hak_bench_histogram_at(h.get(), 50000), UINT64_C(1) << 50);
}

TEST(Histogram, MergingAddsAndKeepsTheGreatest) {
    Histogram a = Make();
    Histogram b = Make();
    hak_bench_histogram_add(a.get(), 10);
    hak_bench_histogram_add(b.get(), 20);
    hak_bench_histogram_add(b.get(), 30);
    hak_bench_histogram_merge(a.get(), b.get());
    EXPECT_EQ(a->count, 3u);
    EXPECT_EQ(a->max, 30u);
    EXPECT_EQ(hak_bench_histogram_at(a.get(), 50000), 20u);
}

} // namespace
