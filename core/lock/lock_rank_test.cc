/* Ranks are checked in debug builds only, so this test is built with //config:debug=on. */
#include <gtest/gtest.h>
#include <signal.h>

#include "base/testing/testing.h"
#include "config/hak_config.h"
#include "core/lock/lock.h"

namespace {

static_assert(hak_cfg_debug, "the rules of this test fix the debug setting");

/* Takes a lock of each rank in this order in a child. True if the child was aborted. */
bool Aborts(const std::vector<uint32_t> &ranks) {
    testing::internal::CaptureStderr();
    int end = hak_testing::InChild([&] {
        for (uint32_t rank : ranks) {
            hak_lock_rank_enter(rank);
        }
        return 0;
    });
    std::string said = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(end == 0 || end == -SIGABRT) << end;
    EXPECT_EQ(end != 0, said.find("locks taken in the wrong order") != std::string::npos) << said;
    return end != 0;
}

TEST(LockRank, OnlyUpwards) {
    for (uint32_t held = HAK_RANK_FORK; held < HAK_RANK_COUNT; held++) {
        for (uint32_t next = HAK_RANK_FORK; next < HAK_RANK_COUNT; next++) {
            /* Several heaps may be held together in a fork. */
            bool allowed = next > held || (next == held && next == HAK_RANK_HEAP);
            EXPECT_EQ(Aborts({held, next}), !allowed) << held << " then " << next;
        }
    }
}

TEST(LockRank, HeldRanksFollowLocks) {
    hak_lock_t pool = HAK_LOCK_INIT(HAK_RANK_POOL), meta = HAK_LOCK_INIT(HAK_RANK_META);
    EXPECT_EQ(hak_lock_ranks_held(), 0u);
    hak_lock_take(&pool);
    EXPECT_TRUE(hak_lock_try(&meta));
    EXPECT_EQ(hak_lock_ranks_held(), 1u << HAK_RANK_POOL | 1u << HAK_RANK_META);
    hak_lock_drop(&meta);
    EXPECT_EQ(hak_lock_ranks_held(), 1u << HAK_RANK_POOL);
    hak_testing::RunThreads(1, [](int) { EXPECT_EQ(hak_lock_ranks_held(), 0u); });
    hak_lock_drop(&pool);
    EXPECT_EQ(hak_lock_ranks_held(), 0u);
}

TEST(LockRank, SameLockTwiceIsCaughtInsteadOfHanging) {
    EXPECT_EQ(hak_testing::InChild([] {
                  hak_lock_t lock = HAK_LOCK_INIT(HAK_RANK_POOL);
                  testing::internal::CaptureStderr();
                  hak_lock_take(&lock);
                  hak_lock_take(&lock);
                  return 0;
              }),
              -SIGABRT);
}

} // namespace
