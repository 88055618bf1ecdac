/* What blocks tell of how full they get: those that were handed out without a page of memory, of
 * what is theirs alone. */
#include "boxes/extent/extent_huge_fixture.h"

namespace hak_testing {

/* Huge pages would be asked for because of what another block wrote. */
TEST_F(ExtentHuge, ABlockOfUsedMemoryTellsNothing) {
    char *block = Take(16 * kMiB);
    Take(64 * kKiB);
    memset(block, 1, 16 * kMiB);
    Give(block);
    Sparse();
    for (int i = 0; i < 8; i++) {
        ASSERT_EQ(Take(16 * kMiB), block);
        Give(block);
    }
    EXPECT_FALSE(hak_dense_pays());
}

TEST_F(ExtentHuge, ABlockThatGrowsIntoUsedMemoryTellsNothing) {
    std::vector<char *> small, behind;
    for (int i = 0; i < 4; i++) {
        small.push_back(Take(2 * kMiB));
        behind.push_back(Take(14 * kMiB));
        memset(behind.back(), 1, 14 * kMiB);
    }
    Take(64 * kKiB);
    for (char *block : behind) {
        Give(block);
    }
    Sparse();
    for (char *block : small) {
        ASSERT_EQ(Resize(block, 16 * kMiB), block);
        Give(block);
    }
    EXPECT_FALSE(hak_dense_pays());
}

/* The last OS pages of a window may be behind the block. */
TEST_F(ExtentHuge, ABlockThatEndsBeforeItsLastUnitIsFull) {
    constexpr size_t kBytes = 16 * kMiB - 48 * kKiB;
    for (int i = 0; i < 5; i++) {
        memset(Take(kBytes), 1, kBytes);
    }
    EXPECT_TRUE(hak_dense_pays());
}

/* Where the last block was is another's memory, or nobody's. */
TEST_F(ExtentHuge, ABlockThatShrankOrLeftIsNotLookedAt) {
    for (bool leaves : {false, true}) {
        Sparse();
        Tell(true, 8);
        char *block = Take(20 * kMiB);
        memset(block, 1, 20 * kMiB);
        size_t bytes = 0;
        void *pages = NULL;
        if (leaves) {
            pages = hak_extent_leave_mt(block, &bytes);
        } else {
            ASSERT_EQ(Resize(block, kMiB), block);
            Clean();
        }
        Take(2 * kMiB);
        Tell(true, 4);
        EXPECT_TRUE(hak_dense_pays()) << leaves;
        if (pages != NULL) {
            hak_extent_come_back_mt(block, pages, bytes);
        }
    }
}

} // namespace hak_testing
