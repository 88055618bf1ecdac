// T-29 for exact classes, which change while the program runs. Blocks of a size that was given up
// stay what they are; new ones have the smallest class that holds them.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/regress/exact.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"

namespace {

// Down and up, with blocks of each size at the user, in thread caches and on remote lists. With an
// id that changed its size, a cached block of the smaller one would be handed out for the larger.
TEST_F(T29_Exact, ReassignedWhileOldBlocksLive) {
    std::vector<Block> blocks;
    const size_t lists[] = {528, 272, 528, 976, 304, 592, 1008, 656};
    size_t seed = 0;
    for (size_t bytes : lists) {
        ASSERT_EQ(0, set_sizes(std::to_string(bytes))) << bytes;
        EXPECT_EQ(bytes, hak_good_size(bytes));
        std::vector<Block> some;
        for (unsigned i = 0; i < 600; i++) {
            some.push_back(take(bytes, ++seed));
            EXPECT_EQ(bytes, some.back().bytes);
        }
        for (unsigned i = 0; i < 200; i++) { // to the thread cache and its slab
            give(some.back());
            some.pop_back();
        }
        std::thread([&] { // and to a remote list
            for (unsigned i = 0; i < 200; i++) {
                give(some.back());
                some.pop_back();
            }
        })
            .join();
        blocks.insert(blocks.end(), some.begin(), some.end());
        EXPECT_EQ(0u, hak_check());
    }
    for (const Block &block : blocks) {
        give(block);
    }
}

// More sizes than there are ids, each given up with nothing left of it: ids are used again, for
// blocks that are larger and smaller than before.
TEST_F(T29_Exact, IdsOfGoneSizesAreUsedAgain) {
    for (unsigned round = 0; round < 3; round++) {
        for (size_t bytes : {272, 1008, 304, 912, 528, 336, 944, 368, 976, 592, 656, 464, 784}) {
            ASSERT_EQ(0, set_sizes(std::to_string(bytes))) << bytes;
            std::vector<Block> blocks;
            for (unsigned i = 0; i < 500; i++) {
                blocks.push_back(take(bytes, i));
                ASSERT_EQ(bytes, blocks.back().bytes);
            }
            for (const Block &block : blocks) {
                give(block);
            }
            hak_thread_flush();
            hak_trim(0);
        }
    }
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
    for (const Block &block : blocks) {
        give(block);
    }
    hak_thread_flush();
    hak_trim(0);
    EXPECT_EQ(0, set_sizes("528"));
}

// A class is looked up, and before there is a slab its id gets a smaller size: the block must hold
// what was asked for all the same. The first call of a thread takes long enough to hit that.
TEST_F(T29_Exact, ClassThatShrinksBeforeItsFirstBlock) {
    unsigned long small = 0, rounds = std::max(hak_test_scaled(8000), 1000ul);
    hak_random_t random = {29};
    for (unsigned long round = 0; round < rounds; round++) {
        ASSERT_EQ(0, set_sizes("1008"));
        std::atomic<int> step{0};
        std::thread asks([&] {
            step = 1;
            while (step != 2) {
                std::this_thread::yield();
            }
            void *block = hak_test.malloc(1008);
            small += hak_test.usable_size(block) < 1008;
            hak_test.free(block);
        });
        while (step != 1) {
            std::this_thread::yield();
        }
        step = 2;
        for (uint64_t spin = hak_random_below(&random, 2000); spin != 0; spin--) {
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        (void)set_sizes("272"); // the id of 1,008 may get this size
        asks.join();
    }
    EXPECT_EQ(0u, small);
}

// Nobody asks for a size that was given up, so what a thread cache holds of it would stay there.
TEST_F(T29_Exact, PurgeEmptiesCachesOfGoneSizes) {
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "1"));
    ASSERT_EQ(0, set_sizes("528"));
    uint64_t before = hak_test_stats_flushed().live_blocks;
    give(take(528, 1));
    EXPECT_GT(hak_test_stats().live_blocks, before) << "the cache has it";
    ASSERT_EQ(0, set_sizes("592"));
    for (unsigned i = 0; i < 5000 && hak_test_stats().live_blocks != before; i++) {
        hak_test.free(hak_test.malloc(200000)); // looks at the clock
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(before, hak_test_stats().live_blocks);
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "500"));
}

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
    for (const Block &block : blocks) {
        give(block);
    }
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
    for (const Block &block : blocks) {
        give(block);
    }
}

// The same number at both ends of what is usable.
void mark(void *block, uint64_t number) {
    auto *end = static_cast<char *>(block) + hak_test.usable_size(block);
    memcpy(block, &number, sizeof number);
    memcpy(end - sizeof number, &number, sizeof number);
}
bool is_marked(const void *block) {
    const auto *end =
        static_cast<const char *>(block) + hak_test.usable_size(const_cast<void *>(block));
    return memcmp(block, end - sizeof(uint64_t), sizeof(uint64_t)) == 0;
}

// Threads allocate hot sizes, check, hand over and free while the classes change under them.
TEST_F(T29_Exact, ThreadsWhileSizesChange) {
    constexpr unsigned kThreads = 4;
    const size_t hot[] = {272, 528, 592, 656, 784, 912, 1008};
    std::atomic<bool> stop{false};
    std::vector<std::atomic<void *>> shared(256);
    std::vector<std::thread> threads;
    unsigned long rounds = hak_test_scaled(200000);
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            hak_random_t random = {t + 1};
            for (unsigned long i = 0; i < rounds; i++) {
                size_t size = hot[hak_random_below(&random, 7)] - hak_random_below(&random, 16);
                void *block = hak_test.malloc(size);
                ASSERT_GE(hak_test.usable_size(block), size);
                mark(block, i << 8 | t);
                void *other = shared[hak_random_below(&random, 256)].exchange(block);
                if (other != nullptr) {
                    ASSERT_TRUE(is_marked(other)) << "blocks overlap";
                    hak_test.free(other);
                }
            }
        });
    }
    std::thread changer([&] {
        hak_random_t random = {29};
        unsigned taken = 0;
        while (!stop) {
            std::string list = std::to_string(hot[hak_random_below(&random, 7)]);
            list += "," + std::to_string(hot[hak_random_below(&random, 7)]);
            taken += set_sizes(list) == 0;
            (void)hak_option_set("exact_auto", hak_random_below(&random, 2) == 0 ? "0" : "1");
            std::this_thread::yield();
        }
        EXPECT_GT(taken, 0u);
    });
    for (std::thread &thread : threads) {
        thread.join();
    }
    stop = true;
    changer.join();
    for (std::atomic<void *> &block : shared) {
        hak_test.free(block);
    }
}

// A child that is made while other threads open slabs and change sizes must do both itself: a lock
// that one of them held would hang it.
TEST_F(T29_Exact, ForkWhileSizesChange) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 2; t++) {
        threads.emplace_back([&stop, t] {
            hak_random_t random = {t + 1};
            while (!stop) {
                std::vector<void *> blocks(200 + hak_random_below(&random, 300));
                for (void *&block : blocks) {
                    block = hak_test.malloc(t == 0 ? 528 : 272);
                }
                for (void *block : blocks) {
                    hak_test.free(block);
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
            std::vector<void *> blocks(2000);
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
