// Exact classes: sizes up to 1 KiB that get a class of their own, in all functions; misuse;
// refusal. exact_change_test.cc has what happens while they change.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/regress/exact.h"
#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/stats.h"

namespace {

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

} // namespace
