// C28: with HAKMEM_MF2_ENABLE=0 blocks of 2 to 32 KiB come from slabs, in the default's classes,
// and nothing of MF2 runs.
#include <gtest/gtest.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

TEST(C28_Off, SlabsServeWithTheDefaultsClasses) {
    hak_stats_t before = hak_test_stats_flushed();
    std::vector<void *> blocks;
    uint64_t bytes = 0;
    for (size_t size = 1025; size <= 65536; size += 61) {
        size_t step = 128;
        while (16 * step < size) {
            step *= 2;
        }
        size_t expected = (size + step - 1) / step * step; // eight to a doubling
        void *block = hak_test.malloc(size);
        ASSERT_EQ(expected, hak_test.usable_size(block)) << size;
        EXPECT_EQ(expected, hak_good_size(size));
        EXPECT_STREQ("slabs", hak_served_by(block)) << size;
        hak_pattern_fill(block, expected, size);
        blocks.push_back(block);
        bytes += expected;
    }
    hak_stats_t full = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks + blocks.size(), full.live_blocks);
    EXPECT_EQ(before.live_bytes + bytes, full.live_bytes) << "each block is counted once";
    EXPECT_EQ(HAK_STAT_DISABLED, full.mf2_pages_allocated);
    EXPECT_EQ(0u, hak_check());
    for (size_t i = 0; i < blocks.size(); i++) {
        size_t size = 1025 + 61 * i;
        EXPECT_TRUE(hak_pattern_holds(blocks[i], hak_test.usable_size(blocks[i]), size));
        hak_test.free(blocks[i]);
    }
    EXPECT_EQ(before.live_blocks, hak_test_stats_flushed().live_blocks);
}

TEST(C28_Off, AlignedBlocks) {
    for (size_t align = 16; align <= 65536; align *= 2) {
        for (size_t size : {1100, 2100, 5000, 14336, 30000}) {
            void *block = hak_test.aligned_alloc(align, size);
            ASSERT_NE(nullptr, block);
            EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(block) % align);
            EXPECT_STREQ("slabs", hak_served_by(block)) << size << " at " << align;
            hak_test.free(block);
        }
    }
}

TEST(C28_Off, FreesOfOtherThreadsComeHome) {
    std::vector<void *> blocks(hak_test_scaled(4000));
    hak_random_t random = {28};
    for (unsigned round = 0; round < 3; round++) {
        for (void *&block : blocks) {
            block = hak_test.malloc(2049 + hak_random_below(&random, 30000));
        }
        std::thread([&] {
            for (void *block : blocks) {
                hak_test.free(block);
            }
        }).join();
        EXPECT_EQ(0u, hak_check());
    }
    hak_stats_t stats = hak_test_stats_flushed();
    EXPECT_LE(stats.live_bytes, size_t{1} << 20);
}

// The two sizes belong to MF2; without it they mean nothing.
TEST(C28_Off, DynClassesMeanNothing) {
    EXPECT_EQ(0, hak_option_set("mid_dyn1", "14000"));
    EXPECT_EQ(14336u, hak_good_size(14000));
    EXPECT_EQ(13312u, hak_good_size(13000)) << "eight to a doubling, as before";
    errno = 0;
    EXPECT_EQ(-1, hak_option_set("mf2_enable", "1"));
    EXPECT_EQ(EPERM, errno) << "at start only";
}

} // namespace
