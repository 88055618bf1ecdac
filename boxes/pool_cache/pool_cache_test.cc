// B1 to B4, B8 to B12 of the mid pool: ring, lifo, runs, inbox and the order in which an allocation
// visits them; T-14.
#include "boxes/pool_cache/pool_cache.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/pool_shard/pool_shard.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "core/options/options.h"
#include "registry/registry_inl.h"
}

namespace {

using Stations = std::vector<hak_pool_station_t>;

void Note(void *context, hak_pool_station_t station) {
    static_cast<Stations *>(context)->push_back(station);
}

class PoolCache : public testing::Test {
  protected:
    PoolCache() {
        hak_testing::StartEngine();
        hak_options_set_text("pool_refill_batch", "2");
        heap_ = hak_heap_acquire_mt();
        other_heap_ = hak_heap_acquire_mt();
        cache_ = hak_pool_cache_of_owner(heap_);
        other_ = hak_pool_cache_of_owner(other_heap_);
        EXPECT_NE(cache_, nullptr);
        EXPECT_EQ(hak_pool_cache_of_owner(heap_), cache_);
        cache_->ring_cap = HAK_POOL_RING_MOST;
        cache_->runs = 2;
    }
    ~PoolCache() override {
        cache_->trace = nullptr;
        hak_pool_cache_flush_owner(cache_);
        hak_pool_cache_flush_owner(other_);
        hak_pool_shard_lock();
        hak_pool_shard_collect_locked(1000, 0, UINT32_MAX);
        EXPECT_EQ(hak_pool_shard_check_locked() + hak_pool_page_check_locked(), 0u);
        hak_pool_shard_unlock();
        hak_pool_shard_stats_t stats;
        hak_pool_shard_stats(&stats);
        EXPECT_EQ(stats.listed + stats.remote, 0u) << "a block was lost, so its page stayed";
        hak_heap_release_mt(heap_);
        hak_heap_release_mt(other_heap_);
    }
    hak_block_t *Take(hak_pool_cache_t *cache, unsigned ci) {
        hak_block_t *block = hak_pool_cache_take_owner(cache, ci, hak_pool_cache_batch(ci));
        if (block != nullptr) {
            hak_block_set_mark(block, 0); /* as malloc does */
        }
        return block;
    }
    void Put(hak_pool_cache_t *cache, unsigned ci, hak_block_t *block) {
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
        hak_pool_cache_put_owner(cache, ci, block);
    }
    void Send(hak_pool_cache_t *from, unsigned ci, hak_block_t *block) {
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
        hak_pool_cache_send_mt(from, hak_pool_page_of((uintptr_t)block), ci, block);
    }
    std::vector<hak_block_t *> TakeMany(hak_pool_cache_t *cache, unsigned ci, size_t count) {
        std::vector<hak_block_t *> blocks(count);
        for (hak_block_t *&block : blocks) {
            block = Take(cache, ci);
            EXPECT_NE(block, nullptr);
        }
        return blocks;
    }
    Stations Trace(unsigned ci, hak_block_t **block) {
        Stations stations;
        cache_->trace = Note;
        cache_->trace_context = &stations;
        *block = Take(cache_, ci);
        cache_->trace = nullptr;
        return stations;
    }
    uint64_t Tries() {
        hak_pool_shard_stats_t stats;
        hak_pool_shard_stats(&stats);
        return stats.tries;
    }
    uint64_t Opened(unsigned ci) { return hak_load_rlx(&hak_pool_page_counters.opened[ci]); }
    hak_heap_t *heap_, *other_heap_;
    hak_pool_cache_t *cache_, *other_;
};

/* B1: up to 32 frees and as many allocations touch nothing shared and come back in reverse. */
TEST_F(PoolCache, RingIsPrivateAndLastInFirstOut) {
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        std::vector<hak_block_t *> blocks = TakeMany(cache_, ci, HAK_POOL_RING_MOST);
        uint64_t tries = Tries(), opened = Opened(ci);
        for (hak_block_t *block : blocks) {
            Put(cache_, ci, block);
        }
        EXPECT_EQ(cache_->bin[ci].top, (uint32_t)HAK_POOL_RING_MOST);
        EXPECT_EQ(cache_->bin[ci].lifo_count, 0u);
        uint64_t hits = hak_load_rlx(&cache_->bin[ci].counters.hits);
        for (size_t i = blocks.size(); i > 0; i--) {
            EXPECT_EQ(Take(cache_, ci), blocks[i - 1]);
        }
        EXPECT_EQ(hak_load_rlx(&cache_->bin[ci].counters.hits), hits + HAK_POOL_RING_MOST);
        EXPECT_EQ(Tries(), tries);
        EXPECT_EQ(Opened(ci), opened);
        for (hak_block_t *block : blocks) {
            Put(cache_, ci, block);
        }
    }
}

/* B2: behind the ring comes the lifo, and when that is full it goes to the shards, all of it. */
TEST_F(PoolCache, LifoTakesWhatTheRingCannot) {
    enum { CI = 3, ROOM = HAK_POOL_RING_MOST + 4, ALL = 40 };
    std::vector<hak_block_t *> blocks = TakeMany(cache_, CI, ALL); /* five times two pages */
    for (size_t i = 0; i < ROOM; i++) {
        Put(cache_, CI, blocks[i]);
    }
    EXPECT_EQ(cache_->bin[CI].lifo_count, 4u);
    EXPECT_EQ(hak_pool_cache_check_locked(cache_), 0u);
    Put(cache_, CI, blocks[ROOM]);
    EXPECT_EQ(cache_->bin[CI].lifo_count, 1u);
    hak_pool_shard_stats_t stats;
    hak_pool_shard_stats(&stats);
    EXPECT_EQ(stats.listed, 4u);
    std::set<hak_block_t *> again;
    for (size_t i = ROOM + 1; i < ALL; i++) {
        Put(cache_, CI, blocks[i]);
    }
    for (hak_block_t *block : TakeMany(cache_, CI, ALL)) {
        again.insert(block);
    }
    EXPECT_EQ(again, std::set<hak_block_t *>(blocks.begin(), blocks.end()));
    for (hak_block_t *block : blocks) {
        Put(cache_, CI, block);
    }
}

/* B3: the second page is used before anything shared is; a run gives what fits and no more. */
TEST_F(PoolCache, RunsLastForTwoPages) {
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        uint64_t opened = Opened(ci);
        uint64_t refills = hak_load_rlx(&cache_->bin[ci].counters.refills);
        std::vector<hak_block_t *> blocks = TakeMany(cache_, ci, 2 * hak_pool_blocks(ci));
        EXPECT_EQ(Opened(ci), opened + 2);
        EXPECT_EQ(hak_load_rlx(&cache_->bin[ci].counters.refills), refills + 1);
        EXPECT_EQ(cache_->bin[ci].run[0].page, nullptr) << "count is 0 at the end of the page";
        EXPECT_EQ(cache_->bin[ci].run[1].page, nullptr);
        std::set<hak_block_t *> places(blocks.begin(), blocks.end());
        EXPECT_EQ(places.size(), blocks.size());
        for (hak_block_t *block : blocks) {
            EXPECT_EQ((uintptr_t)block % hak_pool_bytes(ci), 0u);
            Put(cache_, ci, block);
        }
    }
}

/* B9: the order of stations, told by the hook at each. */
TEST_F(PoolCache, StationsInTheirOrder) {
    enum { CI = 4 };
    hak_block_t *a, *b;
    EXPECT_EQ(Trace(CI, &a),
              (Stations{HAK_POOL_AT_RING, HAK_POOL_AT_LIFO, HAK_POOL_AT_RUNS, HAK_POOL_AT_LOCK,
                        HAK_POOL_AT_REMOTE, HAK_POOL_AT_STEAL, HAK_POOL_AT_REFILL}))
        << "nothing anywhere";
    EXPECT_EQ(Trace(CI, &b), (Stations{HAK_POOL_AT_RING, HAK_POOL_AT_LIFO, HAK_POOL_AT_RUNS}));
    Put(cache_, CI, a);
    EXPECT_EQ(Trace(CI, &a), (Stations{HAK_POOL_AT_RING}));
    std::vector<hak_block_t *> rest = TakeMany(cache_, CI, 2); /* the runs are empty now */
    hak_block_link(b, nullptr);
    hak_block_set_mark(b, hak_registry_mark((uintptr_t)b));
    hak_pool_shard_put_mt(CI, b);
    EXPECT_EQ(Trace(CI, &b),
              (Stations{HAK_POOL_AT_RING, HAK_POOL_AT_LIFO, HAK_POOL_AT_RUNS, HAK_POOL_AT_LOCK}))
        << "the home shard has one";
    hak_pool_shard_send_mt(hak_pool_page_of((uintptr_t)b), CI, b);
    hak_block_set_mark(b, hak_registry_mark((uintptr_t)b));
    EXPECT_EQ(Trace(CI, &b), (Stations{HAK_POOL_AT_RING, HAK_POOL_AT_LIFO, HAK_POOL_AT_RUNS,
                                       HAK_POOL_AT_LOCK, HAK_POOL_AT_REMOTE}))
        << "it was sent there";
    hak_block_t *foreign = Take(other_, CI);
    hak_block_set_mark(foreign, hak_registry_mark((uintptr_t)foreign));
    hak_block_link(foreign, nullptr);
    hak_pool_shard_put_mt(CI, foreign);
    hak_block_t *stolen;
    EXPECT_EQ(Trace(CI, &stolen),
              (Stations{HAK_POOL_AT_RING, HAK_POOL_AT_LIFO, HAK_POOL_AT_RUNS, HAK_POOL_AT_LOCK,
                        HAK_POOL_AT_REMOTE, HAK_POOL_AT_STEAL}));
    EXPECT_EQ(stolen, foreign);
    EXPECT_EQ(hak_load_rlx(&cache_->bin[CI].counters.steals), 1u);
    for (hak_block_t *block : {a, b, stolen, rest[0], rest[1]}) {
        Put(cache_, CI, block);
    }
}

/* B8: another thread's free lands in the owner's inbox; the owner looks at it only when its ring
 * has less than two. */
TEST_F(PoolCache, InboxIsTakenInWhenTheRingRunsLow) {
    enum { CI = 2 };
    std::vector<hak_block_t *> blocks = TakeMany(cache_, CI, 6);
    Put(cache_, CI, blocks[0]);
    Put(cache_, CI, blocks[1]);
    for (size_t i = 2; i < 6; i++) {
        Send(other_, CI, blocks[i]);
    }
    EXPECT_EQ(hak_mpsc_stack_count(&cache_->bin[CI].inbox), 4u);
    EXPECT_EQ(hak_load_rlx(&other_->bin[CI].counters.inbox_sent), 4u);
    hak_block_t *block;
    EXPECT_EQ(Trace(CI, &block), (Stations{HAK_POOL_AT_RING})) << "the ring had two";
    EXPECT_EQ(Trace(CI, &block), (Stations{HAK_POOL_AT_INBOX, HAK_POOL_AT_RING}));
    EXPECT_EQ(hak_load_rlx(&cache_->bin[CI].counters.inbox_drained), 4u);
    EXPECT_EQ(cache_->bin[CI].top, 4u);
    Put(cache_, CI, blocks[1]);
    Put(cache_, CI, block);
}

/* A full inbox, and that of a heap whose thread is gone, do not take: the page's shard does. */
TEST_F(PoolCache, InboxIsBoundedAndNeedsAThread) {
    enum { CI = 0 };
    std::vector<hak_block_t *> blocks = TakeMany(cache_, CI, HAK_POOL_INBOX_MOST + 2);
    hak_pool_shard_stats_t stats;
    for (hak_block_t *block : blocks) {
        if (block != blocks.back()) {
            Send(other_, CI, block);
        }
    }
    hak_pool_shard_stats(&stats);
    EXPECT_EQ(hak_mpsc_stack_count(&cache_->bin[CI].inbox), (uint32_t)HAK_POOL_INBOX_MOST);
    EXPECT_EQ(stats.remote, 1u);
    hak_pool_cache_flush_owner(cache_);
    hak_store_rlx(&heap_->idle, 1);
    Send(nullptr, CI, blocks.back());
    hak_store_rlx(&heap_->idle, 0);
    hak_pool_shard_stats(&stats);
    EXPECT_EQ(hak_mpsc_stack_count(&cache_->bin[CI].inbox), 0u);
    EXPECT_EQ(stats.remote, 2u);
}

/* B10, B11, B12 and T-14: a refill of b pages opens b, fills runs, then ring, lifo, shards, and
 * loses nothing, however small ring and runs are. The fixture finds lost blocks. */
TEST_F(PoolCache, T14_BatchesLoseNothing) {
    for (uint32_t ring : {1u, 2u, 32u}) {
        for (uint32_t runs : {2u, 4u}) {
            for (unsigned batch : {1u, 2u, 4u}) {
                for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
                    hak_pool_cache_flush_owner(cache_);
                    hak_pool_shard_lock();
                    hak_pool_shard_collect_locked(1000, 0, UINT32_MAX);
                    hak_pool_shard_unlock();
                    cache_->ring_cap = ring;
                    cache_->runs = runs;
                    hak_options_set_text("pool_refill_batch", std::to_string(batch).c_str());
                    uint64_t opened = Opened(ci);
                    std::set<hak_block_t *> got = {Take(cache_, ci)};
                    ASSERT_EQ(Opened(ci), opened + batch);
                    for (uint32_t i = 1; i < batch * hak_pool_blocks(ci); i++) {
                        got.insert(Take(cache_, ci));
                    }
                    ASSERT_EQ(Opened(ci), opened + batch) << "blocks of the batch are missing";
                    ASSERT_EQ(got.size(), batch * hak_pool_blocks(ci)) << "a block came twice";
                    ASSERT_EQ(hak_pool_cache_check_locked(cache_), 0u);
                    for (hak_block_t *block : got) {
                        Put(cache_, ci, block);
                    }
                }
            }
        }
    }
}

TEST_F(PoolCache, RefillThatFailsGivesNothing) {
    hak_options_set_text("pool_refill_batch", "4");
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    std::vector<hak_block_t *> blocks;
    for (hak_block_t *b = Take(cache_, 4); b != nullptr; b = Take(cache_, 4)) {
        blocks.push_back(b);
    }
    hak_os_fake_reset();
    blocks.push_back(Take(cache_, 4));
    ASSERT_NE(blocks.back(), nullptr) << "and later it goes on";
    for (hak_block_t *block : blocks) {
        Put(cache_, 4, block);
    }
}

/* A heap that is only borrowed gets one block and fills no ring. */
TEST_F(PoolCache, BorrowedHeapGetsOneBlock) {
    hak_block_t *block = hak_pool_cache_take_owner(cache_, 1, 0);
    ASSERT_NE(block, nullptr);
    Put(other_, 1, block);
    hak_pool_cache_flush_owner(other_);
    hak_pool_cache_flush_owner(cache_);
    std::vector<hak_block_t *> two = {hak_pool_cache_take_owner(cache_, 1, 0)};
    EXPECT_EQ(cache_->bin[1].top, 0u);
    Put(cache_, 1, two[0]);
}

} // namespace
