#include "backends/port/backend.h"

#include <gtest/gtest.h>

#include "backends/os/os.h"

namespace {

hak_backend_stats_t Add(uint64_t whole, uint64_t touched, uint64_t used, uint64_t bytes) {
    hak_backend_stats_t stats = {};
    hak_stats_add_run(&stats, whole, touched, used, bytes);
    return stats;
}

TEST(StatsAddRun, CountsEachByteOnce) {
    hak_backend_stats_t stats = Add(65536, 10 * 1000, 4, 1000);
    EXPECT_EQ(stats.slabs, 1u);
    EXPECT_EQ(stats.blocks, 4u);
    EXPECT_EQ(stats.bytes, 4000u);
    uint64_t page = hak_os_page_bytes();
    uint64_t touched = (10 * 1000 + page - 1) / page * page;
    EXPECT_EQ(stats.free_bytes, touched - 4000) << "an OS page is resident as a whole";
    EXPECT_EQ(stats.uncarved_bytes, 65536 - touched);
    EXPECT_EQ(Add(65536, 0, 0, 1000).uncarved_bytes, 65536u);
}

/* Numbers of two lives of a slot: more blocks in use than were carved, more carved than fits. */
TEST(StatsAddRun, AddsNeverMoreThanTheRun) {
    for (uint64_t used : {0u, 1u, 4096u}) {
        for (uint64_t touched : {0u, 3072u, 1u << 28}) {
            hak_backend_stats_t stats = Add(65536, touched, used, 3072);
            EXPECT_EQ(stats.bytes + stats.free_bytes + stats.uncarved_bytes, 65536u);
            EXPECT_EQ(stats.bytes, stats.blocks * 3072);
            EXPECT_LE(stats.blocks, 21u);
        }
    }
}

TEST(StatsAddRun, AddsNothingForARunThatWasClosed) {
    EXPECT_EQ(Add(65536, 4096, 2, 0).slabs, 0u);
    EXPECT_EQ(Add(65536, 4096, 2, 0).uncarved_bytes, 0u);
}

} // namespace
