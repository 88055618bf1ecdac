// The learner's thread in a process that forks, and at its end. The environment says whether it
// runs: HAKMEM_LEARN, with windows of 10 ms.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/stats.h"

namespace {

bool Learns() {
    const char *text = getenv("HAKMEM_LEARN");
    return text != nullptr && strcmp(text, "1") == 0;
}

long Threads() {
    std::filesystem::directory_iterator tasks("/proc/self/task"), end;
    return std::distance(tasks, end);
}

void Work() {
    std::vector<void *> blocks;
    for (int i = 0; i < 500; i++) {
        blocks.push_back(hak_test.malloc(4096));
    }
    for (void *block : blocks) {
        hak_test.free(block);
    }
}

bool WaitForSteps(uint64_t more) {
    uint64_t before = hak_test_stats().learn_windows;
    for (int i = 0; i < 3000; i++) {
        Work();
        if (hak_test_stats().learn_windows >= before + more) {
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

TEST(LearnFork, ThereIsAThreadOnlyIfAskedFor) {
    Work();
    EXPECT_EQ(Threads(), Learns() ? 2 : 1);
    if (Learns()) {
        EXPECT_TRUE(WaitForSteps(3));
    } else {
        EXPECT_EQ(hak_test_stats().learn_windows, 0u);
    }
}

// In the child another thread learns, from the beginning, and is joined at its exit.
TEST(LearnFork, GoesOnInTheChild) {
    for (int round = 0; round < 10; round++) {
        Work();
        fflush(stdout);
        pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            bool good = Threads() == (Learns() ? 2 : 1) && (!Learns() || WaitForSteps(2)) &&
                        hak_check() == 0;
            exit(good ? 0 : 1); // not _exit: the destructors run
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 0) << "round " << round;
    }
    if (Learns()) {
        EXPECT_TRUE(WaitForSteps(1)) << "the parent's goes on";
    }
}

} // namespace
