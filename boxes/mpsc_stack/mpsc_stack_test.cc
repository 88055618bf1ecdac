#include "boxes/mpsc_stack/mpsc_stack.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/testing/testing.h"

namespace {

TEST(MpscStack, CountsAndTakesNewestFirst) {
    hak_mpsc_stack_t stack = {};
    alignas(16) hak_block_t blocks[4] = {};
    uint32_t count = 7;
    EXPECT_EQ(hak_mpsc_stack_take_mt(&stack, &count), nullptr);
    EXPECT_EQ(count, 0u);
    EXPECT_TRUE(hak_mpsc_stack_seems_empty(&stack));
    EXPECT_TRUE(hak_mpsc_stack_push_mt(&stack, &blocks[0], &blocks[0], 1, 4));
    hak_block_link(&blocks[1], &blocks[2]);
    EXPECT_TRUE(hak_mpsc_stack_push_mt(&stack, &blocks[1], &blocks[2], 2, 4));
    EXPECT_EQ(hak_mpsc_stack_count(&stack), 3u);
    EXPECT_FALSE(hak_mpsc_stack_seems_empty(&stack));
    hak_block_t *list = hak_mpsc_stack_take_mt(&stack, &count);
    EXPECT_EQ(count, 3u);
    ASSERT_EQ(list, &blocks[1]);
    ASSERT_EQ(hak_block_next(list), &blocks[2]);
    ASSERT_EQ(hak_block_next(&blocks[2]), &blocks[0]);
    EXPECT_EQ(hak_block_next(&blocks[0]), nullptr);
    EXPECT_EQ(hak_mpsc_stack_count(&stack), 0u);
}

TEST(MpscStack, RefusesWhatExceedsTheBound) {
    hak_mpsc_stack_t stack = {};
    alignas(16) hak_block_t blocks[3] = {};
    EXPECT_TRUE(hak_mpsc_stack_push_mt(&stack, &blocks[0], &blocks[0], 1, 2));
    EXPECT_TRUE(hak_mpsc_stack_push_mt(&stack, &blocks[1], &blocks[1], 1, 2));
    EXPECT_FALSE(hak_mpsc_stack_push_mt(&stack, &blocks[2], &blocks[2], 1, 2));
    uint32_t count;
    EXPECT_EQ(hak_mpsc_stack_take_mt(&stack, &count), &blocks[1]);
    EXPECT_EQ(count, 2u) << "a refused block left a trace";
}

/* T-05 on the list itself: 8 producers, one consumer, every block exactly once and with what its
 * producer wrote to it. */
TEST(MpscStack, T05_EveryBlockArrivesOnce) {
    enum { PRODUCERS = 8, EACH = 20000 };
    struct Item {
        hak_block_t block;
        uint64_t number;
        uint64_t seen;
    };
    std::vector<Item> items(PRODUCERS * EACH);
    hak_mpsc_stack_t stack = {};
    hak_testing::RunThreads(PRODUCERS + 1, [&](int self) {
        if (self < PRODUCERS) {
            for (int i = 0; i < EACH; i++) {
                Item *item = &items[(size_t)(self * EACH + i)];
                item->number = (uint64_t)(self * EACH + i);
                while (!hak_mpsc_stack_push_mt(&stack, &item->block, &item->block, 1,
                                               HAK_MPSC_STACK_MOST)) {
                    std::this_thread::yield();
                }
            }
            return;
        }
        for (uint64_t got = 0; got < items.size();) {
            uint32_t count, walked = 0;
            hak_block_t *list = hak_mpsc_stack_take_mt(&stack, &count);
            for (; list != nullptr; list = hak_block_next(list)) {
                auto *item = reinterpret_cast<Item *>(list);
                ASSERT_EQ(item, &items[item->number]);
                ASSERT_EQ(item->seen++, 0u);
                walked++;
            }
            ASSERT_EQ(walked, count);
            got += count;
        }
    });
    EXPECT_EQ(hak_mpsc_stack_count(&stack), 0u);
}

} // namespace
