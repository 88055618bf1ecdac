// T-13 for Mid MT: as the program's own malloc, the sorted registry of chunks grows past its first
// capacity several times, while alarm() stands ready to turn a hang into a death. In the notes it
// grew by realloc, which came back to the registry's own lock.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/support/stats.h"

namespace {

TEST(T13_MidRegistry, GrowsWhileItIsTheMalloc) {
    alarm(20);
    // The bump touches a page of each block; 300 chunks are 150 MiB of pages.
    constexpr size_t kChunks = 300;
    constexpr size_t kThreads = 4;
    std::vector<std::vector<void *>> blocks(kThreads);
    std::vector<std::thread> threads;
    for (std::vector<void *> &mine : blocks) {
        threads.emplace_back([&mine] {
            for (size_t i = 0; i < kChunks / kThreads * 128; i++) {
                mine.push_back(malloc(32768));
                ASSERT_NE(nullptr, mine.back());
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_GE(hak_test_stats().mid_mt_chunks, kChunks);
    EXPECT_EQ(0u, hak_check()) << "the two registries do not agree";
    ASSERT_EQ(0, hak_option_set("mid_registry", "sorted"));
    uint64_t before = hak_test_stats().mid_mt_registry_lookups;
    uint64_t asked = 0;
    for (const std::vector<void *> &mine : blocks) {
        for (void *block : mine) {
            asked += hak_served_by(block) != nullptr;
        }
    }
    EXPECT_EQ(kChunks * 128, asked);
    EXPECT_EQ(before + asked, hak_test_stats().mid_mt_registry_lookups);
    for (const std::vector<void *> &mine : blocks) {
        for (void *block : mine) {
            free(block);
        }
    }
    ASSERT_EQ(0, hak_option_set("mid_registry", "page"));
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_EQ(0u, after.mid_mt_32k_used);
    EXPECT_EQ(0u, after.mid_mt_chunks + after.mid_mt_chunks_spare);
    EXPECT_EQ(0u, hak_check());
    alarm(0);
}

} // namespace
