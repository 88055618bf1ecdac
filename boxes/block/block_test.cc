#include "boxes/block/block.h"

#include <gtest/gtest.h>
#include <string.h>

#include "base/poison.h"
#include "base/size_class.h"

namespace {

TEST(Block, FitsTheSmallestClass) { EXPECT_LE(sizeof(hak_block_t), hak_sc_bytes[1]); }

TEST(Block, LinkAndMarkAreKeptApart) {
    alignas(16) char memory[48] = {};
    auto *block = reinterpret_cast<hak_block_t *>(memory + 16);
    hak_block_link(block, reinterpret_cast<hak_block_t *>(memory));
    hak_block_set_mark(block, 77);
    EXPECT_EQ(hak_block_next(block), reinterpret_cast<hak_block_t *>(memory));
    EXPECT_EQ(hak_block_mark(block), 77u);
    hak_block_link(block, nullptr);
    EXPECT_EQ(hak_block_mark(block), 77u);
    char zero[16] = {};
    EXPECT_EQ(memcmp(memory, zero, 16), 0) << "wrote in front of the block";
    EXPECT_EQ(memcmp(memory + 32, zero, 16), 0) << "wrote behind its first 16 bytes";
}

/* A program's data may be like a mark in any part. */
TEST(Block, AMarkIsAllOfItsBytes) {
    alignas(16) char memory[16] = {};
    auto *block = reinterpret_cast<hak_block_t *>(memory);
    const uintptr_t mark = static_cast<uintptr_t>(0x0123456789abcdef);
    hak_block_set_mark(block, mark);
    EXPECT_TRUE(hak_block_has_mark(block, mark));
    for (unsigned bit = 0; bit < sizeof mark * 8; bit++) {
        hak_block_set_mark(block, mark ^ static_cast<uintptr_t>(1) << bit);
        EXPECT_FALSE(hak_block_has_mark(block, mark)) << "bit " << bit;
    }
}

/* A free block is poisoned as a whole, and these functions are the only way in. */
TEST(Block, PoisonedBlockIsReachedThroughTheFunctions) {
    alignas(16) static char memory[64];
    auto *block = reinterpret_cast<hak_block_t *>(memory);
    hak_poison(memory, sizeof memory);
    hak_block_link(block, block);
    hak_block_set_mark(block, 5);
    EXPECT_EQ(hak_block_next(block), block);
    EXPECT_TRUE(hak_block_has_mark(block, 5));
    EXPECT_EQ(hak_block_mark(block), 5u);
    hak_unpoison(memory, sizeof memory);
}

} // namespace
