// T-29 and DYN1/DYN2 of the specification: sizes of MF2 that are chosen while the program runs.
// Blocks of a size that was given up stay what they are; new ones have the smallest class that
// holds them.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/regress/changing_sizes.h"
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

int set_first(size_t bytes) { return set_size(0, bytes); }

TEST_F(T29_DynClass, ReassignedWhileOldBlocksLive) {
    reassign_while_old_blocks_live({14336, 10240, 14336, 20480, 9216, 24576, 2176, 32640}, 60,
                                   set_first);
}

TEST_F(T29_DynClass, IdsOfGoneSizesAreUsedAgain) {
    std::vector<size_t> sizes;
    for (size_t bytes = 8192 + 512; bytes < 16384; bytes += 512) {
        sizes.push_back(bytes);
    }
    use_ids_again(sizes, 10, set_first);
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
    give_all(blocks);
    hak_thread_flush();
    hak_trim(0);
    EXPECT_EQ(0, set_size(0, bytes));
}

TEST_F(T29_DynClass, ClassThatShrinksBeforeItsFirstBlock) {
    auto set_alone = [](size_t bytes) {
        int refused = set_size(1, 0);
        return refused != 0 ? refused : set_size(0, bytes);
    };
    shrink_before_the_first_block(14336, set_alone, [] {
        (void)set_size(0, 8320); // another id, and the one of 14,336 is free
        (void)set_size(1, 8448); // which gets this size
    });
}

TEST_F(T29_DynClass, PurgeEmptiesCachesOfGoneSizes) {
    purge_caches_of_a_gone_size(14336, 20480, set_first);
}

TEST_F(T29_DynClass, ThreadsWhileSizesChange) {
    hand_over_while_sizes_change(
        hak_test_scaled(30000), 64,
        [](hak_random_t *random) { return 2049 + hak_random_below(random, 30000); },
        [](hak_random_t *random) {
            (void)set_size(0, 8192 + 128 * (1 + hak_random_below(random, 62)));
            (void)set_size(1, 2048 + 128 * (1 + hak_random_below(random, 200)));
        });
}

} // namespace
