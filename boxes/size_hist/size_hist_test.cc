#include "boxes/size_hist/size_hist.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace {

hak_size_hist_window_t Take() {
    hak_size_hist_window_t window;
    hak_size_hist_take_mt(&window);
    return window;
}

uint64_t Sum(const hak_size_hist_window_t &window) {
    return std::accumulate(std::begin(window.count), std::end(window.count), uint64_t{0});
}

TEST(SizeHist, BinsOfOneKiB) {
    (void)Take();
    const struct {
        size_t size;
        int bin;
    } cases[] = {{0, 0},      {1, 0},      {1024, 0},   {1025, 1},   {2048, 1},  {14336, 13},
                 {14337, 14}, {64512, 62}, {64513, 63}, {65536, 63}, {65537, -1}};
    for (const auto &c : cases) {
        hak_size_hist_add_mt(c.size, 3);
        hak_size_hist_window_t window = Take();
        EXPECT_EQ(Sum(window), c.bin < 0 ? 0u : 3u) << c.size;
        if (c.bin >= 0) {
            EXPECT_EQ(window.count[c.bin], 3u) << c.size;
            EXPECT_EQ(window.most[c.bin], c.size);
        }
    }
}

TEST(SizeHist, RemembersTheLargestOfABinUntilItIsTaken) {
    for (size_t size : {13400u, 13500u, 13313u}) {
        hak_size_hist_add_mt(size, 1);
    }
    hak_size_hist_window_t window = Take();
    EXPECT_EQ(window.count[13], 3u);
    EXPECT_EQ(window.most[13], 13500u);
    EXPECT_EQ(Take().most[13], 0u);
}

// Every count is in exactly one window, whoever adds while it is taken.
TEST(SizeHist, SnapshotsLoseNothing) {
    (void)Take();
    const uint64_t before = hak_size_hist_total();
    constexpr unsigned kThreads = 4, kAdds = 20000;
    std::atomic<unsigned> running{kThreads};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([t, &running] {
            for (unsigned i = 0; i < kAdds; i++) {
                hak_size_hist_add_mt(1 + (i * 977 + t) % 65536, 1 + i % 3);
            }
            running--;
        });
    }
    uint64_t taken = 0;
    while (running != 0) {
        taken += Sum(Take());
        std::this_thread::yield();
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    taken += Sum(Take());
    uint64_t expected = 0;
    for (unsigned i = 0; i < kAdds; i++) {
        expected += kThreads * (1 + i % 3);
    }
    EXPECT_EQ(taken, expected);
    EXPECT_EQ(hak_size_hist_total() - before, expected);
    uint64_t bins = 0;
    for (unsigned bin = 0; bin < HAK_SIZE_HIST_BINS; bin++) {
        bins += hak_size_hist_bin(bin);
    }
    EXPECT_EQ(bins, hak_size_hist_total()) << "all was taken";
}

// Who looks at one of 32 steps, sooner by a random number, sees all of a rhythm of 2 to 32 steps.
TEST(SizeHist, LooksAtAllOfARhythm) {
    for (uint32_t period : {2u, 3u, 4u, 8u, 16u, 32u}) {
        std::vector<unsigned> seen(period);
        uint32_t step = 0, position = 0, looks = 0;
        for (; looks < 32000; position++) {
            if (++step % 32 == 0) {
                seen[position % period]++;
                looks++;
                step += hak_size_hist_random(step) % 16;
            }
        }
        EXPECT_NEAR(position / looks, 24, 1) << "steps between two looks";
        for (unsigned count : seen) {
            EXPECT_NEAR(count, looks / period, looks / period / 3) << period;
        }
    }
}

} // namespace
