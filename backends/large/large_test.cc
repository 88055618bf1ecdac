#include "backends/large/large.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "backends/port/backend.h"
#include "base/testing/testing.h"
#include "boxes/extent/extent.h"
#include "boxes/heap/heap.h"
#include "boxes/huge/huge.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"

namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;

class Large : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Live().blocks, 0u);
        EXPECT_EQ(Live().bytes, 0u);
        (void)Trim(0);
        EXPECT_FALSE(hak_large_has_garbage());
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static size_t Purge(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls, size_t keep_bytes) {
        hak_purge_order_t order = {now_ms, delay_ms, max_calls, keep_bytes};
        return hak_large_purge_mt(&order);
    }
    static size_t Trim(size_t keep_bytes) {
        return Purge(hak_os_now_ms(), 0, UINT32_MAX, keep_bytes);
    }
    static char *Alloc(size_t bytes, size_t align = 1) {
        bool zeroed;
        return static_cast<char *>(hak_large_alloc_mt(NULL, bytes, align, &zeroed));
    }
    static hak_backend_stats_t Live() {
        hak_large_stats_t stats;
        hak_large_stats_mt(&stats);
        return stats.backend;
    }
    static size_t Usable(const char *block) {
        hak_block_info_t info;
        EXPECT_TRUE(hak_large_describe((uintptr_t)block, &info));
        EXPECT_EQ(info.block, (uintptr_t)block);
        EXPECT_TRUE(info.handed_out);
        return info.bytes;
    }
};

/* One malloc waits for both kinds of memory: together they are bounded by 2 MiB for each call. */
TEST_F(Large, APassSharesItsCallsBetweenExtentsAndHugeBlocks) {
    (void)Trim(0);
    char *extent[3], *huge[2];
    for (char *&block : extent) {
        block = Alloc(30 * kMiB);
    }
    for (char *&block : huge) {
        block = Alloc(40 * kMiB);
    }
    for (char *block : {extent[0], extent[1], extent[2], huge[0], huge[1]}) {
        EXPECT_TRUE(hak_large_free_mt(NULL, block));
    }
    uint64_t now_ms = hak_os_now_ms() + 100000;
    EXPECT_EQ(Purge(now_ms, 1000, 10, 0), 20 * kMiB) << "huge blocks alone are due";
    EXPECT_EQ(Purge(now_ms + 501, 1000, 10, 0), 20 * kMiB) << "of both kinds";
    hak_huge_stats_t stats;
    hak_huge_stats_mt(&stats);
    EXPECT_EQ(stats.cached_bytes, (80 - 20 - 10) * kMiB);
    size_t bytes = 0;
    for (int i = 0; i < 14; i++) {
        size_t given = Purge(now_ms + 501, 1000, 10, 0);
        EXPECT_LE(given, bytes < 120 * kMiB ? 20 * kMiB : 256 * kMiB);
        bytes += given;
    }
    EXPECT_FALSE(hak_huge_has_cached());
    EXPECT_FALSE(hak_extent_has_dirty());
}

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
    hak_large_stats_t stats;
    hak_large_stats_mt(&stats);
    EXPECT_EQ(stats.cached_bytes, 128 * kKiB);
    EXPECT_EQ(Trim(0) % (128 * kKiB), 0u);
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
    EXPECT_EQ(hak_large_resize_mt(extent, 1000), nullptr) << "no extent becomes a block of a slab";
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

bool IsZero(const char *block, size_t bytes) {
    return block[0] == 0 && memcmp(block, block + 1, bytes - 1) == 0;
}

/* A word at each OS page that tells where it was written. */
void Write(char *block, size_t bytes) {
    for (size_t at = 0; at < bytes; at += hak_os_page_bytes()) {
        memcpy(block + at, &at, sizeof at);
    }
}
bool Holds(const char *block, size_t bytes) {
    for (size_t at = 0; at < bytes; at += hak_os_page_bytes()) {
        if (memcmp(block + at, &at, sizeof at) != 0) {
            return false;
        }
    }
    return true;
}

hak_extent_stats_t Extents() {
    hak_extent_stats_t stats;
    hak_extent_stats_mt(&stats);
    return stats;
}

/* Across 32 MiB the pages move, and the units that they were in are clean: also those behind the
 * block's end, where a block before it wrote. */
TEST_F(Large, GrowthToAMappingMovesThePages) {
    char *before = Alloc(20 * kMiB);
    char *behind = Alloc(kMiB);
    memset(before, 5, 20 * kMiB);
    EXPECT_TRUE(hak_large_free_mt(NULL, before));
    char *block = Alloc(20 * kMiB - 60 * kKiB);
    ASSERT_EQ(block, before) << "dirty units come first";
    Write(block, Usable(block));
    uint64_t left = Extents().left;
    auto *huge = static_cast<char *>(hak_large_resize_mt(block, 40 * kMiB));
    ASSERT_NE(huge, nullptr);
    ASSERT_EQ(Extents().left, left + 1) << "the kernel has mremap with MREMAP_DONTUNMAP";
    EXPECT_EQ(hak_registry_tag((uintptr_t)huge), HAK_TAG_HUGE);
    EXPECT_EQ(hak_registry_tag((uintptr_t)block), HAK_TAG_NONE);
    EXPECT_FALSE(hak_large_free_mt(NULL, block)) << "the old place is no block";
    EXPECT_EQ(Usable(huge), 40 * kMiB);
    EXPECT_TRUE(Holds(huge, 20 * kMiB - 60 * kKiB));
    EXPECT_EQ(huge[20 * kMiB], 0);
    EXPECT_EQ(hak_testing::Faults(), 0u);
    EXPECT_EQ(Live().blocks, 2u);
    bool zeroed = false;
    auto *again = static_cast<char *>(hak_large_alloc_mt(NULL, 20 * kMiB, 1, &zeroed));
    EXPECT_TRUE(zeroed);
    EXPECT_TRUE(IsZero(again, 20 * kMiB));
    huge = static_cast<char *>(hak_large_resize_mt(huge, 90 * kMiB)); /* is one mapping */
    ASSERT_NE(huge, nullptr);
    EXPECT_TRUE(Holds(huge, 20 * kMiB - 60 * kKiB));
    for (char *each : {behind, again, huge}) {
        EXPECT_TRUE(hak_large_free_mt(NULL, each));
    }
}

TEST_F(Large, GrowthToAMappingThatFailsChangesNothing) {
    char *block = Alloc(20 * kMiB);
    Write(block, 20 * kMiB);
    struct {
        hak_os_call_t call;
        uint64_t successes;
        size_t bytes;
        const char *what;
    } const cases[] = {
        {HAK_OS_CALL_MOVE, 0, 40 * kMiB, "the pages cannot leave"},
        {HAK_OS_CALL_MAP, 0, 40 * kMiB, "no address space to move to"},
        {HAK_OS_CALL_MOVE, 1, 40 * kMiB, "the kernel refuses the second move"},
        {HAK_OS_CALL_COMMIT, 0, 3072 * kMiB, "the registry has no memory for the new place"},
    };
    for (const auto &c : cases) {
        uint64_t left = Extents().left;
        hak_os_fake_fail(c.call, c.successes, UINT64_MAX);
        EXPECT_EQ(hak_large_resize_mt(block, c.bytes), nullptr) << c.what;
        hak_os_fake_reset();
        EXPECT_EQ(Extents().left, left) << c.what;
        EXPECT_EQ(Usable(block), 20 * kMiB) << c.what;
        EXPECT_TRUE(Holds(block, 20 * kMiB)) << c.what;
        EXPECT_EQ(Live().blocks, 1u) << c.what;
        EXPECT_EQ(hak_testing::Faults(), 0u) << c.what;
    }
    EXPECT_TRUE(hak_large_free_mt(NULL, block));
}

/* Locked memory stays where it is: the rest of its tract would not be locked any more. */
TEST_F(Large, LockedBlockDoesNotLeave) {
    char *block = Alloc(2 * kMiB);
    Write(block, 2 * kMiB);
    /* Sanitizers make mlock do nothing. */
    if (syscall(SYS_mlock, block, 2 * kMiB) == 0) { /* RLIMIT_MEMLOCK may be less */
        EXPECT_EQ(hak_large_resize_mt(block, 40 * kMiB), nullptr);
        EXPECT_TRUE(Holds(block, 2 * kMiB));
        EXPECT_NE(madvise(block, hak_os_page_bytes(), MADV_COLD), 0) << "it is still locked";
        EXPECT_EQ(syscall(SYS_munlock, block, 2 * kMiB), 0);
    }
    EXPECT_TRUE(hak_large_free_mt(NULL, block));
}

/* Threads let blocks grow out of extents and back, while another one purges and allocates: each
 * has what it wrote, and units that are said to read as zero do. */
TEST_F(Large, ThreadsGrowToMappingsWhileAnotherPurges) {
    std::atomic<int> working(2);
    hak_testing::RunThreads(3, [&](int self) {
        hak_testing::Random random((uint64_t)self + 3);
        if (self == 2) {
            while (working != 0) {
                bool zeroed;
                size_t bytes = 65 * kKiB + random.Below(3 * kMiB);
                auto *block = static_cast<char *>(hak_large_alloc_mt(NULL, bytes, 1, &zeroed));
                EXPECT_TRUE(!zeroed || IsZero(block, bytes));
                memset(block, 7, bytes);
                EXPECT_TRUE(hak_large_free_mt(NULL, block));
                (void)Trim(random.Below(2) * 8 * kMiB);
            }
            return;
        }
        for (int round = 0; round < 60; round++) {
            size_t bytes = 65 * kKiB + random.Below(6 * kMiB);
            char *block = Alloc(bytes);
            Write(block, bytes);
            auto *huge = static_cast<char *>(hak_large_resize_mt(block, 33 * kMiB));
            EXPECT_TRUE(huge && Holds(huge, bytes) && hak_large_free_mt(NULL, huge));
        }
        working--;
    });
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

/* After enough blocks that come back full all are written; then one that is nearly empty. */
TEST_F(Large, ClearingLearnsHowFullBlocksGet) {
    hak_store_rlx(&hak_option_values[HAK_OPTION_THP], HAK_THP_OFF); /* one byte: one OS page */
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
    hak_store_rlx(&hak_option_values[HAK_OPTION_THP], HAK_THP_DENSE);
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
        size_t end = bytes + hak_os_page_bytes(); /* beyond the page that the block ends in */
        if (end < 8 * kMiB) {
            memset(block + end, 2, 8 * kMiB - end);
        }
        hak_large_zero(block, bytes);
        hak_os_fake_reset();
        ASSERT_TRUE(IsZero(block, bytes)) << i;
        for (; end < 8 * kMiB; end += 512) {
            ASSERT_EQ(block[end], 2) << i;
        }
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
            (void)Trim(0);
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
