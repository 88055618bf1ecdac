#include "boxes/left_bins/left_bins.h"

#include <gtest/gtest.h>

#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/size_class.h"
#include "boxes/adoption/adoption.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/refill/refill.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

constexpr unsigned kClass = 30;
constexpr uint64_t kDelayMs = 500;

uint64_t Now() { return hak_os_now_ms(); }

/* As front/thread does. */
hak_heap_t *Come() {
    hak_heap_t *heap = hak_heap_acquire_mt();
    hak_owner_lock_take_owner(&heap->lock);
    if (!hak_left_bins_any(heap)) {
        hak_cache_policy_start_owner(heap);
    }
    hak_tls_sll_attach(heap, heap->tag, heap->bin_cap, heap->spare_bytes);
    hak_left_bins_take_locked(heap);
    hak_owner_lock_drop_owner(&heap->lock);
    return heap;
}
void Leave(hak_heap_t *heap) {
    hak_owner_lock_take_owner(&heap->lock);
    hak_left_bins_leave_locked(heap, Now());
    hak_owner_lock_drop_owner(&heap->lock);
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        EXPECT_EQ(hak_tls.bin[sc].head, nullptr) << "bin " << sc << " is lost";
    }
    hak_tls_sll_detach();
    hak_heap_release_mt(heap);
}

class LeftBins : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        Settle();
        heap_ = Come();
    }
    void TearDown() override {
        Settle();
        EXPECT_EQ(hak_testing::Faults(), 0u);
        EXPECT_EQ(hak_testing::SlabsOf(heap_, kClass), 0u) << "a block is stranded";
    }
    static void Settle() { (void)hak_adoption_collect_mt(nullptr, Now(), 0, HAK_OWNER_MAX); }
    /* The bin gets blocks of so many refills. */
    void FillBin(int refills) {
        std::vector<hak_block_t *> blocks;
        for (int i = 0; i < refills; i++) {
            blocks.push_back(hak_refill_owner(heap_, kClass));
            while (hak_block_t *more = hak_tls_sll_pop_class(kClass)) {
                blocks.push_back(more);
            }
        }
        hak_tls.bin[kClass].room = (int32_t)blocks.size() + 3;
        hak_store_rlx(&heap_->cached_max[kClass], (uint32_t)blocks.size() + 3);
        for (hak_block_t *block : blocks) {
            ASSERT_TRUE(hak_tls_sll_push_class(kClass, block));
        }
    }
    hak_heap_t *heap_;
};

TEST_F(LeftBins, TheNextThreadFindsThemAsTheyWere) {
    FillBin(3);
    hak_bin_t bin = hak_tls.bin[kClass];
    heap_->bin_cap[kClass] *= 2;
    uint32_t cap = heap_->bin_cap[kClass];
    Leave(heap_);
    EXPECT_TRUE(hak_left_bins_has(heap_, kClass));
    EXPECT_FALSE(hak_left_bins_has(heap_, kClass + 1));
    ASSERT_EQ(Come(), heap_);
    EXPECT_FALSE(hak_left_bins_any(heap_));
    EXPECT_EQ(hak_tls.bin[kClass].head, bin.head);
    EXPECT_EQ(hak_tls.bin[kClass].room, 3);
    EXPECT_EQ(heap_->bin_cap[kClass], cap);
    Leave(heap_);
    Settle();
    ASSERT_EQ(Come(), heap_);
    EXPECT_EQ(heap_->bin_cap[kClass], cap / 2) << "nobody wanted it";
    Leave(heap_);
}

TEST_F(LeftBins, GoBackWhenTheyAreOld) {
    FillBin(2);
    Leave(heap_);
    (void)hak_adoption_collect_mt(nullptr, Now(), kDelayMs, HAK_OWNER_MAX);
    EXPECT_TRUE(hak_left_bins_has(heap_, kClass)) << "not yet";
    hak_os_fake_advance_ms(kDelayMs);
    (void)hak_adoption_collect_mt(nullptr, Now(), kDelayMs, HAK_OWNER_MAX);
    EXPECT_FALSE(hak_left_bins_any(heap_));
    EXPECT_EQ(hak_testing::SlabsOf(heap_, kClass), 0u);
}

/* A slab all of whose blocks are in a left bin is on no list, and yet can be adopted. */
TEST_F(LeftBins, AreNoHindranceToAdoption) {
    FillBin(1);
    while (heap_->partial[kClass] != nullptr) {
        hak_block_t *list = hak_tls_sll_take_all(kClass, 1);
        FillBin(1);
        hak_block_t *tail = list;
        while (hak_block_next(tail) != nullptr) {
            tail = hak_block_next(tail);
        }
        hak_block_link(tail, hak_tls.bin[kClass].head);
        hak_tls.bin[kClass].head = list;
    }
    Leave(heap_);
    EXPECT_FALSE(hak_heap_has_partial(heap_, kClass));
    /* The newest idle heap is `heap_`: the thread that adopts gets that one, if not two. */
    hak_heap_t *same = hak_heap_acquire_mt();
    hak_testing::OwnHeap other;
    hak_heap_release_mt(same);
    hak_slab_t *slab = nullptr;
    hak_owner_lock_take_owner(&other.get()->lock);
    for (int i = 0; slab == nullptr && i < 4; i++) {
        slab = hak_adoption_take_owner(other.get(), kClass, Now());
    }
    ASSERT_NE(slab, nullptr);
    hak_heap_list_owner(other.get(), slab, HAK_HEAP_FIRST);
    hak_owner_lock_drop_owner(&other.get()->lock);
    EXPECT_FALSE(hak_left_bins_has(heap_, kClass));
    EXPECT_EQ(hak_load_rlx(&slab->used), 0u);
    hak_testing::Settle(other.get());
}

TEST_F(LeftBins, LongOnesDoNotStay) {
    FillBin(2);
    hak_store_rlx(&heap_->cached_max[kClass], 1u << 20); /* as many as there may be */
    hak_owner_lock_take_owner(&heap_->lock);
    hak_left_bins_leave_locked(heap_, Now());
    hak_owner_lock_drop_owner(&heap_->lock);
    EXPECT_FALSE(hak_left_bins_has(heap_, kClass));
    EXPECT_NE(hak_tls.bin[kClass].head, nullptr) << "left to the one who flushes";
    hak_flush_all_owner(heap_);
    Leave(heap_);
}

} // namespace
