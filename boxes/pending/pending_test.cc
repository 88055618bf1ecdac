#include "boxes/pending/pending.h"

#include <gtest/gtest.h>

#include "base/testing/testing.h"

namespace {

/* The box moves descriptors and never looks into a slab, so bare ones will do. */
class Pending : public ::testing::Test {
  protected:
    std::vector<hak_slab_t *> TakeAll() {
        std::vector<hak_slab_t *> slabs;
        while (hak_slab_t *slab = hak_pending_next_owner(&heap_)) {
            slabs.push_back(slab);
        }
        return slabs;
    }
    hak_heap_t heap_ = {};
};

TEST_F(Pending, NewestComesFirst) {
    std::vector<hak_slab_t> slabs(3);
    EXPECT_FALSE(hak_pending_has_any(&heap_));
    EXPECT_EQ(hak_pending_next_owner(&heap_), nullptr);
    for (hak_slab_t &slab : slabs) {
        hak_pending_push_mt(&heap_, &slab);
    }
    EXPECT_TRUE(hak_pending_has_any(&heap_));
    EXPECT_EQ(TakeAll(), (std::vector<hak_slab_t *>{&slabs[2], &slabs[1], &slabs[0]}));
    EXPECT_FALSE(hak_pending_has_any(&heap_));
}

TEST_F(Pending, WhatWasTakenIsHandedOutBeforeWhatCameLater) {
    std::vector<hak_slab_t> slabs(3);
    hak_pending_push_mt(&heap_, &slabs[0]);
    hak_pending_push_mt(&heap_, &slabs[1]);
    EXPECT_EQ(hak_pending_next_owner(&heap_), &slabs[1]);
    EXPECT_TRUE(hak_pending_has_any(&heap_)) << "one is taken and not looked at";
    hak_pending_push_mt(&heap_, &slabs[2]);
    EXPECT_EQ(TakeAll(), (std::vector<hak_slab_t *>{&slabs[0], &slabs[2]}));
}

/* The drain pushes a slab that has moved to its new heap; its link must be free by then. */
TEST_F(Pending, SlabTakenOffMayBePushedElsewhereAtOnce) {
    std::vector<hak_slab_t> slabs(2);
    hak_heap_t other = {};
    hak_pending_push_mt(&heap_, &slabs[0]);
    hak_pending_push_mt(&heap_, &slabs[1]);
    hak_slab_t *first = hak_pending_next_owner(&heap_);
    hak_pending_push_mt(&other, first);
    EXPECT_EQ(TakeAll(), (std::vector<hak_slab_t *>{&slabs[0]}));
    EXPECT_EQ(hak_pending_next_owner(&other), first);
    EXPECT_EQ(hak_pending_next_owner(&other), nullptr);
}

TEST_F(Pending, ForgottenSlabsAreOnNoList) {
    std::vector<hak_slab_t> slabs(3);
    for (hak_slab_t &slab : slabs) {
        hak_pending_push_mt(&heap_, &slab);
    }
    (void)hak_pending_next_owner(&heap_);
    hak_pending_push_mt(&heap_, &slabs[2]);
    hak_pending_forget_owner(&heap_);
    EXPECT_FALSE(hak_pending_has_any(&heap_));
    EXPECT_EQ(hak_pending_next_owner(&heap_), nullptr);
}

TEST_F(Pending, ManyPushersAndOneTakerLoseNothing) {
    enum { PUSHERS = 3, SLABS = 3000 };
    std::vector<std::vector<hak_slab_t>> slabs(PUSHERS, std::vector<hak_slab_t>(SLABS));
    std::vector<int> taken;
    std::atomic<int> running(PUSHERS);
    for (std::vector<hak_slab_t> &own : slabs) {
        for (hak_slab_t &slab : own) {
            slab.cap = 0; /* times it was taken */
        }
    }
    hak_testing::RunThreads(PUSHERS + 1, [&](int self) {
        if (self < PUSHERS) {
            for (hak_slab_t &slab : slabs[(size_t)self]) {
                slab.units = 1; /* plain: the taker must see it */
                hak_pending_push_mt(&heap_, &slab);
            }
            running--;
            return;
        }
        bool last;
        do {
            last = running == 0;
            for (hak_slab_t *slab : TakeAll()) {
                ASSERT_EQ(slab->units, 1);
                slab->cap++;
            }
        } while (!last);
    });
    for (const std::vector<hak_slab_t> &own : slabs) {
        for (const hak_slab_t &slab : own) {
            ASSERT_EQ(slab.cap, 1u);
        }
    }
}

} // namespace
