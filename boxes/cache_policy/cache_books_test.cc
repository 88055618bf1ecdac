/* What statistics say of bins: never less than what is in them. */
#include <gtest/gtest.h>

#include <vector>

#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/testing/engine.h"
#include "boxes/transfer/transfer.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
}

namespace {

const unsigned kClass = hak_sc_of(256);

class CacheBooks : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        ASSERT_TRUE(hak_heap_is_shared(kClass));
        heap_ = mine_.get();
        heap_->shares[0] = heap_->shares[1] = 0;
        hak_store_rlx(&heap_->cached_max[kClass], 0);
    }
    void TearDown() override {
        heap_->shares[0] = heap_->shares[1] = 0;
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    uint32_t MayHold() const { return hak_load_rlx(&heap_->cached_max[kClass]); }
    hak_testing::OwnHeap mine_;
    hak_heap_t *heap_ = nullptr;
};

TEST_F(CacheBooks, AThreadThatSharesAClassMayFillItsBinByFrees) {
    hak_cache_policy_wants_owner(heap_, kClass);
    EXPECT_EQ(MayHold(), heap_->bin_cap[kClass]);
}

/* The bins of the thread before may have grown, or its heap shares what it has not touched yet. */
TEST_F(CacheBooks, TheNextThreadBeginsWithTheFirstLength) {
    hak_cache_policy_start_owner(heap_);
    EXPECT_EQ(MayHold(), 0u) << "no slab of the class, and it is not shared";
    hak_store_rlx(&heap_->cached_max[kClass], 5 * heap_->bin_cap[kClass]);
    hak_cache_policy_start_owner(heap_);
    EXPECT_EQ(MayHold(), heap_->bin_cap[kClass]);
    hak_store_rlx(&heap_->cached_max[kClass], 0);
    hak_cache_policy_wants_owner(heap_, kClass);
    hak_store_rlx(&heap_->cached_max[kClass], 0);
    hak_cache_policy_start_owner(heap_);
    EXPECT_EQ(MayHold(), heap_->bin_cap[kClass]);
}

TEST_F(CacheBooks, BlocksThatArePassedOnAreCounted) {
    hak_heap_t *other = hak_heap_acquire_mt();
    std::vector<hak_block_t *> blocks =
        hak_testing::CarveAll(other, hak_testing::NewSlab(other, kClass));
    hak_cache_policy_wants_owner(heap_, kClass);
    uint64_t before = hak_load_rlx(&heap_->counters.passed_blocks);
    for (hak_block_t *block : blocks) {
        if (!hak_tls_sll_push_class(kClass, block)) {
            hak_cache_policy_overflow_owner(heap_, block, kClass);
        }
    }
    uint32_t waiting = (uint32_t)hak_transfer_count(kClass), count;
    EXPECT_GT(waiting, 0u);
    EXPECT_EQ(hak_load_rlx(&heap_->counters.passed_blocks), before + waiting);
    while (hak_block_t *list = hak_transfer_take_mt(kClass, &count)) {
        hak_flush_list_mt(list);
    }
    hak_flush_all_owner(heap_);
    hak_testing::Settle(other);
    EXPECT_EQ(hak_testing::SlabsOf(other, kClass), 0u) << "all came home";
    hak_heap_release_mt(other);
}

} // namespace
