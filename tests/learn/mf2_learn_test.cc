// T-29 with the learner as the one who changes the sizes: it gives MF2 a class for the size that is
// asked for most, and another one when the load turns to another size, while blocks of all sizes
// live. HAKMEM_LEARN=1, HAKMEM_DYN1_AUTO=1, windows of 50 ms.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

constexpr size_t kEdge = 64;

struct Block {
    unsigned char *at;
    size_t bytes, seed;
};

Block Take(size_t size, size_t seed) {
    auto *at = static_cast<unsigned char *>(hak_test.malloc(size));
    EXPECT_NE(at, nullptr);
    Block block = {at, hak_test.usable_size(at), seed};
    EXPECT_GE(block.bytes, size);
    hak_pattern_fill(at, kEdge, seed); // both ends: a window must see hundreds of blocks
    hak_pattern_fill(at + block.bytes - kEdge, kEdge, seed);
    return block;
}

void Give(const Block &block) {
    EXPECT_EQ(block.bytes, hak_test.usable_size(block.at)) << "the block changed its size";
    EXPECT_TRUE(hak_pattern_holds(block.at, kEdge, block.seed)) << block.bytes;
    EXPECT_TRUE(hak_pattern_holds(block.at + block.bytes - kEdge, kEdge, block.seed));
    hak_test.free(block.at);
}

std::string Option(const char *name) {
    char text[64];
    EXPECT_GT(hak_option_get(name, text, sizeof text), 0);
    return text;
}

// Asks for `size` until it has a class of its own, and keeps some of the blocks of each time.
bool Settle(size_t size, const std::string &expected, std::vector<Block> *kept) {
    for (int round = 0; round < 6000; round++) {
        std::vector<Block> blocks;
        for (size_t i = 0; i < 400; i++) {
            blocks.push_back(Take(size, i));
        }
        std::thread([&] { // half of them to remote stacks
            for (size_t i = 0; i < 200; i++) {
                Give(blocks[i]);
            }
        })
            .join();
        for (size_t i = 200; i < 400; i++) {
            if (round < 3 && i % 20 == 0) {
                kept->push_back(blocks[i]);
            } else {
                Give(blocks[i]);
            }
        }
        if (Option("mid_dyn1") == expected) {
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

class Mf2Learn : public ::testing::Test {
  protected:
    void TearDown() override {
        hak_stats_t stats = hak_test_stats_flushed();
        EXPECT_EQ(stats.mf2_silent_drops, 0u);
        EXPECT_EQ(stats.mf2_lookup_success_percent, 100u);
        EXPECT_EQ(hak_check(), 0u);
    }
};

TEST_F(Mf2Learn, T29_HotSizesGetClassesWhileOldBlocksLive) {
    std::vector<Block> kept;
    uint64_t before = hak_test_stats().learn_dyn_sets;
    ASSERT_TRUE(Settle(14000, "14080", &kept)) << "rounded up to 128";
    EXPECT_EQ(hak_good_size(14000), 14080u);
    EXPECT_EQ(hak_good_size(14081), 16384u);
    kept.push_back(Take(14000, 1));
    EXPECT_EQ(kept.back().bytes, 14080u);
    ASSERT_TRUE(Settle(10240, "10240", &kept));
    EXPECT_EQ(hak_good_size(14000), 16384u) << "given up";
    ASSERT_TRUE(Settle(20000, "20096", &kept));
    EXPECT_GE(hak_test_stats().learn_dyn_sets - before, 3u);
    for (size_t i = 0; i < kept.size(); i++) {
        if (i % 2 == 0) {
            Give(kept[i]);
        } else {
            std::thread([&] { Give(kept[i]); }).join();
        }
    }
}

TEST_F(Mf2Learn, ASizeThatAFixedClassFitsGetsNone) {
    std::vector<Block> kept;
    std::string dyn1 = Option("mid_dyn1");
    uint64_t windows = hak_test_stats().learn_windows;
    while (hak_test_stats().learn_windows < windows + 15) {
        for (size_t i = 0; i < 400; i++) {
            kept.push_back(Take(8192, i));
        }
        for (const Block &block : kept) {
            Give(block);
        }
        kept.clear();
    }
    EXPECT_EQ(Option("mid_dyn1"), dyn1);
}

// Threads use two sizes in turn, so that the learner changes its mind under them.
TEST_F(Mf2Learn, ThreadsWhileTheLearnerChangesSizes) {
    std::atomic<bool> stop{false};
    std::atomic<size_t> hot{14000};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 3; t++) {
        threads.emplace_back([&, t] {
            for (size_t i = 0; !stop; i++) {
                std::vector<Block> blocks;
                for (size_t k = 0; k < 400; k++) { // more than a thread cache holds
                    blocks.push_back(
                        Take(k % 8 == 0 ? 2049 + (i * 977 + t) % 30000 : hot.load(), k));
                }
                for (const Block &block : blocks) {
                    Give(block);
                }
            }
        });
    }
    uint64_t before = hak_test_stats().learn_dyn_sets, sets = 0;
    for (int i = 0; i < 2000 && sets < 3; i++) {
        hot = i / 100 % 2 == 0 ? 9500 : 18500;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        sets = hak_test_stats().learn_dyn_sets - before;
    }
    stop = true;
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_GE(sets, 2u);
}

// W_MAX at its default does not refuse; the option that does is tested by w_max_test.
TEST_F(Mf2Learn, CountsWhatRoundingCosts) {
    uint64_t waste = hak_test_stats().ace_waste_bytes,
             fallbacks = hak_test_stats().ace_l1_fallbacks;
    for (size_t i = 0; i < 2000; i++) {
        hak_test.free(hak_test.malloc(4200)); // 3992 to 8192, when it comes to a refill
    }
    std::vector<void *> blocks(500);
    for (void *&block : blocks) {
        block = hak_test.malloc(4200);
    }
    for (void *block : blocks) {
        hak_test.free(block);
    }
    EXPECT_GT(hak_test_stats().ace_waste_bytes, waste);
    EXPECT_EQ(hak_test_stats().ace_l1_fallbacks, fallbacks);
}

} // namespace
