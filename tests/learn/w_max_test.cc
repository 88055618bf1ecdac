// W_MAX: sizes that the powers of two serve badly go to slabs, in either variant with the limit.
// HAKMEM_WMAX_MID=1.6. With HAKMEM_WMAX_LEARN=1 the limit changes while blocks live.
#include <gtest/gtest.h>

#include <chrono>
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

// Waits until two steps of the learner have ended, of which the second began after this call.
void LetTheLearnerStep() {
    for (uint64_t windows = hak_test_stats().learn_windows;
         Learns() && hak_test_stats().learn_windows < windows + 2;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

// Where blocks of these sizes came from, and how large they were.
struct Served {
    size_t bytes, good;
    bool slabs;
};

constexpr struct {
    size_t size, mid, slab; // the classes that could have it
} kSizes[] = {
    {1152, 2048, 1152},    {1280, 2048, 1280},    {2048, 2048, 2048},    {2432, 4096, 2560},
    {2560, 4096, 2560},    {4096, 4096, 4096},    {5000, 8192, 5120},    {4992, 8192, 5120},
    {10112, 16384, 10240}, {10240, 16384, 10240}, {32768, 32768, 32768},
};

std::vector<Served> ServeAll() {
    std::vector<Served> served;
    for (const auto &c : kSizes) {
        void *block = hak_test.malloc(c.size);
        served.push_back({hak_test.usable_size(block), hak_good_size(c.size),
                          strcmp(hak_served_by(block), "slabs") == 0});
        hak_test.free(block);
    }
    return served;
}

// Sizes count as the next multiple of 128. A limit that was in force before all of them and a step
// after them was in force meanwhile: a trial lasts a second.
void CheckWhoServes() {
    std::vector<Served> served;
    uint64_t limit;
    do {
        limit = hak_test_stats().learn_w_max_percent;
        served = ServeAll();
        LetTheLearnerStep();
    } while (limit != hak_test_stats().learn_w_max_percent);
    for (size_t i = 0; i < served.size(); i++) {
        const auto &c = kSizes[i];
        bool slabs = c.mid * 100 > (c.size + 127) / 128 * 128 * limit;
        EXPECT_EQ(served[i].slabs, slabs) << c.size << " under " << limit;
        EXPECT_EQ(served[i].bytes, slabs ? c.slab : c.mid) << c.size << " under " << limit;
        EXPECT_EQ(served[i].good, served[i].bytes) << c.size << " under " << limit;
    }
}

TEST(WMax, RefusedSizesComeFromSlabs) {
    CheckWhoServes();
    EXPECT_EQ(hak_test_stats().learn_w_max_percent, 160u) << "the learner begins there too";
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
        CheckWhoServes();
    }
    EXPECT_EQ(hak_check(), 0u);
}

} // namespace
