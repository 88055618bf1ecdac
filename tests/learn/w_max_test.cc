// W_MAX: sizes that the powers of two serve badly go to slabs, in either variant with the limit.
// HAKMEM_WMAX_MID=1.6. With HAKMEM_WMAX_LEARN=1 the limit changes while blocks live.
#include <gtest/gtest.h>

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

bool Learns() { return getenv("HAKMEM_WMAX_LEARN") != nullptr; }

TEST(WMax, RefusedSizesComeFromSlabs) {
    if (Learns()) {
        GTEST_SKIP() << "the limit moves";
    }
    const struct {
        size_t size, bytes;
        bool slabs;
    } cases[] = {
        {1152, 1152, true},   {1280, 2048, false},   {2048, 2048, false},   {2432, 2560, true},
        {2560, 4096, false},  {4096, 4096, false},   {5000, 8192, false},   {4992, 5120, true},
        {10112, 10240, true}, {10240, 16384, false}, {32768, 32768, false},
    };
    for (const auto &c : cases) {
        void *block = hak_test.malloc(c.size);
        EXPECT_EQ(hak_test.usable_size(block), c.bytes) << c.size;
        EXPECT_EQ(strcmp(hak_served_by(block), "slabs") == 0, c.slabs) << c.size;
        EXPECT_EQ(hak_good_size(c.size), c.bytes);
        hak_test.free(block);
    }
    EXPECT_EQ(hak_test_stats().learn_w_max_percent, 160u);
    EXPECT_EQ(hak_check(), 0u);
}

// Both ends of a block, by its usable size.
void Mark(unsigned char *block) {
    size_t bytes = hak_test.usable_size(block);
    hak_pattern_fill(block, 64, bytes);
    hak_pattern_fill(block + bytes - 64, 64, bytes);
}
void GiveBack(unsigned char *block) {
    if (block != nullptr) {
        size_t bytes = hak_test.usable_size(block);
        EXPECT_TRUE(hak_pattern_holds(block, 64, bytes));
        EXPECT_TRUE(hak_pattern_holds(block + bytes - 64, 64, bytes));
        hak_test.free(block);
    }
}

// Blocks of every size by several threads, freed by others, while the limit may move.
void UseEverySize() {
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 3; t++) {
        threads.emplace_back([t] {
            hak_random_t random = {t + 1};
            std::vector<unsigned char *> blocks(100);
            for (unsigned long i = 0; i < hak_test_scaled(60000); i++) {
                unsigned char *&block = blocks[hak_random_below(&random, 100)];
                GiveBack(block);
                size_t size = 1025 + hak_random_below(&random, 32000);
                block = static_cast<unsigned char *>(hak_test.malloc(size));
                ASSERT_GE(hak_test.usable_size(block), size);
                Mark(block);
            }
            std::thread([&blocks] {
                for (unsigned char *block : blocks) {
                    GiveBack(block);
                }
            }).join();
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

TEST(WMax, EveryBlockHoldsItsSize) {
    UseEverySize();
    for (int i = 0; i < 1000 && Learns() && hak_test_stats().learn_w_max_sets < 2; i++) {
        UseEverySize();
    }
    if (Learns()) {
        EXPECT_GE(hak_test_stats().learn_w_max_sets, 2u);
        EXPECT_GT(hak_test_stats().ace_l1_fallbacks, 0u);
    }
    EXPECT_EQ(hak_check(), 0u);
}

} // namespace
