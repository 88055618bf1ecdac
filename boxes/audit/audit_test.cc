#include "boxes/audit/audit.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/testing/testing.h"
#include "boxes/flush/flush.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
#include "registry/registry_inl.h"
}

namespace {

using hak_testing::CarveAll;
using hak_testing::NewSlab;

constexpr unsigned kClass = 33;

hak_audit_result_t Count() {
    hak_audit_result_t result;
    hak_audit_count_locked(&result);
    return result;
}

void HandOut(hak_block_t *block) { hak_block_set_mark(block, 0); }
void TakeIn(hak_block_t *block) { hak_block_set_mark(block, hak_registry_mark((uintptr_t)block)); }

/* A slab of the calling thread with all blocks handed out. */
class Audit : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        mine_ = std::make_unique<hak_testing::OwnHeap>();
        hak_store_rlx(&mine_->get()->thread, (uintptr_t)&hak_tls);
        slab_ = NewSlab(mine_->get(), kClass);
        blocks_ = CarveAll(mine_->get(), slab_);
        for (hak_block_t *block : blocks_) {
            HandOut(block);
        }
    }
    void TearDown() override {
        for (hak_block_t *block : blocks_) {
            TakeIn(block);
            hak_free_remote_add(mine_->get(), slab_, block, kClass);
        }
        hak_flush_all_owner(mine_->get());
        hak_store_rlx(&mine_->get()->thread, 0);
        mine_.reset();
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    hak_block_t *Pop() {
        hak_block_t *block = blocks_.back();
        blocks_.pop_back();
        return block;
    }
    std::unique_ptr<hak_testing::OwnHeap> mine_;
    hak_slab_t *slab_;
    std::vector<hak_block_t *> blocks_;
};

TEST_F(Audit, FindsEachBlockWhereItIs) {
    size_t all = blocks_.size();
    for (int i = 0; i < 5; i++) {
        hak_block_t *block = Pop();
        TakeIn(block);
        ASSERT_TRUE(hak_tls_sll_push_class(kClass, block));
    }
    for (int i = 0; i < 3; i++) {
        hak_block_t *block = Pop();
        TakeIn(block);
        hak_free_remote_push_mt(slab_, block, block, 1);
    }
    for (int i = 0; i < 2; i++) {
        hak_block_t *block = Pop();
        TakeIn(block);
        hak_free_remote_add(mine_->get(), slab_, block, kClass);
    }
    hak_audit_result_t result = Count();
    EXPECT_EQ(result.used, all);
    EXPECT_EQ(result.live, all - 10);
    EXPECT_EQ(result.cached, 5u);
    EXPECT_EQ(result.remote, 3u);
    EXPECT_EQ(result.batched, 2u);
    EXPECT_EQ(result.misplaced, 0u);
    EXPECT_TRUE(hak_audit_is_whole(&result));
}

TEST_F(Audit, LostBlockShows) {
    hak_block_t *block = blocks_[0];
    TakeIn(block); /* freed, and on no list */
    hak_audit_result_t result = Count();
    EXPECT_FALSE(hak_audit_is_whole(&result));
    EXPECT_EQ(result.live + 1, result.used);
    HandOut(block);
    result = Count();
    EXPECT_TRUE(hak_audit_is_whole(&result));
}

TEST_F(Audit, BlockInTwoPlacesShows) {
    hak_block_t *block = blocks_[0]; /* still in use, as its mark says */
    ASSERT_TRUE(hak_tls_sll_push_class(kClass, block));
    hak_audit_result_t result = Count();
    EXPECT_EQ(result.misplaced, 1u);
    EXPECT_FALSE(hak_audit_is_whole(&result));
    (void)hak_tls_sll_pop_class(kClass);
    HandOut(block);
}

TEST_F(Audit, BlockOfAnotherClassShows) {
    hak_block_t *block = Pop();
    TakeIn(block);
    ASSERT_TRUE(hak_tls_sll_push_class(kClass + 1, block));
    EXPECT_EQ(Count().misplaced, 1u);
    blocks_.push_back(hak_tls_sll_pop_class(kClass + 1));
}

TEST_F(Audit, CycleEnds) {
    hak_block_t *block = blocks_[0];
    TakeIn(block);
    ASSERT_TRUE(hak_tls_sll_push_class(kClass, block));
    hak_block_link(block, block);
    hak_audit_result_t result = Count();
    EXPECT_EQ(result.misplaced, 1u);
    EXPECT_FALSE(hak_audit_is_whole(&result));
    hak_block_link(block, nullptr);
    (void)hak_tls_sll_pop_class(kClass);
}

TEST_F(Audit, KnowsWhetherAnotherThreadMayRun) {
    EXPECT_TRUE(hak_audit_is_alone());
    hak_heap_t *other = hak_heap_acquire_mt();
    hak_store_rlx(&other->thread, (uintptr_t)&hak_tls + 64);
    EXPECT_FALSE(hak_audit_is_alone());
    hak_store_rlx(&other->thread, 0);
    hak_heap_release_mt(other);
}

} // namespace
