#include "boxes/exact_policy/exact_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace {

// A program that is given as the slabs that each window opens for a size. Classes grow by them,
// unless they are closed again.
class Program {
  public:
    struct Step {
        std::map<uint32_t, uint32_t> opened; // by size
        bool grows;
    };

    hak_exact_decision_t Window(const Step &step) {
        hak_exact_window_t window = {};
        for (const auto &entry : step.opened) {
            window.opened[(entry.first + 15) / 16] += entry.second;
            if (step.grows) {
                live_[ClassOf(entry.first)] += entry.second;
            }
        }
        for (hak_dyn_id_t &id : ids_) {
            id.open = 0;
        }
        for (const auto &entry : live_) {
            window.slabs[entry.first] = entry.second;
            if (entry.first > HAK_SC_FIXED) {
                ids_[entry.first - HAK_SC_FIXED - 1].open = entry.second;
            }
        }
        for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
            window.ids[id] = ids_[id];
        }
        window.fixed = by_hand;
        hak_exact_decision_t decision = hak_exact_policy_step(&state_, &window);
        Apply(decision.add_bytes, decision.drop_bytes);
        return decision;
    }
    // Adds and drops of so many windows.
    unsigned Changes(const Step &step, unsigned windows) {
        unsigned changes = 0;
        for (unsigned i = 0; i < windows; i++) {
            hak_exact_decision_t decision = Window(step);
            changes += decision.add_bytes != 0;
            changes += decision.drop_bytes != 0;
        }
        return changes;
    }
    std::set<uint32_t> Sizes() const {
        std::set<uint32_t> sizes;
        for (const hak_dyn_id_t &id : ids_) {
            if (id.current) {
                sizes.insert(id.bytes);
            }
        }
        return sizes;
    }
    void Give(uint32_t bytes) { Apply(bytes, 0); }
    // All but one in `share` of the slabs of a size are closed; 0: all.
    void Close(uint32_t bytes, uint32_t share) {
        uint32_t &slabs = live_[ClassOf(bytes)];
        slabs = share == 0 ? 0 : slabs / share;
    }

    uint64_t by_hand = 0;

  private:
    uint32_t Bytes(unsigned sc) const {
        return sc <= HAK_SC_FIXED ? hak_sc_bytes[sc] : ids_[sc - HAK_SC_FIXED - 1].bytes;
    }
    unsigned ClassOf(uint32_t size) const {
        unsigned best = hak_sc_of(size);
        for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
            if (ids_[id].current && ids_[id].bytes >= size && ids_[id].bytes < Bytes(best)) {
                best = HAK_SC_FIXED + 1 + id;
            }
        }
        return best;
    }
    void Apply(uint32_t add_bytes, uint32_t drop_bytes) {
        for (hak_dyn_id_t &id : ids_) {
            if (drop_bytes != 0 && id.current && id.bytes == drop_bytes) {
                id.current = false;
            }
        }
        if (add_bytes == 0) {
            return;
        }
        EXPECT_TRUE(hak_sc_may_be_exact(add_bytes)) << add_bytes;
        EXPECT_EQ(add_bytes % 16, 0u);
        EXPECT_EQ(Sizes().count(add_bytes), 0u) << "it has a class";
        for (hak_dyn_id_t &id : ids_) {
            if (!id.current && id.open == 0) {
                id = {add_bytes, 0, true};
                return;
            }
        }
    }
    hak_exact_state_t state_ = {};
    hak_dyn_id_t ids_[HAK_DYN_IDS] = {};
    std::map<unsigned, uint32_t> live_;
};

TEST(ExactPolicy, AStreamOfOneOddSizeGetsItsClass) {
    struct {
        uint32_t size, bytes;
    } const table[] = {{528, 528}, {520, 528}, {513, 528}, {272, 272}, {592, 592},
                       {656, 656}, {720, 720}, {1000, 0},  {1008, 0},  {912, 912},
                       {560, 0},   {576, 0},   {256, 0},   {100, 0},   {1024, 0},
                       {304, 304}, {336, 336}, {400, 0},   {48, 0},    {976, 976}};
    for (const auto &row : table) {
        Program program;
        Program::Step step = {{{row.size, HAK_EXACT_SAMPLE}}, true};
        uint32_t added = program.Window(step).add_bytes;
        if (row.bytes != 0 && added == 0) {
            added = program.Window(step).add_bytes; // less to gain: worth it with more slabs
        }
        EXPECT_EQ(added, row.bytes) << row.size;
        EXPECT_EQ(program.Changes(step, 1000), 0u) << "what is decided stays: " << row.size;
    }
}

TEST(ExactPolicy, TwoSamplesIfOtherSizesAreInThem) {
    Program program;
    Program::Step step = {{{528, HAK_EXACT_SAMPLE - 1}, {576, 1}}, true};
    EXPECT_EQ(program.Window(step).add_bytes, 0u);
    EXPECT_EQ(program.Window(step).add_bytes, 528u);
    Program interrupted;
    EXPECT_EQ(interrupted.Window(step).add_bytes, 0u);
    EXPECT_EQ(interrupted.Window({{{576, HAK_EXACT_SAMPLE}}, true}).add_bytes, 0u);
    EXPECT_EQ(interrupted.Window(step).add_bytes, 0u) << "in a row";
}

TEST(ExactPolicy, SaysWhy) {
    Program program;
    Program::Step step = {{{528, 10}, {576, 3}}, true};
    program.Window(step);
    hak_exact_decision_t add = program.Window(step);
    EXPECT_EQ(add.add_bytes, 528u);
    EXPECT_EQ(add.add_opened, 10u);
    EXPECT_EQ(add.add_sample, 13u);
    EXPECT_EQ(add.add_saves, 48u);
    program.Window({{{528, 2}}, true});
    hak_exact_decision_t drop = {};
    for (unsigned i = 0; i < 1000 && drop.drop_bytes == 0; i++) {
        drop = program.Window({{{1024, 1}}, false});
    }
    EXPECT_EQ(drop.drop_bytes, 528u);
    EXPECT_EQ(drop.drop_slabs, 2u);
}

TEST(ExactPolicy, NothingBelowTheSample) {
    Program program;
    Program::Step step = {{{528, HAK_EXACT_SAMPLE - 1}, {16, 50000}}, true};
    EXPECT_EQ(program.Window(step).add_bytes, 0u);
    step.opened[528] = 1;
    EXPECT_EQ(program.Window(step).add_bytes, 528u) << "windows are added up";
    EXPECT_EQ(program.Sizes(), std::set<uint32_t>{528});
}

TEST(ExactPolicy, AClassThatDoesNotGrowIsLeftAlone) {
    Program program;
    Program::Step ramp = {{{576, 1000}}, true}; // a size that has a class
    EXPECT_EQ(program.Changes(ramp, 3), 0u);
    Program::Step churn = {{{528, 20}}, false};
    EXPECT_EQ(program.Changes(churn, 1000), 0u) << "its slabs have room for the blocks";
    EXPECT_EQ(program.Changes({{{528, 20}}, true}, 3), 1u);
}

TEST(ExactPolicy, OnlyASizeThatIsMostOfItsClass) {
    Program program;
    Program::Step mixed = {{{528, 50}, {544, 20}, {576, 30}}, true};
    EXPECT_EQ(program.Changes(mixed, 200), 0u) << "half of the class";
    mixed.opened[528] = 160;
    EXPECT_EQ(program.Changes(mixed, 200), 1u);
    EXPECT_EQ(program.Sizes(), std::set<uint32_t>{528});
}

TEST(ExactPolicy, AtMostFourAndTheBestFirst) {
    Program program;
    Program::Step step = {{{528, 20}, {592, 20}, {656, 60}, {720, 20}, {784, 20}}, true};
    std::vector<uint32_t> order;
    for (unsigned i = 0; i < 100; i++) {
        hak_exact_decision_t decision = program.Window(step);
        if (decision.add_bytes != 0) {
            order.push_back(decision.add_bytes);
        }
        EXPECT_EQ(decision.drop_bytes, 0u);
    }
    ASSERT_EQ(order.size(), size_t{HAK_EXACT_MOST});
    EXPECT_EQ(order[0], 656u) << "of which there are three times as many";
}

TEST(ExactPolicy, DropsWhatIsColdOnceItHasHardlyASlab) {
    Program program;
    Program::Step hot = {{{528, 20}}, true};
    EXPECT_EQ(program.Changes(hot, 10), 1u);
    Program::Step other = {{{576, 20}}, false};
    EXPECT_EQ(program.Changes(other, 1000), 0u) << "its blocks live";
    EXPECT_EQ(program.Changes(hot, 1), 0u);
    program.Close(528, 0);
    unsigned windows = 0;
    while (program.Sizes().count(528) != 0 && windows < 1000) {
        program.Window(other);
        windows++;
    }
    EXPECT_EQ(windows, (unsigned)HAK_EXACT_COLD_WINDOWS);
    EXPECT_EQ(program.Changes(hot, 3), 1u) << "and takes it up again";
}

// One that has been loaded and is only read, or that replaces its blocks in place, opens no slab
// either: it must not lose its class to the next size.
TEST(ExactPolicy, OneThatHasLostItsSlabsMakesPlaceForAHotOne) {
    Program program;
    for (uint32_t bytes : {528, 592, 656, 720}) {
        EXPECT_EQ(program.Changes({{{bytes, 20}}, true}, 4), 1u) << bytes;
    }
    Program::Step hot = {{{784, 20}, {592, 2}, {656, 2}, {720, 2}}, true};
    EXPECT_EQ(program.Changes(hot, 500), 0u) << "all four have their slabs";
    program.Close(528, 3);
    EXPECT_EQ(program.Changes(hot, 3), 2u);
    EXPECT_EQ(program.Sizes(), (std::set<uint32_t>{592, 656, 720, 784}));
    EXPECT_EQ(program.Changes(hot, 1000), 0u);
}

TEST(ExactPolicy, NeverDropsWhatWasGivenByHand) {
    Program program;
    program.by_hand = 1ull << 528 / 16;
    program.Give(528);
    EXPECT_EQ(program.Changes({{{576, 20}}, false}, 1000), 0u);
    program.by_hand = 0;
    EXPECT_EQ(program.Changes({{{576, 20}}, false}, 1000), 1u);
}

// A size about as hot as makes the difference, at random: the decision does not swing.
TEST(ExactPolicy, NoOscillationUnderAStationaryLoad) {
    Program program;
    uint64_t random = 6;
    unsigned changes = 0;
    for (unsigned i = 0; i < 10000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        auto odd = 10 + static_cast<uint32_t>((random >> 33) % 20);
        Program::Step step = {{{528, odd}, {576, 10}, {16, 2000}}, i % 4 != 0};
        hak_exact_decision_t decision = program.Window(step);
        changes += (decision.add_bytes != 0) + (decision.drop_bytes != 0);
    }
    EXPECT_LE(changes, 1u);
}

// Each slab is opened for one of four sizes, as likely: that none is most of the class shows in a
// sample only by its length. Windows grow with the slabs, as those of boxes/exact_sizes do.
TEST(ExactPolicy, SizesThatShareAClassAreNotTakenForHot) {
    unsigned changes = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        Program program;
        uint64_t random = seed;
        for (unsigned slabs = 0, window; slabs < 2000; slabs += window) { // 125 MiB
            Program::Step step = {{}, true};
            window = std::max(4u, slabs / 8);
            for (unsigned slab = 0; slab < window; slab++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                step.opened[528 + 16 * static_cast<uint32_t>(random >> 62)]++;
            }
            changes += program.Window(step).add_bytes != 0;
        }
    }
    EXPECT_LE(changes, 2u) << "of 200 programs";
}

} // namespace
