#include "boxes/flush/flush.h"

#include <gtest/gtest.h>

#include "base/testing/testing.h"
#include "boxes/free_local/free_local.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "include/hakmem.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
}

namespace {

using hak_testing::CarveAll;
using hak_testing::NewSlab;

constexpr unsigned kClass = 33;

class Flush : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        other_ = hak_heap_acquire_mt();
    }
    void TearDown() override {
        hak_testing::Settle(other_);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        EXPECT_EQ(hak_testing::SlabsOf(other_, kClass), 0u);
        hak_heap_release_mt(other_);
    }
    static uint64_t Flushed(const hak_testing::OwnHeap &mine) {
        return hak_load_rlx(&mine.get()->counters.flushed_blocks);
    }
    hak_heap_t *other_;
};

/* A bin may hold blocks of a slab that another heap has adopted meanwhile. */
TEST_F(Flush, BlockOfAnothersSlabIsSentToItsOwner) {
    {
        hak_testing::OwnHeap mine;
        hak_slab_t *slab = NewSlab(other_, kClass);
        std::vector<hak_block_t *> blocks = CarveAll(other_, slab);
        hak_owner_lock_take_guest(&mine.get()->lock);
        hak_block_link(blocks[0], nullptr);
        hak_block_t *list = blocks[0];
        EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, 5), 1u);
        EXPECT_EQ(list, nullptr);
        hak_owner_lock_drop_guest(&mine.get()->lock);
        EXPECT_EQ(slab->free, nullptr) << "the list belongs to its owner alone";
        hak_free_remote_flush(mine.get());
        EXPECT_TRUE(hak_free_remote_is_queued(slab));
        for (size_t i = 1; i < blocks.size(); i++) {
            ASSERT_TRUE(i > 10 || hak_tls_sll_push_class(kClass, blocks[i]));
            if (i > 10) {
                hak_free_remote_add(mine.get(), slab, blocks[i], kClass);
            }
        }
        hak_flush_all_owner(mine.get());
        EXPECT_EQ(hak_load_rlx(&mine.get()->batched_bytes), 0u);
        EXPECT_EQ(hak_load_rlx(&slab->remote) >> 48, blocks.size());
    }
}

/* Blocks of another's slab that lie together are a batch already. */
TEST_F(Flush, LongRunOfAnothersBlocksTravelsAsItIs) {
    constexpr uint32_t kLong = 8;
    hak_testing::OwnHeap mine;
    hak_slab_t *slab[2] = {NewSlab(other_, kClass), NewSlab(other_, kClass)};
    std::vector<hak_block_t *> order = hak_testing::Carve(other_, slab[0], kLong);
    std::vector<hak_block_t *> b = hak_testing::Carve(other_, slab[1], kLong - 1);
    std::vector<hak_block_t *> expected = order;
    order.insert(order.end(), b.begin(), b.end());
    for (size_t i = 0; i < order.size(); i++) {
        hak_block_link(order[i], i + 1 < order.size() ? order[i + 1] : nullptr);
    }
    const hak_heap_counters_t &counters = mine.get()->counters;
    uint64_t batches = hak_load_rlx(&counters.remote_batches);
    uint64_t blocks = hak_load_rlx(&counters.remote_blocks);
    hak_block_t *list = order[0];
    hak_owner_lock_take_guest(&mine.get()->lock);
    EXPECT_EQ(hak_flush_own_locked(mine.get(), &list, UINT32_MAX), 0u);
    EXPECT_EQ(list, order[0]) << "not ours";
    EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, UINT32_MAX), order.size());
    hak_owner_lock_drop_guest(&mine.get()->lock);
    EXPECT_EQ(hak_load_rlx(&counters.remote_batches), batches + 1);
    EXPECT_EQ(hak_load_rlx(&counters.remote_blocks), blocks + kLong);
    uint32_t count;
    EXPECT_EQ(hak_testing::Blocks(hak_free_remote_take_owner(slab[0], &count)), expected);
    EXPECT_EQ(count, kLong);
    EXPECT_EQ(hak_load_rlx(&slab[1]->remote), 0u) << "a short one waits for more";
    EXPECT_EQ(hak_load_rlx(&mine.get()->batched_bytes), b.size() * hak_sc_bytes[kClass]);
    hak_free_remote_flush(mine.get());
    EXPECT_EQ(hak_load_rlx(&counters.remote_blocks), blocks + order.size());
    hak_free_remote_push_mt(slab[0], expected.front(), expected.back(), kLong);
}

/* What `most` cuts off a long run may be short, and so may be what it leaves. */
TEST_F(Flush, LongRunThatIsCutIsShort) {
    constexpr uint32_t kLong = 12, kMost = 5;
    hak_testing::OwnHeap mine;
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> order = hak_testing::Carve(other_, slab, kLong);
    for (size_t i = 0; i < order.size(); i++) {
        hak_block_link(order[i], i + 1 < order.size() ? order[i + 1] : nullptr);
    }
    hak_block_t *list = order[0];
    hak_owner_lock_take_guest(&mine.get()->lock);
    EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, kMost), kMost);
    EXPECT_EQ(list, order[kMost]);
    EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, UINT32_MAX), kLong - kMost);
    EXPECT_EQ(list, nullptr);
    hak_owner_lock_drop_guest(&mine.get()->lock);
    EXPECT_EQ(hak_load_rlx(&slab->remote), 0u) << "both parts wait in the open batch";
    EXPECT_EQ(hak_load_rlx(&mine.get()->batched_bytes), kLong * hak_sc_bytes[kClass]);
    hak_free_remote_flush(mine.get());
    EXPECT_EQ(hak_load_rlx(&slab->remote) >> 48, kLong);
}

/* The hit path does not ask; a long run is looked at as a short one is. */
TEST_F(Flush, WhatWasNeverCarvedStaysBehindInALongRunToo) {
    constexpr uint32_t kLong = 12, kWild = 5;
    hak_testing::OwnHeap mine;
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = hak_testing::Carve(other_, slab, kLong);
    std::vector<hak_block_t *> order = blocks;
    order.insert(order.begin() + kWild, reinterpret_cast<hak_block_t *>(hak_slab_carved_end(slab)));
    for (size_t i = 0; i < order.size(); i++) {
        hak_block_link(order[i], i + 1 < order.size() ? order[i + 1] : nullptr);
    }
    hak_block_t *list = order[0];
    hak_owner_lock_take_guest(&mine.get()->lock);
    EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, UINT32_MAX), order.size());
    hak_owner_lock_drop_guest(&mine.get()->lock);
    hak_free_remote_flush(mine.get());
    EXPECT_EQ(hak_load_rlx(&slab->remote) >> 48, kLong) << "as many as were in use";
}

/* Three runs: four blocks of a, three of b, one of a again. */
TEST_F(Flush, NeighboursOfOneSlabGoTogether) {
    hak_testing::OwnHeap mine;
    hak_slab_t *slab[2] = {NewSlab(mine.get(), kClass), NewSlab(mine.get(), kClass)};
    std::vector<hak_block_t *> a = hak_testing::Carve(mine.get(), slab[0], 5);
    std::vector<hak_block_t *> b = hak_testing::Carve(mine.get(), slab[1], 4);
    std::vector<hak_block_t *> order = {a[0], a[1], a[2], a[3], b[0], b[1], b[2], a[4]};
    for (size_t i = 0; i < order.size(); i++) {
        hak_block_link(order[i], i + 1 < order.size() ? order[i + 1] : nullptr);
    }
    hak_block_t *list = order[0];
    uint64_t before = Flushed(mine);
    hak_owner_lock_take_guest(&mine.get()->lock);
    EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, 6), 6u);
    EXPECT_EQ(list, b[2]) << "the rest of a run stays";
    EXPECT_EQ(hak_testing::Blocks(slab[0]->free),
              (std::vector<hak_block_t *>{a[0], a[1], a[2], a[3]}));
    EXPECT_EQ(hak_testing::Blocks(slab[1]->free), (std::vector<hak_block_t *>{b[0], b[1]}));
    EXPECT_EQ(hak_load_rlx(&slab[0]->used), 1u);
    EXPECT_EQ(hak_load_rlx(&slab[1]->used), 2u);
    EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, UINT32_MAX), 2u);
    EXPECT_EQ(list, nullptr);
    EXPECT_EQ(Flushed(mine), before + 8);
    EXPECT_EQ(hak_testing::SlabsOf(mine.get(), kClass), 1u) << "the empty one was retired";
    list = b[3];
    hak_block_link(b[3], nullptr);
    EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, 0), 0u);
    EXPECT_EQ(list, b[3]);
    EXPECT_EQ(hak_flush_list_locked(mine.get(), kClass, &list, 1), 1u);
    hak_owner_lock_drop_guest(&mine.get()->lock);
}

TEST_F(Flush, BinThatStoodStillIsIdle) {
    hak_testing::OwnHeap mine;
    constexpr unsigned kBusy = kClass + 1;
    for (unsigned sc : {kClass, kBusy}) {
        for (hak_block_t *block : hak_testing::Carve(mine.get(), NewSlab(mine.get(), sc), 3)) {
            ASSERT_TRUE(hak_tls_sll_push_class(sc, block));
        }
    }
    uint64_t now_ms = mine.get()->bins_seen_ms + 1000;
    hak_flush_idle_owner(mine.get(), now_ms, 500);
    EXPECT_NE(hak_tls.bin[kClass].head, nullptr) << "seen for the first time";
    hak_flush_idle_owner(mine.get(), now_ms + 499, 500);
    EXPECT_NE(hak_tls.bin[kClass].head, nullptr) << "too soon";
    hak_block_t *block = hak_tls_sll_pop_class(kBusy);
    uint64_t before = Flushed(mine);
    hak_flush_idle_owner(mine.get(), now_ms + 500, 500);
    EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);
    EXPECT_EQ((uint32_t)hak_tls.bin[kClass].room, mine.get()->bin_cap[kClass]);
    EXPECT_NE(hak_tls.bin[kBusy].head, nullptr) << "in use";
    EXPECT_EQ(Flushed(mine), before + 3);
    ASSERT_TRUE(hak_tls_sll_push_class(kBusy, block));
}

/* As BinThatStoodStillIsIdle, but counted in slabs that the heap opens instead of in time. */
TEST_F(Flush, HeapThatGrowsLooksAtItsBinsNowAndThen) {
    hak_testing::OwnHeap mine;
    constexpr unsigned kBusy = kClass + 1;
    for (unsigned sc : {kClass, kBusy}) {
        for (hak_block_t *block : hak_testing::Carve(mine.get(), NewSlab(mine.get(), sc), 3)) {
            ASSERT_TRUE(hak_tls_sll_push_class(sc, block));
        }
    }
    auto open = [&mine](unsigned slabs, unsigned sc = kClass + 2) {
        for (unsigned i = 0; i < slabs; i++) {
            hak_count_add(&mine.get()->counters.slabs_made, 1);
            hak_owner_lock_take_guest(&mine.get()->lock);
            hak_flush_opening_locked(mine.get(), sc, 0);
            hak_owner_lock_drop_guest(&mine.get()->lock);
        }
    };
    open(1);
    EXPECT_NE(hak_tls.bin[kClass].head, nullptr) << "seen for the first time";
    open(15);
    EXPECT_NE(hak_tls.bin[kClass].head, nullptr) << "too soon";
    hak_block_t *block = hak_tls_sll_pop_class(kBusy);
    open(1);
    EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);
    EXPECT_NE(hak_tls.bin[kBusy].head, nullptr) << "in use";
    ASSERT_TRUE(hak_tls_sll_push_class(kBusy, block));
    /* The class has no slab any more: if it gets one again, that one does not count. */
    uint64_t look_at = mine.get()->bins_look_at;
    open(1, kBusy);
    EXPECT_EQ(mine.get()->bins_look_at, look_at) << "this class still has one";
    open(2, kClass);
    EXPECT_EQ(mine.get()->bins_look_at, look_at + 1) << "the first alone";
    /* A heap of 1,000 slabs looks each 125 slabs at the most. */
    hak_count_add(&mine.get()->counters.slabs_made, 1000);
    open(1);
    EXPECT_GE(mine.get()->bins_look_at, hak_load_rlx(&mine.get()->counters.slabs_made) + 120);
}

/* Slabs of the class, each with `used` blocks out; the first `cached` of each lie in the bin. */
std::vector<hak_block_t *> FillSpread(hak_heap_t *mine, unsigned sc, int slabs, uint32_t used,
                                      uint32_t cached) {
    std::vector<hak_block_t *> out;
    for (int i = 0; i < slabs; i++) {
        std::vector<hak_block_t *> blocks = hak_testing::Carve(mine, NewSlab(mine, sc), used);
        for (uint32_t j = 0; j < used; j++) {
            if (j < cached) {
                EXPECT_TRUE(hak_tls_sll_push_class(sc, blocks[j]));
            } else {
                out.push_back(blocks[j]);
            }
        }
    }
    hak_store_rlx(&mine->cached_max[sc], mine->bin_cap[sc]); /* as a refill does */
    return out;
}

void Grow(hak_heap_t *mine) {
    hak_owner_lock_take_guest(&mine->lock);
    hak_flush_growing_locked(mine);
    hak_owner_lock_drop_guest(&mine->lock);
}

/* A few blocks in a bin keep many slabs in use; where they are few among many, they do not. */
TEST_F(Flush, BeforeMemoryGrowsBinsThatKeepManySlabsAreEmptied) {
    hak_testing::OwnHeap mine;
    constexpr unsigned kBusy = kClass + 1, kSingle = kClass + 2;
    (void)FillSpread(mine.get(), kClass, 6, 2, 2);
    std::vector<hak_block_t *> busy = FillSpread(mine.get(), kBusy, 6, 20, 2);
    (void)FillSpread(mine.get(), kSingle, 1, 5, 5);
    mine.get()->bins_grow_at = 0;
    Grow(mine.get());
    EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);
    EXPECT_EQ(hak_testing::SlabsOf(mine.get(), kClass), 0u) << "the last one is not kept either";
    EXPECT_NE(hak_tls.bin[kBusy].head, nullptr) << "its slabs stay in use without it";
    EXPECT_NE(hak_tls.bin[kSingle].head, nullptr) << "one slab, and the class may be in use";

    /* That was worth it, so the next time it looks again; then only when memory has grown. */
    (void)FillSpread(mine.get(), kClass, 2, 2, 2);
    Grow(mine.get());
    EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);
    (void)FillSpread(mine.get(), kClass, 2, 2, 2);
    Grow(mine.get());
    EXPECT_NE(hak_tls.bin[kClass].head, nullptr) << "two slabs were not worth it";
    std::vector<hak_slab_t *> more;
    while (hak_slot_pool_touched() < mine.get()->bins_grow_at) {
        more.push_back(hak_slot_pool_take_mt(kClass));
    }
    Grow(mine.get());
    EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);

    /* After a purge what memory had grown to does not count. */
    (void)FillSpread(mine.get(), kClass, 2, 2, 2);
    mine.get()->bins_grow_at = 1u << 20;
    Grow(mine.get());
    EXPECT_EQ(hak_tls.bin[kClass].head, nullptr);
    for (hak_slab_t *slab : more) {
        hak_slot_pool_give_mt(slab);
    }
    for (hak_block_t *block : busy) {
        hak_owner_lock_take_guest(&mine.get()->lock);
        hak_block_link(block, nullptr);
        hak_free_local_push_list_owner(mine.get(), hak_slab_of((uintptr_t)block), block, 1);
        hak_owner_lock_drop_guest(&mine.get()->lock);
    }
}

/* What a list that is no one's sends counts as much as what a thread sends. */
TEST_F(Flush, BlocksThatNoHeapSendsAreCounted) {
    constexpr uint32_t kCount = 10;
    hak_slab_t *slab = NewSlab(other_, kClass);
    hak_heap_t *gone = hak_heap_acquire_mt();
    hak_stats_t before = {}, after = {};
    hak_flush_stats_mt(&before);
    uint64_t drained = hak_load_rlx(&other_->counters.drained_blocks);
    for (bool is_guest : {false, true}) {
        hak_block_t *list = nullptr;
        for (hak_block_t *block : hak_testing::Carve(other_, slab, kCount)) {
            hak_block_link(block, list);
            list = block;
        }
        if (is_guest) {
            hak_owner_lock_take_guest(&gone->lock);
            hak_flush_list_guest_locked(gone, list);
            hak_owner_lock_drop_guest(&gone->lock);
        } else {
            hak_flush_list_mt(list);
        }
    }
    hak_flush_stats_mt(&after);
    EXPECT_EQ(after.remote_blocks, before.remote_blocks + 2 * kCount);
    EXPECT_EQ(after.remote_batches, before.remote_batches + 2);
    hak_testing::Settle(other_);
    EXPECT_EQ(hak_load_rlx(&other_->counters.drained_blocks), drained + 2 * kCount);
    hak_heap_release_mt(gone);
}

TEST_F(Flush, FlushAllEmptiesEveryBin) {
    hak_testing::OwnHeap mine;
    std::vector<hak_slab_t *> slabs;
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        slabs.push_back(NewSlab(mine.get(), sc));
        std::vector<hak_block_t *> blocks = hak_testing::Carve(mine.get(), slabs.back(), 3);
        for (hak_block_t *block : blocks) {
            ASSERT_TRUE(hak_tls_sll_push_class(sc, block));
        }
    }
    uint64_t before = Flushed(mine);
    hak_flush_all_owner(mine.get());
    EXPECT_EQ(Flushed(mine), before + 3 * HAK_SC_FIXED);
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        EXPECT_EQ(hak_tls.bin[sc].head, nullptr);
        EXPECT_EQ((uint32_t)hak_tls.bin[sc].room, mine.get()->bin_cap[sc]);
        EXPECT_EQ(hak_load_rlx(&slabs[sc - 1]->used), 0u);
    }
    EXPECT_EQ(hak_testing::Faults(), 0u);
}

} // namespace
