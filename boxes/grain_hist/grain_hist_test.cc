#include "boxes/grain_hist/grain_hist.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace {

using Window = std::vector<uint64_t>;

Window Take() {
    Window blocks(HAK_EXACT_GRAINS);
    hak_grain_hist_take_mt(blocks.data());
    return blocks;
}

class GrainHist : public ::testing::Test {
  protected:
    void SetUp() override { Take(); }
};

TEST_F(GrainHist, SizesOfOneGrainAreOne) {
    for (size_t size : {513, 520, 527, 528}) {
        (void)hak_grain_hist_add_mt(size, 10);
    }
    (void)hak_grain_hist_add_mt(529, 3);
    (void)hak_grain_hist_add_mt(512, 2);
    (void)hak_grain_hist_add_mt(0, 5);
    (void)hak_grain_hist_add_mt(1, 7);
    (void)hak_grain_hist_add_mt(1024, 1);
    Window window = Take();
    EXPECT_EQ(window[33], 40u);
    EXPECT_EQ(window[34], 3u);
    EXPECT_EQ(window[32], 2u);
    EXPECT_EQ(window[0], 5u);
    EXPECT_EQ(window[1], 7u);
    EXPECT_EQ(window[64], 1u);
    EXPECT_EQ(std::accumulate(window.begin(), window.end(), uint64_t{0}), 58u);
}

TEST_F(GrainHist, ATakeBeginsAnew) {
    (void)hak_grain_hist_add_mt(528, 10);
    EXPECT_EQ(Take()[33], 10u);
    EXPECT_EQ(Take(), Window(HAK_EXACT_GRAINS));
}

// A window is 1 MiB: 2,048 blocks of 512 bytes, however they come.
TEST_F(GrainHist, AWindowEndsOnceAMebibyte) {
    for (uint64_t blocks : {1, 8, 512, 2048, 8192}) {
        unsigned ends = 0;
        const unsigned long adds = 16 * 8192 / blocks;
        for (unsigned long i = 0; i < adds; i++) {
            ends += hak_grain_hist_add_mt(512, blocks);
        }
        EXPECT_EQ(ends, blocks <= 2048 ? 64u : 16u) << blocks;
    }
}

TEST_F(GrainHist, ThreadsLoseNothingAndEachWindowEndsOnce) {
    constexpr unsigned kThreads = 4, kAdds = 100000;
    std::atomic<unsigned> ends{0}, running{kThreads};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([&] {
            for (unsigned i = 0; i < kAdds; i++) {
                ends += hak_grain_hist_add_mt(1024, 1);
            }
            running--;
        });
    }
    uint64_t seen = 0;
    while (running != 0) {
        seen += Take()[64];
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    seen += Take()[64];
    EXPECT_EQ(seen, uint64_t{kThreads} * kAdds);
    EXPECT_NEAR(ends, kThreads * kAdds / 1024.0, 1.0);
}

} // namespace
