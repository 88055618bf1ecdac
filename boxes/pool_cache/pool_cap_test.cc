// D2: caps of the mid pool. Below its cap a class is served generously, at it sparingly, and never
// refused.
#include <gtest/gtest.h>

#include <vector>

#include "base/testing/testing.h"
#include "boxes/policy/policy.h"
#include "boxes/pool_cache/pool_cache.h"
#include "boxes/pool_shard/pool_shard.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "core/options/options.h"
#include "registry/registry_inl.h"
}

namespace {

class PoolCap : public testing::Test {
  protected:
    PoolCap() {
        hak_testing::StartEngine();
        hak_options_set_text("pool_refill_batch", "4");
        heap_ = hak_heap_acquire_mt();
        cache_ = hak_pool_cache_of_owner(heap_);
        SetCap(0);
    }
    ~PoolCap() override {
        for (hak_block_t *block : blocks_) {
            Put(block);
        }
        hak_pool_cache_flush_owner(cache_);
        hak_pool_shard_lock();
        hak_pool_shard_collect_locked(1000, 0, UINT32_MAX);
        EXPECT_EQ(hak_pool_shard_check_locked() + hak_pool_page_check_locked(), 0u);
        hak_pool_shard_unlock();
        EXPECT_EQ(Pages(), 0u) << "a block was lost, so its page stayed";
        hak_heap_release_mt(heap_);
        SetCap(0);
    }
    static void SetCap(uint32_t pages) {
        hak_policy_values_t values = {};
        values.cap[kClass] = pages;
        hak_policy_publish_mt(&values);
    }
    static uint64_t Pages() { return hak_load_rlx(&hak_pool_page_counters.in_use[kClass]); }
    void Take(size_t count) {
        for (size_t i = 0; i < count; i++) {
            hak_block_t *block =
                hak_pool_cache_take_owner(cache_, kClass, hak_pool_cache_batch(kClass));
            ASSERT_NE(block, nullptr);
            hak_block_set_mark(block, 0);
            blocks_.push_back(block);
        }
    }
    void Put(hak_block_t *block) {
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
        hak_pool_cache_put_owner(cache_, kClass, block);
    }
    uint64_t Hits() { return hak_load_rlx(&cache_->bin[kClass].counters.hits); }
    uint64_t Refills() { return hak_load_rlx(&cache_->bin[kClass].counters.refills); }

    static constexpr unsigned kClass = 2; // 8 KiB, 8 to a page
    hak_heap_t *heap_;
    hak_pool_cache_t *cache_;
    std::vector<hak_block_t *> blocks_;
};

TEST_F(PoolCap, NoCapTakesBlocksOneByOne) {
    uint64_t hits = Hits(), refills = Refills();
    Take(64);
    EXPECT_EQ(Pages(), 8u);
    EXPECT_EQ(Refills() - refills, 2u) << "four pages at a time: two to carve, two are split";
    EXPECT_GT(Hits(), hits) << "what was split";
}

TEST_F(PoolCap, FarBelowTheCapAMissTakesManyAlong) {
    SetCap(1000);
    uint64_t hits = Hits();
    Take(64);
    EXPECT_GE(Hits() - hits, 64u - 64 / 8) << "a page's worth for each miss";
    EXPECT_LE(Pages(), 11u);
}

// One block each, one page each: the pages in use are what is needed, and not one more.
TEST_F(PoolCap, AtTheCapOnePageAtATime) {
    SetCap(2);
    Take(16);
    EXPECT_EQ(Pages(), 2u);
    uint64_t hits = Hits();
    for (uint64_t page = 3; page <= 10; page++) {
        Take(8);
        EXPECT_EQ(Pages(), page);
    }
    EXPECT_EQ(Hits(), hits) << "nothing is taken along";
}

// Blocks of other shards come before a page beyond the cap, wherever they are.
TEST_F(PoolCap, AtTheCapAllShardsAreAskedFirst) {
    hak_heap_t *heaps[40];
    std::vector<hak_block_t *> others;
    for (hak_heap_t *&heap : heaps) { // each has a shard of its own, and a page there
        heap = hak_heap_acquire_mt();
        hak_pool_cache_t *cache = hak_pool_cache_of_owner(heap);
        hak_block_t *block = hak_pool_cache_take_owner(cache, kClass, 1);
        ASSERT_NE(block, nullptr);
        hak_block_set_mark(block, 0);
        hak_pool_cache_flush_owner(cache);
        others.push_back(block);
    }
    uint64_t pages = Pages();
    SetCap(static_cast<uint32_t>(pages));
    for (hak_block_t *block : others) {
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
        hak_pool_shard_send_mt(hak_pool_page_of((uintptr_t)block), kClass, block);
    }
    Take(others.size());
    EXPECT_EQ(Pages(), pages);
    for (hak_heap_t *heap : heaps) {
        hak_heap_release_mt(heap);
    }
}

// Without room below the cap, and with no cap at all, the pool gives what is asked for.
TEST_F(PoolCap, ACapNeverFailsAnAllocation) {
    for (uint32_t cap : {1u, 3u, 0u, 5000u}) {
        SetCap(cap);
        Take(300);
    }
    EXPECT_GE(Pages(), 1200u / 8);
}

TEST(PolicyBundle, GrowsByOneForFourPages) {
    EXPECT_EQ(hak_policy_bundle(0, 3), 1u);
    for (uint32_t slack = 0; slack < 100; slack++) {
        uint32_t sum = 0;
        for (uint32_t phase = 0; phase < 4; phase++) {
            sum += hak_policy_bundle(slack, phase);
        }
        EXPECT_EQ(sum, 4 + slack) << "each page counts a quarter";
    }
}

} // namespace
