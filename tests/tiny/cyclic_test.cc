// A workload that fills and empties again and again: what the cache of superslabs saves, and that
// memory goes back when it stops. The program's own malloc is the variant, so that resident memory
// is what the process has.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "tests/support/random.h"
#include "tests/support/stats.h"

namespace {

constexpr size_t kBlocks = 120000; /* 16 to 1,024 bytes: about 60 MiB, thirty superslabs */
constexpr int kCycles = 12;

uint64_t resident_bytes() {
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    EXPECT_NE(file, nullptr);
    EXPECT_NE(fgets(text, sizeof text, file), nullptr);
    fclose(file);
    unsigned long total = 0, resident = 0;
    EXPECT_EQ(sscanf(text, "%lu %lu", &total, &resident), 2);
    return uint64_t{resident} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void cycle(std::vector<void *> *blocks, uint64_t seed) {
    hak_random_t random = {seed};
    for (void *&block : *blocks) {
        size_t bytes = 16 + hak_random_below(&random, 1009);
        block = malloc(bytes);
        memset(block, 1, bytes);
    }
    for (void *block : *blocks) {
        free(block);
    }
}

struct Cost {
    uint64_t hits, misses, calls;
};

Cost run(const char *max_cached) {
    EXPECT_EQ(hak_option_set("superslab_max_cached", max_cached), 0);
    std::vector<void *> blocks(kBlocks);
    for (int i = 0; i < 3; i++) {
        cycle(&blocks, 1); /* warm-up */
    }
    hak_stats_t before = hak_test_stats();
    for (int i = 0; i < kCycles; i++) {
        cycle(&blocks, 1);
    }
    hak_stats_t after = hak_test_stats();
    return {after.lru_hits - before.lru_hits, after.lru_misses - before.lru_misses,
            after.munmap_calls - before.munmap_calls + after.madvise_calls - before.madvise_calls};
}

TEST(Cyclic, CacheOfSuperslabsSavesTheSystemCalls) {
    Cost off = run("0");
    Cost on = run("256");
    printf("without: %llu calls of munmap and madvise; with: %llu, %llu hits, %llu misses\n",
           (unsigned long long)off.calls, (unsigned long long)on.calls, (unsigned long long)on.hits,
           (unsigned long long)on.misses);
    EXPECT_EQ(off.hits, 0u);
    EXPECT_GT(off.calls, 100u) << "the workload shows nothing";
    EXPECT_GT(on.hits, 100u);
    EXPECT_GT(on.hits * 10, (on.hits + on.misses) * 9);
    EXPECT_LE(on.calls * 10, off.calls);
}

TEST(Cyclic, MemoryGoesBackWhenItStops) {
    run("256");
    uint64_t peak = resident_bytes();
    EXPECT_GT(peak, 40u << 20) << "the workload shows nothing";
    EXPECT_GT(hak_test_stats().lru_superslabs, 4u);
    /* A program that does little else: a block of 128 KiB every 50 ms for 3 s. */
    for (int i = 0; i < 60; i++) {
        usleep(50000);
        free(malloc(131072));
    }
    uint64_t end = resident_bytes();
    printf(
        "resident: %llu KiB at the end of the work, %llu KiB 3 s later; %llu superslabs cached\n",
        (unsigned long long)peak >> 10, (unsigned long long)end >> 10,
        (unsigned long long)hak_test_stats().lru_superslabs);
    EXPECT_LE(end, 8u << 20) << "nothing is live but what the test itself holds";
}

} // namespace
