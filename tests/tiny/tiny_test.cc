// T-34, T-38: blocks up to 1 KiB under every slot policy, with the thread cache on and off, drained
// and not. Each combination is a test target of its own; the environment chooses it.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
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

constexpr size_t kLargest = 1024;

std::string option(const char *name) {
    char value[64] = "";
    EXPECT_GE(hak_option_get(name, value, sizeof value), 0) << name;
    return value;
}

hak_audit_t audit() {
    hak_audit_t result = {};
    result.struct_bytes = sizeof result;
    EXPECT_EQ(hak_audit(&result), 0);
    return result;
}

struct Block {
    unsigned char *at;
    size_t bytes;
    uint64_t tag;
};

Block take(size_t bytes, uint64_t tag) {
    auto *at = static_cast<unsigned char *>(hak_test.malloc(bytes));
    EXPECT_NE(at, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % 16, 0u);
    hak_pattern_fill(at, bytes, tag);
    return {at, bytes, tag};
}

void give(const Block &block) {
    EXPECT_TRUE(hak_pattern_holds(block.at, block.bytes, block.tag)) << block.bytes;
    hak_test.free(block.at);
}

class Tiny : public ::testing::Test {
  protected:
    void TearDown() override {
        hak_audit_t result = audit();
        EXPECT_EQ(result.whole, 1u);
        EXPECT_EQ(result.live_blocks, 0u);
        EXPECT_EQ(hak_check(), 0u);
    }
};

// What the target's name says is what runs.
TEST_F(Tiny, RunsUnderTheSettingsOfItsEnvironment) {
    const char *sll = getenv("HAKMEM_TINY_TLS_SLL");
    const char *drain = getenv("HAKMEM_TINY_SLL_DRAIN_ENABLE");
    ASSERT_NE(sll, nullptr);
    ASSERT_NE(drain, nullptr);
    EXPECT_EQ(option("tiny_tls_sll"), sll);
    EXPECT_EQ(option("tiny_sll_drain_enable"), drain);
    Block block = take(64, 1);
    const char *name = hak_served_by(block.at);
    ASSERT_NE(name, nullptr);
    EXPECT_EQ(option("ss_policy"), strcmp(name, "slabs") == 0 ? "any" : name);
    give(block);
    EXPECT_EQ(audit().cached_blocks == 0, option("tiny_tls_sll") == "0");
}

TEST_F(Tiny, EveryClassFillsSlabsAndGivesThemBack) {
    for (size_t bytes = 16; bytes <= kLargest; bytes = hak_good_size(bytes + 1)) {
        std::vector<Block> blocks;
        size_t count = hak_test_scaled(3 * 65536 / bytes + 1);
        for (size_t i = 0; i < count; i++) {
            blocks.push_back(take(bytes - i % 2, i)); /* the odd ones a byte below the class */
        }
        std::vector<uintptr_t> starts;
        for (const Block &block : blocks) {
            starts.push_back(reinterpret_cast<uintptr_t>(block.at));
        }
        std::sort(starts.begin(), starts.end());
        for (size_t i = 1; i < starts.size(); i++) {
            ASSERT_GE(starts[i] - starts[i - 1], hak_good_size(bytes - 1)) << "two overlap";
        }
        for (const Block &block : blocks) {
            give(block);
        }
    }
}

// The notes' command lines, "1000 256 42" and "200000 4096 1234567".
void random_mixed(uint64_t iterations, size_t slots, uint64_t seed) {
    std::vector<Block> table(slots, Block{nullptr, 0, 0});
    hak_random_t random = {seed};
    for (uint64_t i = 0; i < iterations; i++) {
        Block &block = table[hak_random_below(&random, slots)];
        if (block.at != nullptr) {
            give(block);
            block.at = nullptr;
        } else {
            block = take(16 + hak_random_below(&random, kLargest), i);
        }
    }
    for (const Block &block : table) {
        if (block.at != nullptr) {
            give(block);
        }
    }
}

TEST_F(Tiny, T38_TheShortRunThatCrashed) { random_mixed(1000, 256, 42); }

TEST_F(Tiny, T38_TheLongRunThatCrashed) { random_mixed(hak_test_scaled(200000), 4096, 1234567); }

// Each thread frees what its neighbour allocated: every free is remote.
TEST_F(Tiny, NeighboursFreeEachOthersBlocks) {
    constexpr unsigned kThreads = 4;
    std::vector<std::vector<Block>> blocks(kThreads);
    for (int round = 0; round < 3; round++) {
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < kThreads; t++) {
            threads.emplace_back([&blocks, t] {
                hak_random_t random = {t};
                for (unsigned i = 0; i < hak_test_scaled(4000); i++) {
                    blocks[t].push_back(take(1 + hak_random_below(&random, kLargest), i));
                }
            });
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
        threads.clear();
        for (unsigned t = 0; t < kThreads; t++) {
            threads.emplace_back([&blocks, t] {
                for (const Block &block : blocks[(t + 1) % kThreads]) {
                    give(block);
                }
                blocks[(t + 1) % kThreads].clear();
            });
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
    }
}

TEST_F(Tiny, ReallocAndCallocKeepTheirPromises) {
    hak_random_t random = {7};
    std::vector<Block> blocks;
    for (unsigned i = 0; i < hak_test_scaled(5000); i++) {
        size_t bytes = 1 + hak_random_below(&random, kLargest);
        auto *at = static_cast<unsigned char *>(hak_test.calloc(1, bytes));
        ASSERT_NE(at, nullptr);
        ASSERT_TRUE(hak_pattern_is_zero(at, bytes));
        hak_pattern_fill(at, bytes, i);
        size_t more = 1 + hak_random_below(&random, kLargest);
        size_t both = std::min(bytes, more) / 8 * 8;
        at = static_cast<unsigned char *>(hak_test.realloc(at, more));
        ASSERT_NE(at, nullptr);
        ASSERT_TRUE(hak_pattern_holds(at, both, i));
        hak_pattern_fill(at, more, i);
        blocks.push_back({at, more, i});
        if (blocks.size() > 500) {
            give(blocks.front());
            blocks.erase(blocks.begin());
        }
    }
    for (const Block &block : blocks) {
        give(block);
    }
}

TEST_F(Tiny, ChildOfAForkGoesOn) {
    std::vector<Block> blocks;
    for (uint64_t i = 0; i < 1000; i++) {
        blocks.push_back(take(1 + i % kLargest, i));
    }
    pid_t child = fork();
    if (child == 0) {
        random_mixed(2000, 64, 3);
        for (const Block &block : blocks) {
            give(block);
        }
        _exit(HasFailure() || hak_check() != 0 ? 1 : 0);
    }
    ASSERT_GT(child, 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    for (const Block &block : blocks) {
        give(block);
    }
}

} // namespace
