// The policies that drain while the program runs: how often, in which order, and whose pages. Built
// once for each of them; C12, C13, C14, C15 of the specification.
#include "boxes/mf2_policy/mf2_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "boxes/testing/engine.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

constexpr uint64_t kLater = uint64_t{1} << 60; // everybody is idle by then

using Pair = std::pair<hak_mf2_heap_t *, unsigned>;

bool Is(const char *policy) { return std::string(hak_mf2_policy_name) == policy; }
bool GoesRound() { return Is("rr") || Is("hybrid"); }

class Mf2Policy : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        ASSERT_TRUE(hak_dyn_class_assign_mt(0, 14336));
        ASSERT_TRUE(hak_dyn_class_assign_mt(1, 5120));
        ASSERT_EQ(hak_mf2_classes(), 7u);
        AddHeaps(3);
        mine_ = heaps_[1];
        mine_->rr_heap = nullptr;
        mine_->rr_index = 0;
        Set("mf2_drain_every", 1);
    }
    void TearDown() override {
        Set("mf2_drain_every", 4);
        Set("mf2_handoff", 1);
        for (unsigned round = 0; round < 2; round++) {
            hak_mf2_adopt_collect_mt(nullptr, kLater, 0, HAK_OWNER_MAX, UINT32_MAX, true);
        }
        for (hak_mf2_heap_t *heap : heaps_) {
            EXPECT_EQ(hak_load_rlx(&heap->pages), 0u);
            hak_heap_release_mt(heap->heap);
        }
    }
    void AddHeaps(unsigned count) {
        for (unsigned i = 0; i < count; i++) {
            heaps_.push_back(hak_mf2_heap_of_owner(hak_heap_acquire_mt()));
        }
    }
    static void Set(const char *name, unsigned value) {
        ASSERT_EQ(hak_options_set_text(name, std::to_string(value).c_str()), 0);
    }
    // A page of the class that `home` handed out whole and whose blocks other threads freed.
    static void AddPending(hak_mf2_heap_t *home, unsigned index) {
        unsigned sc = hak_mf2_sc(index);
        hak_mf2_page_t *page = hak_mf2_pool_take_mt();
        hak_mf2_page_open(page, sc, home, home->heap->tag | sc << HAK_BIN_SHIFT);
        hak_mf2_heap_link_owner(home, page, true);
        hak_block_t *block = hak_mf2_page_carve_owner(page, page->cap);
        hak_mf2_heap_release_owner(home, page);
        while (block != nullptr) {
            hak_block_t *next = hak_block_next(block);
            if (hak_mf2_remote_push_mt(page, block)) {
                hak_mf2_pending_push_mt(page);
            }
            block = next;
        }
    }
    // All pairs in the order of the round: every heap for a class, newest first, then the next.
    static std::vector<Pair> Round() {
        std::vector<Pair> pairs;
        for (unsigned index = 0; index < hak_mf2_classes(); index++) {
            for (hak_mf2_heap_t *h = hak_mf2_heap_first(); h != nullptr; h = h->all_next) {
                pairs.push_back({h, index});
            }
        }
        return pairs;
    }
    void Tick(unsigned index = 0) {
        hak_owner_lock_take_owner(&mine_->heap->lock);
        hak_mf2_policy_tick_owner(mine_, index);
        hak_owner_lock_drop_owner(&mine_->heap->lock);
    }
    uint64_t Tries() { return hak_load_rlx(&mine_->counters.drain_tries); }
    uint64_t Other() { return hak_load_rlx(&mine_->counters.drain_other); }
    std::vector<hak_mf2_heap_t *> heaps_;
    hak_mf2_heap_t *mine_;
};

TEST_F(Mf2Policy, DrainsEveryNthOperation) {
    for (unsigned every : {1u, 2u, 4u, 7u, 16u}) {
        Set("mf2_drain_every", every);
        uint64_t ops = mine_->ops, before = Tries();
        for (unsigned i = 1; i <= 100; i++) {
            Tick();
            uint64_t expected = Is("hybrid") ? i : (ops + i) / every - ops / every;
            ASSERT_EQ(Tries() - before, expected) << every << ", operation " << i;
        }
    }
}

TEST_F(Mf2Policy, OwnDrainsTheClassAtHandAndNobodyElses) {
    if (!Is("own")) {
        GTEST_SKIP();
    }
    for (unsigned index = 0; index < hak_mf2_classes(); index++) {
        AddPending(heaps_[0], index);
        AddPending(mine_, index);
    }
    for (unsigned index = 0; index < hak_mf2_classes(); index++) {
        Tick(index);
        for (unsigned other = 0; other < hak_mf2_classes(); other++) {
            EXPECT_EQ(hak_mf2_pending_has(mine_, other), other > index);
            EXPECT_TRUE(hak_mf2_pending_has(heaps_[0], other)) << "what sleeps stays so";
        }
    }
    EXPECT_EQ(Other(), 0u);
}

// C14: the pairs of heap and class come up one by one; after as many drains as there are pairs each
// had one.
TEST_F(Mf2Policy, RoundVisitsEachPairInOrder) {
    if (!Is("rr")) {
        GTEST_SKIP();
    }
    for (unsigned handoff : {1u, 0u}) {
        Set("mf2_handoff", handoff);
        std::vector<Pair> round = Round();
        for (const Pair &pair : round) {
            AddPending(pair.first, pair.second);
        }
        for (size_t step = 0; step < round.size(); step++) {
            uint64_t other = Other();
            Tick(6); // the class at hand does not matter
            EXPECT_EQ(Other() - other, round[step].first != mine_);
            for (size_t i = 0; i < round.size(); i++) {
                ASSERT_EQ(hak_mf2_pending_has(round[i].first, round[i].second), i > step)
                    << "pair " << i << " of " << round.size() << " after step " << step;
            }
        }
        EXPECT_EQ(mine_->rr_heap, nullptr) << "once round";
        EXPECT_EQ(mine_->rr_index, 0u);
    }
}

// The notes' bound: with a drain in every fourth operation, 4 times heaps times classes operations
// reach every pair.
TEST_F(Mf2Policy, EveryFourthOperationReachesAllPairs) {
    if (!Is("rr")) {
        GTEST_SKIP();
    }
    Set("mf2_drain_every", 4);
    std::vector<Pair> round = Round();
    for (const Pair &pair : round) {
        AddPending(pair.first, pair.second);
    }
    for (size_t i = 0; i < 4 * round.size(); i++) {
        Tick();
    }
    for (const Pair &pair : round) {
        EXPECT_FALSE(hak_mf2_pending_has(pair.first, pair.second));
    }
}

// What a round drains belongs to the draining heap, or without handoff to its home.
TEST_F(Mf2Policy, HandoffSaysWhoKeepsThePage) {
    if (!Is("rr")) {
        GTEST_SKIP();
    }
    for (unsigned handoff : {1u, 0u}) {
        Set("mf2_handoff", handoff);
        AddPending(heaps_[0], 3);
        uint64_t handoffs = hak_load_rlx(&mine_->counters.handoffs);
        for (size_t i = Round().size(); i != 0; i--) {
            Tick();
        }
        EXPECT_EQ(mine_->list[3] != nullptr, handoff == 1);
        EXPECT_EQ(heaps_[0]->list[3] != nullptr, handoff == 0);
        EXPECT_EQ(hak_load_rlx(&mine_->counters.handoffs) - handoffs, handoff);
        hak_mf2_adopt_collect_mt(nullptr, kLater, 0, HAK_OWNER_MAX, UINT32_MAX, true);
    }
}

// T-16: 300 heaps that come while a round is on its way; there is no table that they could outgrow.
TEST_F(Mf2Policy, T16_RoundOfThreeHundredHeaps) {
    if (!GoesRound()) {
        GTEST_SKIP();
    }
    for (unsigned i = 0; i < 10; i++) {
        Tick();
    }
    AddHeaps(300);
    std::vector<Pair> round = Round();
    ASSERT_GE(round.size(), 303u * 7);
    for (size_t i = 0; i < round.size(); i += 97) {
        AddPending(round[i].first, round[i].second);
    }
    size_t steps = 2 * round.size() * (Is("hybrid") ? 4 : 1); // the one on its way, and one more
    for (size_t i = 0; i < steps; i++) {
        Tick();
    }
    for (const Pair &pair : round) {
        EXPECT_FALSE(hak_mf2_pending_has(pair.first, pair.second));
    }
}

// C15: of 4,000 operations exactly 1,000 are a step of the round, the others drain the own stack.
TEST_F(Mf2Policy, HybridGoesToOthersEveryFourthTime) {
    if (!Is("hybrid")) {
        GTEST_SKIP();
    }
    while (mine_->ops % 4 != 0) {
        Tick();
    }
    mine_->rr_heap = nullptr;
    mine_->rr_index = 0;
    std::vector<Pair> round = Round();
    uint64_t tries = Tries(), other = Other(), others = 0;
    for (unsigned i = 0; i < 1000; i++) {
        others += round[i % round.size()].first != mine_;
    }
    for (unsigned i = 0; i < 4000; i++) {
        AddPending(mine_, i % 7);
        Tick(i % 7);
        // every fourth left its page; a step of the round at the own heap may have taken one
        if (i % 4 != 3) {
            ASSERT_LE(hak_mf2_pending_count(mine_, i % 7, 4000), i / 4u + 1);
        }
    }
    EXPECT_EQ(Tries() - tries, 4000u);
    EXPECT_EQ(Other() - other, others);
    Pair next = round[1000 % round.size()];
    EXPECT_EQ(mine_->rr_index, next.second);
    EXPECT_EQ(mine_->rr_heap == nullptr ? hak_mf2_heap_first() : mine_->rr_heap, next.first);
}

} // namespace
