#include "boxes/mid_remote/mid_remote.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

#include "base/testing/testing.h"

namespace {

/* Blocks are only linked here, never looked at otherwise, so any memory will do. */
struct alignas(64) World {
    hak_mid_heap_t one = {}, two = {};
    hak_mid_chunk_t a = {}, b = {};
    std::vector<hak_block_t> blocks;
    explicit World(size_t count) : blocks(count) {
        hak_store_rel(&a.owner, (uintptr_t)&one);
        hak_store_rel(&b.owner, (uintptr_t)&one);
    }
};

TEST(MidRemote, FirstPushQueuesTheChunk) {
    auto world = std::make_unique<World>(3);
    EXPECT_FALSE(hak_mid_remote_has_pending(&world->one));
    EXPECT_EQ(hak_mid_remote_next_owner(&world->one), nullptr);
    for (hak_block_t &block : world->blocks) {
        hak_mid_remote_push_mt(&world->a, &block);
    }
    EXPECT_EQ(hak_mid_remote_count(&world->a), 3u);
    EXPECT_TRUE(hak_mid_remote_is_queued(&world->a));
    EXPECT_EQ(hak_mid_remote_next_owner(&world->one), &world->a);
    EXPECT_EQ(hak_mid_remote_next_owner(&world->one), nullptr) << "it was queued twice";
    uint32_t count = 0;
    hak_block_t *list = hak_mid_remote_take_unqueue_owner(&world->a, &count);
    EXPECT_EQ(count, 3u);
    EXPECT_EQ(list, &world->blocks[2]) << "newest first";
    EXPECT_EQ(hak_block_next(list), &world->blocks[1]);
    EXPECT_EQ(hak_block_next(hak_block_next(list)), &world->blocks[0]);
    EXPECT_EQ(hak_block_next(hak_block_next(hak_block_next(list))), nullptr);
    EXPECT_FALSE(hak_mid_remote_is_queued(&world->a));
    hak_mid_remote_push_mt(&world->a, list);
    EXPECT_EQ(hak_mid_remote_next_owner(&world->one), &world->a) << "queued again";
}

/* What is taken off the pending stack is handed out chunk by chunk, and pushes go on meanwhile. */
TEST(MidRemote, PendingChunksOneAtATime) {
    auto world = std::make_unique<World>(3);
    hak_mid_remote_push_mt(&world->a, &world->blocks[0]);
    hak_mid_remote_push_mt(&world->b, &world->blocks[1]);
    EXPECT_EQ(hak_mid_remote_next_owner(&world->one), &world->b);
    uint32_t count;
    EXPECT_EQ(hak_mid_remote_take_unqueue_owner(&world->b, &count), &world->blocks[1]);
    hak_mid_remote_push_mt(&world->b, &world->blocks[2]);
    EXPECT_EQ(hak_mid_remote_next_owner(&world->one), &world->a);
    EXPECT_EQ(hak_mid_remote_next_owner(&world->one), &world->b);
    EXPECT_FALSE(hak_mid_remote_has_pending(&world->one));
}

TEST(MidRemote, AForwardedChunkKeepsItsBlocks) {
    auto world = std::make_unique<World>(2);
    hak_mid_remote_push_mt(&world->a, &world->blocks[0]);
    hak_store_rel(&world->a.owner, (uintptr_t)&world->two); /* adopted while it was pending */
    EXPECT_EQ(hak_mid_remote_next_owner(&world->one), &world->a);
    hak_mid_remote_queue_mt(&world->two, &world->a);
    hak_mid_remote_push_mt(&world->a, &world->blocks[1]);
    EXPECT_FALSE(hak_mid_remote_has_pending(&world->one));
    EXPECT_EQ(hak_mid_remote_next_owner(&world->two), &world->a);
    uint32_t count = 0;
    hak_mid_remote_take_unqueue_owner(&world->a, &count);
    EXPECT_EQ(count, 2u);
}

TEST(MidRemote, ForgetEmptiesBothLists) {
    auto world = std::make_unique<World>(2);
    hak_mid_remote_push_mt(&world->a, &world->blocks[0]);
    hak_mid_remote_push_mt(&world->b, &world->blocks[1]);
    EXPECT_NE(hak_mid_remote_next_owner(&world->one), nullptr);
    EXPECT_TRUE(hak_mid_remote_has_pending(&world->one)) << "one is left on the drain list";
    hak_mid_remote_forget_owner(&world->one);
    EXPECT_FALSE(hak_mid_remote_has_pending(&world->one));
}

/* Pushers of two chunks against an owner that drains: each block comes out exactly once. */
TEST(MidRemote, T05_PushersAgainstTheOwner) {
    constexpr int kPushers = 4;
    constexpr size_t kEach = 20000;
    auto world = std::make_unique<World>(kPushers * kEach);
    std::atomic<int> left(kPushers);
    std::vector<uint8_t> seen(world->blocks.size());
    size_t total = 0;
    hak_testing::RunThreads(kPushers + 1, [&](int index) {
        if (index < kPushers) {
            for (size_t i = 0; i < kEach; i++) {
                hak_mid_remote_push_mt(i % 2 == 0 ? &world->a : &world->b,
                                       &world->blocks[index * kEach + i]);
            }
            left.fetch_sub(1);
            return;
        }
        for (bool last = false; !last;) {
            last = left.load() == 0; /* then what follows sees all */
            while (hak_mid_chunk_t *chunk = hak_mid_remote_next_owner(&world->one)) {
                uint32_t count = 0;
                uint32_t found = 0;
                hak_block_t *block = hak_mid_remote_take_unqueue_owner(chunk, &count);
                for (; block != nullptr; block = hak_block_next(block)) {
                    seen[block - world->blocks.data()]++;
                    found++;
                }
                ASSERT_EQ(found, count % 65536);
                total += found;
            }
        }
    });
    EXPECT_EQ(total, world->blocks.size());
    for (uint8_t times : seen) {
        ASSERT_EQ(times, 1);
    }
}

} // namespace
