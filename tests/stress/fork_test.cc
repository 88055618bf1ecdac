// T-27: fork in a process whose other threads are inside the allocator. A lock held by a thread
// that the child does not have would hang the child; a half-done list would crash it.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

// Keeps the allocator busy in every path: small, remote, large, huge, thread exit.
void churn(std::atomic<bool> *stop, std::atomic<void *> *shared, uint64_t seed) {
    hak_random_t random = {seed};
    while (!stop->load()) {
        void *block =
            hak_test.malloc(hak_random_below(&random, 50) == 0 ? hak_random_below(&random, 3000000)
                                                               : hak_random_below(&random, 3000));
        hak_test.free(shared->exchange(block));
        if (hak_random_below(&random, 2000) == 0) {
            std::thread([] { hak_test.free(hak_test.malloc(100)); }).join();
        }
    }
}

// What a child does: uses what it inherited, allocates, grows, frees. Returns the exit status.
int live_as_child(unsigned char *inherited, size_t bytes) {
    if (!hak_pattern_holds(inherited, bytes, 99)) {
        return 1;
    }
    hak_random_t random = {static_cast<uint64_t>(getpid())};
    void *blocks[200] = {};
    for (unsigned i = 0; i < 3000; i++) {
        void *&block = blocks[hak_random_below(&random, 200)];
        size_t limit = hak_random_below(&random, 100) == 0 ? 500000 : 5000;
        block = hak_test.realloc(block, 1 + hak_random_below(&random, limit));
        if (block == nullptr) {
            return 2;
        }
    }
    for (void *block : blocks) {
        hak_test.free(block);
    }
    hak_test.free(inherited);
#ifndef HAK_TEST_NO_HAKMEM
    if (hak_check() != 0) {
        return 3;
    }
#endif
    return 0;
}

// alarm() turns a hang into a death that the parent sees.
void expect_child_ends_well(unsigned char *inherited, size_t bytes, bool grandchild) {
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        alarm(20);
        if (grandchild) {
            pid_t next = fork();
            if (next == 0) {
                alarm(20);
                _exit(live_as_child(inherited, bytes));
            }
            int status = 0;
            if (next < 0 || waitpid(next, &status, 0) != next || status != 0) {
                _exit(4);
            }
        }
        _exit(live_as_child(inherited, bytes));
    }
    int status = 0;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
    EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST(T27_Fork, StormWithBusyThreads) {
    constexpr size_t kBytes = 3000;
    auto *inherited = static_cast<unsigned char *>(hak_test.malloc(kBytes));
    ASSERT_NE(nullptr, inherited);
    hak_pattern_fill(inherited, kBytes, 99);
    std::atomic<bool> stop{false};
    std::atomic<void *> shared{nullptr};
    std::vector<std::thread> crew;
    for (unsigned i = 0; i < 4; i++) {
        crew.emplace_back(churn, &stop, &shared, i);
    }
    unsigned long forks = hak_test_scaled(200);
    for (unsigned long i = 0; i < forks && !HasFailure(); i++) {
        expect_child_ends_well(inherited, kBytes, i % 8 == 0);
    }
    stop = true;
    for (std::thread &thread : crew) {
        thread.join();
    }
    hak_test.free(shared.load());
    EXPECT_TRUE(hak_pattern_holds(inherited, kBytes, 99)) << "a child wrote to the parent's block";
    hak_test.free(inherited);
#ifndef HAK_TEST_NO_HAKMEM
    EXPECT_EQ(0u, hak_check());
#endif
}

// Several threads fork at once; the handlers of pthread_atfork must not deadlock each other.
TEST(T27_Fork, FromSeveralThreads) {
    std::atomic<unsigned long> bad{0};
    unsigned long forks = hak_test_scaled(40);
    std::vector<std::thread> crew;
    for (unsigned i = 0; i < 4; i++) {
        crew.emplace_back([&bad, forks] {
            for (unsigned long n = 0; n < forks; n++) {
                void *mine = hak_test.malloc(100 + n);
                pid_t child = fork();
                if (child == 0) {
                    alarm(20);
                    hak_test.free(mine);
                    void *more = hak_test.malloc(100000);
                    hak_test.free(more);
                    _exit(more == nullptr);
                }
                int status = 1;
                bad += child < 0 || waitpid(child, &status, 0) != child || status != 0;
                hak_test.free(mine);
            }
        });
    }
    for (std::thread &thread : crew) {
        thread.join();
    }
    EXPECT_EQ(0u, bad.load());
}

// The child of vfork runs in the parent's memory until it calls _exit; no fork handler runs. Its
// parent must find its heap in order. Not under thread sanitizer, which does not know vfork.
#if !HAK_TEST_SANITIZED
TEST(T27_Fork, VforkLeavesTheHeapAlone) {
    for (unsigned i = 0; i < 50; i++) {
        void *before = hak_test.malloc(64);
        pid_t child = vfork();
        if (child == 0) {
            _exit(0);
        }
        ASSERT_GT(child, 0);
        int status = 1;
        ASSERT_EQ(child, waitpid(child, &status, 0));
        EXPECT_EQ(0, status);
        hak_test.free(before);
        hak_test.free(hak_test.malloc(64));
    }
}
#endif

} // namespace
