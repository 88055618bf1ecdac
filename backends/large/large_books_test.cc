/* What both kinds of memory come to together: the statistics, and that nothing stays behind. */
#include <gtest/gtest.h>
#include <stdio.h>
#include <string.h>

#include <vector>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/heap/heap.h"
#include "boxes/testing/engine.h"

namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;

class LargeBooks : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        (void)Trim();
    }
    void TearDown() override {
        hak_os_fake_reset();
        (void)Trim();
        EXPECT_EQ(Stats().backend.blocks, 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static size_t Purge(uint64_t now_ms, uint64_t delay_ms) {
        hak_purge_order_t order = {now_ms, delay_ms, delay_ms == 0 ? UINT32_MAX : 48, 0};
        return hak_large_purge_mt(&order);
    }
    static size_t Trim() { return Purge(hak_os_now_ms(), 0); }
    static char *Alloc(size_t bytes) {
        bool zeroed;
        return static_cast<char *>(hak_large_alloc_mt(NULL, bytes, 1, &zeroed));
    }
    static hak_large_stats_t Stats() {
        hak_large_stats_t stats;
        hak_large_stats_mt(&stats);
        return stats;
    }
    static size_t AddressSpace() {
        size_t pages = 0;
        FILE *file = fopen("/proc/self/statm", "re");
        EXPECT_EQ(fscanf(file, "%zu", &pages), 1);
        (void)fclose(file);
        return pages * hak_os_page_bytes();
    }
};

TEST_F(LargeBooks, StatisticsCountExtentsAndMappings) {
    hak_large_stats_t before = Stats();
    char *extent = Alloc(3 * kMiB - 5000), *wall = Alloc(kMiB), *huge = Alloc(40 * kMiB);
    size_t bytes = hak_large_good_bytes(3 * kMiB - 5000);
    hak_large_stats_t used = Stats();
    EXPECT_EQ(used.backend.blocks, 3u);
    EXPECT_EQ(used.backend.bytes, bytes + 41 * kMiB);
    EXPECT_EQ(used.backend.free_bytes, 3 * kMiB - bytes) << "behind the block";
    EXPECT_EQ(used.backend.mapped_bytes, 44 * kMiB);
    EXPECT_GE(used.backend.mapped_peak_bytes, 44 * kMiB);
    EXPECT_TRUE(hak_large_free_mt(NULL, extent));
    EXPECT_TRUE(hak_large_free_mt(NULL, huge));
    EXPECT_EQ(Stats().cached_bytes, 43 * kMiB);
    EXPECT_EQ(Stats().backend.mapped_bytes, 44 * kMiB);
    EXPECT_EQ(Trim(), 43 * kMiB);
    hak_large_stats_t after = Stats();
    EXPECT_EQ(after.cached_bytes, 0u);
    EXPECT_EQ(after.backend.mapped_bytes, 4 * kMiB);
    EXPECT_EQ(after.backend.purges - before.backend.purges, 2u);
    EXPECT_EQ(after.backend.purged_bytes - before.backend.purged_bytes, 43 * kMiB);
    EXPECT_TRUE(hak_large_free_mt(NULL, wall));
    EXPECT_EQ(Trim(), 4 * kMiB) << "the whole tract";
    after = Stats();
    EXPECT_EQ(after.backend.mapped_bytes, 0u);
    EXPECT_EQ(after.backend.mapped_peak_bytes, used.backend.mapped_peak_bytes);
    EXPECT_EQ(after.backend.purges - before.backend.purges, 3u);
    EXPECT_EQ(after.backend.purged_bytes - before.backend.purged_bytes, 44 * kMiB);
}

/* The peak is that of now where there was never more, for both kinds. */
TEST_F(LargeBooks, PeakGrowsWithWhatIsMapped) {
    for (size_t bytes : {24 * kMiB, 200 * kMiB}) {
        uint64_t peak = Stats().backend.mapped_peak_bytes;
        std::vector<char *> blocks;
        while (Stats().backend.mapped_bytes <= peak) {
            blocks.push_back(Alloc(bytes));
        }
        EXPECT_GE(Stats().backend.mapped_peak_bytes, Stats().backend.mapped_bytes) << bytes;
        for (char *block : blocks) {
            EXPECT_TRUE(hak_large_free_mt(NULL, block));
        }
        (void)Trim();
    }
    char *block = Alloc(40 * kMiB);
    size_t bytes = Stats().backend.mapped_peak_bytes + 8 * kMiB;
    block = static_cast<char *>(hak_large_resize_mt(block, bytes));
    ASSERT_NE(block, nullptr);
    EXPECT_GE(Stats().backend.mapped_peak_bytes, bytes);
    EXPECT_TRUE(hak_large_free_mt(NULL, block));
}

/* A thread that sleeps keeps no block that it freed. */
TEST_F(LargeBooks, ParkedBlocksGoBackAfterTheDelay) {
    hak_testing::OwnHeap mine;
    bool zeroed;
    void *block = hak_large_alloc_mt(mine.get(), kMiB, 1, &zeroed);
    char *wall = Alloc(kMiB);
    memset(block, 1, kMiB);
    EXPECT_TRUE(hak_large_free_mt(mine.get(), block));
    EXPECT_EQ(Stats().cached_bytes, kMiB);
    uint64_t now_ms = hak_os_now_ms() + 100000;
    EXPECT_EQ(Purge(now_ms, 1000), 0u);
    EXPECT_EQ(Purge(now_ms + 600, 1000), kMiB);
    EXPECT_EQ(Stats().cached_bytes, 0u);
    EXPECT_FALSE(hak_large_has_garbage());
    EXPECT_TRUE(hak_large_free_mt(NULL, wall));
}

TEST_F(LargeBooks, GrowthThatFailsLeavesNoMapping) {
    char *block = Alloc(20 * kMiB);
    memset(block, 1, 20 * kMiB);
    struct {
        hak_os_call_t call;
        uint64_t successes;
        size_t bytes;
        const char *what;
    } const cases[] = {
        {HAK_OS_CALL_MAP, 0, 40 * kMiB, "no address space to move to"},
        {HAK_OS_CALL_MOVE, 1, 40 * kMiB, "the kernel refuses the second move"},
        {HAK_OS_CALL_COMMIT, 0, 3072 * kMiB, "the registry has no memory for the new place"},
    };
    for (const auto &c : cases) {
        size_t before = AddressSpace();
        hak_os_fake_fail(c.call, c.successes, UINT64_MAX);
        EXPECT_EQ(hak_large_resize_mt(block, c.bytes), nullptr) << c.what;
        hak_os_fake_reset();
        EXPECT_LT(AddressSpace(), before + 8 * kMiB) << c.what;
    }
    EXPECT_TRUE(hak_large_free_mt(NULL, block));
}

} // namespace
