#include "boxes/run/run.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include <atomic>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/bits.h"
#include "base/testing/testing.h"
#include "boxes/slab/slab.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"

namespace {

using hak_testing::Faults;

class Run : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        /* Each test begins with memory that was never written. */
        (void)hak_slot_pool_purge_mt(1ull << 40, 0, UINT32_MAX, 0);
        ASSERT_EQ(Active(), 0u);
    }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Active(), 0u);
        EXPECT_EQ(Faults(), 0u);
    }

    static uint64_t Active() {
        hak_slot_pool_stats_t stats;
        hak_slot_pool_stats_mt(&stats);
        return stats.active_slots;
    }
    static char *Alloc(size_t bytes) {
        bool zeroed;
        return static_cast<char *>(hak_run_alloc_mt(bytes, &zeroed));
    }
    static size_t Usable(size_t bytes) { return hak_align_up(bytes, hak_os_page_bytes()); }
    static size_t Units(size_t bytes) { return (bytes + HAK_UNIT_BYTES - 1) / HAK_UNIT_BYTES; }
    static uint32_t TagAt(const char *block, size_t unit) {
        return hak_registry_tag((uintptr_t)block + unit * HAK_UNIT_BYTES);
    }
    /* The first unit's tag says that a block starts, the others' that it continues. */
    static void ExpectTags(const char *block, size_t units) {
        EXPECT_EQ(TagAt(block, 0), HAK_TAG_RUN);
        for (size_t i = 1; i < units; i++) {
            EXPECT_EQ(TagAt(block, i), HAK_TAG_RUN_BODY) << i;
        }
    }
    static bool Holds(const char *block, char value, size_t bytes) {
        return block[0] == value && memcmp(block, block + 1, bytes - 1) == 0;
    }
};

TEST_F(Run, EverySizeIsAlignedZeroedAndTagged) {
    for (size_t bytes : {(size_t)1, (size_t)65536, (size_t)65537, (size_t)131072, (size_t)300001,
                         (size_t)HAK_RUN_MAX_BYTES - 1, (size_t)HAK_RUN_MAX_BYTES}) {
        bool zeroed = false;
        char *block = static_cast<char *>(hak_run_alloc_mt(bytes, &zeroed));
        ASSERT_NE(block, nullptr);
        EXPECT_EQ((uintptr_t)block % HAK_UNIT_BYTES, 0u);
        EXPECT_TRUE(!zeroed || Holds(block, 0, Usable(bytes))) << bytes;
        memset(block, 1, Usable(bytes));
        ExpectTags(block, Units(bytes));
        uintptr_t start = 0;
        for (size_t offset : {(size_t)0, bytes / 2, Usable(bytes) - 1}) {
            EXPECT_EQ(hak_run_describe((uintptr_t)block + offset, &start), Usable(bytes));
            EXPECT_EQ(start, (uintptr_t)block);
        }
        EXPECT_TRUE(hak_run_free_mt(block));
        for (size_t i = 0; i < Units(bytes); i++) {
            EXPECT_EQ(TagAt(block, i), HAK_TAG_NONE);
        }
        EXPECT_EQ(hak_run_describe((uintptr_t)block, &start), 0u);
        EXPECT_FALSE(hak_run_free_mt(block)) << "freed twice";
    }
}

TEST_F(Run, MemoryThatWasUsedIsNotSaidToBeZero) {
    char *block = Alloc(200000);
    memset(block, 7, 200000);
    ASSERT_TRUE(hak_run_free_mt(block));
    bool zeroed = true;
    ASSERT_EQ(hak_run_alloc_mt(200000, &zeroed), block);
    EXPECT_FALSE(zeroed);
    EXPECT_TRUE(hak_run_free_mt(block));
}

TEST_F(Run, OnlyTheStartOfARunCanBeFreed) {
    char *block = Alloc(3 * HAK_UNIT_BYTES);
    int local = 0;
    for (void *wrong : {(void *)(block + HAK_UNIT_BYTES), (void *)(block + 16), (void *)&local,
                        (void *)nullptr}) {
        EXPECT_FALSE(hak_run_free_mt(wrong));
    }
    hak_slab_t *slab = hak_slot_pool_take_mt(1);
    EXPECT_FALSE(hak_run_free_mt((void *)hak_slab_base(slab))) << "a slab is no run";
    hak_slot_pool_give_mt(slab);
    ExpectTags(block, 3);
    EXPECT_TRUE(hak_run_free_mt(block));
}

TEST_F(Run, GrowsInPlaceAndKeepsItsContent) {
    char *block = Alloc(100000);
    memset(block, 5, 100000);
    for (size_t bytes :
         {(size_t)131072, (size_t)131073, (size_t)700000, (size_t)HAK_RUN_MAX_BYTES}) {
        ASSERT_TRUE(hak_run_resize_mt(block, bytes)) << bytes;
        ExpectTags(block, Units(bytes));
        uintptr_t start;
        EXPECT_EQ(hak_run_describe((uintptr_t)block + bytes - 1, &start), Usable(bytes));
        EXPECT_TRUE(Holds(block, 5, 100000));
        EXPECT_EQ(Active(), Units(bytes));
    }
    EXPECT_FALSE(hak_run_resize_mt(block, HAK_RUN_MAX_BYTES + 1));
    ExpectTags(block, HAK_RUN_MAX_UNITS);
    EXPECT_TRUE(hak_run_free_mt(block));
}

TEST_F(Run, DoesNotGrowOverItsNeighbour) {
    char *block = Alloc(2 * HAK_UNIT_BYTES);
    char *neighbour = Alloc(HAK_UNIT_BYTES);
    ASSERT_EQ(neighbour, block + 2 * HAK_UNIT_BYTES);
    memset(neighbour, 9, HAK_UNIT_BYTES);
    EXPECT_FALSE(hak_run_resize_mt(block, 3 * HAK_UNIT_BYTES));
    uintptr_t start;
    EXPECT_EQ(hak_run_describe((uintptr_t)block, &start), 2u * HAK_UNIT_BYTES);
    ExpectTags(block, 2);
    ExpectTags(neighbour, 1);
    EXPECT_TRUE(Holds(neighbour, 9, HAK_UNIT_BYTES));
    EXPECT_TRUE(hak_run_free_mt(neighbour));
    EXPECT_TRUE(hak_run_resize_mt(block, 3 * HAK_UNIT_BYTES)) << "the neighbour is gone";
    EXPECT_TRUE(hak_run_free_mt(block));
}

TEST_F(Run, ShrinkingGivesTheEndToOthers) {
    char *block = Alloc(8 * HAK_UNIT_BYTES);
    memset(block, 3, 8 * HAK_UNIT_BYTES);
    ASSERT_TRUE(hak_run_resize_mt(block, 2 * HAK_UNIT_BYTES + 1));
    EXPECT_EQ(Active(), 3u);
    ExpectTags(block, 3);
    for (size_t i = 3; i < 8; i++) {
        EXPECT_EQ(TagAt(block, i), HAK_TAG_NONE) << i;
    }
    char *other = Alloc(5 * HAK_UNIT_BYTES);
    EXPECT_EQ(other, block + 3 * HAK_UNIT_BYTES);
    memset(other, 4, 5 * HAK_UNIT_BYTES);
    EXPECT_TRUE(Holds(block, 3, 2 * HAK_UNIT_BYTES + 1));
    EXPECT_TRUE(hak_run_free_mt(block));
    ExpectTags(other, 5);
    EXPECT_TRUE(hak_run_free_mt(other));
}

TEST_F(Run, NoMemoryGivesNullAndENOMEM) {
    std::vector<char *> blocks;
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    errno = 0;
    for (char *block = Alloc(HAK_RUN_MAX_BYTES); block != nullptr;
         block = Alloc(HAK_RUN_MAX_BYTES)) {
        blocks.push_back(block);
        ASSERT_LT(blocks.size(), 1000u) << "the pool holds only so much";
    }
    EXPECT_EQ(errno, ENOMEM);
    hak_os_fake_reset();
    blocks.push_back(Alloc(HAK_RUN_MAX_BYTES));
    EXPECT_NE(blocks.back(), nullptr);
    for (char *block : blocks) {
        EXPECT_TRUE(hak_run_free_mt(block));
    }
}

TEST_F(Run, OfTwoThreadsThatFreeABlockOneSucceeds) {
    for (int round = 0; round < 300; round++) {
        char *block = Alloc(HAK_UNIT_BYTES + 1);
        std::atomic<int> freed(0);
        hak_testing::RunThreads(2, [&](int) { freed += hak_run_free_mt(block); });
        ASSERT_EQ(freed.load(), 1);
        ASSERT_EQ(Active(), 0u);
    }
}

/* Each thread fills its runs with a value of its own and finds it unchanged. */
TEST_F(Run, ThreadsDoNotShareRuns) {
    std::atomic<int> damaged(0);
    hak_testing::RunThreads(4, [&](int thread) {
        hak_testing::Random random((uint64_t)thread);
        struct Piece {
            char *block;
            size_t bytes;
            char value;
        };
        std::vector<Piece> pieces;
        for (int step = 0; step < 400; step++) {
            size_t bytes = 1 + random.Below(6 * HAK_UNIT_BYTES);
            char value = (char)(1 + thread * 31 + step % 31);
            if (pieces.size() < 12 && random.Below(2) == 0) {
                pieces.push_back({Alloc(bytes), bytes, value});
                memset(pieces.back().block, value, bytes);
                continue;
            }
            if (pieces.empty()) {
                continue;
            }
            size_t i = random.Below(pieces.size());
            Piece &piece = pieces[i];
            damaged += !Holds(piece.block, piece.value, piece.bytes);
            if (random.Below(2) == 0 && hak_run_resize_mt(piece.block, bytes)) {
                size_t same = bytes < piece.bytes ? bytes : piece.bytes;
                damaged += !Holds(piece.block, piece.value, same);
                piece.bytes = bytes;
                memset(piece.block, piece.value, bytes);
                continue;
            }
            damaged += !hak_run_free_mt(piece.block);
            piece = pieces.back();
            pieces.pop_back();
        }
        for (const Piece &piece : pieces) {
            damaged += !hak_run_free_mt(piece.block);
        }
    });
    EXPECT_EQ(damaged.load(), 0);
}

} // namespace
