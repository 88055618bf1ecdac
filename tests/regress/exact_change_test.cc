// T-29 for exact classes, which change while the program runs. Blocks of a size that was given up
// stay what they are; new ones have the smallest class that holds them.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/regress/changing_sizes.h"
#include "tests/regress/exact.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"

namespace {

int set_one(size_t bytes) { return set_sizes(std::to_string(bytes)); }

TEST_F(T29_Exact, ReassignedWhileOldBlocksLive) {
    reassign_while_old_blocks_live({528, 272, 528, 976, 304, 592, 1008, 656}, 600, set_one);
}

TEST_F(T29_Exact, IdsOfGoneSizesAreUsedAgain) {
    use_ids_again({272, 1008, 304, 912, 528, 336, 944, 368, 976, 592, 656, 464, 784}, 500, set_one);
}

// Sizes that hold blocks forever use ids up; then a new one is refused and all goes on as before.
TEST_F(T29_Exact, RefusedWhenAllIdsHaveBlocks) {
    std::vector<Block> blocks;
    for (size_t bytes : {272, 304, 336, 368, 400, 432, 464, 496}) {
        ASSERT_EQ(0, set_sizes(std::to_string(bytes)));
        blocks.push_back(take(bytes, bytes));
        ASSERT_EQ(bytes, blocks.back().bytes);
    }
    EXPECT_EQ(EINVAL, set_sizes("528"));
    EXPECT_EQ("496", sizes());
    EXPECT_EQ(496u, hak_good_size(490));
    EXPECT_EQ(576u, hak_good_size(528));
    EXPECT_EQ(0, set_sizes("272,496")) << "one that an id has still";
    EXPECT_EQ(EINVAL, set_sizes("304,528"));
    EXPECT_EQ(272u, hak_good_size(272)) << "dropped for the list that was refused, and back";
    give_all(blocks);
    hak_thread_flush();
    hak_trim(0);
    EXPECT_EQ(0, set_sizes("528"));
}

// The id of 1,008 may get the smaller size.
TEST_F(T29_Exact, ClassThatShrinksBeforeItsFirstBlock) {
    shrink_before_the_first_block(1008, set_one, [] { (void)set_one(272); });
}

TEST_F(T29_Exact, PurgeEmptiesCachesOfGoneSizes) { purge_caches_of_a_gone_size(528, 592, set_one); }

// exact_auto: a program that fills memory with blocks of one odd size gets that class after a few
// MiB, and one whose size has a class gets nothing.
TEST_F(T29_Exact, AutoFindsTheHotSize) {
    uint64_t added = hak_test_stats_flushed().exact_added;
    ASSERT_EQ(0, hak_option_set("exact_auto", "1"));
    std::vector<Block> blocks;
    for (unsigned i = 0; i < 20000; i++) {
        blocks.push_back(take(576, i));
    }
    EXPECT_EQ(added, hak_test_stats().exact_added);
    for (unsigned i = 0; i < 20000; i++) {
        blocks.push_back(take(520, i));
    }
    EXPECT_EQ(added + 1, hak_test_stats().exact_added);
    EXPECT_EQ(528u, hak_good_size(520));
    EXPECT_EQ(528u, blocks.back().bytes);
    ASSERT_EQ(0, hak_option_set("exact_auto", "0"));
    EXPECT_EQ(576u, hak_good_size(520));
    give_all(blocks);
}

// Free places in slabs from before are filled before new slabs are opened: else they would stay
// empty, each as long as one of its blocks lives, and memory would grow.
TEST_F(T29_Exact, OldSlabsAreUsedUpFirst) {
    std::vector<Block> blocks;
    for (unsigned i = 0; i < 20000; i++) {
        blocks.push_back(take(528, i));
    }
    hak_random_t random = {29};
    for (unsigned i = 0; i < 10000; i++) {
        size_t victim = hak_random_below(&random, blocks.size());
        give(blocks[victim]);
        blocks[victim] = blocks.back();
        blocks.pop_back();
    }
    uint64_t slabs = hak_test_stats_flushed().slabs_active;
    ASSERT_EQ(0, set_sizes("528"));
    for (unsigned i = 0; i < 10000; i++) {
        blocks.push_back(take(528, i));
    }
    EXPECT_LE(hak_test_stats().slabs_active, slabs + 24) << "but for the last 32";
    for (unsigned i = 0; i < 5000; i++) {
        blocks.push_back(take(528, i));
    }
    EXPECT_EQ(528u, blocks.back().bytes) << "when they are full";
    give_all(blocks);
}

TEST_F(T29_Exact, ThreadsWhileSizesChange) {
    const size_t hot[] = {272, 528, 592, 656, 784, 912, 1008};
    unsigned taken = 0;
    hand_over_while_sizes_change(
        hak_test_scaled(200000), 256,
        [&hot](hak_random_t *random) {
            return hot[hak_random_below(random, 7)] - hak_random_below(random, 16);
        },
        [&hot, &taken](hak_random_t *random) {
            std::string list = std::to_string(hot[hak_random_below(random, 7)]);
            list += "," + std::to_string(hot[hak_random_below(random, 7)]);
            taken += set_sizes(list) == 0;
            (void)hak_option_set("exact_auto", hak_random_below(random, 2) == 0 ? "0" : "1");
        });
    EXPECT_GT(taken, 0u);
}

// A child that is made while other threads open slabs and change sizes must do both itself: a lock
// that one of them held would hang it. None of them uses the test's own malloc, because that of a
// sanitizer has locks too, which a fork leaves as they are.
TEST_F(T29_Exact, ForkWhileSizesChange) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 2; t++) {
        threads.emplace_back([&stop, t] {
            hak_random_t random = {t + 1};
            while (!stop) {
                void *blocks[500];
                size_t count = 200 + hak_random_below(&random, 300);
                for (size_t i = 0; i < count; i++) {
                    blocks[i] = hak_test.malloc(t == 0 ? 528 : 272);
                }
                for (size_t i = 0; i < count; i++) {
                    hak_test.free(blocks[i]);
                }
                (void)set_sizes(hak_random_below(&random, 2) == 0 ? "528" : "272,1008");
                (void)hak_option_set("exact_auto", hak_random_below(&random, 2) == 0 ? "0" : "1");
                (void)hak_test_stats();
            }
        });
    }
    unsigned long children = std::max(hak_test_scaled(40), 5ul);
    for (unsigned long i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            void *blocks[2000];
            for (void *&block : blocks) {
                block = hak_test.malloc(528);
            }
            bool good = set_sizes("592") == 0;
            void *block = hak_test.malloc(592);
            good = good && hak_good_size(592) == 592 && hak_test.usable_size(block) >= 592;
            for (void *each : blocks) {
                hak_test.free(each);
            }
            _exit(good ? 0 : 1);
        }
        int status = -1;
        ASSERT_EQ(child, waitpid(child, &status, 0));
        ASSERT_EQ(0, status) << i;
    }
    stop = true;
    for (std::thread &thread : threads) {
        thread.join();
    }
}

} // namespace
