/* Each illegal transition, allowed once: the check of the pool must see it. Debug builds abort at
 * the transition itself; here the table lets it through. */
#include <gtest/gtest.h>
#include <string.h>

#include "backends/os/os_fake.h"
#include "base/bits.h"
#include "boxes/slot_policy/slot_policy.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "boxes/testing/engine.h"

namespace {

class SlotMutants : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        memcpy(saved_, hak_slot_state_legal, sizeof saved_);
        for (unsigned i = 0; i < 8; i++) {
            slabs_.push_back(hak_slot_pool_take_mt(kTiny));
            slabs_.push_back(hak_testing::TakeUnits(1));
        }
        for (int i = 0; i < 4; i++) {
            hak_slot_pool_give_mt(slabs_.back());
            slabs_.pop_back();
        }
    }
    void TearDown() override {
        memcpy(hak_slot_state_legal, saved_, sizeof saved_);
        for (hak_slab_t *slab : slabs_) {
            hak_slot_pool_give_mt(slab);
        }
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static size_t Check() { return hak_slot_pool_check_locked(); }

    const unsigned kTiny = hak_sc_of(64);
    uint8_t saved_[HAK_SLOT_STATES];
    std::vector<hak_slab_t *> slabs_;
};

/* What is left of a slab of several slots when others have one of them. */
TEST_F(SlotMutants, KeptSlabIsAllThereAndEmpty) {
    for (unsigned units : {2u, 16u}) {
        (void)hak_slot_pool_purge_mt(1ull << 40, 0, UINT32_MAX, 0); /* no shorter slab fits */
        hak_slab_t *slab = hak_testing::TakeUnits(units);
        ASSERT_EQ(slab->units, units);
        hak_slot_pool_give_mt(slab);
        hak_superslab_t *ss = hak_slab_superslab(slab);
        uint32_t kept = ss->kept_mask, bit = 1u << slab->slot;
        EXPECT_NE(kept & bit, 0u);
        hak_pool_lock_take();
        uint32_t last = bit << (units - 1);
        hak_pool_move_locked(ss, last, HAK_SLOT_EMPTY, HAK_SLOT_PURGING);
        EXPECT_EQ(ss->kept_mask, kept & ~bit);
        hak_pool_move_locked(ss, last, HAK_SLOT_PURGING, HAK_SLOT_EMPTY);
        EXPECT_EQ(ss->kept_mask, kept & ~bit) << "it may be zero or not";
        hak_lock_drop(&hak_pool.lock);
        EXPECT_EQ(Check(), 0u);
        hak_superslab_t *used = hak_slab_superslab(slabs_[0]);
        kept = used->kept_mask;
        used->kept_mask |= 1u << slabs_[0]->slot;
        EXPECT_NE(Check(), 0u) << "a slab is there";
        used->kept_mask = kept;
        EXPECT_EQ(Check(), 0u);
    }
}

TEST_F(SlotMutants, StockOverlapsNothingAndIsWhole) {
    hak_superslab_t *ss = hak_slab_superslab(slabs_[0]);
    uintptr_t base = hak_region_base(&ss->region);
    uintptr_t stock = hak_pool.stock, end = hak_pool.stock_end;
    const uintptr_t faulty[][2] = {
        {base, base + HAK_SUPERSLAB_BYTES},                  /* it is in use */
        {base + HAK_SUPERSLAB_BYTES, base},                  /* less than nothing */
        {base + HAK_UNIT_BYTES, base + HAK_SUPERSLAB_BYTES}, /* not whole */
        {base, base + (HAK_STOCK_MOST + 1) * HAK_SUPERSLAB_BYTES},
    };
    for (const uintptr_t *each : faulty) {
        hak_pool.stock = each[0];
        hak_pool.stock_end = each[1];
        EXPECT_NE(Check(), 0u);
    }
    hak_pool.stock = stock;
    hak_pool.stock_end = end;
    EXPECT_EQ(Check(), 0u);
}

/* Tries one illegal transition of one slot of `ss` and takes it back. */
void TryMutant(hak_superslab_t *ss, hak_slot_state_t from, hak_slot_state_t to) {
    /* PURGING without a purge, in the pool's books: a state to begin with. */
    bool lend = from == HAK_SLOT_PURGING;
    uint32_t slot = hak_slot_state_mask(ss, lend ? HAK_SLOT_EMPTY : from);
    slot &= -slot;
    ASSERT_NE(slot, 0u);
    if (lend) {
        hak_pool_move_locked(ss, slot, HAK_SLOT_EMPTY, HAK_SLOT_PURGING);
    }
    ASSERT_EQ(hak_slot_pool_check_locked(), 0u);
    hak_slot_state_legal[from] |= (uint8_t)(1u << to);
    hak_slot_state_move_locked(ss, slot, from, to);
    EXPECT_NE(hak_slot_pool_check_locked(), 0u) << from << " to " << to;
    hak_slot_state_legal[to] |= (uint8_t)(1u << from);
    hak_slot_state_move_locked(ss, slot, to, from);
    if (lend) {
        hak_pool_move_locked(ss, slot, HAK_SLOT_PURGING, HAK_SLOT_EMPTY);
    }
    EXPECT_EQ(hak_slot_pool_check_locked(), 0u);
}

TEST_F(SlotMutants, CheckSeesEveryIllegalTransition) {
    unsigned tried = 0;
    hak_slot_pool_fork_take();
    for (hak_slab_t *slab : {slabs_[0], slabs_[1]}) {
        for (int from = 0; from < HAK_SLOT_STATES; from++) {
            for (int to = 0; to < HAK_SLOT_STATES; to++) {
                if (from == to || (saved_[from] >> to & 1) != 0) {
                    continue;
                }
                TryMutant(hak_slab_superslab(slab), (hak_slot_state_t)from, (hak_slot_state_t)to);
                memcpy(hak_slot_state_legal, saved_, sizeof saved_);
                tried++;
            }
        }
    }
    hak_slot_pool_fork_drop();
    EXPECT_EQ(tried, 2u * 5) << "12 ordered pairs of states, 7 of them legal";
}

/* The same with the pool's counts and lists kept in step, as a wrong line in the pool would: what
 * is ACTIVE must still be what slabs cover, and what is EMPTY must be due for a visit. */
TEST_F(SlotMutants, CheckSeesSlabsAndStatesThatDisagree) {
    hak_slot_pool_fork_take();
    hak_superslab_t *ss = hak_slab_superslab(slabs_[0]);
    uint32_t slot = 1u << slabs_[0]->slot;
    for (hak_slot_state_t to : {HAK_SLOT_UNUSED, HAK_SLOT_PURGING}) {
        hak_slot_state_legal[HAK_SLOT_ACTIVE] |= (uint8_t)(1u << to);
        hak_slot_state_legal[to] |= 1u << HAK_SLOT_ACTIVE;
        hak_pool_move_locked(ss, slot, HAK_SLOT_ACTIVE, to);
        EXPECT_NE(Check(), 0u) << to;
        hak_pool_move_locked(ss, slot, to, HAK_SLOT_ACTIVE);
        EXPECT_EQ(Check(), 0u);
    }
    hak_slot_pool_fork_drop();
}

} // namespace
