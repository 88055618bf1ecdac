#include <algorithm>

#include "boxes/extent/extent_fixture.h"
#include "core/meta/meta.h"

namespace hak_testing {

TEST_F(Extent, BlocksAreAlignedAndKnownFromStartToEnd) {
    for (size_t bytes : {(size_t)1, 65537ul, 200 * kKiB, kMiB, 5 * kMiB + 12345, 32 * kMiB}) {
        Drop();
        bool zeroed = false;
        char *block = Alloc(bytes, &zeroed);
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(zeroed);
        EXPECT_EQ((uintptr_t)block % HAK_UNIT_BYTES, 0u);
        EXPECT_EQ(hak_registry_tag((uintptr_t)block), HAK_TAG_EXTENT);
        for (char *at : {block, block + 1, block + bytes / 2, block + bytes - 1}) {
            EXPECT_GE(Usable(at, block), bytes);
        }
        size_t usable = Usable(block, block);
        EXPECT_LT(usable - bytes, hak_os_page_bytes());
        EXPECT_EQ(block[0] | block[bytes - 1], 0);
        memset(block, 1, usable);
        EXPECT_EQ(Stats().bytes, usable);
        EXPECT_EQ((usable + Stats().tail_bytes) % HAK_UNIT_BYTES, 0u);
        EXPECT_TRUE(Free(block));
        EXPECT_EQ(hak_registry_tag((uintptr_t)block), HAK_TAG_NONE);
        EXPECT_EQ(Usable(block, block), 0u);
        EXPECT_EQ(Usable(block + bytes - 1, block), 0u);
    }
}

TEST_F(Extent, WhatIsNoBlockIsNotFreed) {
    char *block = Alloc(300 * kKiB);
    int local;
    EXPECT_FALSE(hak_extent_free_mt(&local, nullptr));
    EXPECT_FALSE(Free(block + 16));
    EXPECT_FALSE(Free(block + HAK_UNIT_BYTES));
    EXPECT_FALSE(Free(block + 10 * HAK_UNIT_BYTES));
    EXPECT_TRUE(Free(block));
    EXPECT_FALSE(Free(block));
    block = Alloc(300 * kKiB, nullptr, parked_);
    EXPECT_TRUE(hak_extent_free_mt(block, parked_));
    EXPECT_FALSE(hak_extent_free_mt(block, parked_)) << "parked";
    EXPECT_EQ(Usable(block, block), 0u);
}

TEST_F(Extent, FreedMemoryIsUsedAgainWhateverTheSizes) {
    std::vector<char *> blocks;
    for (int i = 0; i < 8; i++) {
        blocks.push_back(Alloc(2 * kMiB));
    }
    EXPECT_EQ(Stats().mapped_bytes, 16 * kMiB);
    for (int i : {1, 0, 3, 2, 5, 4, 7, 6}) { /* joins with the one behind, before, both */
        EXPECT_TRUE(Free(blocks[i]));
        EXPECT_EQ(ExtentFaults(), 0u);
    }
    EXPECT_EQ(Stats().cached_bytes, 16 * kMiB);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_MAP) + hak_os_fake_calls(HAK_OS_CALL_COMMIT);
    bool zeroed = true;
    char *all = Alloc(16 * kMiB, &zeroed);
    EXPECT_EQ(all, blocks[0]);
    EXPECT_FALSE(zeroed);
    EXPECT_TRUE(Free(all));
    char *parts[] = {Alloc(9 * kMiB), Alloc(100 * kKiB), Alloc(6 * kMiB)};
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_MAP) + hak_os_fake_calls(HAK_OS_CALL_COMMIT), calls);
    for (char *part : parts) {
        EXPECT_GE(part, blocks[0]);
        EXPECT_LT(part, blocks[0] + 16 * kMiB);
        EXPECT_TRUE(Free(part));
    }
}

TEST_F(Extent, DirtyUnitsGoFirstAndTheShortestThatFits) {
    char *a = Alloc(10 * HAK_UNIT_BYTES), *wall1 = Alloc(1), *b = Alloc(4 * HAK_UNIT_BYTES),
         *wall2 = Alloc(1);
    EXPECT_TRUE(Free(a));
    EXPECT_TRUE(Free(b));
    bool zeroed = true;
    char *small = Alloc(3 * HAK_UNIT_BYTES, &zeroed);
    EXPECT_EQ(small, b);
    EXPECT_FALSE(zeroed);
    char *large = Alloc(5 * HAK_UNIT_BYTES, &zeroed);
    EXPECT_EQ(large, a);
    EXPECT_FALSE(zeroed);
    char *fresh = Alloc(12 * HAK_UNIT_BYTES, &zeroed);
    EXPECT_TRUE(zeroed);
    for (char *block : {small, large, fresh, wall1, wall2}) {
        EXPECT_TRUE(Free(block));
    }
}

TEST_F(Extent, GrowsIntoFreeUnitsWithoutASystemCall) {
    char *block = Alloc(32 * kMiB);
    memset(block, 7, 32 * kMiB);
    EXPECT_TRUE(Free(block));
    block = Alloc(80 * kKiB);
    memset(block, 3, 80 * kKiB);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_COMMIT) + hak_os_fake_calls(HAK_OS_CALL_PURGE);
    for (size_t bytes = 96 * kKiB; bytes <= 32 * kMiB; bytes += 160 * kKiB) {
        ASSERT_EQ(Resize(block, bytes), block);
        ASSERT_GE(Usable(block + bytes - 1, block), bytes);
    }
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_COMMIT) + hak_os_fake_calls(HAK_OS_CALL_PURGE), calls);
    EXPECT_EQ(Stats().moved, 0u);
    EXPECT_EQ(memcmp(block, block + 1, 80 * kKiB - 1), 0);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_EQ(Resize(block, 70 * kKiB), block);
    EXPECT_EQ(Stats().cached_bytes, 32 * kMiB - 2 * HAK_UNIT_BYTES);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_TRUE(Free(block));
}

TEST_F(Extent, MovesToAPlaceWithRoomIfItCannotGrow) {
    char *block = Alloc(3 * HAK_UNIT_BYTES), *wall = Alloc(1);
    memset(block, 5, 3 * HAK_UNIT_BYTES);
    uint64_t moved = Stats().moved, grown = Stats().grown;
    char *other = Resize(block, 4 * HAK_UNIT_BYTES);
    ASSERT_NE(other, nullptr);
    EXPECT_NE(other, block);
    EXPECT_EQ(Usable(block, block), 0u) << "the old place is free";
    EXPECT_EQ(Stats().moved, moved + 1);
    EXPECT_EQ(other[0], 5);
    EXPECT_EQ(memcmp(other, other + 1, 3 * HAK_UNIT_BYTES - 1), 0);
    EXPECT_EQ(Resize(other, 8 * HAK_UNIT_BYTES), other) << "there was no room";
    EXPECT_EQ(Stats().grown, grown + 1);
    EXPECT_TRUE(Free(other));
    EXPECT_TRUE(Free(wall));
}

/* Blocks that grow by turns: what one has left is resident, and the next one to move takes it. */
TEST_F(Extent, MovesToDirtyUnitsWithLittleRoomBeforeCleanOnesWithMuch) {
    char *hole = Alloc(20 * HAK_UNIT_BYTES), *wall1 = Alloc(1);
    char *block = Alloc(16 * HAK_UNIT_BYTES), *wall2 = Alloc(1);
    EXPECT_TRUE(Free(hole));
    block = Resize(block, 17 * HAK_UNIT_BYTES);
    EXPECT_EQ(block, hole);
    EXPECT_EQ(Resize(block, 20 * HAK_UNIT_BYTES), block) << "there was some room";
    char *other = Resize(block, 21 * HAK_UNIT_BYTES);
    EXPECT_NE(other, block);
    wall2 = Resize(wall2, 19 * HAK_UNIT_BYTES);
    EXPECT_NE(wall2, hole) << "too little room to go on growing";
    EXPECT_TRUE(Free(wall2));
    EXPECT_TRUE(Free(other));
    EXPECT_TRUE(Free(wall1));
}

TEST_F(Extent, TheParkedBlockComesBackForItsLengthOnly) {
    char *block = Alloc(256 * kKiB, nullptr, parked_);
    EXPECT_TRUE(hak_extent_free_mt(block, parked_));
    EXPECT_EQ(Stats().cached_bytes, 256 * kKiB);
    EXPECT_EQ(ExtentFaults(), 0u);
    char *other = Alloc(320 * kKiB, nullptr, parked_);
    EXPECT_NE(other, block);
    bool zeroed = true;
    EXPECT_EQ(Alloc(250 * kKiB, &zeroed, parked_), block);
    EXPECT_FALSE(zeroed);
    EXPECT_EQ(Usable(block, block), hak_align_up(250 * kKiB, hak_os_page_bytes()));
    EXPECT_TRUE(hak_extent_free_mt(block, parked_));
    EXPECT_TRUE(hak_extent_free_mt(other, parked_));
    EXPECT_EQ(Stats().cached_bytes, (256 + 320) * kKiB);
    hak_extent_unpark_mt(parked_);
    hak_extent_unpark_mt(parked_);
    EXPECT_EQ(Stats().cached_bytes, (256 + 320) * kKiB);
    EXPECT_EQ(Alloc(576 * kKiB), block) << "not joined";
    EXPECT_TRUE(Free(block));
    char *large = Alloc(2 * kMiB, nullptr, parked_);
    EXPECT_TRUE(hak_extent_free_mt(large, parked_));
    EXPECT_EQ(hak_load_rlx(&parked_[0]), 0u) << "too large to park";
}

/* A thread with two buffers takes and frees them without the lock. */
TEST_F(Extent, TwoBlocksAreParked) {
    char *a = Alloc(100 * kKiB, nullptr, parked_), *b = Alloc(200 * kKiB, nullptr, parked_);
    char *c = Alloc(300 * kKiB, nullptr, parked_), *large = Alloc(800 * kKiB, nullptr, parked_);
    auto parked = [this] {
        return (hak_load_rlx(&parked_[0]) != 0) + (hak_load_rlx(&parked_[1]) != 0);
    };
    auto park = [this](char *block) { EXPECT_TRUE(hak_extent_free_mt(block, parked_)); };
    park(a);
    park(b);
    EXPECT_EQ(parked(), 2);
    EXPECT_EQ(Alloc(100 * kKiB, nullptr, parked_), a);
    EXPECT_EQ(Alloc(200 * kKiB, nullptr, parked_), b);
    EXPECT_EQ(parked(), 0);
    park(a);
    park(b);
    park(c);
    EXPECT_EQ(Alloc(200 * kKiB, nullptr, parked_), b);
    EXPECT_EQ(Alloc(300 * kKiB, nullptr, parked_), c);
    EXPECT_EQ(parked(), 0) << "a went back";
    park(c);
    park(large);
    EXPECT_EQ(parked(), 1) << "too large for the second place";
    EXPECT_EQ(Alloc(800 * kKiB, nullptr, parked_), large);
    park(large);
    park(b);
    EXPECT_EQ(parked(), 2);
    EXPECT_EQ(ExtentFaults(), 0u);
}

TEST_F(Extent, NothingIsKeptBeyondTheBoundOfTheCache) {
    char *a = Alloc(2 * kMiB), *b = Alloc(2 * kMiB), *wall = Alloc(1);
    uint64_t saved = hak_option(HAK_OPTION_HUGE_CACHE_MB);
    hak_store_rlx(&hak_option_values[HAK_OPTION_HUGE_CACHE_MB], (uint64_t)2);
    memset(a, 1, 2 * kMiB);
    memset(b, 1, 2 * kMiB);
    EXPECT_TRUE(Free(a));
    EXPECT_EQ(Stats().cached_bytes, 2 * kMiB);
    EXPECT_TRUE(Free(b));
    EXPECT_EQ(Stats().cached_bytes, 0u) << "what the freed block joined goes with it";
    hak_store_rlx(&hak_option_values[HAK_OPTION_HUGE_CACHE_MB], (uint64_t)0);
    char *small = Alloc(100 * kKiB, nullptr, parked_);
    EXPECT_TRUE(hak_extent_free_mt(small, parked_));
    EXPECT_EQ(hak_load_rlx(&parked_[0]), 0u);
    EXPECT_EQ(Stats().cached_bytes, 0u);
    hak_store_rlx(&hak_option_values[HAK_OPTION_HUGE_CACHE_MB], saved);
    bool zeroed = false;
    a = Alloc(4 * kMiB, &zeroed);
    EXPECT_TRUE(zeroed);
    EXPECT_EQ(a[0] | a[4 * kMiB - 1], 0);
    EXPECT_TRUE(Free(a));
    EXPECT_TRUE(Free(wall));
}

TEST_F(Extent, HolesThatAreTooShortGoBackWhenMemoryGrowsBeyondThePeakOfBlocks) {
    char *a = Alloc(10 * kMiB), *wall1 = Alloc(1), *b = Alloc(10 * kMiB), *wall2 = Alloc(1);
    memset(a, 1, 10 * kMiB);
    memset(b, 1, 10 * kMiB);
    EXPECT_TRUE(Free(a));
    EXPECT_TRUE(Free(b));
    EXPECT_EQ(Stats().cached_bytes, 20 * kMiB);
    char *fits = Alloc(9 * kMiB);
    EXPECT_EQ(Stats().cached_bytes, 11 * kMiB) << "nothing grows";
    EXPECT_TRUE(Free(fits));
    bool zeroed = false;
    char *longer = Alloc(12 * kMiB, &zeroed);
    EXPECT_TRUE(zeroed);
    /* 322 units were the peak, 8 MiB more may be resident, 194 are in use. */
    EXPECT_EQ(Stats().cached_bytes, (322 + 128 - 194) * (uint64_t)HAK_UNIT_BYTES);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_EQ((a[0] != 0) + (a[10 * kMiB - 1] != 0) + (b[0] != 0) + (b[10 * kMiB - 1] != 0), 3)
        << "the end of one hole went back";
    for (char *block : {longer, wall1, wall2}) {
        EXPECT_TRUE(Free(block));
    }
}

/* Blocks whose lengths differ by a fifth replace each other: once there is room for a few more of
 * them, pages stay. What is resident then is not more than that. */
TEST_F(Extent, BlocksOfSimilarLengthReplaceEachOtherWithoutGivingPagesBack) {
    for (size_t units : {15ul, 70ul, 200ul, 400ul}) {
        Drop();
        hak_extents.used_peak_units = 0;
        hak_extents.recent_units = 0;
        Random random(7);
        std::vector<char *> blocks(6);
        size_t most = units + units / 5;
        uint64_t calls = 0, resident = 0;
        for (int i = 0; i < 2500; i++) {
            char *&block = blocks[random.Below(blocks.size())];
            EXPECT_TRUE(block == nullptr || Free(block));
            block = Alloc((units + random.Below(units / 5 + 1)) * HAK_UNIT_BYTES);
            hak_extent_stats_t stats = Stats();
            resident = std::max(resident, stats.bytes + stats.cached_bytes);
            calls = i == 500 ? hak_os_fake_calls(HAK_OS_CALL_PURGE) : calls;
        }
        EXPECT_LT(hak_os_fake_calls(HAK_OS_CALL_PURGE) - calls, 200u) << units;
        size_t slack = std::max(3 * most * HAK_UNIT_BYTES, 8 * kMiB);
        EXPECT_LE(resident, hak_extents.used_peak_units * HAK_UNIT_BYTES + slack) << units;
        for (char *block : blocks) {
            EXPECT_TRUE(Free(block));
        }
    }
}

TEST_F(Extent, PurgeTakesWhatTwoVisitsFound) {
    char *old = Alloc(3 * kMiB), *young = Alloc(kMiB), *wall = Alloc(1);
    memset(old, 1, 3 * kMiB);
    memset(young, 1, kMiB);
    uint64_t now = hak_os_now_ms() + 100000;
    EXPECT_TRUE(Free(old));
    EXPECT_EQ(hak_extent_purge_mt(now, 1000, kCalls, 0), 0u);
    EXPECT_EQ(hak_extent_purge_mt(now + 400, 1000, kCalls, 0), 0u) << "too early";
    EXPECT_TRUE(Free(young)); /* joins the old one */
    EXPECT_EQ(hak_extent_purge_mt(now + 501, 1000, kCalls, 0), 3 * kMiB);
    EXPECT_EQ(Stats().cached_bytes, kMiB);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_EQ(old[0] | old[3 * kMiB - 1], 0);
    EXPECT_EQ(young[0], 1);
    /* Taken and given back in between: starts anew. */
    bool zeroed = true;
    char *again = Alloc(4 * kMiB, &zeroed);
    EXPECT_EQ(again, old);
    EXPECT_FALSE(zeroed);
    EXPECT_TRUE(Free(again));
    EXPECT_EQ(hak_extent_purge_mt(now + 1002, 1000, kCalls, 0), 0u);
    EXPECT_EQ(hak_extent_purge_mt(now + 1503, 1000, kCalls, 0), 4 * kMiB);
    EXPECT_TRUE(Free(wall));
}

TEST_F(Extent, PurgeKeepsWhatItIsToldTo) {
    std::vector<char *> blocks, walls;
    for (int i = 0; i < 4; i++) {
        blocks.push_back(Alloc(kMiB));
        walls.push_back(Alloc(1));
    }
    for (char *block : blocks) {
        EXPECT_TRUE(Free(block));
    }
    EXPECT_EQ(hak_extent_purge_mt(hak_os_now_ms(), 0, kCalls, 2 * kMiB), 2 * kMiB);
    EXPECT_EQ(Stats().cached_bytes, 2 * kMiB);
    for (char *wall : walls) {
        EXPECT_TRUE(Free(wall));
    }
}

TEST_F(Extent, TractsComeAndGo) {
    std::vector<char *> blocks;
    for (size_t i = 0; i <= kTract / (32 * kMiB); i++) {
        blocks.push_back(Alloc(32 * kMiB));
    }
    EXPECT_EQ(Stats().tracts, 2u);
    uint64_t made = Stats().tracts_made;
    char *first = blocks[0];
    for (char *block : blocks) {
        EXPECT_TRUE(Free(block));
    }
    Drop();
    EXPECT_EQ(Stats().tracts, 0u);
    EXPECT_EQ(hak_registry_region((uintptr_t)first), nullptr);
    uint64_t meta = hak_meta_bytes();
    EXPECT_TRUE(Free(Alloc(kMiB)));
    EXPECT_EQ(Stats().tracts_made, made + 1);
    EXPECT_EQ(hak_meta_bytes(), meta) << "descriptors are used again";
}

TEST_F(Extent, RandomOperationsKeepContentAndBooks) {
    struct Block {
        char *at;
        size_t bytes;
        char mark;
    };
    Random random(11);
    std::vector<Block> blocks;
    uint64_t now = hak_os_now_ms() + 1000000;
    for (int i = 0; i < 6000; i++) {
        size_t bytes = 1 + random.Below(random.Below(8) == 0 ? 8 * kMiB : 600 * kKiB);
        unsigned what = (unsigned)random.Below(8);
        hak_aptr_t *parked = random.Below(2) != 0 ? parked_ : nullptr;
        if (blocks.size() < 12 && what < 4) {
            bool zeroed;
            Block block = {Alloc(bytes, &zeroed, parked), bytes, (char)i};
            ASSERT_NE(block.at, nullptr);
            ASSERT_TRUE(!zeroed ||
                        (block.at[0] == 0 && memcmp(block.at, block.at + 1, bytes - 1) == 0));
            memset(block.at, block.mark, bytes);
            blocks.push_back(block);
        } else if (!blocks.empty()) {
            Block &block = blocks[random.Below(blocks.size())];
            ASSERT_EQ(block.at[0], block.mark);
            ASSERT_EQ(memcmp(block.at, block.at + 1, block.bytes - 1), 0);
            if (what < 6) {
                ASSERT_TRUE(hak_extent_free_mt(block.at, parked));
                block = blocks.back();
                blocks.pop_back();
            } else {
                block.at = Resize(block.at, bytes);
                ASSERT_NE(block.at, nullptr);
                size_t kept = block.bytes < bytes ? block.bytes : bytes;
                ASSERT_EQ(block.at[0], block.mark);
                ASSERT_EQ(memcmp(block.at, block.at + 1, kept - 1), 0);
                block.bytes = bytes;
                memset(block.at, block.mark, bytes);
            }
        }
        if (i % 16 == 0) {
            now += 300;
            (void)hak_extent_purge_mt(now, i % 160 == 0 ? 0 : 1000, kCalls, 0);
            ASSERT_EQ(ExtentFaults(), 0u) << i;
        }
    }
    uint64_t bytes = 0;
    for (const Block &block : blocks) {
        bytes += hak_align_up(block.bytes, hak_os_page_bytes());
    }
    EXPECT_EQ(Stats().bytes, bytes);
    for (const Block &block : blocks) {
        EXPECT_TRUE(Free(block.at));
    }
}

} // namespace hak_testing
