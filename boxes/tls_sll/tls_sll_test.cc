#include "boxes/tls_sll/tls_sll.h"

#include <gtest/gtest.h>

#include "base/testing/testing.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
}

namespace {

constexpr uint32_t kTag = 7u << HAK_TAG_OWNER_SHIFT;

class TlsSll : public ::testing::Test {
  protected:
    void SetUp() override {
        for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
            cap_[sc] = hak_tls_sll_first_cap(hak_sc_bytes[sc]);
        }
        hak_tls_sll_attach(reinterpret_cast<hak_heap *>(&heap_), kTag, cap_, spare_bytes_);
    }
    void TearDown() override { hak_tls_sll_detach(); }

    /* A list of the blocks from `first` on. */
    hak_block_t *List(size_t first, size_t count) {
        for (size_t i = first; i < first + count; i++) {
            hak_block_link(&blocks_[i], i + 1 < first + count ? &blocks_[i + 1] : nullptr);
        }
        return &blocks_[first];
    }
    static int32_t Room(unsigned sc) { return hak_tls.bin[sc].room; }

    char heap_;
    uint32_t cap_[HAK_SC_COUNT];
    uint32_t spare_bytes_[HAK_SC_SPARE] = {0, 528};
    hak_block_t blocks_[256];
};

TEST_F(TlsSll, FreshThreadHasEmptyBinsAndATagThatNoHeapHas) {
    hak_testing::RunThreads(1, [](int) {
        EXPECT_EQ(hak_tls.heap, nullptr);
        EXPECT_EQ(hak_tls.ended, 0u);
        EXPECT_EQ(hak_tls_sll_tag(hak_tls_sll_self()), HAK_TAG_NOBODY);
        EXPECT_NE(hak_tls.bin[0].tag, HAK_TAG_NONE) << "free(NULL) would push";
        hak_block_t block;
        for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
            EXPECT_EQ(hak_tls_sll_pop_class(sc), nullptr);
            EXPECT_FALSE(hak_tls_sll_push_class(sc, &block)) << "no room before there is a heap";
        }
    });
}

TEST_F(TlsSll, LastInFirstOut) {
    for (unsigned sc : {1u, 40u, 80u}) {
        int32_t room = Room(sc);
        for (size_t i = 0; i < 3; i++) {
            ASSERT_TRUE(hak_tls_sll_push_class(sc, &blocks_[i]));
        }
        EXPECT_EQ(Room(sc), room - 3);
        EXPECT_EQ(hak_tls_sll_pop_class(sc), &blocks_[2]);
        EXPECT_EQ(hak_tls_sll_pop_class(sc), &blocks_[1]);
        EXPECT_EQ(hak_tls_sll_pop_class(sc), &blocks_[0]);
        EXPECT_EQ(hak_tls_sll_pop_class(sc), nullptr);
        EXPECT_EQ(Room(sc), room);
    }
}

TEST_F(TlsSll, BinsAreApart) {
    ASSERT_TRUE(hak_tls_sll_push_class(5, &blocks_[0]));
    EXPECT_EQ(hak_tls_sll_pop_class(4), nullptr);
    EXPECT_EQ(hak_tls_sll_pop_class(6), nullptr);
    EXPECT_EQ(hak_tls_sll_pop_class(5), &blocks_[0]);
}

TEST_F(TlsSll, PushStopsAtTheCap) {
    unsigned sc = 33;
    uint32_t pushed = 0;
    while (hak_tls_sll_push_class(sc, &blocks_[pushed])) {
        pushed++;
        ASSERT_LT(pushed, 256u);
    }
    EXPECT_EQ(pushed, cap_[sc]);
    EXPECT_EQ(Room(sc), -1) << "which the flush of the refused block puts right";
    hak_tls.bin[sc].room++;
    EXPECT_NE(hak_tls_sll_pop_class(sc), nullptr);
    EXPECT_TRUE(hak_tls_sll_push_class(sc, &blocks_[255])) << "one popped, one fits";
}

TEST_F(TlsSll, FirstCapsAreBoundedInBlocksAndBytes) {
    EXPECT_EQ(hak_tls_sll_first_cap(0), 0u);
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        EXPECT_GE(cap_[sc], 4u) << sc;
        EXPECT_LE(cap_[sc], 128u) << sc;
        EXPECT_TRUE(cap_[sc] == 4 || cap_[sc] * hak_sc_bytes[sc] <= 16384) << sc;
        EXPECT_LE(cap_[sc], cap_[sc - 1] == 0 ? 128 : cap_[sc - 1]) << sc;
    }
    for (unsigned sc = HAK_SC_FIXED + 1; sc < HAK_SC_COUNT; sc++) {
        EXPECT_EQ(cap_[sc], 0u) << "a spare class takes nothing in";
    }
}

TEST_F(TlsSll, AttachAndDetach) {
    EXPECT_EQ(hak_tls.heap, reinterpret_cast<hak_heap *>(&heap_));
    EXPECT_EQ(hak_tls_sll_tag(hak_tls_sll_self()), kTag);
    for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
        EXPECT_EQ(hak_tls.bin[sc].head, nullptr);
        EXPECT_EQ((uint32_t)Room(sc), cap_[sc]);
        uint32_t divisor = sc == HAK_SC_FIXED + 2 ? hak_sc_divisor_of(528) : hak_sc_divisor[sc];
        EXPECT_EQ(hak_tls.bin[sc].divisor,
                  hak_cfg_check_interior ? divisor : kTag | sc << HAK_BIN_SHIFT)
            << sc;
    }
    hak_tls_sll_share(9);
    EXPECT_EQ(hak_tls.bin[9].divisor,
              hak_cfg_check_interior ? hak_sc_divisor[9] : HAK_TAG_SHARED | 9 << HAK_BIN_SHIFT);
    hak_tls_sll_detach();
    for (unsigned sc = 0; sc < HAK_SC_COUNT && !hak_cfg_check_interior; sc++) {
        uint32_t foreign = HAK_TAG_NONE; /* NULL and other allocators' blocks */
        EXPECT_NE(hak_tls.bin[foreign].tag, foreign);
        EXPECT_NE(hak_tls.bin[sc].tag, kTag | sc << HAK_BIN_SHIFT);
    }
    EXPECT_EQ(hak_tls.heap, nullptr);
    EXPECT_EQ(hak_tls_sll_tag(hak_tls_sll_self()), HAK_TAG_NOBODY);
    EXPECT_FALSE(hak_tls_sll_push_class(1, &blocks_[0]));
}

TEST_F(TlsSll, TakeAllEmptiesTheBin) {
    unsigned sc = 10;
    ASSERT_TRUE(hak_tls_sll_push_class(sc, &blocks_[0]));
    ASSERT_TRUE(hak_tls_sll_push_class(sc, &blocks_[1]));
    hak_block_t *list = hak_tls_sll_take_all(sc, 9);
    EXPECT_EQ(list, &blocks_[1]);
    EXPECT_EQ(hak_block_next(list), &blocks_[0]);
    EXPECT_EQ(hak_tls_sll_pop_class(sc), nullptr);
    EXPECT_EQ(Room(sc), 9);
    EXPECT_EQ(hak_tls_sll_take_all(sc, 9), nullptr);
}

TEST_F(TlsSll, FillLeavesRoomForAFewMore) {
    unsigned sc = 10;
    EXPECT_EQ(hak_tls_sll_fill(sc, List(0, 3), 3, 40), 40u);
    EXPECT_EQ(Room(sc), 37);
    /* A list longer than the cap: frees that follow must not overflow at once. */
    uint32_t most = hak_tls_sll_fill(sc, List(0, 100), 100, 40);
    EXPECT_GT(most, 100u);
    EXPECT_EQ(Room(sc), (int32_t)most - 100);
    for (size_t i = 0; i < 100; i++) {
        ASSERT_EQ(hak_tls_sll_pop_class(sc), &blocks_[i]);
    }
    EXPECT_EQ(hak_tls_sll_pop_class(sc), nullptr);
    EXPECT_EQ(Room(sc), (int32_t)most);
}

TEST_F(TlsSll, ThreadsDoNotSeeEachOthersBins) {
    ASSERT_TRUE(hak_tls_sll_push_class(3, &blocks_[0]));
    hak_testing::RunThreads(2, [](int) { EXPECT_EQ(hak_tls_sll_pop_class(3), nullptr); });
    EXPECT_EQ(hak_tls_sll_pop_class(3), &blocks_[0]);
}

} // namespace
