// What the tests of sizes that change while the program runs share: blocks that are checked when
// they are freed, and T-29 for whoever changes them. `set(bytes)` makes `bytes` the one size that
// has a class of its own.
#ifndef HAK_TESTS_REGRESS_CHANGING_SIZES_H_
#define HAK_TESTS_REGRESS_CHANGING_SIZES_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

struct Block {
    unsigned char *at;
    size_t bytes, seed;
};

inline Block take(size_t size, size_t seed) {
    auto *at = static_cast<unsigned char *>(hak_test.malloc(size));
    EXPECT_NE(nullptr, at);
    Block block = {at, hak_test.usable_size(at), seed};
    EXPECT_GE(block.bytes, size);
    EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(at) % 16);
    hak_pattern_fill(at, block.bytes, seed);
    return block;
}

inline void give(const Block &block) {
    EXPECT_EQ(block.bytes, hak_test.usable_size(block.at)) << "the block changed its size";
    EXPECT_TRUE(hak_pattern_holds(block.at, block.bytes, block.seed)) << block.bytes;
    hak_test.free(block.at);
}

inline void give_all(const std::vector<Block> &blocks) {
    for (const Block &block : blocks) {
        give(block);
    }
}

// Down and up, with blocks of each size at the user, in thread caches and on remote lists. With an
// id that changed its size, a cached block of the smaller one would be handed out for the larger.
template <typename Set>
void reassign_while_old_blocks_live(const std::vector<size_t> &sizes, unsigned each, Set set) {
    std::vector<Block> blocks;
    size_t seed = 0;
    for (size_t bytes : sizes) {
        ASSERT_EQ(0, set(bytes)) << bytes;
        EXPECT_EQ(bytes, hak_good_size(bytes));
        std::vector<Block> some;
        for (unsigned i = 0; i < each; i++) {
            some.push_back(take(bytes, ++seed));
            EXPECT_EQ(bytes, some.back().bytes);
        }
        auto give_a_third = [&] {
            for (unsigned i = 0; i < each / 3; i++) {
                give(some.back());
                some.pop_back();
            }
        };
        give_a_third();                   // to the thread cache, its page or slab
        std::thread(give_a_third).join(); // and to a remote list
        blocks.insert(blocks.end(), some.begin(), some.end());
        EXPECT_EQ(0u, hak_check());
    }
    give_all(blocks);
}

// More sizes than there are ids, each given up with nothing left of it: ids are used again, for
// blocks that are larger and smaller than before.
template <typename Set>
void use_ids_again(const std::vector<size_t> &sizes, unsigned each, Set set) {
    for (unsigned round = 0; round < 3; round++) {
        for (size_t bytes : sizes) {
            ASSERT_EQ(0, set(bytes)) << bytes;
            std::vector<Block> blocks;
            for (unsigned i = 0; i < each; i++) {
                blocks.push_back(take(bytes, i));
                ASSERT_EQ(bytes, blocks.back().bytes);
            }
            give_all(blocks);
            hak_thread_flush();
            hak_trim(0);
        }
    }
}

// A class is looked up, and before there is a page or slab its id gets a smaller size, by `shrink`:
// the block must hold what was asked for all the same. The first call of a thread takes long
// enough to hit that.
template <typename Set, typename Shrink>
void shrink_before_the_first_block(size_t bytes, Set set, Shrink shrink) {
    unsigned long small = 0, rounds = std::max(hak_test_scaled(8000), 1000ul);
    hak_random_t random = {29};
    for (unsigned long round = 0; round < rounds; round++) {
        ASSERT_EQ(0, set(bytes));
        std::atomic<int> step{0};
        std::thread asks([&] {
            step = 1;
            while (step != 2) {
                std::this_thread::yield();
            }
            void *block = hak_test.malloc(bytes);
            small += hak_test.usable_size(block) < bytes;
            hak_test.free(block);
        });
        while (step != 1) {
            std::this_thread::yield();
        }
        step = 2;
        for (uint64_t spin = hak_random_below(&random, 2000); spin != 0; spin--) {
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        shrink();
        asks.join();
    }
    EXPECT_EQ(0u, small);
}

// Nobody asks for a size that was given up, so what a thread cache holds of it would stay there.
template <typename Set> void purge_caches_of_a_gone_size(size_t bytes, size_t next, Set set) {
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "1"));
    ASSERT_EQ(0, set(bytes));
    uint64_t before = hak_test_stats_flushed().live_blocks;
    give(take(bytes, 1));
    EXPECT_GT(hak_test_stats().live_blocks, before) << "the cache has it";
    ASSERT_EQ(0, set(next));
    for (unsigned i = 0; i < 5000 && hak_test_stats().live_blocks != before; i++) {
        hak_test.free(hak_test.malloc(200000)); // looks at the clock
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(before, hak_test_stats().live_blocks);
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "500"));
}

// The same number at both ends of what is usable.
inline void mark(void *block, uint64_t number) {
    auto *end = static_cast<char *>(block) + hak_test.usable_size(block);
    memcpy(block, &number, sizeof number);
    memcpy(end - sizeof number, &number, sizeof number);
}
inline bool is_marked(const void *block) {
    const auto *end =
        static_cast<const char *>(block) + hak_test.usable_size(const_cast<void *>(block));
    return memcmp(block, end - sizeof(uint64_t), sizeof(uint64_t)) == 0;
}

// Four threads allocate blocks of `size(&random)`, check them, hand them over and free them, while
// a fifth one calls `change(&random)` until they are done.
template <typename Size, typename Change>
void hand_over_while_sizes_change(unsigned long rounds, unsigned places, Size size, Change change) {
    constexpr unsigned kThreads = 4;
    std::atomic<bool> stop{false};
    std::vector<std::atomic<void *>> shared(places);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            hak_random_t random = {t + 1};
            for (unsigned long i = 0; i < rounds; i++) {
                size_t bytes = size(&random);
                void *block = hak_test.malloc(bytes);
                ASSERT_GE(hak_test.usable_size(block), bytes);
                mark(block, i << 8 | t);
                void *other = shared[hak_random_below(&random, places)].exchange(block);
                if (other != nullptr) {
                    ASSERT_TRUE(is_marked(other)) << "blocks overlap";
                    hak_test.free(other);
                }
            }
        });
    }
    std::thread changer([&] {
        hak_random_t random = {29};
        while (!stop) {
            change(&random);
            std::this_thread::yield();
        }
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

#endif // HAK_TESTS_REGRESS_CHANGING_SIZES_H_
