/* Which blocks make huge pages pay, and which do not. */
#include "boxes/dense/dense.h"

#include <gtest/gtest.h>
#include <string.h>

#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "registry/registry.h"

namespace {

constexpr size_t kWindow = HAK_WINDOW_BYTES;
constexpr unsigned kWindows = 6;

class Dense : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        hak_os_fake_reset();
        base_ = static_cast<char *>(hak_os_map_aligned(kWindows * kWindow, kWindow));
        ASSERT_NE(base_, nullptr);
        hak_os_no_huge(base_, kWindows * kWindow);
        hak_store_rlx(&hak_option_values[HAK_OPTION_THP], HAK_THP_DENSE);
        Forget();
    }
    void TearDown() override {
        Forget();
        hak_os_fake_reset();
        hak_os_unmap(base_, kWindows * kWindow);
    }
    /* What other tests left: nothing pays, and three full blocks are needed. */
    void Forget() {
        hak_dense_made(&kNone);
        Clear();
        hak_dense_t empty = Block(1);
        hak_dense_freed(&empty);
    }
    void Clear() { ASSERT_TRUE(hak_os_purge(base_, kWindows * kWindow)); }
    /* A block of so many windows. */
    hak_dense_t Block(unsigned count) {
        hak_dense_t block = {};
        block.block = base_;
        for (unsigned i = count; i-- != 0;) {
            block.window[block.count++] = base_ + i * kWindow;
        }
        return block;
    }
    void Fill(unsigned windows) { memset(base_, 1, windows * kWindow); }
    /* Brings the score to the last step before huge pages pay. */
    void AlmostPays() {
        Fill(kWindows);
        hak_dense_t block = Block(4), small = Block(3);
        hak_dense_freed(&block);
        hak_dense_freed(&block);
        hak_dense_freed(&small);
        ASSERT_FALSE(hak_dense_pays());
    }
    char *base_ = nullptr;
    static constexpr hak_dense_t kNone = {};
};
constexpr hak_dense_t Dense::kNone;

TEST_F(Dense, ThreeFullBlocksAfterOneThatWasNot) {
    AlmostPays();
    hak_dense_t block = Block(1);
    hak_dense_freed(&block);
    EXPECT_TRUE(hak_dense_pays());
}

TEST_F(Dense, OneThatIsNotFilledTakesAllAway) {
    AlmostPays();
    hak_dense_t block = Block(4);
    for (int i = 0; i < 10; i++) {
        hak_dense_freed(&block);
    }
    ASSERT_TRUE(hak_dense_pays());
    Clear();
    Fill(3); /* of four windows */
    hak_dense_freed(&block);
    EXPECT_FALSE(hak_dense_pays());
    AlmostPays();
}

/* Without a look at the very end a buffer that is nearly as long as it need be would pass. */
TEST_F(Dense, LooksAtTheLastPage) {
    AlmostPays();
    Clear();
    memset(base_, 1, 4 * kWindow - hak_os_page_bytes());
    hak_dense_t block = Block(4);
    hak_dense_freed(&block);
    EXPECT_FALSE(hak_dense_pays());
    AlmostPays();
}

TEST_F(Dense, ABlockOfOneWindowNeedsMoreThanAFooter) {
    AlmostPays();
    Clear();
    base_[0] = 1;
    base_[kWindow - 1] = 1;
    hak_dense_t block = Block(1);
    for (int i = 0; i < 3; i++) { /* a look may meet the first page or the last */
        hak_dense_freed(&block);
    }
    EXPECT_FALSE(hak_dense_pays());
    AlmostPays();
}

/* With one fixed page for all looks, a table of which only those are used would pass. */
TEST_F(Dense, LooksElsewhereEachTime) {
    for (unsigned window = 0; window < 4; window++) { /* an eighth of each is missing */
        memset(base_ + window * kWindow + kWindow / 8, 1, kWindow - kWindow / 8);
    }
    hak_dense_t block = Block(4);
    int paid = 0;
    for (int i = 0; i < 200; i++) {
        hak_dense_freed(&block);
        paid += hak_dense_pays();
    }
    EXPECT_LT(paid, 100); /* 1 - (7/8)^3 of the blocks are found not to be full */
}

TEST_F(Dense, TheLastBlockIsLookedAtWhenTheNextIsAskedFor) {
    AlmostPays();
    hak_dense_t block = Block(4);
    hak_dense_made(&block);
    EXPECT_FALSE(hak_dense_pays());
    hak_dense_asked();
    EXPECT_TRUE(hak_dense_pays());
    Clear();
    hak_dense_asked(); /* it was looked at already */
    EXPECT_TRUE(hak_dense_pays());
    hak_dense_made(&block);
    hak_dense_asked();
    EXPECT_FALSE(hak_dense_pays()) << "nothing was written";
}

TEST_F(Dense, AFreedBlockIsNotLookedAtOnceItIsPurged) {
    AlmostPays();
    hak_dense_t block = Block(4);
    hak_dense_made(&block);
    hak_dense_freed(&block);
    ASSERT_TRUE(hak_dense_pays());
    Clear();
    hak_dense_asked();
    EXPECT_TRUE(hak_dense_pays());
}

TEST_F(Dense, ABlockOfAnotherSizeIsNotLookedAt) {
    AlmostPays();
    hak_dense_t block = Block(4);
    hak_dense_made(&block);
    hak_dense_forget(base_ + 1);
    hak_dense_asked();
    EXPECT_TRUE(hak_dense_pays()) << "it was another block";
    hak_dense_made(&block);
    hak_dense_forget(base_);
    Clear();
    hak_dense_asked();
    EXPECT_TRUE(hak_dense_pays());
}

TEST_F(Dense, BlocksWithoutWindowsTellNothing) {
    AlmostPays();
    hak_dense_freed(&kNone);
    hak_dense_made(&kNone);
    hak_dense_asked();
    EXPECT_FALSE(hak_dense_pays());
    hak_dense_t block = Block(1);
    hak_dense_freed(&block);
    EXPECT_TRUE(hak_dense_pays());
}

/* A table of many GiB of which a page here and there is used would become resident as a whole. */
TEST_F(Dense, ALongBlockOnlyAfterAFullOneOfAnEighth) {
    constexpr size_t kMiB = 1 << 20;
    AlmostPays();
    hak_dense_t block = Block(4);
    hak_dense_freed(&block);
    ASSERT_TRUE(hak_dense_pays());
    EXPECT_TRUE(hak_dense_pays_for(256 * kMiB));
    EXPECT_FALSE(hak_dense_pays_for(257 * kMiB));
    block.bytes = 100 * kMiB;
    hak_dense_freed(&block);
    EXPECT_TRUE(hak_dense_pays_for(800 * kMiB));
    EXPECT_FALSE(hak_dense_pays_for(801 * kMiB));
    block.bytes = 200 * kMiB;
    hak_dense_made(&block);
    hak_dense_asked();
    EXPECT_TRUE(hak_dense_pays_for(1600 * kMiB));
    Clear();
    block.bytes = 300 * kMiB;
    hak_dense_freed(&block);
    EXPECT_FALSE(hak_dense_pays_for(1)) << "it was not full";
    AlmostPays();
    block.bytes = 0;
    hak_dense_freed(&block);
    EXPECT_TRUE(hak_dense_pays_for(1600 * kMiB));
    EXPECT_FALSE(hak_dense_pays_for(1601 * kMiB));
}

TEST_F(Dense, WhereTheKernelDoesNotTellNothingPays) {
    hak_os_fake_fail(HAK_OS_CALL_RESIDENT, 0, UINT64_MAX);
    Fill(kWindows);
    hak_dense_t block = Block(4);
    for (int i = 0; i < 10; i++) {
        hak_dense_freed(&block);
    }
    EXPECT_FALSE(hak_dense_pays());
}

TEST_F(Dense, OnlyWithTheOption) {
    AlmostPays();
    hak_dense_t block = Block(4);
    hak_dense_freed(&block);
    ASSERT_TRUE(hak_dense_pays());
    for (hak_thp_t value : {HAK_THP_OFF, HAK_THP_SYSTEM}) {
        hak_store_rlx(&hak_option_values[HAK_OPTION_THP], value);
        uint64_t looks = hak_os_fake_calls(HAK_OS_CALL_RESIDENT);
        EXPECT_FALSE(hak_dense_pays());
        hak_dense_freed(&block);
        hak_dense_made(&block);
        hak_dense_asked();
        EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_RESIDENT), looks);
    }
    hak_store_rlx(&hak_option_values[HAK_OPTION_THP], HAK_THP_DENSE);
    EXPECT_TRUE(hak_dense_pays());
}

} // namespace
