// D11: blocks above 64 KiB, counted exactly while the learner runs: a hit gets memory that was used
// before, a miss new memory.
#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/stats.h"

namespace {

struct Counts {
    uint64_t hits, misses;
};

Counts Since(const hak_stats_t &before) {
    hak_stats_t now = hak_test_stats();
    return {now.ace_large_hits - before.ace_large_hits,
            now.ace_large_misses - before.ace_large_misses};
}

TEST(AceLarge, CountsHitsAndMisses) {
    for (size_t bytes : {size_t{100000}, size_t{1} << 20, size_t{3} << 20}) {
        hak_trim(0); // all memory that was used goes back to the kernel
        hak_stats_t before = hak_test_stats();
        std::vector<void *> blocks(5);
        for (void *&block : blocks) {
            block = hak_test.malloc(bytes);
        }
        Counts fresh = Since(before);
        for (void *block : blocks) {
            hak_test.free(block);
        }
        before = hak_test_stats();
        for (void *&block : blocks) {
            block = hak_test.malloc(bytes);
        }
        Counts again = Since(before);
        for (void *block : blocks) {
            hak_test.free(block);
        }
        bool learns = getenv("HAKMEM_LEARN") != nullptr;
        EXPECT_EQ(fresh.hits, 0u) << bytes;
        EXPECT_EQ(fresh.misses, learns ? 5u : 0u) << bytes;
        EXPECT_EQ(again.hits, learns ? 5u : 0u) << bytes;
        EXPECT_EQ(again.misses, 0u) << bytes;
    }
}

} // namespace
