#include "backends/large/large.h"

#include <gtest/gtest.h>
#include <string.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/extent/extent.h"
#include "boxes/heap/heap.h"
#include "boxes/testing/engine.h"

namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;

class Large : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Live().blocks, 0u);
        EXPECT_EQ(Live().bytes, 0u);
        (void)hak_large_purge_mt(hak_os_now_ms(), 0, 0);
        EXPECT_FALSE(hak_large_has_garbage());
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static char *Alloc(size_t bytes, size_t align = 1) {
        bool zeroed;
        return static_cast<char *>(hak_large_alloc_mt(NULL, bytes, align, &zeroed));
    }
    static hak_backend_stats_t Live() {
        hak_backend_stats_t stats;
        uint64_t cached;
        hak_large_stats_mt(&stats, &cached);
        return stats;
    }
    static size_t Usable(const char *block) {
        hak_block_info_t info;
        EXPECT_TRUE(hak_large_describe((uintptr_t)block, &info));
        EXPECT_EQ(info.block, (uintptr_t)block);
        EXPECT_TRUE(info.handed_out);
        return info.bytes;
    }
};

TEST_F(Large, ExtentsUpTo32MiBAndMappingsAbove) {
    char *extent = Alloc(32 * kMiB), *huge = Alloc(32 * kMiB + 1),
         *aligned = Alloc(70 * kKiB, 128 * kKiB);
    EXPECT_EQ(hak_registry_tag((uintptr_t)extent), HAK_TAG_EXTENT);
    EXPECT_EQ(hak_registry_tag((uintptr_t)huge), HAK_TAG_HUGE);
    EXPECT_EQ(hak_registry_tag((uintptr_t)aligned), HAK_TAG_HUGE);
    EXPECT_EQ((uintptr_t)aligned % (128 * kKiB), 0u);
    EXPECT_EQ(Usable(extent), 32 * kMiB);
    EXPECT_EQ(Live().blocks, 3u);
    EXPECT_EQ(Live().bytes, Usable(extent) + Usable(huge) + Usable(aligned));
    for (char *block : {extent, huge, aligned}) {
        EXPECT_TRUE(hak_large_free_mt(NULL, block));
        EXPECT_FALSE(hak_large_free_mt(NULL, block));
    }
}

TEST_F(Large, TheHeapOfTheThreadParksAndAPurgeTakesItAway) {
    hak_testing::OwnHeap mine;
    bool zeroed = true;
    void *block = hak_large_alloc_mt(mine.get(), 100 * kKiB, 1, &zeroed);
    EXPECT_TRUE(hak_large_free_mt(mine.get(), block));
    EXPECT_TRUE(hak_large_has_garbage());
    EXPECT_EQ(hak_large_alloc_mt(mine.get(), 100 * kKiB, 1, &zeroed), block);
    EXPECT_FALSE(zeroed);
    EXPECT_TRUE(hak_large_free_mt(mine.get(), block));
    uint64_t cached = 0;
    hak_backend_stats_t stats;
    hak_large_stats_mt(&stats, &cached);
    EXPECT_EQ(cached, 128 * kKiB);
    EXPECT_EQ(hak_large_purge_mt(hak_os_now_ms(), 0, 0) % (128 * kKiB), 0u);
    EXPECT_FALSE(hak_large_has_garbage());
}

TEST_F(Large, GoodSizeIsNoMoreThanWhatABlockHas) {
    for (size_t bytes : {65537ul, 100000ul, kMiB - 1, kMiB, kMiB + 1, 3 * kMiB + 5}) {
        char *block = Alloc(bytes);
        EXPECT_LE(hak_large_good_bytes(bytes), Usable(block)) << bytes;
        EXPECT_GE(hak_large_good_bytes(bytes), bytes);
        memset(block, 1, Usable(block));
        EXPECT_TRUE(hak_large_free_mt(NULL, block));
    }
}

TEST_F(Large, DescribesInsideAndNothingElse) {
    char *block = Alloc(200 * kKiB);
    hak_block_info_t info;
    EXPECT_TRUE(hak_large_describe((uintptr_t)block + 200 * kKiB - 1, &info));
    EXPECT_EQ(info.block, (uintptr_t)block);
    int local;
    EXPECT_FALSE(hak_large_describe((uintptr_t)&local, &info));
    EXPECT_TRUE(hak_large_free_mt(NULL, block));
    EXPECT_FALSE(hak_large_describe((uintptr_t)block, &info));
}

TEST_F(Large, ResizeKeepsContentOrSaysNo) {
    char *extent = Alloc(100 * kKiB);
    memset(extent, 3, 100 * kKiB);
    extent = static_cast<char *>(hak_large_resize_mt(extent, 5 * kMiB));
    ASSERT_NE(extent, nullptr);
    EXPECT_GE(Usable(extent), 5 * kMiB);
    EXPECT_EQ(memcmp(extent, extent + 1, 100 * kKiB - 1), 0);
    EXPECT_EQ(hak_large_resize_mt(extent, 33 * kMiB), nullptr) << "no extent becomes a mapping";
    EXPECT_EQ(hak_large_resize_mt(extent, 1000), nullptr) << "nor a block of a slab";
    EXPECT_GE(Usable(extent), 5 * kMiB);
    EXPECT_TRUE(hak_large_free_mt(NULL, extent));
    char *huge = Alloc(33 * kMiB);
    memset(huge, 4, 33 * kMiB);
    huge = static_cast<char *>(hak_large_resize_mt(huge, 70 * kMiB));
    ASSERT_NE(huge, nullptr);
    EXPECT_EQ(memcmp(huge, huge + 1, 33 * kMiB - 1), 0);
    EXPECT_EQ(hak_large_resize_mt(huge, 500 * kKiB), nullptr);
    EXPECT_GE(Usable(huge), 70 * kMiB);
    EXPECT_TRUE(hak_large_free_mt(NULL, huge));
}

/* Counts the pages of a block that are resident. */
size_t Resident(char *block, size_t bytes) {
    std::vector<unsigned char> pages(bytes / hak_os_page_bytes() + 1);
    EXPECT_TRUE(hak_os_resident(block, bytes, pages.data()));
    size_t count = 0;
    for (unsigned char page : pages) {
        count += page & 1u;
    }
    return count;
}

bool IsZero(const char *block, size_t bytes) {
    return block[0] == 0 && memcmp(block, block + 1, bytes - 1) == 0;
}

/* After enough blocks that come back full all are written; then one that is nearly empty. */
TEST_F(Large, ClearingLearnsHowFullBlocksGet) {
    constexpr size_t kBytes = 3 * kMiB + 5000;
    char *block = Alloc(kBytes);
    size_t pages = (kBytes + hak_os_page_bytes() - 1) / hak_os_page_bytes();
    /* Full: at first a try without pages, then blocks that are written. */
    size_t written = 0;
    for (int i = 0; i < 40; i++) {
        memset(block, 1, kBytes);
        hak_large_zero(block, kBytes);
        written += Resident(block, kBytes) == pages;
        ASSERT_TRUE(IsZero(block, kBytes));
    }
    EXPECT_GE(written, 35u);
    /* Nearly empty: sooner or later a try shows it, and from then on pages stay away. */
    size_t few = 0;
    for (int i = 0; i < 200; i++) {
        block[5] = block[kBytes / 2] = block[kBytes - 1] = 1;
        hak_large_zero(block, kBytes);
        size_t resident = Resident(block, kBytes);
        few += resident <= 3;
        block[5] = 1;
        ASSERT_EQ(block[kBytes / 2] | block[kBytes - 1], 0);
        if (i == 199) {
            EXPECT_LE(resident, 3u);
        }
    }
    EXPECT_GE(few, 100u);
    hak_large_zero(block, kBytes);
    EXPECT_TRUE(IsZero(block, kBytes));
    EXPECT_TRUE(hak_large_free_mt(NULL, block));
}

TEST_F(Large, ClearingIsRightWhateverIsThereAndWhateverTheKernelSays) {
    hak_testing::Random random(9);
    char *block = Alloc(8 * kMiB);
    for (int i = 0; i < 150; i++) {
        size_t bytes = 1 + random.Below(8 * kMiB);
        size_t step = 4096 << random.Below(8);
        for (size_t at = random.Below(4096); at < bytes; at += step) {
            block[at] = 1;
        }
        if (i % 5 == 0) {
            hak_os_fake_fail(HAK_OS_CALL_RESIDENT, random.Below(2), random.Below(3));
        }
        if (i % 3 == 0) {
            hak_os_fake_fail(HAK_OS_CALL_PURGE, random.Below(3), random.Below(4));
        }
        hak_large_zero(block, bytes);
        hak_os_fake_reset();
        ASSERT_TRUE(IsZero(block, bytes)) << i;
    }
    EXPECT_TRUE(hak_large_free_mt(NULL, block));
}

TEST_F(Large, FreshnessIsNeverClaimedWrongly) {
    hak_testing::Random random(5);
    for (int i = 0; i < 200; i++) {
        bool zeroed = false;
        size_t bytes = 66000 + random.Below(3 * kMiB);
        auto *block = static_cast<char *>(hak_large_alloc_mt(NULL, bytes, 1, &zeroed));
        ASSERT_NE(block, nullptr);
        ASSERT_TRUE(!zeroed || (block[0] == 0 && memcmp(block, block + 1, bytes - 1) == 0));
        memset(block, 1, bytes);
        ASSERT_TRUE(hak_large_free_mt(NULL, block));
        if (i % 10 == 0) {
            (void)hak_large_purge_mt(hak_os_now_ms(), 0, 0);
        }
    }
}

TEST_F(Large, ForkStopsAllChanges) {
    hak_large_fork_take();
    std::atomic<bool> done(false);
    std::thread other([&] {
        char *block = Alloc(2 * kMiB);
        EXPECT_TRUE(hak_large_free_mt(NULL, block));
        done = true;
    });
    usleep(2000);
    EXPECT_FALSE(done);
    hak_large_fork_drop();
    other.join();
}

} // namespace
