// The figures that a benchmark prints: least, median, mean and greatest sample; random sizes.
#include "bench/common/measure.h"
#include "bench/common/stats.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace {

hak_bench_stats_t Of(const std::vector<double> &samples) {
    hak_bench_stats_t stats;
    EXPECT_TRUE(hak_bench_stats_of(samples.data(), samples.size(), &stats));
    return stats;
}

// Five runs whose report once gave 95.80 as the least: the lowest one came last and was overlooked.
TEST(BenchStats, TheLeastSampleMayComeLast) {
    const hak_bench_stats_t stats = Of({95.80, 97.04, 97.11, 98.28, 93.91});
    EXPECT_DOUBLE_EQ(stats.min, 93.91);
    EXPECT_DOUBLE_EQ(stats.median, 97.04);
    EXPECT_NEAR(stats.mean, 96.428, 1e-9);
    EXPECT_DOUBLE_EQ(stats.max, 98.28);
}

TEST(BenchStats, EvenCountTakesTheMiddleOfTwo) {
    const hak_bench_stats_t stats = Of({4, 1, 3, 10});
    EXPECT_DOUBLE_EQ(stats.min, 1);
    EXPECT_DOUBLE_EQ(stats.median, 3.5);
    EXPECT_DOUBLE_EQ(stats.mean, 4.5);
    EXPECT_DOUBLE_EQ(stats.max, 10);
}

TEST(BenchStats, OneSampleIsAllFour) {
    const hak_bench_stats_t stats = Of({7.25});
    EXPECT_DOUBLE_EQ(stats.min, 7.25);
    EXPECT_DOUBLE_EQ(stats.median, 7.25);
    EXPECT_DOUBLE_EQ(stats.mean, 7.25);
    EXPECT_DOUBLE_EQ(stats.max, 7.25);
}

// Sorting as integers, or by the sign of a difference cast to int, takes these for equal.
TEST(BenchStats, SmallDifferencesCount) {
    const hak_bench_stats_t stats = Of({2.3, 2.1, 2.2});
    EXPECT_DOUBLE_EQ(stats.min, 2.1);
    EXPECT_DOUBLE_EQ(stats.median, 2.2);
    EXPECT_DOUBLE_EQ(stats.max, 2.3);
}

TEST(BenchStats, TheCallersOrderStays) {
    const std::vector<double> samples = {3, 1, 2};
    Of(samples);
    EXPECT_EQ(samples, (std::vector<double>{3, 1, 2}));
}

TEST(BenchStats, RefusesWhatHasNoStatistics) {
    const double samples[] = {1, std::numeric_limits<double>::quiet_NaN(), INFINITY};
    const std::vector<double> many(HAK_BENCH_ROUNDS_MAX + 1, 1.0);
    hak_bench_stats_t stats = {9, 9, 9, 9};
    EXPECT_FALSE(hak_bench_stats_of(samples, 0, &stats));
    EXPECT_EQ(stats.max, 0);
    EXPECT_FALSE(hak_bench_stats_of(samples, 2, &stats));
    EXPECT_FALSE(hak_bench_stats_of(samples + 2, 1, &stats));
    EXPECT_FALSE(hak_bench_stats_of(many.data(), many.size(), &stats));
    EXPECT_TRUE(hak_bench_stats_of(many.data(), many.size() - 1, &stats));
}

TEST(BenchSizes, EqualSeedsGiveEqualSizes) {
    hak_bench_rng_t one = hak_bench_rng(42);
    hak_bench_rng_t two = hak_bench_rng(42);
    hak_bench_rng_t other = hak_bench_rng(43);
    int different = 0;
    for (int i = 0; i < 1000; i++) {
        const size_t size = hak_bench_log_size(&one, 1, 1 << 20);
        EXPECT_EQ(size, hak_bench_log_size(&two, 1, 1 << 20));
        different += size != hak_bench_log_size(&other, 1, 1 << 20);
    }
    EXPECT_GT(different, 900);
}

// The printed working set rests on this mean.
TEST(BenchSizes, StayInRangeAndHaveTheMeanThatIsPrinted) {
    const size_t ranges[][2] = {{16, 2048}, {64, 8191}, {100, 100}, {1, 1}, {24, 1000}};
    for (const auto &range : ranges) {
        hak_bench_rng_t rng = hak_bench_rng(7);
        const int draws = 200000;
        double sum = 0;
        for (int i = 0; i < draws; i++) {
            const size_t size = hak_bench_log_size(&rng, range[0], range[1]);
            ASSERT_GE(size, range[0]);
            ASSERT_LE(size, range[1]);
            sum += static_cast<double>(size);
        }
        const double mean = static_cast<double>(hak_bench_log_size_mean(range[0], range[1]));
        EXPECT_NEAR(sum / draws, mean, 1 + mean * 0.02) << range[0] << " to " << range[1];
    }
}

// Half of the sizes from 16 B to 4 KiB lie in the lower four of the eight doublings.
TEST(BenchSizes, EachDoublingIsAsLikely) {
    hak_bench_rng_t rng = hak_bench_rng(1);
    int lower = 0;
    for (int i = 0; i < 100000; i++) {
        lower += hak_bench_log_size(&rng, 16, 4095) < 256;
    }
    EXPECT_NEAR(lower, 50000, 1000);
}

}  // namespace
