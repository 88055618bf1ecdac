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

} // namespace
