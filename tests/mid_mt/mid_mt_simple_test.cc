// Mid MT through the whole variant: what its simple test of the notes did (all classes, several
// patterns), and the regression tests T-11, T-12, T-30, T-31, T-32 for its sizes.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

constexpr size_t kSizes[] = {8192, 16384, 32768};
constexpr size_t kChunk = size_t{4} << 20;

std::vector<void *> take(size_t count, size_t bytes) {
    std::vector<void *> blocks(count);
    for (void *&block : blocks) {
        block = hak_test.malloc(bytes);
        EXPECT_NE(nullptr, block);
    }
    return blocks;
}

void give(const std::vector<void *> &blocks) {
    for (void *block : blocks) {
        hak_test.free(block);
    }
}

// Counters with their identities checked. Exact, because nobody else is at work.
hak_stats_t counters() {
    hak_stats_t stats = hak_test_stats();
    EXPECT_NE(HAK_STAT_DISABLED, stats.mid_mt_allocs) << "is this the variant?";
    EXPECT_EQ(stats.mid_mt_frees, stats.mid_mt_local_frees + stats.mid_mt_remote_frees);
    EXPECT_EQ(stats.mid_mt_allocs,
              stats.mid_mt_8k_allocs + stats.mid_mt_16k_allocs + stats.mid_mt_32k_allocs);
    EXPECT_EQ(stats.mid_mt_frees,
              stats.mid_mt_8k_frees + stats.mid_mt_16k_frees + stats.mid_mt_32k_frees);
    EXPECT_EQ(stats.mid_mt_refills,
              stats.mid_mt_8k_refills + stats.mid_mt_16k_refills + stats.mid_mt_32k_refills);
    EXPECT_EQ(stats.mid_mt_8k_allocs - stats.mid_mt_8k_frees, stats.mid_mt_8k_used);
    EXPECT_EQ(stats.mid_mt_16k_allocs - stats.mid_mt_16k_frees, stats.mid_mt_16k_used);
    EXPECT_EQ(stats.mid_mt_32k_allocs - stats.mid_mt_32k_frees, stats.mid_mt_32k_used);
    if (stats.mid_mt_refills != 0) {
        EXPECT_EQ(stats.mid_mt_allocs / stats.mid_mt_refills, stats.mid_mt_allocs_per_refill);
    }
    return stats;
}

uint64_t used(const hak_stats_t &stats) {
    return stats.mid_mt_8k_used + stats.mid_mt_16k_used + stats.mid_mt_32k_used;
}

class MidMtSimple : public testing::Test {
  protected:
    void SetUp() override { before_ = used(hak_test_stats_flushed()); }
    void TearDown() override {
        EXPECT_EQ(before_, used(hak_test_stats_flushed())) << "a block got lost";
        EXPECT_EQ(0u, hak_check());
        counters();
    }
    uint64_t before_;
};

TEST_F(MidMtSimple, AllocWriteFree) {
    for (size_t bytes : kSizes) {
        void *block = hak_test.malloc(bytes);
        ASSERT_STREQ("mid_mt", hak_served_by(block));
        EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(block) % bytes);
        EXPECT_EQ(bytes, hak_test.usable_size(block));
        hak_pattern_fill(block, bytes, bytes);
        EXPECT_TRUE(hak_pattern_holds(block, bytes, bytes));
        hak_test.free(block);
    }
}

// First in, first out; last in, first out; at random; every second one.
TEST_F(MidMtSimple, PatternsOfFrees) {
    hak_random_t random = {16};
    for (unsigned pattern = 0; pattern < 4; pattern++) {
        std::vector<void *> blocks;
        std::vector<size_t> sizes;
        for (size_t i = 0; i < 600; i++) {
            sizes.push_back(8192 + hak_random_below(&random, 24577));
            blocks.push_back(hak_test.malloc(sizes[i]));
            ASSERT_STREQ("mid_mt", hak_served_by(blocks[i]));
            hak_pattern_fill(blocks[i], HAK_TEST_SANITIZED ? 64 : sizes[i], i);
        }
        std::vector<size_t> order(blocks.size());
        for (size_t i = 0; i < order.size(); i++) {
            order[i] = pattern == 1   ? order.size() - 1 - i
                       : pattern == 3 ? (2 * i < order.size() ? 2 * i : 2 * i - order.size() + 1)
                                      : i;
        }
        for (size_t i = order.size(); pattern == 2 && i-- > 1;) {
            std::swap(order[i], order[hak_random_below(&random, i + 1)]);
        }
        for (size_t i : order) {
            ASSERT_TRUE(hak_pattern_holds(blocks[i], HAK_TEST_SANITIZED ? 64 : sizes[i], i));
            hak_test.free(blocks[i]);
        }
    }
}

TEST_F(MidMtSimple, CallocReallocAligned) {
    auto *block = static_cast<unsigned char *>(hak_test.malloc(20000));
    memset(block, 0xff, 20000);
    hak_test.free(block);
    block = static_cast<unsigned char *>(hak_test.calloc(2, 10000));
    EXPECT_TRUE(hak_pattern_is_zero(block, 20000)) << "used memory came back unwiped";
    memset(block, 7, 20000);
    void *larger = hak_test.realloc(block, 30000);
    ASSERT_STREQ("mid_mt", hak_served_by(larger));
    EXPECT_EQ(7, static_cast<unsigned char *>(larger)[19999]);
    hak_test.free(larger);
    for (size_t align = 16; align <= 32768; align *= 2) {
        void *aligned = hak_test.aligned_alloc(align, 32768);
        EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(aligned) % align);
        EXPECT_STREQ("mid_mt", hak_served_by(aligned));
        hak_test.free(aligned);
    }
}

// T-11: the first thing that a thread does is an allocation of a mid size, or a free of another
// thread's block.
TEST_F(MidMtSimple, T11_FirstOperationOfAThread) {
    for (size_t bytes : kSizes) {
        void *first = nullptr;
        std::thread([&] { first = hak_test.malloc(bytes); }).join();
        ASSERT_NE(nullptr, first) << "no segment yet is not no memory";
        memset(first, 1, bytes);
        std::thread([&] { hak_test.free(first); }).join();
    }
}

// T-12 and E9: one below, at and above each size.
TEST_F(MidMtSimple, T12_Boundaries) {
    struct {
        size_t size, usable;
        const char *server;
    } rows[] = {{7680, 7680, "slabs"},    {7681, 8192, "mid_mt"},   {8191, 8192, "mid_mt"},
                {8192, 8192, "mid_mt"},   {8193, 16384, "mid_mt"},  {16384, 16384, "mid_mt"},
                {16385, 32768, "mid_mt"}, {32768, 32768, "mid_mt"}, {32769, 36864, "slabs"}};
    for (const auto &row : rows) {
        void *block = hak_test.malloc(row.size);
        EXPECT_STREQ(row.server, hak_served_by(block)) << row.size;
        EXPECT_EQ(row.usable, hak_test.usable_size(block)) << row.size;
        EXPECT_EQ(row.usable, hak_good_size(row.size)) << row.size;
        hak_test.free(block);
    }
}

// T-30: a chunk serves at least 128 blocks, and churn within the working set maps nothing.
TEST_F(MidMtSimple, T30_BlocksForEachRefill) {
    for (size_t bytes : kSizes) {
        hak_stats_t before = counters();
        size_t fit = kChunk / bytes;
        std::vector<void *> blocks = take(6 * fit, bytes);
        hak_stats_t full = counters();
        uint64_t refills = full.mid_mt_refills - before.mid_mt_refills;
        EXPECT_GE(refills, 5u);
        EXPECT_LE(refills, 7u);
        EXPECT_GE(blocks.size() / refills, fit * 6 / 7) << "blocks for each refill";
        hak_random_t random = {30};
        unsigned long steps = hak_test_scaled(100000);
        for (unsigned long i = 0; i < steps; i++) {
            void *&block = blocks[hak_random_below(&random, blocks.size())];
            hak_test.free(block);
            block = hak_test.malloc(bytes);
        }
        hak_stats_t after = counters();
        EXPECT_GE(full.mid_mt_bump_allocs - before.mid_mt_bump_allocs, 5 * fit);
        EXPECT_LE(after.mid_mt_bump_allocs, full.mid_mt_bump_allocs + fit) << "of 10^5";
        EXPECT_LE(after.mmap_calls, full.mmap_calls + 4) << "mappings in 10^5 allocations";
        EXPECT_LE(after.mid_mt_refills, full.mid_mt_refills + 2);
        give(blocks);
    }
}

// T-31: chunks are filled, then blocks of all of them are freed in mixed order: every free is
// local, and all that came back is used before a new chunk.
TEST_F(MidMtSimple, T31_FreesIntoOlderChunks) {
    for (size_t bytes : kSizes) {
        std::vector<void *> blocks = take(3 * kChunk / bytes, bytes);
        hak_stats_t full = counters();
        hak_random_t random = {31};
        for (unsigned round = 0; round < 3; round++) {
            for (size_t i = blocks.size(); i-- > 1;) {
                std::swap(blocks[i], blocks[hak_random_below(&random, i + 1)]);
            }
            std::vector<void *> half(blocks.begin() + static_cast<long>(blocks.size() / 2),
                                     blocks.end());
            blocks.resize(blocks.size() - half.size());
            give(half);
            std::vector<void *> again = take(half.size(), bytes);
            blocks.insert(blocks.end(), again.begin(), again.end());
        }
        hak_stats_t after = counters();
        EXPECT_EQ(full.mid_mt_remote_frees, after.mid_mt_remote_frees);
        EXPECT_LE(after.mid_mt_chunks, full.mid_mt_chunks);
        EXPECT_EQ(full.mid_mt_chunks_made, after.mid_mt_chunks_made);
        EXPECT_EQ(blocks.size(), std::set<void *>(blocks.begin(), blocks.end()).size());
        give(blocks);
    }
}

// T-32: one thread allocates, another frees: all frees are remote, all blocks come back, and the
// memory does not grow.
TEST_F(MidMtSimple, T32_ProducerConsumer) {
    constexpr size_t kInFlight = 256;
    const unsigned long total = hak_test_scaled(60000);
    std::vector<std::atomic<void *>> ring(kInFlight);
    hak_stats_t before = counters();
    std::thread consumer([&] {
        for (unsigned long i = 0; i < total; i++) {
            void *block;
            while ((block = ring[i % kInFlight].exchange(nullptr)) == nullptr) {
                std::this_thread::yield();
            }
            ASSERT_TRUE(hak_pattern_holds(block, 64, i));
            hak_test.free(block);
        }
    });
    hak_random_t random = {32};
    uint64_t most = 0;
    for (unsigned long i = 0; i < total; i++) {
        void *block = hak_test.malloc(8192 + hak_random_below(&random, 24577));
        hak_pattern_fill(block, 64, i);
        void *none = nullptr;
        while (!ring[i % kInFlight].compare_exchange_weak(none, block)) {
            none = nullptr;
            std::this_thread::yield();
        }
        if (i % 1000 == 0) {
            most = std::max(most, hak_test_stats().mid_mt_chunks);
        }
    }
    consumer.join();
    hak_stats_t after = counters();
    EXPECT_GE(after.mid_mt_remote_frees, before.mid_mt_remote_frees + total * 9 / 10);
    EXPECT_LE(most, before.mid_mt_chunks + 9) << "256 blocks of 8 to 32 KiB are 5 MiB";
}

// E8 and T-09: thread after thread leaves live blocks behind, which the next frees.
TEST_F(MidMtSimple, T09_ChunksOutliveTheirThreads) {
    std::vector<void *> left;
    uint64_t chunks = 0;
    for (unsigned generation = 0; generation < 40; generation++) {
        std::thread([&] {
            give(left);
            left.clear();
            for (size_t bytes : kSizes) {
                std::vector<void *> blocks = take(kChunk / bytes, bytes);
                left.insert(left.end(), blocks.begin(), blocks.begin() + 20);
                give({blocks.begin() + 20, blocks.end()});
            }
        }).join();
        if (generation == 10) {
            chunks = counters().mid_mt_chunks;
        }
    }
    EXPECT_LE(counters().mid_mt_chunks, chunks + 3) << "chunks of ended threads are stranded";
    give(left);
}

} // namespace
