// T-09, T-11, T-16, T-21: threads that come and go, and many at once.
#include <gtest/gtest.h>

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

// One of several chains of threads: each thread starts its successor on the same blocks and ends,
// as larson's threads do.
struct Chain {
    std::vector<unsigned char *> blocks;
    std::vector<uint64_t> tags;
    std::vector<size_t> sizes;
    hak_random_t random;
    unsigned long faults = 0;
};

// Replaces half of the blocks; the other half crosses into the next generation.
void live_one_generation(Chain *chain) {
    for (size_t n = 0; n < chain->blocks.size() / 2; n++) {
        size_t i = hak_random_below(&chain->random, chain->blocks.size());
        if (chain->blocks[i] != nullptr) {
            if (!hak_pattern_holds(chain->blocks[i], chain->sizes[i], chain->tags[i])) {
                chain->faults++;
            }
            hak_test.free(chain->blocks[i]);
        }
        chain->sizes[i] = 8 + hak_random_below(&chain->random, 2000);
        chain->tags[i] = hak_random_next(&chain->random);
        chain->blocks[i] = static_cast<unsigned char *>(hak_test.malloc(chain->sizes[i]));
        if (chain->blocks[i] == nullptr) {
            chain->faults++;
            continue;
        }
        hak_pattern_fill(chain->blocks[i], chain->sizes[i], chain->tags[i]);
    }
}

// Runs `chains` chains of `generations` threads each. Returns the number of faults.
unsigned long run_chains(unsigned chains, unsigned long generations) {
    std::vector<Chain> all(chains);
    std::vector<std::thread> now;
    unsigned long faults = 0;
    for (unsigned c = 0; c < chains; c++) {
        all[c].blocks.resize(400, nullptr);
        all[c].tags.resize(400);
        all[c].sizes.resize(400);
        all[c].random.state = c + 1;
    }
    for (unsigned long g = 0; g < generations; g++) {
        for (unsigned c = 0; c < chains; c++) {
            std::thread next(live_one_generation, &all[c]);
            next.join(); // at most one thread per chain touches its blocks
        }
    }
    for (Chain &chain : all) {
        faults += chain.faults;
        for (unsigned char *block : chain.blocks) {
            hak_test.free(block);
        }
    }
    return faults;
}

TEST(T09_Generations, LiveBlocksCrossThreads) {
    unsigned long generations = hak_test_scaled(1000);
#ifndef HAK_TEST_NO_HAKMEM
    ASSERT_EQ(0u, run_chains(4, 50));
    hak_stats_t before = hak_test_stats();
#endif
    EXPECT_EQ(0u, run_chains(4, generations));
#ifndef HAK_TEST_NO_HAKMEM
    hak_stats_t after = hak_test_stats();
    // Two threads at most are alive at once, so a dead thread's heap must serve the next.
    EXPECT_LE(after.heaps, before.heaps + 2);
    EXPECT_LE(after.mapped_bytes, before.mapped_bytes + (uint64_t{8} << 20));
    EXPECT_EQ(0u, hak_check());
#endif
}

// The same with generations that overlap: a thread ends while its successor and the other chains
// allocate.
TEST(T09_Generations, OverlappingChains) {
    unsigned long generations = hak_test_scaled(400);
    constexpr unsigned kChains = 4;
    std::atomic<unsigned long> faults{0};
    std::vector<std::thread> crew;
    for (unsigned c = 0; c < kChains; c++) {
        crew.emplace_back([generations, &faults] { faults += run_chains(1, generations); });
    }
    for (std::thread &thread : crew) {
        thread.join();
    }
    EXPECT_EQ(0u, faults.load());
#ifndef HAK_TEST_NO_HAKMEM
    EXPECT_EQ(0u, hak_check());
#endif
}

// T-11: what a fresh thread may do first.
TEST(T11_FirstCall, OfAThreadIsAnything) {
    size_t sizes[] = {1, 100, 1024, 5000, 40000, 65536, 200000, 5 << 20};
    for (size_t size : sizes) {
        void *mine = hak_test.malloc(size);
        ASSERT_NE(nullptr, mine);
        std::thread([mine] { hak_test.free(mine); }).join();
        void *theirs = nullptr;
        std::thread([&] { theirs = hak_test.malloc(size); }).join();
        ASSERT_NE(nullptr, theirs);
        std::thread([&] { theirs = hak_test.realloc(theirs, size * 2); }).join();
        ASSERT_NE(nullptr, theirs);
        std::thread([&] { EXPECT_GE(hak_test.usable_size(theirs), size * 2); }).join();
        hak_test.free(theirs);
        std::thread([&] { theirs = hak_test.calloc(1, size); }).join();
        ASSERT_NE(nullptr, theirs);
        EXPECT_TRUE(hak_pattern_is_zero(theirs, size));
        hak_test.free(theirs);
        std::thread([&] { theirs = hak_test.memalign(64, size); }).join();
        ASSERT_NE(nullptr, theirs);
        EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(theirs) % 64);
        hak_test.free(theirs);
        std::thread([] { hak_test.free(nullptr); }).join();
    }
}

// All threads wait until everybody stands in the same phase.
class Phases {
  public:
    explicit Phases(unsigned threads) { pthread_barrier_init(&barrier_, nullptr, threads); }
    ~Phases() { pthread_barrier_destroy(&barrier_); }
    void wait() { pthread_barrier_wait(&barrier_); }

  private:
    pthread_barrier_t barrier_;
};

constexpr unsigned kCrowd = 300;
constexpr unsigned kBlocks = 64;

// T-16: 300 threads alive at once. T-21: thread i then frees the blocks of thread i + 256. Owner
// ids that agree in their low 8 bits would make such a free look like one of an own block.
void live_in_crowd(unsigned i, Phases *phases, std::vector<std::vector<void *>> *blocks) {
    auto &mine = (*blocks)[i];
    for (void *&block : mine) {
        block = hak_test.malloc(48);
        if (block != nullptr) {
            hak_pattern_fill(block, 48, reinterpret_cast<uintptr_t>(&block));
        }
    }
    phases->wait();
    auto &other = (*blocks)[(i + 256) % kCrowd];
    for (void *&block : other) {
        EXPECT_NE(nullptr, block);
        EXPECT_TRUE(hak_pattern_holds(block, 48, reinterpret_cast<uintptr_t>(&block)));
    }
    phases->wait();
    for (void *block : other) {
        hak_test.free(block);
    }
    phases->wait(); // nobody exits, and so hands its heap on, before all have freed
}

TEST(T16_Crowd, T21_OwnersDiffer) {
#ifndef HAK_TEST_NO_HAKMEM
    hak_stats_t before = hak_test_stats_flushed();
#endif
    Phases phases(kCrowd);
    std::vector<std::vector<void *>> blocks(kCrowd, std::vector<void *>(kBlocks));
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kCrowd; i++) {
        threads.emplace_back(live_in_crowd, i, &phases, &blocks);
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
#ifndef HAK_TEST_NO_HAKMEM
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_GE(after.heaps, kCrowd);
    EXPECT_GE(after.remote_blocks - before.remote_blocks, uint64_t{kCrowd} * kBlocks);
    EXPECT_EQ(0u, hak_check());
#ifdef HAK_TEST_API
    EXPECT_EQ(before.live_blocks, after.live_blocks);
    // A second crowd lives on the first one's heaps.
    std::vector<std::thread> second;
    for (unsigned i = 0; i < kCrowd; i++) {
        second.emplace_back(live_in_crowd, i, &phases, &blocks);
    }
    for (std::thread &thread : second) {
        thread.join();
    }
    EXPECT_LE(hak_test_stats().heaps, after.heaps + 1);
#endif
#endif
}

// Threads that start, allocate nothing or one block, and end, many at a time.
TEST(T16_Crowd, RegistrationStorm) {
    unsigned long rounds = hak_test_scaled(40);
    for (unsigned long round = 0; round < rounds; round++) {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < 50; i++) {
            threads.emplace_back([i] {
                if (i % 3 != 0) {
                    hak_test.free(hak_test.malloc(i * 40));
                }
            });
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
    }
}

} // namespace
