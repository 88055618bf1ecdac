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
    hak_grain_counts_t mine_ = {};
};

TEST_F(GrainHist, SizesOfOneGrainAreOne) {
    for (size_t size : {513, 520, 527, 528}) {
        hak_grain_hist_count_owner(&mine_, size, 10);
    }
    hak_grain_hist_count_owner(&mine_, 529, 3);
    hak_grain_hist_count_owner(&mine_, 512, 2);
    hak_grain_hist_count_owner(&mine_, 1024, 1);
    EXPECT_EQ(Take(), Window(HAK_EXACT_GRAINS)) << "nobody has opened a slab";
    (void)hak_grain_hist_add_owner(&mine_);
    Window window = Take();
    EXPECT_EQ(window[33], 40u);
    EXPECT_EQ(window[34], 3u);
    EXPECT_EQ(window[32], 2u);
    EXPECT_EQ(window[64], 1u);
    EXPECT_EQ(std::accumulate(window.begin(), window.end(), uint64_t{0}), 46u);
}

TEST_F(GrainHist, SizesThatNeedNoExactClassAreLeftOut) {
    for (size_t size : {0, 1, 16, 128, 256}) {
        hak_grain_hist_count_owner(&mine_, size, 10);
    }
    hak_grain_hist_count_owner(&mine_, 257, 1);
    (void)hak_grain_hist_add_owner(&mine_);
    Window window = Take();
    EXPECT_EQ(std::accumulate(window.begin(), window.end(), uint64_t{0}), 1u);
    EXPECT_EQ(window[17], 1u);
}

TEST_F(GrainHist, ATakeAndAnAddBeginAnew) {
    hak_grain_hist_count_owner(&mine_, 528, 10);
    (void)hak_grain_hist_add_owner(&mine_);
    EXPECT_EQ(Take()[33], 10u);
    (void)hak_grain_hist_add_owner(&mine_);
    EXPECT_EQ(Take(), Window(HAK_EXACT_GRAINS));
}

TEST_F(GrainHist, ThreadsLoseNothingAndEachWindowEndsOnce) {
    constexpr unsigned kThreads = 4, kAdds = 20000;
    std::atomic<unsigned> ends{0}, running{kThreads};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([&] {
            hak_grain_counts_t mine = {};
            for (unsigned i = 0; i < kAdds; i++) {
                hak_grain_hist_count_owner(&mine, 1024, 3);
                ends += hak_grain_hist_add_owner(&mine);
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
    EXPECT_EQ(seen, uint64_t{kThreads} * kAdds * 3);
    EXPECT_EQ(ends, kThreads * kAdds / HAK_GRAIN_WINDOW_SLABS);
}

} // namespace
