/* Both implementations of the port. */
#include "boxes/pool_remote/pool_remote.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "base/testing/testing.h"

namespace {

struct Item {
    hak_block_t block;
    unsigned value; /* plain: what the pusher wrote must be there when the block is taken */
    unsigned taken;
};

std::vector<Item *> Items(hak_block_t *list) {
    std::vector<Item *> items;
    for (; list != nullptr; list = hak_block_next(list)) {
        items.push_back(reinterpret_cast<Item *>(list));
    }
    return items;
}

class PoolRemote : public ::testing::Test {
  protected:
    void SetUp() override { hak_pool_remote_init(&queue_); }
    hak_pool_remote_t queue_ = {};
};

TEST_F(PoolRemote, LastInFirstOutAndTakenWhole) {
    std::vector<Item> items(3);
    EXPECT_TRUE(hak_pool_remote_is_empty(&queue_));
    EXPECT_EQ(nullptr, hak_pool_remote_take_owner(&queue_));
    for (Item &item : items) {
        hak_pool_remote_push_mt(&queue_, &item.block);
        EXPECT_FALSE(hak_pool_remote_is_empty(&queue_));
    }
    EXPECT_EQ((std::vector<Item *>{&items[2], &items[1], &items[0]}),
              Items(hak_pool_remote_take_owner(&queue_)));
    EXPECT_TRUE(hak_pool_remote_is_empty(&queue_));
    EXPECT_EQ(nullptr, hak_pool_remote_take_owner(&queue_));
}

TEST_F(PoolRemote, ResetKeepsTheBlocks) {
    Item item = {};
    hak_pool_remote_push_mt(&queue_, &item.block);
    hak_pool_remote_reset(&queue_);
    EXPECT_EQ(std::vector<Item *>{&item}, Items(hak_pool_remote_take_owner(&queue_)));
    hak_pool_remote_push_mt(&queue_, &item.block);
    EXPECT_EQ(std::vector<Item *>{&item}, Items(hak_pool_remote_take_owner(&queue_)));
}

/* Eight threads push, one takes; blocks that were taken are pushed again, so that an address comes
 * back while others are in the middle of a push. Each push is taken exactly once. */
TEST_F(PoolRemote, T05_EachPushIsTakenOnce) {
    enum { PUSHERS = 8, EACH = 64, ROUNDS = 400 };
    struct alignas(64) Slot {
        std::atomic<Item *> item{nullptr};
    };
    std::vector<Item> items(PUSHERS * EACH);
    std::vector<Slot> mail(PUSHERS * EACH);
    for (size_t i = 0; i < items.size(); i++) {
        mail[i].item = &items[i];
    }
    std::atomic<unsigned> pushed{0};
    unsigned taken = 0;
    hak_testing::RunThreads(PUSHERS + 1, [&](int who) {
        for (unsigned n = 0; who < PUSHERS && n < EACH * ROUNDS; n++) {
            Slot &slot = mail[(size_t)who * EACH + n % EACH];
            Item *item;
            while ((item = slot.item.exchange(nullptr)) == nullptr) {
                sched_yield();
            }
            item->value++;
            hak_pool_remote_push_mt(&queue_, &item->block);
            pushed++;
        }
        while (who == PUSHERS && taken < PUSHERS * EACH * ROUNDS) {
            std::vector<Item *> got = Items(hak_pool_remote_take_owner(&queue_));
            for (Item *item : got) {
                item->taken++;
                ASSERT_EQ(item->taken, item->value) << "lost, or taken twice";
                mail[(size_t)(item - items.data())].item = item;
            }
            taken += (unsigned)got.size();
            if (got.empty()) {
                sched_yield();
            }
        }
    });
    EXPECT_EQ(taken, pushed.load());
    for (const Item &item : items) {
        EXPECT_EQ(item.taken, (unsigned)ROUNDS);
    }
}

} // namespace
