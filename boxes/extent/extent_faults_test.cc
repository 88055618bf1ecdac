/* Calls that the kernel refuses: nothing is lost, and what is there is used. */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "boxes/extent/extent_fixture.h"

namespace hak_testing {

TEST_F(Extent, WhatTheKernelDoesNotTakeStaysDirtyAndIsLeftAloneForAWhile) {
    char *block = Alloc(kMiB), *wall = Alloc(1);
    memset(block, 1, kMiB);
    EXPECT_TRUE(Free(block));
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    EXPECT_EQ(hak_extent_purge_mt(hak_os_now_ms(), 0, kCalls, 0), 0u);
    EXPECT_EQ(Stats().cached_bytes, kMiB);
    EXPECT_EQ(ExtentFaults(), 0u);
    hak_os_fake_reset();
    uint64_t now = hak_os_now_ms();
    EXPECT_EQ(hak_extent_purge_mt(now + 2000, 1000, kCalls, 0), 0u);
    EXPECT_EQ(hak_extent_purge_mt(now + 4000, 1000, kCalls, 0), 0u) << "refused shortly before";
    bool zeroed = true;
    EXPECT_EQ(Alloc(kMiB, &zeroed), block);
    EXPECT_FALSE(zeroed);
    EXPECT_TRUE(Free(block));
    EXPECT_EQ(hak_extent_purge_mt(now, 0, kCalls, 0), kMiB) << "who asks for all gets another try";
    EXPECT_TRUE(Free(wall));
}

/* Locked memory: the kernel refuses MADV_DONTNEED, but not munmap. */
TEST_F(Extent, ATractWithoutABlockGoesThoughItsUnitsAreRefused) {
    char *block = Alloc(kMiB), *behind = Alloc(kMiB);
    memset(block, 1, kMiB);
    memset(behind, 1, kMiB);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    uint64_t now = hak_os_now_ms() + 100000;
    EXPECT_TRUE(Free(block));
    (void)hak_extent_purge_mt(now, 1000, kCalls, 0);
    EXPECT_EQ(hak_extent_purge_mt(now + 600, 1000, kCalls, 0), 0u) << "refused";
    EXPECT_TRUE(Free(behind));
    EXPECT_EQ(hak_extent_purge_mt(now + 1200, 1000, kCalls, 0), 0u) << "freed just now";
    EXPECT_EQ(Stats().tracts, 1u);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_EQ(hak_extent_purge_mt(now + 1800, 1000, kCalls, 0), 2 * kMiB);
    EXPECT_EQ(Stats().tracts, 0u);
    EXPECT_EQ(Stats().cached_bytes, 0u);
    EXPECT_FALSE(hak_extent_has_dirty());
    EXPECT_EQ(ExtentFaults(), 0u);
    bool zeroed = false;
    block = Alloc(2 * kMiB, &zeroed); /* takes the descriptor again */
    EXPECT_TRUE(zeroed);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_TRUE(Free(block));
}

TEST_F(Extent, ATrimUnmapsATractWithoutABlockAtOnce) {
    char *first = Alloc(kMiB), *wall = Alloc(1), *last = Alloc(kMiB);
    EXPECT_TRUE(Free(first));
    EXPECT_TRUE(Free(last));
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    Drop(); /* leaves bits of what was refused */
    EXPECT_TRUE(Free(wall));
    constexpr uint64_t kRefusals = 1 + 2; /* 33 units and their halves */
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    EXPECT_EQ(hak_extent_purge_mt(hak_os_now_ms(), 0, kCalls, kMiB), 0u) << "some is to stay";
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls + kRefusals);
    EXPECT_EQ(hak_extent_purge_mt(hak_os_now_ms(), 0, kCalls, 0), 4 * kMiB);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls + kRefusals) << "munmap does it all";
    EXPECT_EQ(Stats().tracts, 0u);
    EXPECT_EQ(Stats().cached_bytes, 0u);
    EXPECT_EQ(ExtentFaults(), 0u);
}

/* What cannot be given back does not keep the rest from it, however often something is taken. */
TEST_F(Extent, RefusalIsNotRepeatedByEachRequest) {
    char *a = Alloc(10 * kMiB), *wall = Alloc(1);
    memset(a, 1, 10 * kMiB);
    EXPECT_TRUE(Free(a));
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    std::vector<char *> more;
    for (int i = 0; i < 5; i++) {
        more.push_back(Alloc(12 * kMiB));
    }
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    more.push_back(Alloc(12 * kMiB));
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls) << "refused just now";
    hak_os_fake_reset();
    hak_os_fake_advance_ms(20000);
    uint64_t now = hak_os_now_ms();
    (void)hak_extent_purge_mt(now, 1000, kCalls, 0);
    EXPECT_EQ(hak_extent_purge_mt(now + 2000, 1000, kCalls, 0), 10 * kMiB);
    for (char *block : more) {
        EXPECT_TRUE(Free(block));
    }
    EXPECT_TRUE(Free(wall));
}

/* The kernel does not say which page it refuses. */
TEST_F(Extent, ALockedPageKeepsLittleBesideItself) {
    constexpr size_t kBytes = 32 * kMiB;
    const std::vector<std::vector<size_t>> places = {
        {kBytes / 3}, {0}, {kBytes - 1}, {0, kBytes / 2}};
    for (const std::vector<size_t> &at : places) {
        char *block = Alloc(kBytes), *wall = Alloc(1);
        memset(block, 1, kBytes);
        size_t locked = 0;
        for (size_t offset : at) { /* not mlock(), which TSan turns into nothing */
            locked += syscall(SYS_mlock, block + offset, 1) == 0;
        }
        EXPECT_TRUE(Free(block));
        for (size_t i = 0; i < at.size(); i++) {
            Drop();
            EXPECT_EQ(ExtentFaults(), 0u);
        }
        EXPECT_GE(Stats().cached_bytes, locked * HAK_UNIT_BYTES);
        EXPECT_LE(Stats().cached_bytes, locked * HAK_WINDOW_BYTES);
        (void)syscall(SYS_munlock, block, kBytes);
        Drop();
        EXPECT_EQ(Stats().cached_bytes, 0u);
        EXPECT_TRUE(Free(wall));
    }
}

TEST_F(Extent, EachFailureLeavesEverythingAsItWas) {
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    errno = 0;
    EXPECT_EQ(Alloc(kMiB), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(Stats().tracts, 0u);
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 1); /* 256 MiB are refused, a little is not */
    char *little = Alloc(5 * kMiB);
    ASSERT_NE(little, nullptr);
    EXPECT_EQ(Stats().tracts, 1u);
    char *second = Alloc(2 * kMiB);
    hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
    errno = 0;
    EXPECT_EQ(Alloc(32 * kMiB), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    memset(little, 6, 5 * kMiB);
    errno = 0;
    EXPECT_EQ(Resize(little, 30 * kMiB), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(Usable(little, little), 5 * kMiB);
    EXPECT_EQ(memcmp(little, little + 1, 5 * kMiB - 1), 0);
    EXPECT_EQ(ExtentFaults(), 0u);
    hak_os_fake_reset();
    little = Resize(little, 30 * kMiB);
    ASSERT_NE(little, nullptr);
    EXPECT_EQ(memcmp(little, little + 1, 5 * kMiB - 1), 0);
    EXPECT_TRUE(Free(little));
    EXPECT_TRUE(Free(second));
}

TEST_F(Extent, WhatIsUsableServesWhereTheKernelGivesNoMore) {
    char *hole = Alloc(5 * kMiB), *between = Alloc(kMiB), *last = Alloc(kMiB);
    EXPECT_TRUE(Free(hole));
    Clean();
    EXPECT_TRUE(Free(last)); /* dirty, so it comes first; behind it nothing is usable yet */
    hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
    EXPECT_EQ(Alloc(3 * kMiB), hole);
    errno = 0;
    EXPECT_EQ(Alloc(3 * kMiB), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_TRUE(Free(hole));
    EXPECT_TRUE(Free(between));
}

/* Of the free end of a tract the part that is usable serves. */
TEST_F(Extent, TheUsableStartOfAFreeExtentServesWhereTheKernelGivesNoMore) {
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 1); /* a tract of 4 MiB, half of it usable */
    char *first = Alloc(2 * kMiB);
    hak_os_fake_reset();
    char *second = Alloc(3 * kMiB); /* in one of 256 MiB, of which 4 are */
    EXPECT_EQ(Stats().tracts, 2u);
    EXPECT_EQ(Stats().mapped_bytes, 6 * kMiB);
    hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
    char *third = Alloc(kMiB);
    EXPECT_EQ(third, second + 3 * kMiB);
    for (char *block : {first, second, third}) {
        EXPECT_TRUE(block == nullptr || Free(block));
    }
}

/* A search looks at 16 extents of about the length; where there is no tract it looks at all. */
TEST_F(Extent, WhatIsUsableServesWhereTheKernelGivesNoTract) {
    std::vector<char *> holes, walls;
    size_t left = HAK_TRACT_UNITS;
    for (size_t units : std::vector<size_t>(17, 80)) {
        units += holes.empty() ? 14 : 0;
        holes.push_back(Alloc(units * HAK_UNIT_BYTES));
        walls.push_back(Alloc(1));
        left -= units + 1;
    }
    for (size_t units; left != 0; left -= units) {
        units = left < 512 ? left : 512;
        walls.push_back(Alloc(units * HAK_UNIT_BYTES));
    }
    for (char *hole : holes) {
        EXPECT_TRUE(Free(hole));
    }
    EXPECT_EQ(Stats().tracts, 1u);
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    EXPECT_EQ(Alloc(90 * HAK_UNIT_BYTES), holes[0]);
    EXPECT_TRUE(Free(holes[0]));
    for (char *wall : walls) {
        EXPECT_TRUE(Free(wall));
    }
}

/* What may be written counts for RLIMIT_DATA, purged or not. */
TEST_F(Extent, ATrimShedsWindowsWithoutABlock) {
    char *low = Alloc(10 * kMiB), *wall = Alloc(1), *high = Alloc(9 * kMiB), *last = Alloc(1);
    EXPECT_EQ(Stats().mapped_bytes, 20 * kMiB);
    EXPECT_TRUE(Free(low));
    EXPECT_TRUE(Free(high));
    Drop();
    EXPECT_EQ(Stats().mapped_bytes, 20 * kMiB) << "there is no limit: mappings stay whole";
    LimitedData limited;
    (void)hak_extent_purge_mt(hak_os_now_ms(), 0, kCalls, kMiB);
    EXPECT_EQ(Stats().mapped_bytes, 20 * kMiB) << "some is to stay";
    Drop();
    EXPECT_EQ(Stats().mapped_bytes, 4 * kMiB) << "five windows and three";
    EXPECT_EQ(ExtentFaults(), 0u);
    hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
    errno = 0;
    EXPECT_EQ(Alloc(3 * kMiB), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    hak_os_fake_reset();
    bool zeroed = false;
    char *again = Alloc(3 * kMiB, &zeroed);
    EXPECT_EQ(again, high);
    EXPECT_TRUE(zeroed);
    EXPECT_EQ(Stats().mapped_bytes, 6 * kMiB);
    memset(again, 1, 3 * kMiB);
    ASSERT_EQ(Resize(again, 9 * kMiB), again);
    EXPECT_EQ(Stats().mapped_bytes, 10 * kMiB);
    EXPECT_EQ(again[9 * kMiB - 1], 0);
    memset(again, 1, 9 * kMiB);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_TRUE(Free(again));
    Drop();
    Drop();
    EXPECT_EQ(Stats().mapped_bytes, 4 * kMiB);
    EXPECT_TRUE(Free(wall));
    Drop();
    EXPECT_EQ(Stats().mapped_bytes, 2 * kMiB);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_TRUE(Free(last));
}

/* The kernel has no mapping to spare, say. */
TEST_F(Extent, WhatCannotBeShedIsUsed) {
    LimitedData limited;
    char *block = Alloc(10 * kMiB), *wall = Alloc(1);
    EXPECT_TRUE(Free(block));
    hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
    Drop();
    EXPECT_EQ(Stats().mapped_bytes, 12 * kMiB);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_EQ(Alloc(10 * kMiB), block);
    memset(block, 1, 10 * kMiB);
    EXPECT_TRUE(Free(block));
    EXPECT_TRUE(Free(wall));
}

} // namespace hak_testing
