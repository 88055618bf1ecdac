#include "boxes/slot_state/slot_state.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "config/hak_config.h"

namespace {

/* Large, so not on the stack. The box touches the masks alone. */
hak_superslab_t superslab;

class SlotState : public ::testing::Test {
  protected:
    void SetUp() override { hak_slot_state_init_locked(&superslab); }
    void TearDown() override {
        EXPECT_EQ(hak_slot_state_check_locked(&superslab), 0u);
        EXPECT_EQ(Sum(), 32u);
    }
    static unsigned Count(hak_slot_state_t state) {
        return (unsigned)__builtin_popcount(hak_slot_state_mask(&superslab, state));
    }
    static unsigned Sum() {
        return Count(HAK_SLOT_UNUSED) + Count(HAK_SLOT_ACTIVE) + Count(HAK_SLOT_EMPTY) +
               Count(HAK_SLOT_PURGING);
    }
    static void Move(uint32_t slots, hak_slot_state_t from, hak_slot_state_t to) {
        hak_slot_state_move_locked(&superslab, slots, from, to);
    }
    /* Brings slot 0 into the state by legal moves. */
    static void Reach(hak_slot_state_t state) {
        hak_slot_state_init_locked(&superslab);
        if (state != HAK_SLOT_UNUSED) {
            Move(1, HAK_SLOT_UNUSED, HAK_SLOT_ACTIVE);
        }
        if (state == HAK_SLOT_EMPTY || state == HAK_SLOT_PURGING) {
            Move(1, HAK_SLOT_ACTIVE, HAK_SLOT_EMPTY);
        }
        if (state == HAK_SLOT_PURGING) {
            Move(1, HAK_SLOT_EMPTY, HAK_SLOT_PURGING);
        }
    }
};

/* The table as the design has it, written down a second time. */
const std::set<std::pair<int, int>> kLegal = {
    {HAK_SLOT_UNUSED, HAK_SLOT_ACTIVE}, {HAK_SLOT_UNUSED, HAK_SLOT_EMPTY},
    {HAK_SLOT_EMPTY, HAK_SLOT_ACTIVE},  {HAK_SLOT_ACTIVE, HAK_SLOT_EMPTY},
    {HAK_SLOT_EMPTY, HAK_SLOT_PURGING}, {HAK_SLOT_PURGING, HAK_SLOT_UNUSED},
    {HAK_SLOT_PURGING, HAK_SLOT_EMPTY},
};

TEST_F(SlotState, EveryLegalTransitionMovesTheSlotsAndNoOthers) {
    for (const auto &pair : kLegal) {
        auto from = (hak_slot_state_t)pair.first, to = (hak_slot_state_t)pair.second;
        Reach(from);
        uint32_t before = hak_slot_state_mask(&superslab, to);
        Move(1, from, to);
        EXPECT_EQ(hak_slot_state_mask(&superslab, to), before | 1u) << from << " to " << to;
        EXPECT_EQ(hak_slot_state_mask(&superslab, from) & 1u, 0u) << from << " to " << to;
        EXPECT_EQ(Sum(), 32u);
        EXPECT_EQ(hak_slot_state_check_locked(&superslab), 0u);
    }
}

TEST_F(SlotState, TableHasExactlyTheLegalTransitions) {
    for (int from = 0; from < HAK_SLOT_STATES; from++) {
        for (int to = 0; to < HAK_SLOT_STATES; to++) {
            EXPECT_EQ(hak_slot_state_legal[from] >> to & 1, (int)kLegal.count({from, to}))
                << from << " to " << to;
        }
    }
}

/* Whoever takes an aged slot starts its age anew. */
TEST_F(SlotState, SlotThatLeavesEmptyIsNoLongerAged) {
    Move(7, HAK_SLOT_UNUSED, HAK_SLOT_ACTIVE);
    Move(7, HAK_SLOT_ACTIVE, HAK_SLOT_EMPTY);
    superslab.aged_mask = 7;
    Move(2, HAK_SLOT_EMPTY, HAK_SLOT_ACTIVE);
    Move(2, HAK_SLOT_ACTIVE, HAK_SLOT_EMPTY);
    EXPECT_EQ(superslab.aged_mask, 5u);
}

TEST_F(SlotState, CheckFindsMasksThatContradictEachOther) {
    hak_superslab_t *ss = &superslab;
    ss->purge_mask = 1; /* free and in a purge's hand */
    EXPECT_NE(hak_slot_state_check_locked(ss), 0u);
    ss->purge_mask = 0;
    ss->aged_mask = 1; /* aged, but not EMPTY */
    EXPECT_NE(hak_slot_state_check_locked(ss), 0u);
    ss->aged_mask = 0;
    ss->free_mask = ~1u;
    ss->dirty_mask = 1; /* ACTIVE and EMPTY */
    EXPECT_NE(hak_slot_state_check_locked(ss), 0u);
    ss->dirty_mask = 0;
}

class SlotStateDeathTest : public SlotState {};

TEST_F(SlotStateDeathTest, IllegalTransitionsAbort) {
    ASSERT_TRUE(hak_cfg_debug) << "build with debug = on";
    for (int from = 0; from < HAK_SLOT_STATES; from++) {
        for (int to = 0; to < HAK_SLOT_STATES; to++) {
            if (kLegal.count({from, to}) == 0) {
                Reach((hak_slot_state_t)from);
                EXPECT_DEATH(Move(1, (hak_slot_state_t)from, (hak_slot_state_t)to),
                             "hakmem\\[[0-9]+\\]: internal error: .*slot_state\\.c:[0-9]+: ")
                    << from << " to " << to;
            }
        }
    }
    hak_slot_state_init_locked(&superslab);
}

TEST_F(SlotStateDeathTest, SlotsThatAreNotInTheStateAbort) {
    ASSERT_TRUE(hak_cfg_debug) << "build with debug = on";
    Move(3, HAK_SLOT_UNUSED, HAK_SLOT_ACTIVE);
    EXPECT_DEATH(Move(7, HAK_SLOT_ACTIVE, HAK_SLOT_EMPTY), "slot_state\\.c");  /* one is not */
    EXPECT_DEATH(Move(1, HAK_SLOT_UNUSED, HAK_SLOT_ACTIVE), "slot_state\\.c"); /* taken twice */
    EXPECT_DEATH(Move(1, HAK_SLOT_EMPTY, HAK_SLOT_ACTIVE), "slot_state\\.c");
}

} // namespace
