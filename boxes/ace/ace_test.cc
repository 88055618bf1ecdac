#include "boxes/ace/ace.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace {

hak_ace_totals_t Read() {
    hak_ace_totals_t totals;
    hak_ace_read(&totals);
    return totals;
}

hak_ace_totals_t Since(const hak_ace_totals_t &before) {
    hak_ace_totals_t now = Read(), window;
    hak_ace_window(&now, &before, &window);
    return window;
}

TEST(Ace, ScriptedRunCountsExactly) {
    hak_ace_totals_t before = Read();
    hak_ace_note_mt(HAK_ACE_MID_HIT, 70);
    hak_ace_note_mt(HAK_ACE_MID_HIT, 30);
    hak_ace_note_mt(HAK_ACE_MID_MISS, 20);
    hak_ace_note_mt(HAK_ACE_LARGE_HIT, 7);
    hak_ace_note_mt(HAK_ACE_LARGE_MISS, 3);
    hak_ace_note_mt(HAK_ACE_L1_FALLBACK, 5);
    hak_ace_totals_t window = Since(before);
    EXPECT_EQ(window.count[HAK_ACE_MID_HIT], 100u);
    EXPECT_EQ(window.count[HAK_ACE_MID_MISS], 20u);
    EXPECT_EQ(window.count[HAK_ACE_LARGE_HIT], 7u);
    EXPECT_EQ(window.count[HAK_ACE_LARGE_MISS], 3u);
    EXPECT_EQ(window.count[HAK_ACE_L1_FALLBACK], 5u);
    EXPECT_EQ(window.waste_bytes, 0u);
}

TEST(Ace, WasteIsTheSumOfRounding) {
    uint64_t before = hak_ace_get_total_waste();
    hak_ace_round_mt(2049, 4096, 1);   // 2047
    hak_ace_round_mt(14336, 16384, 1); // 2048
    hak_ace_round_mt(4096, 4096, 1);   // 0
    hak_ace_round_mt(5000, 8192, 16);  // 16 x 3192
    hak_ace_round_mt(100, 64, 1);      // nothing to count
    EXPECT_EQ(hak_ace_get_total_waste() - before, 2047u + 2048u + 16u * 3192u);
}

TEST(Ace, ThreadsAddUp) {
    hak_ace_totals_t before = Read();
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; t++) {
        threads.emplace_back([] {
            for (unsigned i = 0; i < 10000; i++) {
                hak_ace_note_mt(HAK_ACE_MID_MISS, 1);
                hak_ace_round_mt(1000, 1010, 2);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_EQ(Since(before).count[HAK_ACE_MID_MISS], 40000u);
    EXPECT_EQ(Since(before).waste_bytes, 40000u * 20u);
}

TEST(Ace, ScoreWithNumbers) {
    const struct {
        uint64_t mid_hit, mid_miss, large_hit, large_miss, fallback, waste;
        int64_t milli;
    } cases[] = {
        {100, 20, 0, 0, 5, 4000000, 68000}, // 100 - 20 - 10 - 2
        {60, 10, 40, 10, 5, 4000000, 68000}, {0, 0, 0, 0, 0, 0, 0},
        {0, 10, 0, 0, 10, 0, -30000},        {1, 0, 0, 0, 0, 1000000, 500},
        {0, 0, 0, 0, 0, 2000, -1},           {0, 0, 0, 0, 0, 1999, 0},
    };
    for (const auto &c : cases) {
        hak_ace_totals_t window = {};
        window.count[HAK_ACE_MID_HIT] = c.mid_hit;
        window.count[HAK_ACE_MID_MISS] = c.mid_miss;
        window.count[HAK_ACE_LARGE_HIT] = c.large_hit;
        window.count[HAK_ACE_LARGE_MISS] = c.large_miss;
        window.count[HAK_ACE_L1_FALLBACK] = c.fallback;
        window.waste_bytes = c.waste;
        EXPECT_EQ(hak_ace_score_milli(&window), c.milli);
    }
}

// Equal windows score alike, however much has been wasted before them.
TEST(Ace, ScoreOfAWindowDoesNotDrift) {
    int64_t first = 0;
    for (int i = 0; i < 10; i++) {
        hak_ace_totals_t before = Read();
        hak_ace_note_mt(HAK_ACE_MID_HIT, 1000);
        hak_ace_round_mt(6000, 8000, 1000);
        hak_ace_totals_t window = Since(before);
        int64_t score = hak_ace_score_milli(&window);
        first = i == 0 ? score : first;
        EXPECT_EQ(score, first);
        EXPECT_EQ(score, 999000);
    }
}

TEST(Ace, ATotalThatSeemsToFallGivesAnEmptyWindow) {
    hak_ace_totals_t now = {}, before = {}, window;
    before.count[HAK_ACE_MID_HIT] = 5;
    before.waste_bytes = 9;
    hak_ace_window(&now, &before, &window);
    EXPECT_EQ(window.count[HAK_ACE_MID_HIT], 0u);
    EXPECT_EQ(window.waste_bytes, 0u);
}

} // namespace
