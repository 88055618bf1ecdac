// T-13: as the program's own malloc, the allocator never waits for itself. Each table it has grows
// past its first size while alarm() stands ready to turn a hang into a death.
#include <gtest/gtest.h>

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/stats.h"

namespace {

constexpr unsigned kSeconds = 20;

class T13_Interposed : public testing::Test {
  protected:
    void SetUp() override { alarm(kSeconds); }
    void TearDown() override { alarm(0); }
};

// 3,000 mappings far apart and 400 superslabs: regions, leaves and descriptors.
TEST_F(T13_Interposed, RegistryGrows) {
    std::vector<void *> huge, large;
    for (unsigned i = 0; i < 3000; i++) {
        huge.push_back(malloc(size_t{3} << 20)); // address space; nobody writes to it
        ASSERT_NE(nullptr, huge.back());
    }
    for (unsigned i = 0; i < 800; i++) {
        large.push_back(malloc(1000000));
        ASSERT_NE(nullptr, large.back());
    }
    EXPECT_GE(hak_test_stats().mapped_bytes, uint64_t{9} << 30);
    for (void *block : huge) {
        free(block);
    }
    for (void *block : large) {
        free(block);
    }
    EXPECT_EQ(0u, hak_check());
}

// The heap table grows while each new thread's first call comes from inside the C library: stdio,
// locale and thread start allocate for themselves.
TEST_F(T13_Interposed, ThreadsThroughTheCLibrary) {
    std::vector<std::thread> threads;
    std::string lengths[200];
    for (unsigned i = 0; i < 200; i++) {
        threads.emplace_back([i, &lengths] {
            char *text = nullptr;
            size_t bytes = 0;
            FILE *stream = open_memstream(&text, &bytes);
            if (stream != nullptr) {
                fprintf(stream, "%*u", static_cast<int>(i * 50), i);
                fclose(stream);
                lengths[i] = text;
            }
            free(text);
            free(strdup("a string"));
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    for (unsigned i = 1; i < 200; i++) {
        EXPECT_EQ(i * 50, lengths[i].size() < i * 50 ? 0 : lengths[i].size());
    }
}

// At its very end, after all destructors, a thread with a stack of the program's has the C library
// free what it had: that must not cost a heap, which nobody would take back.
TEST_F(T13_Interposed, ThreadsThatOnlyEndTakeNoHeap) {
    constexpr size_t kStackBytes = size_t{64} << 10;
    static std::atomic<unsigned> ran{0};
    pthread_attr_t attributes;
    ASSERT_EQ(0, pthread_attr_init(&attributes));
    ASSERT_EQ(0, pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED));
    std::vector<std::vector<char>> stacks(
        100); // a detached thread never tells when it left its own
    uint64_t heaps = hak_test_stats().heaps;
    for (std::vector<char> &stack : stacks) {
        stack.resize(kStackBytes);
        ASSERT_EQ(0, pthread_attr_setstack(&attributes, stack.data(), kStackBytes));
        pthread_t thread;
        auto count = [](void *) -> void * {
            ran++;
            return nullptr;
        };
        ASSERT_EQ(0, pthread_create(&thread, &attributes, count, nullptr));
    }
    while (ran != stacks.size()) {
        usleep(1000);
    }
    usleep(200 * 1000); // and they have gone
    EXPECT_EQ(heaps, hak_test_stats().heaps);
    pthread_attr_destroy(&attributes);
}

// What the C library frees or grows was allocated by it: both sides must meet in hakmem.
TEST_F(T13_Interposed, BlocksCrossTheCLibrary) {
    for (unsigned round = 0; round < 200; round++) {
        char *line = static_cast<char *>(malloc(1));
        size_t capacity = 1;
        char text[3000];
        memset(text, 'x', sizeof text);
        text[sizeof text - 2] = '\n';
        text[sizeof text - 1] = 0;
        FILE *stream = fmemopen(text, sizeof text - 1, "r");
        ASSERT_NE(nullptr, stream);
        EXPECT_EQ(static_cast<ssize_t>(sizeof text - 1), getline(&line, &capacity, stream));
        EXPECT_TRUE(hak_owns(line));
        fclose(stream);
        free(line);
        char *path = realpath("/proc/self/..", nullptr);
        EXPECT_TRUE(hak_owns(path));
        free(path);
    }
}

// Statistics are written while other threads allocate, by functions that may use stdio.
TEST_F(T13_Interposed, StatisticsWhileBusy) {
    FILE *sink = fopen("/dev/null", "w");
    ASSERT_NE(nullptr, sink);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; t++) {
        threads.emplace_back([sink, t] {
            for (unsigned i = 0; i < 3000; i++) {
                void *block = malloc(i);
                if (i % 500 == 0 && t == 0) {
                    EXPECT_EQ(0, hak_stats_write(fileno(sink), HAK_STATS_JSON));
                    hak_trim(0);
                }
                free(block);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    fclose(sink);
}

} // namespace
