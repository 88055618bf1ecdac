/* Huge pages for large blocks: which windows they are asked for in, and that nothing is resident
 * that no block pays for. */
#include "boxes/extent/extent_huge_fixture.h"

namespace hak_testing {

TEST_F(ExtentHugeThere, AskedForOnceABlockWasFull) {
    char *first = Take(20 * kMiB);
    memset(first, 1, 20 * kMiB);
    EXPECT_EQ(HugeIn(first, 20 * kMiB), 0u);
    Take(3 * kMiB); /* by now the first one is known to be full; sixteen windows are needed */
    EXPECT_EQ(HugeIn(blocks_.back(), 3 * kMiB), 0u);
    for (int i = 0; i < 3; i++) {
        memset(blocks_.back(), 1, 3 * kMiB);
        Take(10 * kMiB);
        memset(blocks_.back(), 1, 10 * kMiB);
    }
    uint64_t before = Stats().huge_windows;
    char *block = Take(24 * kMiB);
    EXPECT_GE(HugeIn(block, 24 * kMiB), 8u);
    EXPECT_EQ(Stats().huge_windows, before + HugeIn(block, 24 * kMiB));
    EXPECT_LE(Resident(block, 24 * kMiB), 3 * (size_t)HAK_WINDOW_BYTES) << "no more than tried";
    EXPECT_EQ(ExtentFaults(), 0u);
    memset(block, 2, 24 * kMiB);
    EXPECT_EQ(Resident(block, 24 * kMiB), 24 * kMiB);
}

TEST_F(ExtentHuge, NotForBuffersThatNobodyFills) {
    uint64_t before = Stats().huge_windows;
    for (int i = 0; i < 8; i++) {
        memset(Take(8 * kMiB), 1, 4 * kMiB);
    }
    EXPECT_EQ(Stats().huge_windows, before);
    for (char *block : blocks_) {
        EXPECT_EQ(HugeIn(block, 8 * kMiB), 0u);
        EXPECT_EQ(Resident(block, 8 * kMiB), 4 * kMiB);
    }
}

TEST_F(ExtentHugeThere, SomeWindowsGoOnTelling) {
    Dense();
    for (int i = 0; i < 4; i++) {
        memset(Take(32 * kMiB), 1, 32 * kMiB);
    }
    unsigned huge = 0;
    for (char *block : blocks_) {
        huge += HugeIn(block, 32 * kMiB);
    }
    EXPECT_GE(huge, 52u); /* 64, less one in eight and the last one that is committed */
    EXPECT_LE(huge, 56u);
    ASSERT_TRUE(hak_dense_pays());
    Give(blocks_[1]); /* and full it was */
    EXPECT_TRUE(hak_dense_pays());
    Take(32 * kMiB);
    char *empty = Take(32 * kMiB); /* asked for huge pages, and nothing written */
    Give(empty);
    EXPECT_FALSE(hak_dense_pays());
}

TEST_F(ExtentHugeThere, OneByteCostsOneWindow) {
    Dense();
    char *block = Take(16 * kMiB);
    Take(2 * kMiB); /* so that the last window of the block is not the last one of all */
    char *window = Window(block);
    ASSERT_TRUE(IsHuge(window));
    size_t tried = Resident(block, 16 * kMiB);
    EXPECT_LE(tried, 2 * (size_t)HAK_WINDOW_BYTES);
    window += 3 * HAK_WINDOW_BYTES;
    ASSERT_TRUE(IsHuge(window));
    window[12345] = 1;
    EXPECT_EQ(Resident(window, HAK_WINDOW_BYTES), (size_t)HAK_WINDOW_BYTES);
    EXPECT_EQ(Resident(block, 16 * kMiB), tried + HAK_WINDOW_BYTES);
}

/* Else 2 MiB would be resident for a block of 64 KiB, and counted nowhere. */
TEST_F(ExtentHuge, WhoTakesAPartOfACleanWindowGetsSmallPages) {
    Dense();
    char *block = Take(16 * kMiB);
    char *behind = Take(64 * kKiB);
    memset(block, 1, 16 * kMiB);
    char *window = Window(block);
    ASSERT_TRUE(IsHuge(window));
    Give(block);
    Clean();
    ASSERT_EQ(Resident(block, 16 * kMiB), 0u);
    EXPECT_TRUE(IsHuge(window)) << "it is wholly clean";
    char *small = Take((size_t)(window - block) + 128 * kKiB);
    ASSERT_EQ(small, block);
    EXPECT_FALSE(IsHuge(window));
    window[0] = 1;
    EXPECT_EQ(Resident(window, HAK_WINDOW_BYTES), hak_os_page_bytes());
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_NE(behind, nullptr);
}

TEST_F(ExtentHugeThere, PurgeOfAPartKeepsTheRest) {
    Dense();
    char *block = Take(16 * kMiB);
    Take(64 * kKiB);
    memset(block, 7, 16 * kMiB);
    char *window = Window(block) + 2 * HAK_WINDOW_BYTES;
    ASSERT_TRUE(IsHuge(window));
    ASSERT_TRUE(IsHuge(window + HAK_WINDOW_BYTES));
    size_t half = (size_t)(window - block) + HAK_WINDOW_BYTES / 2;
    ASSERT_EQ(Resize(block, half), block);
    EXPECT_TRUE(IsHuge(window)) << "all of it is resident still";
    EXPECT_EQ(ExtentFaults(), 0u);
    Clean();
    EXPECT_FALSE(IsHuge(window)) << "khugepaged would fill it up";
    EXPECT_TRUE(IsHuge(window + HAK_WINDOW_BYTES)) << "wholly clean";
    EXPECT_EQ(Resident(block, 16 * kMiB), half);
    for (size_t i = 0; i < half; i += 512) {
        ASSERT_EQ(block[i], 7);
    }
    EXPECT_EQ(ExtentFaults(), 0u);
    ASSERT_EQ(Resize(block, 16 * kMiB), block);
    EXPECT_EQ(block[half], 0);
    EXPECT_EQ(ExtentFaults(), 0u);
}

/* A split takes 0.4 ms, and one malloc waits for all of a pass. */
TEST_F(ExtentHugeThere, SplitsAreCountedAgainstWhatAPassMayDo) {
    Dense();
    std::vector<char *> blocks;
    for (int i = 0; i < 3; i++) {
        blocks.push_back(Take(16 * kMiB));
        memset(blocks.back(), 7, 16 * kMiB);
        Take(64 * kKiB); /* so that the ends do not join */
    }
    for (char *block : blocks) {
        char *window = Window(block);
        window += IsHuge(window) ? 0 : HAK_WINDOW_BYTES; /* one in eight has small pages */
        ASSERT_TRUE(IsHuge(window));
        size_t half = (size_t)(window - block) + HAK_WINDOW_BYTES / 2;
        ASSERT_EQ(Resize(block, half), block);
    }
    uint64_t later = hak_os_now_ms() + 100000, before = Stats().purges;
    (void)hak_extent_purge_mt(later, 1000, 8, 0);
    (void)hak_extent_purge_mt(later + 600, 1000, 8, 0); /* the last one may be too much */
    EXPECT_EQ(Stats().purges, before + 1);
    (void)hak_extent_purge_mt(later + 600, 1000, 2 * 9, 0);
    EXPECT_EQ(Stats().purges, before + 3);
}

TEST_F(ExtentHugeThere, AskedForAgainAfterAPartWasPurged) {
    Dense();
    char *block = Take(16 * kMiB);
    Take(64 * kKiB);
    memset(block, 7, 16 * kMiB);
    char *window = Window(block) + 2 * HAK_WINDOW_BYTES;
    ASSERT_EQ(Resize(block, (size_t)(window - block) + HAK_WINDOW_BYTES / 2), block);
    Clean();
    ASSERT_FALSE(IsHuge(window));
    Give(block);
    Clean();
    block = Take(16 * kMiB);
    EXPECT_TRUE(IsHuge(window));
}

TEST_F(ExtentHuge, NoLongerAskedForWhereItDoesNotPay) {
    Dense();
    char *block = Take(16 * kMiB);
    Take(64 * kKiB);
    memset(block, 7, 16 * kMiB);
    char *window = Window(block);
    Give(block);
    Clean();
    ASSERT_TRUE(IsHuge(window));
    Sparse();
    block = Take(16 * kMiB);
    EXPECT_EQ(HugeIn(block, 16 * kMiB), 0u);
    window[0] = 1;
    EXPECT_EQ(Resident(block, 16 * kMiB), hak_os_page_bytes());
}

TEST_F(ExtentHugeThere, ABlockLeavesAsOneMapping) {
    char *plain = Take(20 * kMiB);
    size_t bytes;
    void *pages = hak_extent_leave_mt(plain, &bytes);
    if (pages == nullptr) {
        GTEST_SKIP() << "the kernel cannot";
    }
    hak_extent_come_back_mt(plain, pages, bytes);
    Dense();
    for (int i = 0; i < 3; i++) { /* windows of several commits */
        char *block = Take(20 * kMiB);
        block[0] = 1;
        block[20 * kMiB - 1] = 2;
        Window(block)[100] = 3;
        ASSERT_GE(HugeIn(block, 20 * kMiB), 6u);
        pages = hak_extent_leave_mt(block, &bytes);
        ASSERT_NE(pages, nullptr) << "windows are several mappings for the kernel";
        EXPECT_EQ(Resident(block, 20 * kMiB), 0u);
        hak_extent_come_back_mt(block, pages, bytes);
        EXPECT_EQ(block[0], 1);
        EXPECT_EQ(block[20 * kMiB - 1], 2);
        EXPECT_EQ(Window(block)[100], 3);
        EXPECT_EQ(ExtentFaults(), 0u);
    }
}

/* A huge page that came slowly is one, and a purge of a part of it splits it. */
TEST_F(ExtentHuge, WhatWasTriedIsKnownToBeHuge) {
    Dense();
    hak_os_fake_slow_down_us(4000);
    char *block = Take(16 * kMiB);
    hak_os_fake_slow_down_us(0);
    char *window = Window(block);
    window += IsHuge(window) ? 0 : HAK_WINDOW_BYTES;
    EXPECT_TRUE(IsHuge(window));
}

/* Where a block cannot leave, its huge pages are still known. */
TEST_F(ExtentHugeThere, ABlockThatCannotLeaveKeepsThem) {
    Dense();
    char *block = Take(20 * kMiB);
    unsigned huge = HugeIn(block, 20 * kMiB);
    ASSERT_GE(huge, 6u);
    memset(block, 5, 20 * kMiB);
    hak_os_fake_fail(HAK_OS_CALL_MOVE, 0, 1);
    size_t bytes;
    EXPECT_EQ(hak_extent_leave_mt(block, &bytes), nullptr);
    EXPECT_EQ(HugeIn(block, 20 * kMiB), huge);
    for (size_t i = 0; i < 20 * kMiB; i += 512) {
        ASSERT_EQ(block[i], 5);
    }
    EXPECT_EQ(ExtentFaults(), 0u);
}

/* The neighbour at its end keeps its content, and the page is not huge any more. */
TEST_F(ExtentHugeThere, ABlockThatLeavesPartsWhatItShares) {
    Dense();
    char *block = Take(16 * kMiB);
    Take(64 * kKiB);
    memset(block, 5, 16 * kMiB);
    char *window = Window(block) + 2 * HAK_WINDOW_BYTES;
    window += IsHuge(window) ? 0 : HAK_WINDOW_BYTES;
    ASSERT_TRUE(IsHuge(window));
    ASSERT_EQ(Resize(block, (size_t)(window - block) + HAK_WINDOW_BYTES / 2), block);
    char *behind = Take(128 * kKiB);
    ASSERT_EQ(behind, window + HAK_WINDOW_BYTES / 2) << "what is dirty is taken first";
    ASSERT_TRUE(IsHuge(behind));
    memset(behind, 6, 128 * kKiB);
    size_t bytes;
    void *pages = hak_extent_leave_mt(block, &bytes);
    if (pages == nullptr) {
        GTEST_SKIP() << "the kernel cannot";
    }
    EXPECT_FALSE(IsHuge(behind));
    EXPECT_EQ(behind[0], 6);
    EXPECT_EQ(behind[128 * kKiB - 1], 6);
    EXPECT_EQ(ExtentFaults(), 0u);
    hak_extent_come_back_mt(block, pages, bytes);
    EXPECT_EQ(window[0], 5);
}

TEST_F(ExtentHuge, RefusedByTheKernel) {
    Dense();
    for (hak_os_call_t call : {HAK_OS_CALL_HUGE, HAK_OS_CALL_PURGE}) {
        hak_os_fake_fail(call, 0, UINT64_MAX);
        char *block = Take(16 * kMiB);
        EXPECT_EQ(HugeIn(block, 16 * kMiB), 0u);
        EXPECT_LE(Resident(block, 16 * kMiB), 2 * hak_os_page_bytes());
        EXPECT_EQ(block[HAK_WINDOW_BYTES], 0);
        EXPECT_EQ(ExtentFaults(), 0u);
        hak_os_fake_reset();
    }
}

TEST_F(ExtentHugeThere, NoneForAWhileWhereTheyTakeLong) {
    Dense();
    hak_os_fake_slow_down_us(4000);
    char *block = Take(16 * kMiB);
    EXPECT_EQ(HugeIn(block, 16 * kMiB), 1u) << "the others would take as long";
    EXPECT_EQ(Resident(block, 16 * kMiB), (size_t)HAK_WINDOW_BYTES) << "one came all the same";
    memset(block, 1, 16 * kMiB);
    hak_os_fake_slow_down_us(0);
    block = Take(16 * kMiB);
    EXPECT_EQ(Resident(block, 16 * kMiB), 0u);
    memset(block, 1, 16 * kMiB);
    hak_os_fake_advance_ms(2100);
    EXPECT_NE(HugeIn(Take(16 * kMiB), 16 * kMiB), 0u);
}

/* Nothing that was looked at is left over, so the first question is whether a huge page came. */
TEST_F(ExtentHuge, NoneForLongWhereThereAreNone) {
    Dense();
    hak_os_fake_fail(HAK_OS_CALL_RESIDENT, 0, 1);
    char *block = Take(16 * kMiB);
    EXPECT_EQ(HugeIn(block, 16 * kMiB), 1u) << "that was tried";
    memset(block, 1, 16 * kMiB);
    for (uint64_t ms : {5000, 4000}) {
        hak_os_fake_advance_ms(ms);
        block = Take(16 * kMiB);
        ASSERT_TRUE(hak_dense_pays());
        EXPECT_EQ(HugeIn(block, 16 * kMiB), 0u);
        memset(block, 1, 16 * kMiB);
    }
    hak_os_fake_advance_ms(2000);
    EXPECT_NE(HugeIn(Take(16 * kMiB), 16 * kMiB), 0u);
}

/* The kernel allows a process 65,530 mappings, and others need some. */
TEST_F(ExtentHugeThere, MappingsAreBounded) {
    Dense();
    memset(Take(16 * kMiB), 1, 16 * kMiB);
    uint64_t edges = hak_extents.huge_edges;
    EXPECT_GE(edges, 2u);
    EXPECT_LE(edges, 6u);
    hak_extents.huge_edges += 8192;
    char *block = Take(16 * kMiB);
    ASSERT_TRUE(hak_dense_pays());
    EXPECT_EQ(HugeIn(block, 16 * kMiB), 0u);
    memset(block, 1, 16 * kMiB);
    hak_extents.huge_edges -= 8192;
    block = Take(16 * kMiB);
    EXPECT_NE(HugeIn(block, 16 * kMiB), 0u);
    for (char *each : blocks_) {
        EXPECT_TRUE(Free(each));
    }
    blocks_.clear();
    Drop();
    EXPECT_EQ(hak_extents.huge_edges, 0u) << "tracts that are gone";
}

} // namespace hak_testing
