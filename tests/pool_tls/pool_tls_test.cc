// The thread pools as a program meets them: T-05 and T-11 with blocks of 2 to 32 KiB, what the
// statistics and the options say, memory that comes back.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

const std::string kVariant = hak_version();
const bool kIsPool = kVariant.find("pool_tls") != std::string::npos;
const bool kIsMutex = kVariant.find("mutex") != std::string::npos;
constexpr size_t kSizes[] = {2048, 4096, 8192, 16384, 32768};

std::string option(const char *name) {
    char value[64] = "";
    EXPECT_GE(hak_option_get(name, value, sizeof value), 0) << name;
    return value;
}

void in_thread(void (*body)(void *), void *argument) { std::thread(body, argument).join(); }

// T-05: eight threads allocate, one frees 10^6 blocks of theirs. Each block is freed once, with
// what its producer wrote, and all of them come home.
TEST(T05_RemoteFree, EightProducersOneConsumer) {
    constexpr unsigned kProducers = 8;
    constexpr size_t kMail = 64;
    const unsigned long each = hak_test_scaled(1000000) / kProducers + 1;
    struct alignas(64) Mail {
        std::atomic<uint64_t *> slot[kMail] = {};
    };
    std::vector<Mail> mail(kProducers);
    std::vector<unsigned char> seen(kProducers * each);
    hak_stats_t before = hak_test_stats_flushed();
    std::vector<std::thread> threads;
    for (unsigned p = 0; p < kProducers; p++) {
        threads.emplace_back([&mail, each, p] {
            hak_random_t random = {p + 1};
            for (unsigned long n = 0; n < each; n++) {
                size_t bytes =
                    kSizes[hak_random_below(&random, 5)] - hak_random_below(&random, 900);
                auto *block = static_cast<uint64_t *>(hak_malloc(bytes));
                ASSERT_NE(block, nullptr);
                block[0] = p * each + n;
                block[bytes / 8 - 1] = ~block[0];
                block[1] = bytes;
                std::atomic<uint64_t *> &slot = mail[p].slot[n % kMail];
                while (slot.load(std::memory_order_acquire) != nullptr) {
                    std::this_thread::yield();
                }
                slot.store(block, std::memory_order_release);
            }
        });
    }
    unsigned long faults = 0;
    for (unsigned long freed = 0; freed < kProducers * each;) {
        unsigned long at_once = freed;
        for (Mail &box : mail) {
            for (auto &slot : box.slot) {
                uint64_t *block = slot.exchange(nullptr, std::memory_order_acq_rel);
                if (block == nullptr) {
                    continue;
                }
                bool whole = block[0] < seen.size() && block[block[1] / 8 - 1] == ~block[0];
                faults += !whole || seen[block[0]]++ != 0;
                hak_free(block);
                freed++;
            }
        }
        if (freed == at_once) {
            std::this_thread::yield();
        }
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_EQ(0u, faults);
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks, after.live_blocks);
    uint64_t came = after.remote_blocks + after.passed_blocks;
    EXPECT_GE(came - before.remote_blocks - before.passed_blocks, kProducers * each * 9 / 10);
    EXPECT_EQ(0u, hak_check());
}

// T-11: the first thing that a thread does is an allocation, or the free of another's block.
TEST(T11_FirstOperation, OfAFreshThread) {
    hak_stats_t before = hak_test_stats_flushed();
    for (size_t bytes : kSizes) {
        for (int i = 0; i < 20; i++) {
            void *theirs = nullptr;
            std::thread([&theirs, bytes] { theirs = hak_malloc(bytes); }).join();
            ASSERT_NE(nullptr, theirs);
            EXPECT_EQ(bytes, hak_usable_size(theirs));
            if (kIsPool) {
                EXPECT_STREQ("pool_tls", hak_served_by(theirs));
            }
            in_thread(hak_free, i % 2 == 0 ? theirs : hak_malloc(bytes));
            if (i % 2 != 0) {
                hak_free(theirs);
            }
        }
    }
    EXPECT_EQ(before.live_blocks, hak_test_stats_flushed().live_blocks);
    EXPECT_EQ(0u, hak_check());
}

// What the variant does not have reads as disabled, never as 0.
TEST(PoolTlsStats, AreDisabledElsewhere) {
    void *block = hak_malloc(5000);
    hak_stats_t stats = hak_test_stats();
    for (uint64_t value :
         {stats.pool_tls_chunks, stats.pool_tls_chunks_made, stats.pool_tls_chunk_failures,
          stats.pool_tls_refill_failures, stats.pool_tls_adopted_chunks}) {
        EXPECT_EQ(!kIsPool, value == HAK_STAT_DISABLED);
    }
    if (kIsPool) {
        EXPECT_GE(stats.pool_tls_chunks, 1u);
        EXPECT_GE(stats.pool_tls_chunks_made, stats.pool_tls_chunks);
    }
    EXPECT_EQ(HAK_STAT_DISABLED, stats.page_arena_hits) << "off by default";
    EXPECT_EQ(HAK_STAT_DISABLED, stats.page_arena_misses);
    EXPECT_EQ(HAK_STAT_DISABLED, stats.page_arena_bytes);
    hak_free(block);
}

TEST(PoolTlsOptions, TheQueueIsTheVariants) {
    EXPECT_EQ(kIsMutex ? "mutex" : "lockfree", option("pool_remote"));
    EXPECT_EQ(-1, hak_option_set("pool_remote", kIsMutex ? "lockfree" : "mutex"));
    EXPECT_EQ(EPERM, errno);
    EXPECT_EQ("64", option("pool_refill"));
    EXPECT_EQ("0", option("page_arena"));
}

// Memory that is free goes to the kernel, and the equation of resident memory holds.
TEST(PoolTlsMemory, GoesBack) {
    hak_stats_t before = hak_test_stats_flushed();
    std::vector<void *> blocks;
    for (size_t i = 0; i < 3000; i++) {
        size_t bytes = kSizes[i % 5];
        blocks.push_back(hak_malloc(bytes));
        memset(blocks.back(), 1, bytes);
    }
    hak_stats_t full = hak_test_stats();
    EXPECT_GE(full.live_bytes, before.live_bytes + (size_t{30} << 20));
    EXPECT_GE(full.mapped_bytes, full.live_bytes);
    EXPECT_GE(full.mapped_peak_bytes, full.mapped_bytes);
    for (void *block : blocks) {
        hak_free(block);
    }
    hak_thread_flush();
    EXPECT_EQ(before.live_bytes, hak_test_stats().live_bytes);
    EXPECT_GE(hak_test_stats().empty_dirty_bytes, size_t{25} << 20);
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_LE(after.resident_max_bytes, before.resident_max_bytes + (size_t{1} << 20));
    if (kIsPool) {
        EXPECT_EQ(0u, after.pool_tls_chunks) << "all of them are empty";
    }
}

// G5: off, and on: chunks that come and go are served from the shelf.
TEST(PageArena, CountsHitsAndMisses) {
    if (!kIsPool) {
        GTEST_SKIP() << "the variant has no thread pools";
    }
    ASSERT_EQ(0, hak_option_set("page_arena", "1"));
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "200"));
    hak_trim(0);
    for (int round = 0; round < 20 && hak_test_stats().page_arena_hits == 0; round++) {
        std::vector<void *> blocks;
        for (int i = 0; i < 400; i++) {
            blocks.push_back(hak_malloc(32768));
        }
        for (void *block : blocks) {
            hak_free(block);
        }
        hak_thread_flush();
        // A large block makes the allocator look at the clock.
        for (int step = 0; step < 40 && hak_test_stats().pool_tls_chunks != 0; step++) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            hak_free(hak_malloc(200000));
        }
    }
    hak_stats_t stats = hak_test_stats();
    EXPECT_GT(stats.page_arena_hits, 0u);
    EXPECT_GT(stats.page_arena_misses, 0u);
    EXPECT_NE(HAK_STAT_DISABLED, stats.page_arena_bytes);
    ASSERT_EQ(0, hak_option_set("page_arena", "0"));
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "500"));
    uint64_t mapped = hak_test_stats().mapped_bytes;
    hak_trim(0);
    EXPECT_LE(hak_test_stats().mapped_bytes, mapped) << "the shelves empty when it is off, too";
    EXPECT_EQ(0u, hak_check());
}

} // namespace
