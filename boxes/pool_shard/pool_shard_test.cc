// T-18, and what the shards promise to caches and to the collector.
#include "boxes/pool_shard/pool_shard.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/testing/testing.h"
#include "boxes/pool_shard/pool_shard_internal.h"
#include "boxes/testing/engine.h"

namespace {

enum { CI = 1, SHARD = 5 };

class PoolShard : public testing::Test {
  protected:
    PoolShard() {
        hak_testing::StartEngine();
        page_ = NewPage(SHARD);
    }
    ~PoolShard() override {
        Collect();
        EXPECT_EQ(Faults(), 0u);
        EXPECT_EQ(Listed(), 0u) << "a test left blocks behind";
    }
    /* A page all of whose blocks are in our hand. */
    hak_pool_page_t *NewPage(unsigned shard) {
        hak_pool_page_t *page = nullptr;
        EXPECT_EQ(hak_pool_page_take_mt(own_.get(), CI, shard, 1, &page), 1u);
        hak_pool_page_carve_owner(page, CI, hak_pool_blocks(CI));
        return page;
    }
    hak_block_t *Block(hak_pool_page_t *page, uint32_t i) {
        return hak_pool_page_block(CI, hak_pool_page_first_id(page) + i);
    }
    hak_block_t *Chain(std::initializer_list<hak_block_t *> blocks) {
        hak_block_t *list = nullptr;
        for (hak_block_t *block : blocks) {
            hak_block_link(block, list);
            list = block;
        }
        return list;
    }
    void PutAll(hak_pool_page_t *page, uint32_t from = 0) {
        for (uint32_t i = from; i < hak_pool_blocks(CI); i++) {
            hak_pool_shard_put_mt(CI, Chain({Block(page, i)}));
        }
    }
    unsigned Collect(uint64_t now_ms = 1000, uint64_t delay_ms = 0) {
        hak_pool_shard_lock();
        unsigned closed = hak_pool_shard_collect_locked(now_ms, delay_ms, UINT32_MAX);
        hak_pool_shard_unlock();
        return closed;
    }
    size_t Faults() {
        hak_pool_shard_lock();
        size_t faults = hak_pool_shard_check_locked() + hak_pool_page_check_locked();
        hak_pool_shard_unlock();
        return faults;
    }
    uint64_t Listed() {
        hak_pool_shard_stats_t stats;
        hak_pool_shard_stats(&stats);
        return stats.listed + stats.remote;
    }
    hak_testing::OwnHeap own_;
    hak_pool_page_t *page_;
};

TEST_F(PoolShard, BlocksGoToTheirPagesShard) {
    hak_pool_page_t *other = NewPage(SHARD + 1);
    hak_pool_shard_put_mt(
        CI, Chain({Block(page_, 0), Block(other, 0), Block(other, 1), Block(page_, 1)}));
    EXPECT_EQ(hak_pool_shard_mask(CI), 3ull << SHARD);
    EXPECT_EQ(hak_load_rlx(&page_->shared), 2u);
    EXPECT_EQ(Faults(), 0u);
    hak_block_t *blocks[8];
    ASSERT_EQ(hak_pool_shard_take_mt(CI, SHARD, 8, blocks, true), 2u);
    std::set<hak_block_t *> got(blocks, blocks + 2);
    EXPECT_EQ(got, (std::set<hak_block_t *>{Block(page_, 0), Block(page_, 1)}));
    EXPECT_EQ(hak_pool_shard_mask(CI), 2ull << SHARD) << "the bit goes with the last block";
    EXPECT_EQ(hak_load_rlx(&page_->shared), 0u);
    PutAll(page_);
    PutAll(other, 2);
}

/* B7: what was sent is drained whole and once; the bit is there for it too. */
TEST_F(PoolShard, SentBlocksAreSeenAndDrained) {
    hak_pool_shard_send_mt(page_, CI, Block(page_, 0));
    hak_pool_shard_send_mt(page_, CI, Block(page_, 1));
    EXPECT_EQ(hak_pool_shard_mask(CI), 1ull << SHARD);
    hak_block_t *blocks[4];
    EXPECT_EQ(hak_pool_shard_take_mt(CI, SHARD, 4, blocks, true), 0u) << "not on the list yet";
    EXPECT_EQ(hak_pool_shard_mask(CI), 1ull << SHARD) << "but not forgotten";
    EXPECT_EQ(hak_pool_shard_drain_mt(CI, SHARD), 2u);
    EXPECT_EQ(hak_pool_shard_drain_mt(CI, SHARD), 0u);
    EXPECT_EQ(hak_pool_shard_take_mt(CI, SHARD, 4, blocks, true), 2u);
    EXPECT_EQ(hak_pool_shard_mask(CI), 0u);
    PutAll(page_);
}

TEST_F(PoolShard, WhollyFreePagesLeaveAfterTheDelay) {
    hak_pool_page_t *busy = NewPage(SHARD);
    PutAll(busy, 1);
    PutAll(page_);
    EXPECT_EQ(Collect(1000, 500), 0u) << "seen for the first time";
    EXPECT_EQ(Collect(1400, 500), 0u) << "too early";
    hak_block_t *block;
    ASSERT_EQ(hak_pool_shard_take_mt(CI, SHARD, 1, &block, true), 1u);
    hak_pool_shard_put_mt(CI, Chain({block}));
    ASSERT_EQ(hak_pool_page_of((uintptr_t)block), page_);
    EXPECT_EQ(Collect(1600, 500), 0u) << "the time begins anew with a take";
    EXPECT_EQ(Collect(2200, 500), 1u);
    EXPECT_EQ(hak_load_rlx(&page_->state), (uint32_t)HAK_POOL_PAGE_FREE);
    EXPECT_EQ(hak_load_rlx(&busy->shared), hak_pool_blocks(CI) - 1);
    EXPECT_EQ(Faults(), 0u) << "the others are all back on the list";
    hak_pool_shard_send_mt(busy, CI, Block(busy, 0));
    EXPECT_EQ(Collect(), 1u) << "a sent block counts";
}

/* A parked page that is complete goes; one that a heap took meanwhile keeps its blocks. */
TEST_F(PoolShard, PartlyCarvedPages) {
    PutAll(page_);
    hak_pool_page_t *part = nullptr;
    ASSERT_EQ(hak_pool_page_take_mt(own_.get(), CI, SHARD, 1, &part), 1u);
    hak_block_t *first = hak_pool_page_carve_owner(part, CI, 2);
    hak_pool_shard_put_mt(CI, Chain({first, Block(part, 1)}));
    Collect();
    EXPECT_EQ(hak_load_rlx(&part->shared), 2u) << "it is being carved";
    EXPECT_EQ(Faults(), 0u);
    hak_pool_page_park_mt(part);
    EXPECT_EQ(Collect(), 1u);
}

TEST_F(PoolShard, CheckFindsWhatIsWrong) {
    PutAll(page_);
    ASSERT_EQ(Faults(), 0u);
    hak_store_rlx(&hak_pool_masks[CI].bits, 0);
    EXPECT_NE(Faults(), 0u) << "the bit is off and blocks are there";
    hak_pool_shard_sync_mt(CI, SHARD);
    ASSERT_EQ(Faults(), 0u);
    hak_store_rlx(&hak_pool_masks[CI].bits, 3ull << SHARD);
    EXPECT_NE(Faults(), 0u) << "the bit is on and nothing is there";
    hak_pool_shard_sync_mt(CI, SHARD + 1);
    hak_store_rlx(&page_->shared, 3u);
    EXPECT_NE(Faults(), 0u) << "miscounted";
    hak_store_rlx(&page_->shared, hak_pool_blocks(CI));
    ASSERT_EQ(Faults(), 0u);
}

// The notes' way of keeping the mask: who takes the last block by the count clears the bit, though
// another has pushed since. Kept to show the order of events that T-18 is about.
TEST_F(PoolShard, T18_NotesCountClearsTheBitOverABlock) {
    struct {
        uint32_t count = 1;
        uint64_t mask = 1;
        int items = 1;
    } notes;
    notes.items--; /* A pops the last block ... */
    uint32_t old_count = notes.count--;
    notes.items++; /* ... B pushes one and sets the bit ... */
    notes.count++;
    notes.mask |= 1;
    if (old_count <= 1) { /* ... and A acts on what it read */
        notes.mask &= ~1ull;
    }
    EXPECT_EQ(notes.items, 1);
    EXPECT_EQ(notes.mask, 0u) << "nobody will look for the block";

    /* Ours in the same order: A's part ends with a look that comes after B's push. */
    hak_block_t *block;
    hak_pool_shard_put_mt(CI, Chain({Block(page_, 0)}));
    uint32_t id;
    hak_pool_list_t *list = &hak_pool_shards[CI][SHARD].list;
    ASSERT_EQ(hak_pool_list_take_mt(list, hak_pool_page_link, 1, &id, true), 1u); /* A */
    hak_sub_rlx(&page_->shared, 1);
    hak_pool_shard_put_mt(CI, Chain({Block(page_, 1)})); /* B */
    hak_pool_shard_sync_mt(CI, SHARD);                   /* A goes on */
    EXPECT_EQ(hak_pool_shard_mask(CI), 1ull << SHARD);
    ASSERT_EQ(hak_pool_shard_take_mt(CI, SHARD, 1, &block, true), 1u);
    EXPECT_EQ(hak_pool_shard_mask(CI), 0u);
    PutAll(page_);
}

/* T-18 at full speed: one shard goes from empty to one block and back all the time, while others
 * send, take and collect. At rest the mask tells the truth. */
TEST_F(PoolShard, T18_MaskAndListAgreeAtRest) {
    enum { THREADS = 6, ROUNDS = 4000 };
    for (int round = 0; round < 5; round++) {
        hak_testing::RunThreads(THREADS, [&](int self) {
            /* Four threads push what they hold and take it back; one sends; one collects. */
            std::vector<hak_block_t *> mine = {Block(page_, (uint32_t)self)};
            for (int i = 0; i < ROUNDS; i++) {
                if (self == 5 && i % 16 == 0) {
                    Collect(1000, 1u << 30);
                }
                if (mine.empty()) {
                    hak_block_t *block;
                    hak_pool_shard_drain_mt(CI, SHARD);
                    if (hak_pool_shard_take_mt(CI, SHARD, 1, &block, i % 2 == 0) == 1) {
                        mine.push_back(block);
                    }
                } else if (self == 4) {
                    hak_pool_shard_send_mt(page_, CI, mine.back());
                    mine.pop_back();
                } else {
                    hak_pool_shard_put_mt(CI, Chain({mine.back()}));
                    mine.pop_back();
                }
            }
            for (hak_block_t *block : mine) {
                hak_pool_shard_put_mt(CI, Chain({block}));
            }
        });
        ASSERT_EQ(Faults(), 0u);
        hak_block_t *blocks[HAK_POOL_TAKE_MOST];
        hak_pool_shard_drain_mt(CI, SHARD);
        ASSERT_EQ(hak_pool_shard_take_mt(CI, SHARD, HAK_POOL_TAKE_MOST, blocks, true),
                  (uint32_t)THREADS);
    }
    PutAll(page_);
}

} // namespace
