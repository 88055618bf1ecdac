// The learner at work on the mid pool: hit rates move into the target band, and
// nothing else changes. The environment says whether it runs: HAKMEM_LEARN, with windows of 10 ms.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

bool Learns() {
    const char *text = getenv("HAKMEM_LEARN");
    return text != nullptr && strcmp(text, "1") == 0;
}

double Target() {
    const char *text = getenv("HAKMEM_TARGET_HIT_MID");
    return text == nullptr ? 0.65 : atof(text);
}

// A load whose live set swings by `count` blocks of `bytes`, around `still` that stay.
class Swing {
  public:
    Swing(size_t bytes, unsigned count, unsigned still) : bytes_(bytes), blocks_(count) {
        for (unsigned i = 0; i < still; i++) {
            still_.push_back(Take());
        }
    }
    ~Swing() {
        for (void *block : still_) {
            hak_test.free(block);
        }
    }
    void Once() {
        for (void *&block : blocks_) {
            block = Take();
        }
        for (void *block : blocks_) {
            EXPECT_TRUE(hak_pattern_holds(block, 64, reinterpret_cast<uintptr_t>(block)));
            hak_test.free(block);
        }
    }

  private:
    void *Take() const {
        void *block = hak_test.malloc(bytes_);
        EXPECT_NE(block, nullptr);
        hak_pattern_fill(block, 64, reinterpret_cast<uintptr_t>(block));
        return block;
    }
    size_t bytes_;
    std::vector<void *> blocks_, still_;
};

// Runs the load for so many windows of the learner, or so many milliseconds without one. Returns
// the hit rate of that time.
double HitRate(Swing *swing, uint64_t windows) {
    hak_stats_t before = hak_test_stats();
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(10 * windows);
    while (Learns() ? hak_test_stats().learn_windows < before.learn_windows + windows
                    : std::chrono::steady_clock::now() < end) {
        for (int i = 0; i < 20; i++) {
            swing->Once();
        }
    }
    hak_stats_t after = hak_test_stats();
    double hits = static_cast<double>(after.pool_hits - before.pool_hits);
    double misses = static_cast<double>(after.pool_misses - before.pool_misses);
    return hits / (hits + misses);
}

TEST(PoolLearn, HitRateOfLargeBlocksMovesIntoTheBand) {
    Swing swing(32768, 240, 60); // 150 pages
    double first = HitRate(&swing, 3);
    double late = 0;
    for (int i = 0; i < (Learns() ? 60 : 2) && std::abs(late - Target()) > 0.05; i++) {
        late = HitRate(&swing, 20);
    }
    hak_stats_t stats = hak_test_stats();
    printf("hit rate %.3f at first, %.3f late, cap of 32 KiB %llu\n", first, late,
           static_cast<unsigned long long>(stats.learn_cap_thirtytwo_kib));
    if (!Learns()) {
        EXPECT_LT(late, 0.60) << "what there is to improve";
        EXPECT_EQ(stats.learn_windows, 0u);
        EXPECT_EQ(stats.learn_policy_version, 0u);
        return;
    }
    EXPECT_GE(late, Target() - 0.05);
    EXPECT_LE(late, Target() + 0.05);
    EXPECT_GT(stats.learn_cap_thirtytwo_kib, 16u);
    EXPECT_GT(stats.learn_cap_raises, 0u);
    // At rest: a stationary load gets few changes, and single ones.
    uint64_t raises = stats.learn_cap_raises + stats.learn_cap_cuts;
    (void)HitRate(&swing, 100);
    stats = hak_test_stats();
    EXPECT_LE(stats.learn_cap_raises + stats.learn_cap_cuts - raises, 40u);
    EXPECT_EQ(hak_check(), 0u);
}

TEST(PoolLearn, TheThreadAllocatesNothing) {
    hak_stats_t before = hak_test_stats();
    Swing swing(4096, 100, 10);
    (void)HitRate(&swing, 10);
    EXPECT_EQ(hak_test_stats().heaps, before.heaps) << "it would have one";
}

// Threads that come and go while caps change under them.
TEST(PoolLearn, ThreadsUnderCapsThatChange) {
    for (int round = 0; round < 5; round++) {
        std::vector<std::thread> threads;
        for (size_t bytes : {size_t{2048}, size_t{8192}, size_t{32768}}) {
            threads.emplace_back([bytes] {
                Swing swing(bytes, 120, 20);
                for (unsigned long i = 0; i < hak_test_scaled(100); i++) {
                    swing.Once();
                }
            });
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
    }
    EXPECT_EQ(hak_check(), 0u);
}

} // namespace
