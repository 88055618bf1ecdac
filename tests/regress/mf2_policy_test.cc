// MF2's drain policies: how often they drain, and what the sweeper leaves and costs.
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

bool is_variant(const char *policy) {
    return std::string(hak_version()).find(std::string("hakmem_mf2_") + policy) !=
           std::string::npos;
}

size_t some_size(size_t i) { return size_t{2048} << i % 5; }

// C12: the drain fires every N operations. C15: a quarter of hybrid's goes to others.
TEST(Policy, DrainsAsOftenAsToldTo) {
    bool hybrid = is_variant("hybrid");
    if (!is_variant("own") && !is_variant("rr") && !hybrid) {
        EXPECT_EQ(0u, hak_test_stats().mf2_drain_tries);
        return;
    }
    ASSERT_EQ(0, hak_option_set("mf2_drain_every", "5"));
    uint64_t tries = 0, other = 0, ops = 0;
    std::thread([&] {
        hak_test.free(hak_test.malloc(2048));
        hak_stats_t before = hak_test_stats();
        std::vector<void *> blocks(4000);
        for (unsigned round = 0; round < 3; round++) {
            for (void *&block : blocks) {
                block = hak_test.malloc(4096);
            }
            for (void *block : blocks) {
                hak_test.free(block);
            }
        }
        hak_stats_t after = hak_test_stats();
        tries = after.mf2_drain_tries - before.mf2_drain_tries;
        other = after.mf2_drain_other - before.mf2_drain_other;
        ops = after.refills - before.refills + after.flushed_blocks - before.flushed_blocks;
    }).join();
    ASSERT_EQ(0, hak_option_set("mf2_drain_every", "4"));
    EXPECT_GT(ops, 1000u);
    if (hybrid) {
        EXPECT_EQ(ops, tries);
        EXPECT_LE(other, tries / 4 + 1);
    } else {
        EXPECT_LE(tries, ops / 5 + 1);
        EXPECT_GE(tries, ops / 5);
    }
}

uint64_t cpu_us() {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           static_cast<uint64_t>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// C16: after the traffic nothing stays pending, though nobody allocates; and waiting costs little.
TEST(Sweeper, LeavesNothingPending) {
    ASSERT_EQ(0, hak_option_set("purge_delay_ms", "86400000"));
    std::vector<void *> blocks(hak_test_scaled(4000));
    for (size_t i = 0; i < blocks.size(); i++) {
        blocks[i] = hak_test.malloc(some_size(i));
    }
    std::thread([&] {
        for (void *block : blocks) {
            hak_test.free(block);
        }
    }).join();
    auto pending = [] {
        hak_stats_t stats = hak_test_stats();
        return stats.mf2_pending_enqueued - stats.mf2_pending_drained;
    };
    if (!is_variant("sweeper")) {
        EXPECT_GT(pending(), 0u) << "without a sweeper they wait for an allocation";
        return;
    }
    for (unsigned wait = 0; pending() != 0 && wait < 1000; wait++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(0u, pending());
    EXPECT_EQ(0u, hak_check());
    uint64_t before = cpu_us();
    std::this_thread::sleep_for(std::chrono::seconds(2));
    uint64_t spent = cpu_us() - before;
    printf("sweeper: %.2f %% of a core while idle\n", static_cast<double>(spent) / 20000);
    if (!HAK_TEST_SANITIZED) {
        EXPECT_LT(spent, 20000u); // 1 %
    }
}

} // namespace
