#include "boxes/page_arena/page_arena.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "core/options/options.h"

namespace {

constexpr size_t kSizes[] = {4096, 65536, 131072, size_t{2} << 20};
constexpr size_t kRooms[] = {1024, 256, 128, 64};

hak_page_arena_stats_t Stats() {
    hak_page_arena_stats_t stats;
    hak_page_arena_stats_mt(&stats);
    return stats;
}

uint64_t Unmaps() {
    hak_os_calls_t calls;
    hak_os_calls(&calls);
    return calls.munmap;
}

void Turn(bool on) { hak_store_rlx(&hak_option_values[HAK_OPTION_PAGE_ARENA], on); }

class PageArena : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_os_fake_reset();
        Turn(true);
    }
    void TearDown() override {
        (void)hak_page_arena_purge_mt(hak_os_now_ms(), 0, 0);
        EXPECT_EQ(0u, Stats().bytes);
        EXPECT_EQ(0u, hak_page_arena_check_locked());
        Turn(false);
    }
};

TEST_F(PageArena, OffMeansThatTheKernelGetsAll) {
    Turn(false);
    for (size_t bytes : kSizes) {
        hak_page_arena_stats_t before = Stats();
        void *run = hak_os_map_aligned(bytes, bytes);
        uint64_t unmaps = Unmaps();
        hak_page_arena_give_mt(run, bytes);
        EXPECT_EQ(nullptr, hak_page_arena_take_mt(bytes));
        EXPECT_EQ(unmaps + 1, Unmaps());
        EXPECT_EQ(before.hits + before.misses, Stats().hits + Stats().misses);
    }
}

TEST_F(PageArena, EachShelfHoldsItsRoomAndGivesTheWarmestFirst) {
    for (size_t i = 0; i < HAK_PAGE_ARENA_SHELVES; i++) {
        size_t bytes = kSizes[i];
        char *all = static_cast<char *>(hak_os_map_aligned((kRooms[i] + 2) * bytes, 2 << 20));
        ASSERT_NE(nullptr, all);
        hak_page_arena_stats_t before = Stats();
        for (size_t k = 0; k < kRooms[i] + 2; k++) {
            hak_page_arena_give_mt(all + k * bytes, bytes);
        }
        EXPECT_EQ(before.given + kRooms[i], Stats().given) << bytes;
        EXPECT_EQ(before.bytes + kRooms[i] * bytes, Stats().bytes) << bytes;
        for (size_t k = kRooms[i]; k-- > 0;) {
            ASSERT_EQ(all + k * bytes, hak_page_arena_take_mt(bytes));
        }
        EXPECT_EQ(nullptr, hak_page_arena_take_mt(bytes));
        EXPECT_EQ(before.hits + kRooms[i], Stats().hits);
        EXPECT_EQ(before.misses + 1, Stats().misses);
        hak_os_unmap(all, kRooms[i] * bytes);
    }
}

TEST_F(PageArena, OtherSizesHaveNoShelf) {
    hak_page_arena_stats_t before = Stats();
    for (size_t bytes : {size_t{8192}, size_t{1} << 20}) {
        void *run = hak_os_map_aligned(bytes, 2 << 20);
        hak_page_arena_give_mt(run, bytes);
        EXPECT_EQ(nullptr, hak_page_arena_take_mt(bytes));
    }
    EXPECT_EQ(before.hits + before.misses, Stats().hits + Stats().misses);
    EXPECT_EQ(0u, Stats().bytes);
}

TEST_F(PageArena, LargeRunsAreCutUp) {
    char *run = static_cast<char *>(hak_os_map_aligned(size_t{8} << 20, 2 << 20));
    hak_page_arena_give_mt(run, size_t{8} << 20);
    EXPECT_EQ(size_t{8} << 20, Stats().bytes);
    std::set<void *> pieces;
    for (int i = 0; i < 4; i++) {
        pieces.insert(hak_page_arena_take_mt(2 << 20));
    }
    std::set<void *> expected;
    for (size_t i = 0; i < 4; i++) {
        expected.insert(run + i * (2 << 20));
    }
    EXPECT_EQ(expected, pieces);
    hak_os_unmap(run, size_t{8} << 20);
}

/* Ten runs, of which requests reach three: the seven others go after a delay, not before. */
TEST_F(PageArena, WhatNobodyReachesGoesBack) {
    (void)hak_page_arena_purge_mt(hak_os_now_ms(), 0, 0);
    for (int i = 0; i < 10; i++) {
        hak_page_arena_give_mt(hak_os_map_aligned(65536, 65536), 65536);
    }
    uint64_t now = hak_os_now_ms();
    EXPECT_EQ(0u, hak_page_arena_purge_mt(now, 60000, 0)) << "too early";
    EXPECT_EQ(0u, hak_page_arena_purge_mt(now + 60000, 60000, 0)) << "all are new";
    std::vector<void *> taken;
    for (int i = 0; i < 3; i++) {
        taken.push_back(hak_page_arena_take_mt(65536));
    }
    for (void *run : taken) {
        hak_page_arena_give_mt(run, 65536);
    }
    EXPECT_EQ(0u, hak_page_arena_purge_mt(now + 119999, 60000, 0)) << "too early";
    EXPECT_EQ(7u * 65536, hak_page_arena_purge_mt(now + 120000, 60000, 0));
    EXPECT_EQ(3u * 65536, Stats().bytes);
    EXPECT_EQ(2u * 65536, hak_page_arena_purge_mt(now, 0, 65536)) << "but for what is to be kept";
}

TEST_F(PageArena, ThreadsGetDifferentRuns) {
    hak_page_arena_stats_t before = Stats();
    hak_testing::RunThreads(4, [](int who) {
        for (int i = 0; i < 2000; i++) {
            auto *run = static_cast<volatile int *>(hak_page_arena_take_mt(4096));
            if (run == nullptr) {
                run = static_cast<volatile int *>(hak_os_map(4096));
            }
            *run = who;
            sched_yield();
            ASSERT_EQ(who, *run) << "another thread has it too";
            hak_page_arena_give_mt(const_cast<int *>(run), 4096);
        }
    });
    EXPECT_EQ(before.given + 8000, Stats().given);
    EXPECT_LE(Stats().bytes, 4u * 4096);
}

} // namespace
