// T-29 for exact classes: sizes up to 1 KiB that get a class of their own while the program runs.
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
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

// 0: accepted, else errno.
int set_sizes(const std::string &list) {
    return hak_option_set("exact_sizes", list.c_str()) == 0 ? 0 : errno;
}

std::string sizes() {
    char text[64];
    EXPECT_GT(hak_option_get("exact_sizes", text, sizeof text), 0);
    return text;
}

// Once hakmem has started, before any test.
const std::string kAtStart = [] {
    hak_test.free(hak_test.malloc(1));
    return sizes();
}();

// A list that cannot be is refused with a line on stderr, and leaves none.
TEST(ExactAtStart, ComesFromTheEnvironment) {
    const char *text = getenv("HAKMEM_EXACT_SIZES");
    std::string given = text == nullptr ? "0" : text;
    EXPECT_EQ(given == "528,4096" ? "0" : given, kAtStart);
}

class T29_Exact : public ::testing::Test {
  protected:
    void SetUp() override { // also after a start with other values
        ASSERT_EQ(0, set_sizes("0"));
        ASSERT_EQ(0, hak_option_set("exact_auto", "0"));
    }
    void TearDown() override {
        SetUp();
        EXPECT_EQ(0u, hak_test_stats_flushed().exact_sizes);
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
    EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(at) % 16);
    hak_pattern_fill(at, block.bytes, seed);
    return block;
}

void give(const Block &block) {
    EXPECT_EQ(block.bytes, hak_test.usable_size(block.at)) << "the block changed its size";
    EXPECT_TRUE(hak_pattern_holds(block.at, block.bytes, block.seed)) << block.bytes;
    hak_test.free(block.at);
}

TEST_F(T29_Exact, ExactSizeFromAllFunctions) {
    EXPECT_EQ(576u, hak_good_size(528));
    ASSERT_EQ(0, set_sizes("528,1000"));
    EXPECT_EQ("528,1008", sizes());
    EXPECT_EQ(528u, hak_good_size(528));
    EXPECT_EQ(528u, hak_good_size(513));
    EXPECT_EQ(512u, hak_good_size(512));
    EXPECT_EQ(576u, hak_good_size(529));
    EXPECT_EQ(1008u, hak_good_size(961));
    EXPECT_EQ(1024u, hak_good_size(1009));
    for (size_t size : {size_t{513}, size_t{527}, size_t{528}}) {
        std::vector<void *> blocks = {hak_test.malloc(size), hak_test.calloc(1, size),
                                      hak_test.realloc(nullptr, size)};
        for (void *block : blocks) {
            EXPECT_EQ(528u, hak_test.usable_size(block));
            EXPECT_TRUE(hak_owns(block));
            EXPECT_FALSE(hak_owns(static_cast<char *>(block) + 16));
            EXPECT_FALSE(hak_owns(static_cast<char *>(block) + 527));
        }
        for (void *block : blocks) {
            hak_test.free(block);
        }
    }
    void *block = hak_test.malloc(528);
    hak_pattern_fill(block, 528, 1);
    EXPECT_EQ(block, hak_test.realloc(block, 520)) << "it fits";
    void *moved = hak_test.realloc(block, 1000);
    EXPECT_NE(block, moved);
    EXPECT_EQ(1008u, hak_test.usable_size(moved));
    EXPECT_TRUE(hak_pattern_holds(moved, 520, 1));
    hak_test.free(moved);
}

// 528 is no multiple of 32: a request with an alignment must not get such a block.
TEST_F(T29_Exact, AlignedBlocksAreAligned) {
    ASSERT_EQ(0, set_sizes("272,528,656,1008"));
    for (size_t size : {264, 272, 528, 520, 656, 1008}) {
        std::vector<void *> blocks;
        for (size_t align = 8; align <= 1024; align *= 2) {
            for (unsigned i = 0; i < 20; i++) {
                void *block = nullptr;
                ASSERT_EQ(0, hak_test.posix_memalign(&block, align, size));
                ASSERT_EQ(0u, reinterpret_cast<uintptr_t>(block) % align) << size;
                ASSERT_GE(hak_test.usable_size(block), size);
                blocks.push_back(block);
            }
        }
        for (void *block : blocks) {
            hak_test.free(block);
        }
    }
}

TEST_F(T29_Exact, ZeroedBlocksAreZero) {
    ASSERT_EQ(0, set_sizes("528"));
    for (unsigned round = 0; round < 2; round++) {
        std::vector<void *> blocks(300);
        for (void *&block : blocks) {
            block = hak_test.calloc(1, 528);
            ASSERT_TRUE(hak_pattern_is_zero(block, 528));
            hak_pattern_fill(block, 528, round);
        }
        for (void *block : blocks) {
            hak_test.free(block);
        }
    }
}

TEST_F(T29_Exact, StatisticsCountTheSize) {
    ASSERT_EQ(0, set_sizes("528"));
    hak_stats_t before = hak_test_stats_flushed();
    std::vector<void *> blocks(1000);
    for (void *&block : blocks) {
        block = hak_test.malloc(528);
    }
    hak_stats_t full = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks + 1000, full.live_blocks);
    EXPECT_EQ(before.live_bytes + 1000 * 528, full.live_bytes);
    EXPECT_EQ(1u, full.exact_sizes);
    const uint64_t ids[][2] = {
        {full.exact_1_bytes, full.exact_1_slabs}, {full.exact_2_bytes, full.exact_2_slabs},
        {full.exact_3_bytes, full.exact_3_slabs}, {full.exact_4_bytes, full.exact_4_slabs},
        {full.exact_5_bytes, full.exact_5_slabs}, {full.exact_6_bytes, full.exact_6_slabs},
        {full.exact_7_bytes, full.exact_7_slabs}, {full.exact_8_bytes, full.exact_8_slabs}};
    uint64_t slabs = 0, others = 0;
    for (const auto &id : ids) {
        (id[0] == 528 ? slabs : others) += id[1];
        EXPECT_TRUE(id[0] == 528 || id[0] == 0) << id[0];
    }
    EXPECT_EQ((1000 + 123) / 124, slabs) << "124 blocks fit into 64 KiB";
    EXPECT_EQ(0u, others);
    for (void *block : blocks) {
        hak_test.free(block);
    }
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks, after.live_blocks);
    EXPECT_EQ(before.live_bytes, after.live_bytes);
}

TEST_F(T29_Exact, RefusedListChangesNothing) {
    ASSERT_EQ(0, set_sizes("528"));
    for (const char *list :
         {"576", "528,1024", "", "1,528", "272,304,336,368,400,432,464,496,528"}) {
        EXPECT_EQ(EINVAL, set_sizes(list)) << list;
        EXPECT_EQ("528", sizes());
        EXPECT_EQ(528u, hak_good_size(528));
        EXPECT_EQ(288u, hak_good_size(272));
    }
}

TEST_F(T29_Exact, MisuseIsSeen) {
    ASSERT_EQ(0, set_sizes("528"));
    ASSERT_EQ(0, hak_option_set("on_error", "ignore"));
    auto *block = static_cast<char *>(hak_test.malloc(528));
    auto *other = static_cast<char *>(hak_test.malloc(528));
    uint64_t errors = hak_test_stats().errors;
    ASSERT_EQ(0, set_sizes("592")); // the rest happens to a size that is given up
    // another thread's: the own ones are checked for being a start with HAKMEM_CHECK=interior alone
    std::thread([block] { hak_test.free(block + 16); }).join();
    EXPECT_EQ(errors + 1, hak_test_stats().errors) << "inside of a block";
    // where a block of the fixed class would begin, and the end of the slab, which holds no block
    char *slab = block - reinterpret_cast<uintptr_t>(block) % 65536;
    std::thread([slab] { hak_test.free(slab + 576); }).join();
    EXPECT_EQ(errors + 2, hak_test_stats().errors);
    std::thread([slab] { hak_test.free(slab + 124 * 528); }).join();
    EXPECT_EQ(errors + 3, hak_test_stats().errors);
    hak_test.free(block);
    EXPECT_EQ(errors + 3, hak_test_stats().errors);
    hak_test.free(block);
    EXPECT_EQ(errors + 4, hak_test_stats().errors) << "twice";
    std::thread([block] { hak_test.free(block); }).join();
    EXPECT_EQ(errors + 5, hak_test_stats().errors) << "a third time, by another thread";
    std::thread([other] { hak_test.free(other); }).join();
    EXPECT_EQ(errors + 5, hak_test_stats().errors);
    hak_test.free(other);
    EXPECT_EQ(errors + 6, hak_test_stats().errors) << "on a remote list";
    ASSERT_EQ(0, hak_option_set("on_error", "abort"));
}

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
    EXPECT_LE(hak_test_stats().slabs_active, slabs + 8);
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

} // namespace
