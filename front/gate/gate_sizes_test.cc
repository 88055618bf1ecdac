/* Requests of all sizes: how large the block is, aligned and zeroed ones, and blocks that change
 * their size. No thread but this one. */
#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "front/gate/gate_fixture.h"
extern "C" {
#include "front/gate/live_inl.h"
}

namespace {

TEST_F(Gate, GoodSizeIsWhatABlockHas) {
    for (size_t size : BorderSizes()) {
        Settle(); /* a cached mapping may be a little larger */
        char *block = Alloc(size);
        size_t usable = hak_gate_usable(block, "usable");
        EXPECT_EQ(hak_gate_good_size(size), usable) << size;
        EXPECT_GE(usable, size);
        EXPECT_TRUE(hak_gate_check_sized(block, size, 0, "free_sized"));
        EXPECT_TRUE(hak_gate_check_sized(block, usable, 16, "free_sized"));
        uint64_t errors = hak_error_count();
        EXPECT_FALSE(hak_gate_check_sized(block, usable + 1, 0, "free_sized"));
        EXPECT_FALSE(hak_gate_check_sized(block, size, (size_t)1 << 40, "free_aligned_sized"));
        EXPECT_FALSE(hak_gate_check_sized(block, size, 24, "free_aligned_sized"));
        EXPECT_EQ(hak_error_count(), errors + 3);
        memset(block, 1, usable);
        Free(block);
    }
    size_t addresses = (size_t)1 << HAK_OS_ADDRESS_BITS;
    size_t last = addresses - hak_os_page_bytes();
    EXPECT_EQ(hak_gate_good_size(last), last);
    EXPECT_EQ(hak_gate_good_size(last + 1), 0u) << "malloc serves no such size";
    EXPECT_EQ(hak_gate_good_size(addresses - 1), 0u);
    EXPECT_EQ(hak_gate_good_size(addresses), 0u);
    EXPECT_EQ(hak_gate_good_size(PTRDIFF_MAX), 0u);
    EXPECT_EQ(hak_gate_good_size(SIZE_MAX), 0u);
}

/* The short look at a block and the full one agree. */
TEST_F(Gate, WhatIsLiveIsWhatTheClassificationSays) {
    ASSERT_TRUE(hak_registry_is_flat());
    size_t bytes;
    for (size_t size : BorderSizes()) {
        char *block = Alloc(size);
        hak_classified_t c;
        hak_gate_classify(block, &c);
        bool live = hak_gate_is_live(block, &bytes);
        bool one_unit = c.kind == HAK_KIND_BLOCK && hak_sc_divisor[c.sc] != 0;
        EXPECT_EQ(live, one_unit) << size;
        EXPECT_TRUE(!live || bytes == c.info.bytes) << size;
        for (size_t offset : {(size_t)1, (size_t)8, (size_t)15, (size_t)16, size / 32 * 16}) {
            EXPECT_TRUE(offset == 0 || offset >= c.info.bytes ||
                        !hak_gate_is_live(block + offset, &bytes))
                << size << " " << offset;
        }
        Free(block);
        EXPECT_FALSE(hak_gate_is_live(block, &bytes)) << size;
    }
    char on_stack;
    EXPECT_FALSE(hak_gate_is_live(&on_stack, &bytes));
    EXPECT_FALSE(hak_gate_is_live(nullptr, &bytes));
    EXPECT_FALSE(hak_gate_is_live((const void *)UINTPTR_MAX, &bytes));
}

TEST_F(Gate, CallocGivesZeroesInUsedMemoryToo) {
    for (size_t size : BorderSizes()) {
        char *dirty = Alloc(size);
        memset(dirty, 0xee, hak_gate_usable(dirty, "usable"));
        Free(dirty);
        char *block = static_cast<char *>(hak_gate_calloc(size));
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(size == 0 || (block[0] == 0 && memcmp(block, block + 1, size - 1) == 0))
            << size;
        Free(block);
    }
}

TEST_F(Gate, AlignedBlocks) {
    for (size_t align = 1; align <= 32u << 20; align *= 2) {
        for (size_t size :
             {(size_t)0, (size_t)1, (size_t)100, (size_t)65536, (size_t)70000, kExtentMax + 1}) {
            char *block = static_cast<char *>(hak_gate_aligned(align, size));
            ASSERT_NE(block, nullptr) << align << " " << size;
            EXPECT_EQ((uintptr_t)block % (align < 16 ? 16 : align), 0u);
            EXPECT_GE(hak_gate_usable(block, "usable"), size);
            EXPECT_TRUE(hak_gate_check_sized(block, size, align, "free_aligned_sized"));
            memset(block, 1, size);
            Free(block);
        }
    }
    errno = 0;
    EXPECT_EQ(hak_gate_aligned((size_t)1 << 63, 100), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_gate_aligned(4096, SIZE_MAX), nullptr);
    EXPECT_EQ(errno, ENOMEM);
}

/* From every border size to every other one nearby and far, up and down. */
TEST_F(Gate, ReallocKeepsContentAcrossAllBorders) {
    std::vector<size_t> sizes = BorderSizes();
    for (size_t i = 1; i < sizes.size(); i++) {
        for (size_t step : {(size_t)1, (size_t)7, sizes.size() / 2}) {
            size_t j = i + step < sizes.size() ? i + step : sizes.size() - 1;
            size_t path[] = {sizes[j], sizes[i]};
            size_t valid = sizes[i];
            char *block = Alloc(valid);
            /* Two bytes at a time depend on the place; the whole block is compared. */
            std::vector<char> expected(valid);
            for (size_t at = 0; at < valid; at++) {
                expected[at] = (char)((at * 31 + (at >> 8)) & 0xff);
            }
            memcpy(block, expected.data(), valid);
            for (size_t size : path) {
                block = Realloc(block, size);
                ASSERT_NE(block, nullptr);
                ASSERT_GE(hak_gate_usable(block, "usable"), size);
                valid = size < valid ? size : valid;
                ASSERT_EQ(memcmp(block, expected.data(), valid), 0) << sizes[i] << " " << size;
            }
            Free(block);
        }
    }
}

/* A quarter of room for what grows by less; no more than asked for else, or if there is none. */
TEST_F(Gate, ABufferThatGrowsByStepsIsSeldomCopied) {
    int copies = 0;
    char *block = Alloc(1024);
    for (size_t size = 1024; size <= 3 * 1024; size += 16) {
        char *was = block;
        block = Realloc(block, size);
        copies += block != was;
    }
    EXPECT_LE(copies, 5);
    EXPECT_LE(hak_gate_usable(block, "usable"), 5 * 3072u / 4);
    Free(block);
    block = Realloc(Alloc(1024), 1300);
    EXPECT_EQ(hak_gate_usable(block, "usable"), hak_gate_good_size(1300))
        << "by more than a quarter";
    Free(block);
    block = Alloc(1024);
    std::vector<char *> blocks = {Alloc(1100)};
    Free(Alloc(1100));
    FillSlots(&blocks);
    EXPECT_NE(block = Realloc(block, 1100), nullptr) << "where there is no room for a quarter";
    EXPECT_EQ(hak_gate_usable(block, "usable"), hak_gate_good_size(1100));
    hak_os_fake_reset();
    blocks.push_back(block);
    for (char *each : blocks) {
        Free(each);
    }
}

/* In a process that has used up its address space each try would be followed by a trim. */
TEST_F(Gate, RoomToGrowIsNoReasonForALargeBlock) {
    char *block = Alloc(57344);
    std::vector<char *> blocks = {Alloc(HAK_SC_MAX_BYTES)};
    Free(Alloc(HAK_SC_MAX_BYTES));
    FillSlots(&blocks);
    uint64_t purges = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    uint64_t maps = hak_os_fake_calls(HAK_OS_CALL_MAP);
    EXPECT_NE(block = Realloc(block, 60000), nullptr);
    EXPECT_EQ(hak_gate_usable(block, "usable"), (size_t)HAK_SC_MAX_BYTES);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), purges);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_MAP), maps);
    hak_os_fake_reset();
    EXPECT_NE(block = Realloc(block, 70000), nullptr);
    EXPECT_EQ(hak_gate_usable(block, "usable"), hak_gate_good_size(70000));
    blocks.push_back(block);
    for (char *each : blocks) {
        Free(each);
    }
}

/* redis-server that answers INFO makes no other step off the hit path, and kept for ever the 83 MiB
 * that FLUSHALL had freed. */
TEST_F(Gate, AMoveMayLeadToAPurge) {
    std::vector<char *> blocks;
    for (int i = 0; i < 64; i++) {
        blocks.push_back(Alloc(30000));
    }
    for (char *block : blocks) {
        Free(block);
    }
    Free(Realloc(Alloc(1500), 3000)); /* both classes have blocks in the bin from now on */
    Free(Alloc(1500));
    uint64_t purges = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    for (int i = 0; i < 8 + 4; i++) {
        hak_os_fake_advance_ms(1000);
        Free(Realloc(static_cast<char *>(hak_gate_calloc(1500)), 3000));
    }
    EXPECT_GT(hak_os_fake_calls(HAK_OS_CALL_PURGE), purges);
}

TEST_F(Gate, ReallocOfABlockThatFitsStaysInPlace) {
    char *block = Alloc(1000);
    EXPECT_EQ(Realloc(block, 1024), block);
    EXPECT_EQ(Realloc(block, 512), block);
    char *smaller = Realloc(block, 100);
    EXPECT_NE(smaller, block) << "less than half is worth a move";
    Free(smaller);
    EXPECT_NE(block = Realloc(nullptr, 50), nullptr);
    Free(block);
}

TEST_F(Gate, FailedReallocLeavesTheBlock) {
    for (size_t size : {(size_t)100, (size_t)60000, (size_t)200000, kHuge}) {
        Settle(); /* no cached mapping serves the large size */
        char *block = Alloc(size);
        memset(block, 6, size);
        for (int kind = 0; kind < HAK_OS_CALL_COUNT; kind++) {
            hak_os_fake_fail((hak_os_call_t)kind, 0, UINT64_MAX);
        }
        errno = 0;
        EXPECT_EQ(Realloc(block, 2 * kExtentMax), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(Realloc(block, (size_t)PTRDIFF_MAX + 1), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        hak_os_fake_reset();
        hak_classified_t c;
        hak_gate_classify(block, &c);
        EXPECT_EQ(c.info.block, (uintptr_t)block);
        EXPECT_TRUE(block[0] == 6 && memcmp(block, block + 1, size - 1) == 0);
        block = Realloc(block, 2 * kExtentMax);
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(block[0] == 6 && memcmp(block, block + 1, size - 1) == 0);
        Free(block);
    }
}

/* A smaller block cannot be had, and the one that there is holds as much. */
TEST_F(Gate, ReallocToLessDoesNotFail) {
    std::vector<char *> blocks = {Alloc(60000), Alloc(5u << 20), Alloc(kHuge)};
    for (char *block : blocks) {
        memset(block, 6, 60000);
    }
    FillSlots(&blocks);
    memset(blocks.back(), 6, 1000);
    for (char *block : {blocks[0], blocks[1], blocks[2], blocks.back()}) {
        size_t usable = hak_gate_usable(block, "usable");
        errno = 55;
        EXPECT_EQ(Realloc(block, 100), block) << usable;
        EXPECT_EQ(errno, 55) << usable;
        EXPECT_EQ(hak_gate_usable(block, "usable"), usable);
        EXPECT_TRUE(block[0] == 6 && memcmp(block, block + 1, 999) == 0) << usable;
    }
    errno = 0;
    EXPECT_EQ(Realloc(blocks.back(), 64 << 20), nullptr) << "more than it holds";
    EXPECT_EQ(errno, ENOMEM);
    for (char *block : blocks) {
        Free(block);
    }
}

} // namespace
