/* Which mappings get huge pages. */
#include "boxes/dense/dense.h"
#include "boxes/huge/huge_fixture.h"

#include <vector>

namespace {

using hak_testing::kWindow;

class HugePages : public hak_testing::HugeResize {
  protected:
    void SetUp() override {
        HugeResize::SetUp();
        hak_store_rlx(&hak_option_values[HAK_OPTION_THP], HAK_THP_DENSE);
        hak_os_fake_advance_ms(64000); /* beyond every pause */
        hak_dense_t none = {};
        hak_dense_made(&none);
    }
    void TearDown() override {
        for (char *block : blocks_) {
            EXPECT_TRUE(hak_huge_free_mt(block));
        }
        HugeResize::TearDown();
    }
    char *Take(size_t bytes) {
        blocks_.push_back(Alloc(bytes, kWindow));
        EXPECT_NE(blocks_.back(), nullptr);
        hak_os_no_huge(blocks_.back(), bytes); /* the system's setting may be always */
        return blocks_.back();
    }
    /* Another memory's, by way of which the score is set. */
    static void Dense() {
        auto *base = static_cast<char *>(hak_os_map_aligned(kWindow, kWindow));
        memset(base, 1, kWindow);
        hak_dense_t block = {.block = base, .count = 1, .window = {base}, .bytes = 0};
        for (int i = 0; i < 16; i++) {
            hak_dense_freed(&block);
        }
        hak_os_unmap(base, kWindow);
        ASSERT_TRUE(hak_dense_pays());
    }
    std::vector<char *> blocks_;
};

/* Blocks of a few windows are in this box where they are aligned. */
TEST_F(HugePages, MappingsThatNobodyFillsGetNoneSoonWhateverTheirLength) {
    for (size_t windows = 1; windows <= 6; windows++) {
        Dense();
        for (int i = 0; i < 9; i++) { /* one in eight has small pages and tells */
            Take(windows * kWindow)[0] = 1;
        }
        EXPECT_FALSE(hak_dense_pays()) << windows;
    }
}

/* Without an answer of the kernel's nobody knows if the first one came; it may have. */
TEST_F(HugePages, WhatWasTouchedCountsAsAskedForAlsoIfNoMoreIs) {
    hak_huge_stats_t before, after;
    hak_huge_stats_mt(&before);
    if (before.made % 8 == 7) {
        Take(kWindow); /* one in eight is not tried */
    }
    Dense();
    hak_os_fake_fail(HAK_OS_CALL_RESIDENT, 0, 100);
    hak_huge_stats_mt(&before);
    Take(40 * kWindow);
    hak_huge_stats_mt(&after);
    hak_os_fake_fail(HAK_OS_CALL_RESIDENT, 0, 0);
    EXPECT_EQ(after.huge_windows, before.huge_windows + 1);
}

TEST_F(HugePages, FullMappingsMakeThemPayWhateverTheirLength) {
    for (size_t windows : {1, 2, 3, 4, 5}) {
        hak_dense_t empty = {.block = nullptr, .count = 1, .window = {}, .bytes = 0};
        hak_dense_freed(&empty); /* not resident */
        for (int i = 0; i < 13; i++) {
            memset(Take(windows * kWindow), 1, windows * kWindow);
        }
        EXPECT_TRUE(hak_dense_pays()) << windows;
    }
}

/* Where huge pages take long a table that stays nearly empty would still get one for each byte. */
TEST_F(HugePages, NoneWhereTheyTakeLongButWhatWasTried) {
    if (hak_testing::Stats().made % 8 == 7) { /* that one is left to the system's setting */
        Take(kWindow);
    }
    hak_os_fake_advance_ms(64000);
    hak_dense_t none = {};
    hak_dense_made(&none);
    Dense();
    hak_os_fake_slow_down_us(4000);
    blocks_.push_back(Alloc(40 * kWindow, kWindow));
    char *page = blocks_.back() + 20 * kWindow;
    unsigned char resident = 1;
    page[0] = 1;
    page += 7 * hak_os_page_bytes();
    EXPECT_TRUE(hak_os_resident(page, hak_os_page_bytes(), &resident));
    EXPECT_EQ(resident & 1u, 0u);
    hak_os_fake_slow_down_us(0);
}

TEST_F(HugePages, WindowsThatWereAskedForAreCounted) {
    Dense();
    uint64_t windows = hak_testing::Stats().huge_windows, most = 0;
    for (int i = 0; i < 2; i++) { /* one in eight gets none */
        hak_os_fake_advance_ms(64000);
        Dense();
        blocks_.push_back(Alloc(20 * kWindow, kWindow));
        most = hak_testing::Stats().huge_windows - windows;
        memset(blocks_.back(), 1, 20 * kWindow);
    }
    EXPECT_TRUE(most == 20 || most == 40 || most == 0) << most;
}

} // namespace
