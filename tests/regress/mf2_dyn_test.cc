// T-29 and DYN1/DYN2 of the specification: sizes of MF2 that are chosen while the program runs.
// Blocks of a size that was given up stay what they are; new ones have the smallest class that
// holds them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

// 0: accepted, else errno.
int set_size(unsigned which, size_t bytes) {
    std::string name = "mid_dyn" + std::to_string(which + 1);
    return hak_option_set(name.c_str(), std::to_string(bytes).c_str()) == 0 ? 0 : errno;
}

std::string size_of(unsigned which) {
    char text[32];
    EXPECT_GT(hak_option_get(which == 0 ? "mid_dyn1" : "mid_dyn2", text, sizeof text), 0);
    return text;
}

// Both values once hakmem has started, before any test.
const std::pair<std::string, std::string> kAtStart = [] {
    hak_test.free(hak_test.malloc(1));
    return std::make_pair(size_of(0), size_of(1));
}();

// A size that cannot be is refused with a line on stderr, and leaves none.
TEST(DynClassAtStart, ComesFromTheEnvironment) {
    auto expected = [](const char *name) {
        const char *text = getenv(name);
        return std::string(text == nullptr || std::string(text) == "4096" ? "0" : text);
    };
    EXPECT_EQ(expected("HAKMEM_MID_DYN1"), kAtStart.first);
    EXPECT_EQ(expected("HAKMEM_MID_DYN2"), kAtStart.second);
}

class T29_DynClass : public ::testing::Test {
  protected:
    void SetUp() override { // also after a start with other values
        ASSERT_EQ(0, set_size(0, 0));
        ASSERT_EQ(0, set_size(1, 0));
    }
    void TearDown() override {
        SetUp();
        hak_stats_t stats = hak_test_stats_flushed();
        EXPECT_EQ(0u, stats.mf2_silent_drops);
        EXPECT_EQ(100u, stats.mf2_lookup_success_percent);
        EXPECT_EQ(0u, hak_check());
    }
};

struct Block {
    unsigned char *at;
    size_t bytes, seed;
};

Block take(size_t size, size_t seed) {
    auto *at = static_cast<unsigned char *>(hak_test.malloc(size));
    EXPECT_NE(nullptr, at);
    Block block = {at, hak_test.usable_size(at), seed};
    EXPECT_GE(block.bytes, size);
    hak_pattern_fill(at, block.bytes, seed);
    return block;
}

void give(const Block &block) {
    EXPECT_EQ(block.bytes, hak_test.usable_size(block.at)) << "the block changed its size";
    EXPECT_TRUE(hak_pattern_holds(block.at, block.bytes, block.seed)) << block.bytes;
    hak_test.free(block.at);
}

TEST_F(T29_DynClass, ExactSizeFromAllFunctions) {
    EXPECT_EQ(16384u, hak_good_size(14336));
    ASSERT_EQ(0, set_size(0, 14336));
    ASSERT_EQ(0, set_size(1, 5000));
    EXPECT_EQ(14336u, hak_good_size(14336));
    EXPECT_EQ(14336u, hak_good_size(8193));
    EXPECT_EQ(16384u, hak_good_size(14337));
    EXPECT_EQ(5120u, hak_good_size(5000));
    EXPECT_EQ(8192u, hak_good_size(5121));
    EXPECT_EQ(4096u, hak_good_size(4096));
    for (size_t size : {size_t{8193}, size_t{14335}, size_t{14336}}) {
        std::vector<void *> blocks = {hak_test.malloc(size), hak_test.calloc(1, size),
                                      hak_test.realloc(nullptr, size)};
        for (void *block : blocks) {
            EXPECT_EQ(14336u, hak_test.usable_size(block));
            EXPECT_STREQ("mf2", hak_served_by(block));
            EXPECT_TRUE(hak_owns(block));
            EXPECT_FALSE(hak_owns(static_cast<char *>(block) + 16));
            EXPECT_FALSE(hak_owns(static_cast<char *>(block) + 14335));
        }
        for (void *block : blocks) {
            hak_test.free(block);
        }
    }
    void *block = hak_test.malloc(5000);
    hak_pattern_fill(block, 5000, 1);
    void *moved = hak_test.realloc(block, 14000);
    EXPECT_NE(block, moved);
    EXPECT_EQ(14336u, hak_test.usable_size(moved));
    EXPECT_TRUE(hak_pattern_holds(moved, 5000, 1));
    EXPECT_EQ(moved, hak_test.realloc(moved, 14336)) << "it fits";
    hak_test.free(moved);
}

TEST_F(T29_DynClass, ZeroedBlocksAreZero) {
    ASSERT_EQ(0, set_size(0, 14336));
    for (unsigned round = 0; round < 2; round++) {
        std::vector<void *> blocks(40);
        for (void *&block : blocks) {
            block = hak_test.calloc(1, 14336);
            ASSERT_TRUE(hak_pattern_is_zero(block, 14336));
            hak_pattern_fill(block, 14336, round);
        }
        for (void *block : blocks) {
            hak_test.free(block);
        }
    }
}

TEST_F(T29_DynClass, StatisticsCountTheSize) {
    ASSERT_EQ(0, set_size(0, 14336));
    hak_stats_t before = hak_test_stats_flushed();
    std::vector<void *> blocks(100);
    for (void *&block : blocks) {
        block = hak_test.malloc(14336);
    }
    hak_stats_t full = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks + 100, full.live_blocks);
    EXPECT_EQ(before.live_bytes + 100 * 14336, full.live_bytes);
    for (void *block : blocks) {
        hak_test.free(block);
    }
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks, after.live_blocks);
    EXPECT_EQ(before.live_bytes, after.live_bytes);
}

TEST_F(T29_DynClass, RefusesWhatIsTakenOrOutOfRange) {
    ASSERT_EQ(0, set_size(0, 14336));
    for (size_t bytes : {1, 2048, 4000, 8192, 16384, 32641, 65536, 14336, 14300}) {
        EXPECT_EQ(EINVAL, set_size(1, bytes)) << bytes;
        EXPECT_EQ("0", size_of(1));
    }
    EXPECT_EQ(EINVAL, set_size(0, 16384));
    EXPECT_EQ("14336", size_of(0)) << "the value before";
    EXPECT_EQ(14336u, hak_good_size(14336));
}

TEST_F(T29_DynClass, MisuseIsSeen) {
    ASSERT_EQ(0, set_size(0, 14336));
    ASSERT_EQ(0, hak_option_set("on_error", "ignore"));
    uint64_t errors = hak_test_stats().errors;
    auto *block = static_cast<char *>(hak_test.malloc(14336));
    ASSERT_EQ(0, set_size(0, 20480)); // the rest happens to a size that is given up
    // another thread's: the own ones are checked for being a start with HAKMEM_CHECK=interior alone
    std::thread([block] { hak_test.free(block + 16); }).join();
    EXPECT_EQ(errors + 1, hak_test_stats().errors) << "inside of a block";
    std::thread([block] { hak_test.free(block + 8192); }).join();
    EXPECT_EQ(errors + 2, hak_test_stats().errors) << "where a block of a fixed class would begin";
    hak_test.free(block);
    EXPECT_EQ(errors + 2, hak_test_stats().errors);
    hak_test.free(block);
    EXPECT_EQ(errors + 3, hak_test_stats().errors) << "twice";
    std::thread([block] { hak_test.free(block); }).join();
    EXPECT_EQ(errors + 4, hak_test_stats().errors) << "a third time, by another thread";
    ASSERT_EQ(0, hak_option_set("on_error", "abort"));
}

// Down and up, with blocks of each size at the user, in thread caches and on remote stacks. With an
// id that changed its size, a cached block of the smaller one would be handed out for the larger.
TEST_F(T29_DynClass, ReassignedWhileOldBlocksLive) {
    std::vector<Block> blocks;
    const size_t sizes[] = {14336, 10240, 14336, 20480, 9216, 24576, 2176, 32640};
    size_t seed = 0;
    for (size_t bytes : sizes) {
        ASSERT_EQ(0, set_size(0, bytes)) << bytes;
        EXPECT_EQ(bytes, hak_good_size(bytes));
        std::vector<Block> some;
        for (unsigned i = 0; i < 60; i++) {
            some.push_back(take(bytes, ++seed));
            EXPECT_EQ(bytes, some.back().bytes);
        }
        for (unsigned i = 0; i < 20; i++) { // to the thread cache and its page
            give(some.back());
            some.pop_back();
        }
        std::thread([&] { // and to a remote stack
            for (unsigned i = 0; i < 20; i++) {
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

// More sizes than there are ids, each given up with nothing left of it: ids are used again.
TEST_F(T29_DynClass, IdsOfGoneSizesAreUsedAgain) {
    for (unsigned round = 0; round < 3; round++) {
        for (size_t bytes = 8192 + 512; bytes < 16384; bytes += 512) {
            ASSERT_EQ(0, set_size(0, bytes)) << bytes;
            std::vector<Block> blocks;
            for (unsigned i = 0; i < 10; i++) {
                blocks.push_back(take(bytes, i));
                EXPECT_EQ(bytes, blocks.back().bytes);
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
TEST_F(T29_DynClass, RefusesWhenAllIdsHaveBlocks) {
    std::vector<Block> blocks;
    size_t bytes = 8192;
    do {
        bytes += 512;
        if (set_size(0, bytes) != 0) {
            break;
        }
        blocks.push_back(take(bytes, bytes));
        ASSERT_EQ(bytes, blocks.back().bytes);
    } while (blocks.size() < 20);
    EXPECT_EQ(8u, blocks.size()) << "there are eight ids";
    EXPECT_EQ(std::to_string(bytes - 512), size_of(0));
    EXPECT_EQ(bytes - 512, hak_good_size(bytes - 512));
    for (const Block &block : blocks) {
        give(block);
    }
    hak_thread_flush();
    hak_trim(0);
    EXPECT_EQ(0, set_size(0, bytes));
}

// A class is looked up, and before there is a page its id gets a smaller size: the block must hold
// what was asked for all the same. The first call of a thread takes long enough to hit that.
TEST_F(T29_DynClass, ClassThatShrinksBeforeItsFirstBlock) {
    unsigned long small = 0, rounds = std::max(hak_test_scaled(8000), 1000ul);
    hak_random_t random = {29};
    for (unsigned long round = 0; round < rounds; round++) {
        ASSERT_EQ(0, set_size(0, 14336));
        std::atomic<int> step{0};
        std::thread asks([&] {
            step = 1;
            while (step != 2) {
                std::this_thread::yield();
            }
            void *block = hak_test.malloc(14336);
            small += hak_test.usable_size(block) < 14336;
            hak_test.free(block);
        });
        while (step != 1) {
            std::this_thread::yield();
        }
        step = 2;
        for (uint64_t spin = hak_random_below(&random, 2000); spin != 0; spin--) {
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        (void)set_size(0, 8320); // another id, and the one of 14,336 is free
        (void)set_size(1, 8448); // which gets this size
        asks.join();
        ASSERT_EQ(0, set_size(1, 0));
    }
    EXPECT_EQ(0u, small);
}

// Nobody asks for a size that was given up, so what a thread cache holds of it would stay there.
TEST_F(T29_DynClass, PurgeEmptiesCachesOfGoneSizes) {
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "1"));
    ASSERT_EQ(0, set_size(0, 14336));
    uint64_t before = hak_test_stats_flushed().live_blocks;
    give(take(14336, 1));
    EXPECT_GT(hak_test_stats().live_blocks, before) << "the cache has it";
    ASSERT_EQ(0, set_size(0, 20480));
    for (unsigned i = 0; i < 5000 && hak_test_stats().live_blocks != before; i++) {
        hak_test.free(hak_test.malloc(200000)); // looks at the clock
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(before, hak_test_stats().live_blocks);
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "500"));
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

// Threads allocate, check, hand over and free while the sizes change under them.
TEST_F(T29_DynClass, ThreadsWhileSizesChange) {
    constexpr unsigned kThreads = 4;
    std::atomic<bool> stop{false};
    std::vector<std::atomic<void *>> shared(64);
    std::vector<std::thread> threads;
    unsigned long rounds = hak_test_scaled(30000);
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            hak_random_t random = {t + 1};
            for (unsigned long i = 0; i < rounds; i++) {
                size_t size = 2049 + hak_random_below(&random, 30000);
                void *block = hak_test.malloc(size);
                ASSERT_GE(hak_test.usable_size(block), size);
                mark(block, i << 8 | t);
                void *other = shared[hak_random_below(&random, 64)].exchange(block);
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
            (void)set_size(0, 8192 + 128 * (1 + hak_random_below(&random, 62)));
            (void)set_size(1, 2048 + 128 * (1 + hak_random_below(&random, 200)));
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

} // namespace
