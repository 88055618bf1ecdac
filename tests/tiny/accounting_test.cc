// What the thread cache hides from the slabs, and what a drain gives back: T-35, T-36, T-37. Two
// targets for each variant: drain on and drain off.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/stats.h"

namespace {

constexpr size_t kBytes = 1024;
constexpr size_t kBlocks = 10000; /* 157 slabs, five superslabs */
constexpr int kInterval = 1024;

bool drains() {
    char value[8] = "";
    EXPECT_GE(hak_option_get("tiny_sll_drain_enable", value, sizeof value), 0);
    return std::string(value) == "1";
}

hak_audit_t audit() {
    hak_audit_t result = {};
    result.struct_bytes = sizeof result;
    EXPECT_EQ(hak_audit(&result), 0);
    EXPECT_EQ(result.whole, 1u);
    return result;
}

std::vector<void *> take_all() {
    std::vector<void *> blocks;
    for (size_t i = 0; i < kBlocks; i++) {
        blocks.push_back(hak_malloc(kBytes));
    }
    return blocks;
}

void give_all(const std::vector<void *> &blocks) {
    for (void *block : blocks) {
        hak_free(block);
    }
}

// Allocates and frees one block until a drain has just happened, at most two intervals.
void run_to_the_next_drain() {
    uint64_t before = hak_test_stats().cache_drains;
    for (int i = 0; i < 2 * kInterval && hak_test_stats().cache_drains == before; i++) {
        hak_free(hak_malloc(kBytes));
    }
}

class Accounting : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_thread_flush();
        (void)hak_trim(0);
    }
    void TearDown() override {
        EXPECT_EQ(hak_option_set("tiny_sll_drain_batch", "0"), 0);
        hak_thread_flush();
        EXPECT_EQ(audit().used_blocks, 0u);
        EXPECT_EQ(hak_check(), 0u);
    }
};

// The gap of the notes: all blocks are free, and every one counts as used.
TEST_F(Accounting, T35_GapIsThereWithoutDrainAndClosesWithIt) {
    std::vector<void *> blocks = take_all();
    hak_audit_t full = audit();
    EXPECT_EQ(full.live_blocks, kBlocks);
    give_all(blocks);
    run_to_the_next_drain();
    hak_audit_t empty = audit();
    EXPECT_EQ(empty.live_blocks, 0u);
    if (drains()) {
        EXPECT_EQ(empty.used_blocks, 0u);
        EXPECT_EQ(empty.cached_blocks, 0u);
    } else {
        EXPECT_GE(empty.used_blocks, kBlocks);
        EXPECT_EQ(empty.cached_blocks, empty.used_blocks);
        EXPECT_EQ(hak_test_stats().cache_drains, 0u);
    }
}

// So superslabs become free, reach the cache of superslabs, and the next round takes them there.
TEST_F(Accounting, T35_SuperslabsComeBackOnlyWithDrain) {
    hak_stats_t start = hak_test_stats();
    give_all(take_all());
    run_to_the_next_drain();
    hak_stats_t first = hak_test_stats();
    if (!drains()) {
        EXPECT_EQ(first.lru_pushes, start.lru_pushes) << "what the notes found";
        EXPECT_EQ(first.slabs_retired, start.slabs_retired);
        return;
    }
    EXPECT_GE(first.lru_pushes - start.lru_pushes, 4u);
    EXPECT_GT(first.slabs_retired - start.slabs_retired, 150u);
    give_all(take_all());
    run_to_the_next_drain();
    hak_stats_t second = hak_test_stats();
    uint64_t hits = second.lru_hits - first.lru_hits;
    uint64_t misses = second.lru_misses - first.lru_misses;
    EXPECT_GE(hits, 4u);
    EXPECT_GT(hits * 10, (hits + misses) * 9) << hits << " hits, " << misses << " misses";
    EXPECT_EQ(second.munmap_calls, first.munmap_calls);
}

// A drain of 32 blocks leaves the slabs partly used; one of all frees them.
TEST_F(Accounting, T37_BatchOfADrain) {
    if (!drains()) {
        GTEST_SKIP() << "concerns drains";
    }
    ASSERT_EQ(hak_option_set("tiny_sll_drain_batch", "32"), 0);
    std::vector<void *> blocks = take_all();
    uint64_t drained = hak_test_stats().flushed_blocks;
    uint64_t retired = hak_test_stats().slabs_retired;
    give_all(blocks);
    run_to_the_next_drain();
    hak_stats_t some = hak_test_stats();
    EXPECT_LE(some.flushed_blocks - drained, 32u * (kBlocks / kInterval + 2));
    EXPECT_GE(audit().used_blocks, kBlocks * 9 / 10);
    ASSERT_EQ(hak_option_set("tiny_sll_drain_batch", "0"), 0);
    run_to_the_next_drain();
    EXPECT_EQ(audit().used_blocks, 0u);
    EXPECT_GT(hak_test_stats().slabs_retired - retired, 150u);
}

// Another thread's blocks do not enter the freeing thread's cache: they travel to their owner. A
// purge pass that comes by meanwhile takes in what waits for an owner that is idle.
TEST_F(Accounting, T36_BlocksOfAnotherThread) {
    std::vector<void *> blocks = take_all();
    hak_stats_t before = hak_test_stats();
    auto taken_in = [&] { return hak_test_stats().drained_blocks - before.drained_blocks; };
    hak_audit_t waiting = {};
    uint64_t taken_while_waiting = 0;
    std::thread([&] {
        give_all(blocks);
        waiting = audit();
        taken_while_waiting = taken_in();
    }).join();
    hak_stats_t after = hak_test_stats();
    EXPECT_EQ(after.remote_blocks - before.remote_blocks, kBlocks);
    EXPECT_EQ(waiting.live_blocks, 0u);
    EXPECT_EQ(waiting.remote_blocks + waiting.batched_blocks + taken_while_waiting, kBlocks);
    EXPECT_LT(taken_while_waiting, kBlocks);
    hak_audit_t ended = audit();
    EXPECT_EQ(ended.batched_blocks, 0u) << "a thread that ends sends what it holds";
    EXPECT_EQ(ended.remote_blocks + taken_in(), kBlocks);
    give_all(take_all()); /* the owner's refills take them in */
    EXPECT_GE(hak_test_stats().drained_blocks - before.drained_blocks, kBlocks / 2);
    (void)hak_trim(0);
    EXPECT_EQ(audit().remote_blocks, 0u);
}

} // namespace
