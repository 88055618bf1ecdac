// MF2's share of the specification's regression tests that concern blocks and the threads that hold
// them: T-02, T-03, T-05, T-11, T-12, T-16, T-24, for every class, with two sizes chosen at
// start besides the powers of two.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

constexpr size_t kPage = 65536;
const size_t kClasses[] = {2048, 4096, 5120, 8192, 14336, 16384, 32768};

// Bytes before each block.
size_t header() {
    std::string variant = hak_version();
    return variant.find("header16") != std::string::npos   ? 16
           : variant.find("header32") != std::string::npos ? 32
                                                           : 0;
}

size_t some_size(hak_random_t *random) { return 1025 + hak_random_below(random, 31744); }

void expect_whole() {
    hak_stats_t stats = hak_test_stats_flushed();
    EXPECT_EQ(0u, stats.mf2_silent_drops);
    EXPECT_EQ(0u, stats.mf2_alignment_bugs);
    EXPECT_EQ(0u, stats.mf2_registry_collisions);
    EXPECT_EQ(100u, stats.mf2_lookup_success_percent);
    EXPECT_EQ(0u, hak_check());
}

// T-02: what was allocated and not freed is live, whoever frees and wherever the block waits.
TEST(T02_Conservation, LiveIsAllocatedMinusFreed) {
    hak_stats_t before = hak_test_stats_flushed();
    hak_random_t random = {2};
    std::vector<void *> blocks;
    uint64_t bytes = 0;
    for (unsigned long i = hak_test_scaled(4000); i != 0; i--) {
        blocks.push_back(hak_test.malloc(some_size(&random)));
        bytes += hak_test.usable_size(blocks.back());
    }
    std::thread([&] {
        for (size_t i = 0; i < blocks.size(); i += 3) {
            bytes -= hak_test.usable_size(blocks[i]);
            hak_test.free(blocks[i]);
        }
    }).join();
    for (size_t i = 1; i < blocks.size(); i += 3) {
        bytes -= hak_test.usable_size(blocks[i]);
        hak_test.free(blocks[i]);
    }
    hak_stats_t some = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks + blocks.size() / 3, some.live_blocks);
    EXPECT_EQ(before.live_bytes + bytes, some.live_bytes);
    EXPECT_EQ(0u, some.mf2_silent_drops);
    EXPECT_EQ(before.errors, some.errors);
    for (size_t i = 2; i < blocks.size(); i += 3) {
        hak_test.free(blocks[i]);
    }
    hak_stats_t none = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks, none.live_blocks);
    EXPECT_EQ(before.live_bytes, none.live_bytes);
    expect_whole();
}

// T-03: a page holds as many blocks as fit with their headers, each to its last byte the user's.
TEST(T03_Stride, PagesAreFullAndBlocksApart) {
    for (size_t bytes : kClasses) {
        size_t fit = kPage / (bytes + header());
        std::map<uintptr_t, unsigned> on_page;
        std::vector<void *> blocks(40 * fit);
        for (size_t i = 0; i < blocks.size(); i++) {
            blocks[i] = hak_test.malloc(bytes);
            ASSERT_EQ(bytes, hak_test.usable_size(blocks[i]));
            hak_pattern_fill(blocks[i], bytes, i);
            on_page[(uintptr_t)blocks[i] / kPage]++;
            ASSERT_EQ((uintptr_t)blocks[i] / kPage, ((uintptr_t)blocks[i] + bytes - 1) / kPage);
        }
        unsigned most = 0;
        for (const auto &page : on_page) {
            most = std::max(most, page.second);
        }
        EXPECT_EQ(fit, most) << bytes;
        for (size_t i = 0; i < blocks.size(); i++) {
            ASSERT_TRUE(hak_pattern_holds(blocks[i], bytes, i)) << bytes;
            hak_test.free(blocks[i]);
        }
    }
    expect_whole();
}

// A place for blocks on their way between threads.
class Exchange {
  public:
    void put(std::vector<void *> blocks) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return waiting_.size() < 16; });
        waiting_.push_back(std::move(blocks));
        changed_.notify_all();
    }
    // Empty: no more will come.
    std::vector<void *> take() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return !waiting_.empty() || ended_; });
        std::vector<void *> blocks;
        if (!waiting_.empty()) {
            blocks = std::move(waiting_.back());
            waiting_.pop_back();
        }
        changed_.notify_all();
        return blocks;
    }
    void end() {
        std::lock_guard<std::mutex> lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::vector<void *>> waiting_;
    bool ended_ = false;
};

// T-05: eight threads free what one allocates, at the same time. A block that came back twice would
// be at two places at once, and its number would change; one that did not would pile up.
TEST(T05_RemoteFree, EightToOne) {
    constexpr size_t kBatch = 100;
    unsigned long batches = std::max(hak_test_scaled(10000), 100ul);
    Exchange exchange;
    std::atomic<uint64_t> sum{0}, count{0}, wrong{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 8; t++) {
        threads.emplace_back([&] {
            for (std::vector<void *> blocks = exchange.take(); !blocks.empty();
                 blocks = exchange.take()) {
                for (void *block : blocks) {
                    uint64_t number[2];
                    memcpy(number, block, sizeof number);
                    wrong += number[0] != ~number[1];
                    sum += number[0];
                    count++;
                    hak_test.free(block);
                }
            }
        });
    }
    hak_stats_t before = hak_test_stats();
    uint64_t number = 0;
    for (unsigned long b = 0; b < batches; b++) {
        std::vector<void *> blocks(kBatch);
        for (void *&block : blocks) {
            block = hak_test.malloc(2048);
            uint64_t words[2] = {++number, ~number};
            memcpy(block, words, sizeof words);
        }
        exchange.put(std::move(blocks));
    }
    exchange.end();
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_EQ(0u, wrong);
    EXPECT_EQ(number, count);
    EXPECT_EQ(number * (number + 1) / 2, sum);
    hak_stats_t after = hak_test_stats_flushed();
    // about 26 batches are on their way; what threads hold in caches comes on top
    EXPECT_LE(after.mapped_bytes, before.mapped_bytes + (size_t{64} << 20));
    expect_whole();
}

// T-11: whatever a thread does first with a block of MF2, it has what it needs.
TEST(T11_FirstCall, OfAThreadMayBeAnything) {
    for (size_t bytes : kClasses) {
        void *given = hak_test.malloc(bytes);
        hak_pattern_fill(given, bytes, bytes);
        std::thread([given] { hak_test.free(given); }).join();
        void *taken = nullptr;
        std::thread([&] { taken = hak_test.malloc(bytes); }).join();
        EXPECT_EQ(bytes, hak_test.usable_size(taken));
        std::thread([&] { taken = hak_test.realloc(taken, bytes + 1); }).join();
        ASSERT_NE(nullptr, taken);
        std::thread([&] {
            EXPECT_STREQ(bytes == 32768 ? "slabs" : "mf2", hak_served_by(taken));
        }).join();
        std::thread([&] { EXPECT_GT(hak_test.usable_size(taken), bytes); }).join();
        std::thread([&] {
            void *zeroed = hak_test.calloc(1, bytes);
            EXPECT_TRUE(hak_pattern_is_zero(zeroed, bytes));
            hak_test.free(taken);
            hak_test.free(zeroed);
        }).join();
    }
    expect_whole();
}

// T-12: at each boundary the class that holds the size serves, again after a free.
TEST(T12_Boundary, EachClassAndOneMoreAndLess) {
    size_t below = 1024;
    for (size_t bytes : kClasses) {
        for (size_t size : {below + 1, bytes - 1, bytes}) {
            for (unsigned round = 0; round < 3; round++) {
                void *block = hak_test.malloc(size);
                EXPECT_EQ(bytes, hak_test.usable_size(block)) << size;
                EXPECT_STREQ("mf2", hak_served_by(block)) << size;
                memset(block, 0x5a, size);
                hak_test.free(block);
            }
        }
        below = bytes;
    }
    void *block = hak_test.malloc(32769);
    EXPECT_STREQ("slabs", hak_served_by(block));
    hak_test.free(block);
    expect_whole();
}

// T-16: 300 threads that hold and free each other's blocks at once; no table of them is too small.
TEST(T16_Crowd, ThreeHundredThreadsAtOnce) {
    constexpr unsigned kThreads = 300;
    std::vector<std::atomic<void *>> blocks(kThreads);
    std::atomic<unsigned> ready{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            hak_random_t random = {t + 1};
            void *own = hak_test.malloc(some_size(&random));
            ready++;
            while (ready < kThreads) {
                std::this_thread::yield();
            }
            for (unsigned i = 0; i < 20; i++) {
                hak_test.free(blocks[(t + i * 7) % kThreads].exchange(own));
                own = hak_test.malloc(some_size(&random));
            }
            hak_test.free(own);
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    for (std::atomic<void *> &block : blocks) {
        hak_test.free(block);
    }
    EXPECT_GE(hak_test_stats().heaps, kThreads);
    expect_whole();
}

// T-24: with headers of 0, 16 and 32 bytes and for every class: blocks are aligned to 16, their
// whole size is usable, a larger alignment is served by whom can, and free needs nothing of what
// stands before the block.
TEST(T24_Header, EveryClassAndAlignment) {
    for (size_t bytes : kClasses) {
        std::vector<void *> blocks(3 * kPage / bytes);
        for (void *&block : blocks) {
            block = hak_test.malloc(bytes);
            uintptr_t offset = (uintptr_t)block % kPage;
            ASSERT_EQ(0u, offset % 16);
            ASSERT_EQ(header(), offset % (bytes + header()));
            ASSERT_EQ(bytes, hak_test.usable_size(block));
            // what lies before the block is nobody's
            hak_pattern_fill(block, bytes, offset);
        }
        for (void *block : blocks) {
            ASSERT_TRUE(hak_pattern_holds(block, bytes, (uintptr_t)block % kPage));
            hak_test.free(block);
        }
        for (size_t align = 16; align <= kPage; align *= 2) {
            void *block = hak_test.aligned_alloc(align, bytes);
            ASSERT_NE(nullptr, block) << bytes << " at " << align;
            EXPECT_EQ(0u, (uintptr_t)block % align) << bytes;
            EXPECT_GE(hak_test.usable_size(block), bytes);
            if (align <= std::min<size_t>(128, header() == 0 ? 128 : header())) {
                EXPECT_EQ(bytes, hak_test.usable_size(block)) << "at " << align;
                EXPECT_STREQ("mf2", hak_served_by(block)) << bytes << " at " << align;
            }
            memset(block, 0x77, bytes);
            hak_test.free(block);
        }
    }
    expect_whole();
}

} // namespace
