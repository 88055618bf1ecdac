#include "boxes/grain_hist/grain_hist.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace {

using Window = std::vector<uint64_t>;

Window Take(uint64_t next) {
    Window slabs(HAK_EXACT_GRAINS);
    hak_grain_hist_take_mt(slabs.data(), next);
    return slabs;
}

TEST(GrainHist, SizesOfOneGrainAreOne) {
    Take(100);
    for (size_t size : {513, 520, 527, 528}) {
        (void)hak_grain_hist_add_mt(size);
    }
    for (size_t size : {529, 512, 1024, 257}) {
        (void)hak_grain_hist_add_mt(size);
    }
    Window window = Take(100);
    EXPECT_EQ(window[33], 4u);
    EXPECT_EQ(window[34], 1u);
    EXPECT_EQ(window[32], 1u);
    EXPECT_EQ(window[64], 1u);
    EXPECT_EQ(window[17], 1u);
    EXPECT_EQ(std::accumulate(window.begin(), window.end(), uint64_t{0}), 8u);
    EXPECT_EQ(Take(100), Window(HAK_EXACT_GRAINS)) << "taken once";
}

TEST(GrainHist, AWindowIsAsLongAsWasAskedFor) {
    for (uint64_t slabs : {1, 4, 50}) {
        Take(slabs);
        for (uint64_t i = 1; i < slabs; i++) {
            EXPECT_FALSE(hak_grain_hist_add_mt(528)) << i << " of " << slabs;
            EXPECT_FALSE(hak_grain_hist_is_due_mt());
        }
        EXPECT_TRUE(hak_grain_hist_add_mt(272)) << slabs;
        EXPECT_TRUE(hak_grain_hist_is_due_mt());
        EXPECT_TRUE(hak_grain_hist_add_mt(272)) << "nobody took it";
    }
    Take(2);
    EXPECT_FALSE(hak_grain_hist_is_due_mt());
}

TEST(GrainHist, ThreadsLoseNothing) {
    constexpr unsigned kThreads = 4, kAdds = 20000;
    std::atomic<unsigned> running{kThreads};
    std::vector<std::thread> threads;
    Take(4);
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([&] {
            for (unsigned i = 0; i < kAdds; i++) {
                (void)hak_grain_hist_add_mt(1024);
            }
            running--;
        });
    }
    uint64_t seen = 0;
    while (running != 0) {
        seen += Take(4)[64];
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    seen += Take(4)[64];
    EXPECT_EQ(seen, uint64_t{kThreads} * kAdds);
}

} // namespace
