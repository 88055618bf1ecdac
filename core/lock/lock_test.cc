#include "core/lock/lock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/testing/testing.h"

namespace {

TEST(Lock, OnlyOneThreadIsInside) {
    enum { THREADS = 4, TIMES = 20000 };
    hak_lock_t lock = HAK_LOCK_INIT(HAK_RANK_META);
    uint64_t count = 0;
    hak_testing::RunThreads(THREADS, [&](int) {
        for (int i = 0; i < TIMES; i++) {
            hak_lock_take(&lock);
            count++;
            hak_lock_drop(&lock);
        }
    });
    EXPECT_EQ(count, (uint64_t)THREADS * TIMES);
}

TEST(Lock, TryFailsWhileHeldAndExcludesLikeTake) {
    enum { THREADS = 4, TIMES = 20000 };
    hak_lock_t lock = HAK_LOCK_INIT(HAK_RANK_META);
    uint64_t inside = 0;
    std::atomic<uint64_t> entered(0);
    hak_testing::RunThreads(THREADS, [&](int self) {
        for (int i = 0; i < TIMES; i++) {
            if (self % 2 == 0) {
                hak_lock_take(&lock);
            } else if (!hak_lock_try(&lock)) {
                continue;
            }
            inside++;
            entered++;
            hak_lock_drop(&lock);
        }
    });
    EXPECT_EQ(inside, entered.load());
    EXPECT_GE(entered.load(), 2u * TIMES);
    ASSERT_TRUE(hak_lock_try(&lock));
    EXPECT_FALSE(hak_lock_try(&lock));
    hak_lock_drop(&lock);
}

/* With a holder that sleeps, all others must have gone to sleep in the kernel; each drop has to
 * wake one of them. A lost wake-up hangs the test. */
TEST(Lock, SleepersAreWoken) {
    enum { THREADS = 6, TIMES = 15 };
    hak_lock_t lock = HAK_LOCK_INIT(HAK_RANK_META);
    int count = 0;
    hak_testing::RunThreads(THREADS, [&](int) {
        for (int i = 0; i < TIMES; i++) {
            hak_lock_take(&lock);
            count++;
            usleep(100);
            hak_lock_drop(&lock);
        }
    });
    EXPECT_EQ(count, THREADS * TIMES);
}

TEST(Lock, ResetFreesALockHeldByAThreadThatIsGone) {
    hak_lock_t lock = HAK_LOCK_INIT(HAK_RANK_META);
    hak_testing::RunThreads(1, [&](int) { hak_lock_take(&lock); });
    EXPECT_FALSE(hak_lock_try(&lock));
    hak_lock_reset(&lock);
    EXPECT_TRUE(hak_lock_try(&lock));
    hak_lock_drop(&lock);
}

/* Threads whose system calls overlap: there might always be one in flight. */
TEST(Lock, NobodyBeginsASystemCallWhileAForkWaits) {
    hak_lock_t lock = HAK_LOCK_INIT(HAK_RANK_META);
    unsigned in_flight = 1;
    bool barred = false;
    std::atomic<bool> begins(false);
    std::thread fork([&] {
        hak_lock_take_quiet(&lock, &in_flight, &barred);
        EXPECT_EQ(in_flight, 0u);
        EXPECT_FALSE(begins);
        hak_lock_drop(&lock);
    });
    auto look = [&] {
        hak_lock_take(&lock);
        bool is_barred = barred;
        hak_lock_drop(&lock);
        return is_barred;
    };
    for (int i = 0; i < 1000 && !look(); i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::thread other([&] {
        hak_lock_take_unless(&lock, &barred);
        begins = true;
        hak_lock_drop(&lock);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(begins);
    hak_lock_take(&lock);
    in_flight = 0;
    hak_lock_drop(&lock);
    fork.join();
    other.join();
    EXPECT_TRUE(begins);
}

/* Yields alone would keep an ordinary thread from the processor for ever, if the caller's class is
 * a real-time one. */
TEST(Lock, BackingOffSleepsInTheEnd) {
    enum { TRIES = 90, SLEEPS_AT_LEAST_MS = 20 };
    unsigned tries = 0;
    auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < TRIES; i++) {
        hak_lock_back_off(&tries);
    }
    EXPECT_GE(std::chrono::steady_clock::now() - begin,
              std::chrono::milliseconds(SLEEPS_AT_LEAST_MS));
}

} // namespace
