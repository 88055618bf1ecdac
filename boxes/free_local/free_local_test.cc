#include "boxes/free_local/free_local.h"

#include <gtest/gtest.h>

#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "boxes/free_local/free_local_inl.h"
}

namespace {

using hak_testing::Carve;
using hak_testing::CarveAll;
using hak_testing::NewSlab;
using hak_testing::SlabsOf;

constexpr unsigned kClass = 40; /* 2 KiB and a bit: few blocks in a slab */

class FreeLocal : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        heap_ = hak_heap_acquire_mt();
    }
    void TearDown() override {
        EXPECT_EQ(hak_testing::Faults(), 0u);
        hak_testing::Settle(heap_);
        EXPECT_EQ(SlabsOf(heap_, kClass), 0u);
        hak_heap_release_mt(heap_);
    }
    void Push(hak_slab_t *slab, hak_block_t *block) {
        hak_free_local_push_run_owner(heap_, slab, block, block, 1);
    }
    void PushAll(hak_slab_t *slab, const std::vector<hak_block_t *> &blocks) {
        for (hak_block_t *block : blocks) {
            Push(slab, block);
        }
    }
    static uint32_t Used(const hak_slab_t *slab) { return hak_load_rlx(&slab->used); }
    hak_heap_t *heap_;
};

TEST_F(FreeLocal, BlockGoesToTheHeadOfTheFreeListAndOutOfUse) {
    hak_slab_t *slab = NewSlab(heap_, kClass);
    std::vector<hak_block_t *> blocks = Carve(heap_, slab, 3);
    Push(slab, blocks[1]);
    Push(slab, blocks[0]);
    EXPECT_EQ(hak_testing::Blocks(slab->free), (std::vector<hak_block_t *>{blocks[0], blocks[1]}));
    EXPECT_EQ(Used(slab), 1u);
    EXPECT_EQ(hak_testing::Faults(), 0u);
    Push(slab, blocks[2]);
}

TEST_F(FreeLocal, FullSlabIsListedWhenItsFirstBlockComesBack) {
    hak_slab_t *slab = NewSlab(heap_, kClass);
    std::vector<hak_block_t *> blocks = CarveAll(heap_, slab);
    EXPECT_FALSE(slab->listed);
    Push(slab, blocks.back());
    blocks.pop_back();
    EXPECT_TRUE(slab->listed);
    EXPECT_EQ(heap_->partial[kClass], slab);
    EXPECT_EQ(hak_testing::Faults(), 0u);
    PushAll(slab, blocks);
}

TEST_F(FreeLocal, EmptySlabGoesBackUnlessItIsTheLastOfItsClass) {
    hak_slab_t *first = NewSlab(heap_, kClass), *second = NewSlab(heap_, kClass);
    std::vector<hak_block_t *> one = CarveAll(heap_, first), two = CarveAll(heap_, second);
    uint64_t retired = hak_load_rlx(&heap_->counters.slabs_retired);
    PushAll(second, two);
    EXPECT_EQ(SlabsOf(heap_, kClass), 2u) << "the only one on the list: the first is full";
    Push(first, one.back());
    one.pop_back();
    PushAll(first, one);
    EXPECT_EQ(SlabsOf(heap_, kClass), 1u) << "the first may go, the second is kept";
    EXPECT_EQ(hak_load_rlx(&heap_->counters.slabs_retired), retired + 1);
    EXPECT_EQ(hak_registry_tag((uintptr_t)two[0]), hak_heap_slab_tag(heap_, kClass));
    EXPECT_EQ(hak_registry_tag((uintptr_t)one[0]), HAK_TAG_NONE);
}

/* One block that goes back and forth must not open and close a slab each time. */
TEST_F(FreeLocal, LastSlabOfAClassSurvivesItsEmptiness) {
    hak_slab_t *slab = NewSlab(heap_, kClass);
    uint64_t retired = hak_load_rlx(&heap_->counters.slabs_retired);
    std::vector<hak_block_t *> blocks = Carve(heap_, slab, 1);
    for (int i = 0; i < 10; i++) {
        Push(slab, blocks[0]);
        slab->free = nullptr; /* as refill takes it */
        hak_store_rlx(&slab->used, 1);
    }
    Push(slab, blocks[0]);
    EXPECT_EQ(hak_load_rlx(&heap_->counters.slabs_retired), retired);
    EXPECT_EQ(hak_free_local_retire_kept_owner(heap_), 1u);
    EXPECT_EQ(SlabsOf(heap_, kClass), 0u);
}

/* What is on the remote list then is on no list any more. */
TEST_F(FreeLocal, SlabRetiredWithBlocksOnItsRemoteListKeepsNone) {
    hak_slab_t *first = NewSlab(heap_, kClass), *second = NewSlab(heap_, kClass);
    std::vector<hak_block_t *> one = Carve(heap_, first, 3), two = Carve(heap_, second, 1);
    Push(first, one[1]);
    hak_free_remote_push_mt(first, one[0], one[0], 1);
    hak_testing::Settle(heap_); /* counts the block as free and leaves it there */
    EXPECT_EQ(hak_load_rlx(&first->left), 1u);
    Push(first, one[2]);
    EXPECT_EQ(SlabsOf(heap_, kClass), 1u) << "the first is retired";
    EXPECT_EQ(first->free, nullptr);
    EXPECT_EQ(hak_load_rlx(&first->carved), 0u);
    Push(second, two[0]);
}

/* A queued slab is linked into a pending stack by its descriptor, which must stay as it is. */
TEST_F(FreeLocal, QueuedSlabIsNotRetired) {
    hak_slab_t *first = NewSlab(heap_, kClass), *second = NewSlab(heap_, kClass);
    std::vector<hak_block_t *> one = Carve(heap_, first, 2), two = Carve(heap_, second, 2);
    hak_free_remote_push_mt(first, one[0], one[0], 1);
    uint32_t count;
    EXPECT_EQ(hak_free_remote_take_owner(first, &count), one[0]); /* as refill does */
    PushAll(first, one);
    EXPECT_EQ(Used(first), 0u);
    EXPECT_EQ(SlabsOf(heap_, kClass), 2u);
    EXPECT_EQ(hak_free_local_retire_kept_owner(heap_), 0u);
    EXPECT_EQ(hak_pending_next_owner(heap_), first);
    EXPECT_EQ(hak_free_remote_take_unqueue_owner(first, &count), nullptr);
    hak_free_local_push_list_owner(heap_, first, nullptr, 0);
    EXPECT_EQ(SlabsOf(heap_, kClass), 1u) << "now it may go";
    PushAll(second, two);
}

TEST_F(FreeLocal, ListIsJoinedWithWhatIsThere) {
    hak_slab_t *slab = NewSlab(heap_, kClass);
    std::vector<hak_block_t *> blocks = CarveAll(heap_, slab);
    Push(slab, blocks[0]);
    hak_block_link(blocks[1], blocks[2]);
    hak_block_link(blocks[2], nullptr);
    hak_free_local_push_list_owner(heap_, slab, blocks[1], 2);
    EXPECT_EQ(hak_testing::Blocks(slab->free),
              (std::vector<hak_block_t *>{blocks[1], blocks[2], blocks[0]}));
    EXPECT_EQ(Used(slab), slab->cap - 3);
    hak_free_local_push_list_owner(heap_, slab, nullptr, 0);
    EXPECT_EQ(Used(slab), slab->cap - 3);
    EXPECT_EQ(hak_testing::Faults(), 0u);
    blocks.erase(blocks.begin(), blocks.begin() + 3);
    PushAll(slab, blocks);
}

TEST_F(FreeLocal, WholeListWakesAFullSlabAndMayEmptyIt) {
    hak_slab_t *other = NewSlab(heap_, kClass);
    hak_slab_t *slab = NewSlab(heap_, kClass);
    std::vector<hak_block_t *> blocks = CarveAll(heap_, slab);
    for (size_t i = 0; i < blocks.size(); i++) {
        hak_block_link(blocks[i], i + 1 < blocks.size() ? blocks[i + 1] : nullptr);
    }
    ASSERT_FALSE(slab->listed);
    hak_free_local_push_list_owner(heap_, slab, blocks[0], (uint32_t)blocks.size());
    EXPECT_EQ(SlabsOf(heap_, kClass), 1u);
    EXPECT_EQ(heap_->partial[kClass], other);
}

TEST_F(FreeLocal, KeptSlabsOfAllClassesGoBackWhenAskedFor) {
    std::vector<unsigned> classes = {1, 17, 63, 64, 65, 79, 80};
    for (unsigned sc : classes) {
        hak_slab_t *slab = NewSlab(heap_, sc);
        Push(slab, Carve(heap_, slab, 1)[0]);
    }
    hak_slab_t *busy = NewSlab(heap_, 30);
    std::vector<hak_block_t *> blocks = Carve(heap_, busy, 1);
    EXPECT_EQ(hak_free_local_retire_kept_owner(heap_), classes.size());
    for (unsigned sc : classes) {
        EXPECT_FALSE(hak_heap_has_partial(heap_, sc)) << sc;
    }
    EXPECT_EQ(SlabsOf(heap_, 30), 1u) << "has a block in use";
    Push(busy, blocks[0]);
}

} // namespace
