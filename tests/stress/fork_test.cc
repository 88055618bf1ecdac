// T-27: fork in a process whose other threads are inside the allocator. A lock held by a thread
// that the child does not have would hang the child; a half-done list would crash it.
#include <gtest/gtest.h>

#include <sys/single_threaded.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
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

// A stream whose output allocates, as its thread holds the C library's lock of all streams. A fork
// waits for that lock, and must not do so with the allocator's own in its hands.
struct Stream {
    std::atomic<bool> writing{false};
    std::atomic<bool> forking{false};
    std::atomic<bool> forked{false};
};

ssize_t write_stream(void *cookie, const char *, size_t bytes) {
    auto *stream = static_cast<Stream *>(cookie);
    stream->writing = true;
    while (!stream->forking) {
        usleep(1000);
    }
    usleep(200000); // the other thread is in its fork by then
    for (size_t size = 100; size < 10000000; size *= 3) {
        hak_test.free(hak_test.malloc(size));
    }
    return static_cast<ssize_t>(bytes);
}

TEST(T27_Fork, WhileAllStreamsAreFlushed) {
    Stream stream;
    FILE *file = fopencookie(&stream, "w", {nullptr, write_stream, nullptr, nullptr});
    ASSERT_NE(nullptr, file);
    ASSERT_EQ('x', fputc('x', file));
    std::thread flush([&stream] {
        fflush(nullptr);
        while (
            !stream.forked) { // thread sanitizer takes it for a leak in the child if it has ended
            usleep(1000);
        }
    });
    while (!stream.writing) {
        usleep(1000);
    }
    alarm(20);
    stream.forking = true;
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(fopen("/dev/null", "r") == nullptr);
    }
    stream.forked = true;
    flush.join();
    alarm(0);
    int status = 1;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    EXPECT_EQ(0, status);
    EXPECT_EQ(0, fclose(file));
}

// In a process with one thread fork works in a signal handler, wherever it interrupts malloc or
// free: the child may go on from there. Not under sanitizers, whose own allocator is in the way.
#if !HAK_TEST_SANITIZED
volatile sig_atomic_t interrupted = 0, forked = 0;

void fork_in_handler(int) {
    pid_t child = fork();
    if (child == 0) {
        forked = 1;
        return;
    }
    int status = 1;
    bool ended = child > 0 && waitpid(child, &status, 0) == child && status == 0;
    if (!ended) {
        _exit(5);
    }
    interrupted++;
}

// Returns the exit status. Another signal comes a while after the last one was handled.
int live_interrupted(int signals) {
    if (!__libc_single_threaded) {
        return 0; // a thread of the variant's own
    }
    signal(SIGALRM, fork_in_handler);
    hak_random_t random = {1};
    void *blocks[50] = {};
    while (interrupted < signals && !forked) {
        int before = interrupted;
        itimerval timer = {{0, 0}, {0, 100 + static_cast<suseconds_t>(before) % 400}};
        setitimer(ITIMER_REAL, &timer, nullptr);
        while (interrupted == before && !forked) {
            void *&block = blocks[hak_random_below(&random, 50)];
            hak_test.free(block);
            block = hak_test.malloc(70000 + hak_random_below(&random, 1000000));
        }
    }
    auto *inherited = static_cast<unsigned char *>(hak_test.malloc(1));
    hak_pattern_fill(inherited, 1, 99);
    int failed = live_as_child(inherited, 1);
    for (void *block : blocks) {
        hak_test.free(block);
    }
    return failed;
}

TEST(T27_Fork, InASignalHandlerOfOneThread) {
    pid_t child = fork(); // of a process that may have had other threads
    ASSERT_GE(child, 0);
    if (child == 0) {
        _exit(live_interrupted(static_cast<int>(hak_test_scaled(200))));
    }
    int status = 1;
    pid_t ended = 0;
    for (unsigned i = 0; i < 300 && ended == 0; i++) {
        usleep(100000);
        ended = waitpid(child, &status, WNOHANG);
    }
    EXPECT_EQ(child, ended) << "it hangs";
    EXPECT_EQ(0, status);
    if (ended == 0) {
        kill(child, SIGKILL);
    }
}
#endif

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
