#include "boxes/exact_policy/exact_policy.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace {

// A program whose requests are given as blocks per window and size. Classes grow as their blocks
// would need, unless they are freed again.
class Program {
  public:
    struct Step {
        std::map<uint32_t, uint64_t> blocks; // by size
        bool grows;
    };

    hak_exact_decision_t Window(const Step &step) {
        hak_exact_window_t window = {};
        for (const auto &entry : step.blocks) {
            window.blocks[(entry.first + 15) / 16] += entry.second;
            if (step.grows) {
                live_[ClassOf(entry.first)] += entry.second;
            }
        }
        for (hak_dyn_id_t &id : ids_) {
            id.open = 0;
        }
        for (const auto &entry : live_) {
            uint32_t bytes = Bytes(entry.first);
            uint64_t slabs = (entry.second + 65536 / bytes - 1) / (65536 / bytes);
            window.slabs[entry.first] = (uint32_t)slabs;
            if (entry.first > HAK_SC_FIXED) {
                ids_[entry.first - HAK_SC_FIXED - 1].open = (uint32_t)slabs;
            }
        }
        for (unsigned id = 0; id < HAK_DYN_IDS; id++) {
            window.ids[id] = ids_[id];
        }
        window.fixed = by_hand;
        hak_exact_decision_t decision = hak_exact_policy_step(&state_, &window);
        Apply(decision);
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
    void Give(uint32_t bytes) { Apply({bytes, 0}); }
    void FreeAll() { live_.clear(); }

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
    void Apply(const hak_exact_decision_t &decision) {
        for (hak_dyn_id_t &id : ids_) {
            if (decision.drop_bytes != 0 && id.current && id.bytes == decision.drop_bytes) {
                id.current = false;
            }
        }
        if (decision.add_bytes == 0) {
            return;
        }
        EXPECT_TRUE(hak_sc_may_be_exact(decision.add_bytes)) << decision.add_bytes;
        EXPECT_EQ(decision.add_bytes % 16, 0u);
        EXPECT_EQ(Sizes().count(decision.add_bytes), 0u) << "it has a class";
        for (hak_dyn_id_t &id : ids_) {
            if (!id.current && id.open == 0) {
                id = {decision.add_bytes, 0, true};
                return;
            }
        }
    }
    hak_exact_state_t state_ = {};
    hak_dyn_id_t ids_[HAK_DYN_IDS] = {};
    std::map<unsigned, uint64_t> live_;
};

TEST(ExactPolicy, AStreamOfOneOddSizeGetsItsClassInTheSecondWindow) {
    struct {
        uint32_t size, bytes;
    } const table[] = {{528, 528}, {520, 528}, {513, 528}, {272, 272}, {592, 592},
                       {656, 656}, {720, 720}, {1000, 0},  {1008, 0},  {912, 912},
                       {560, 0},   {576, 0},   {256, 0},   {100, 0},   {1024, 0},
                       {304, 304}, {336, 336}, {400, 0},   {48, 0},    {976, 976}};
    for (const auto &row : table) {
        Program program;
        Program::Step step = {{{row.size, 1048576 / row.size + 1}}, true};
        hak_exact_decision_t first = program.Window(step);
        hak_exact_decision_t second = program.Window(step);
        EXPECT_EQ(first.add_bytes, 0u) << row.size;
        bool late = row.bytes != 0 && second.add_bytes == 0;
        if (late) { // less to gain: more slabs are needed before it is worth one
            for (unsigned i = 0; i < 4 && second.add_bytes == 0; i++) {
                second = program.Window(step);
            }
        }
        EXPECT_EQ(second.add_bytes, row.bytes) << row.size;
        EXPECT_EQ(program.Changes(step, 1000), 0u) << "what is decided stays: " << row.size;
    }
}

TEST(ExactPolicy, NothingBelowTheSample) {
    Program program;
    Program::Step step = {{{576, 5000}}, true}; // enough slabs to save some
    program.Window(step);
    step = {{{528, 2 * HAK_EXACT_SAMPLE - 1}, {16, 50000}}, true};
    EXPECT_EQ(program.Window(step).add_bytes, 0u) << "a sample";
    step.blocks[528] = HAK_EXACT_SAMPLE / 4;
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(program.Window(step).add_bytes, 0u) << "not yet another one";
    }
    EXPECT_EQ(program.Changes(step, 20), 1u) << "windows are added up";
    EXPECT_EQ(program.Sizes(), std::set<uint32_t>{528});
}

TEST(ExactPolicy, AClassThatDoesNotGrowIsLeftAlone) {
    Program program;
    Program::Step ramp = {{{576, 100000}}, true}; // a size that has a class
    EXPECT_EQ(program.Changes(ramp, 3), 0u);
    Program::Step churn = {{{528, 2000}}, false};
    EXPECT_EQ(program.Changes(churn, 1000), 0u) << "its slabs have room for the blocks";
    EXPECT_EQ(program.Changes({{{528, 2000}}, true}, 3), 1u);
}

TEST(ExactPolicy, OnlyASizeThatIsMostOfItsClass) {
    Program program;
    Program::Step mixed = {{{528, 1000}, {544, 500}, {576, 800}}, true};
    EXPECT_EQ(program.Changes(mixed, 200), 0u) << "43 % of the class";
    mixed.blocks[528] = 1500;
    EXPECT_EQ(program.Changes(mixed, 200), 1u);
    EXPECT_EQ(program.Sizes(), std::set<uint32_t>{528});
}

TEST(ExactPolicy, AtMostFourAndTheBestFirst) {
    Program program;
    Program::Step step = {{{528, 1000}, {592, 1000}, {656, 3000}, {720, 1000}, {784, 1000}}, true};
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
    Program::Step hot = {{{528, 2000}}, true};
    EXPECT_EQ(program.Changes(hot, 10), 1u);
    Program::Step other = {{{576, 2000}}, false};
    EXPECT_EQ(program.Changes(other, 1000), 0u) << "its blocks live";
    EXPECT_EQ(program.Changes(hot, 1), 0u);
    program.FreeAll();
    unsigned windows = 0;
    while (program.Sizes().count(528) != 0 && windows < 1000) {
        program.Window(other);
        windows++;
    }
    EXPECT_EQ(windows, (unsigned)HAK_EXACT_COLD_WINDOWS);
    EXPECT_EQ(program.Changes(hot, 3), 1u) << "and takes it up again";
}

TEST(ExactPolicy, AColdOneMakesPlaceForAHotOne) {
    Program program;
    for (uint32_t bytes : {528, 592, 656, 720}) {
        EXPECT_EQ(program.Changes({{{bytes, 2000}}, true}, 4), 1u) << bytes;
    }
    Program::Step hot = {{{784, 2000}, {592, 200}, {656, 200}, {720, 200}}, true};
    unsigned windows = 0;
    while (program.Sizes().count(784) == 0 && windows < 1000) {
        program.Window(hot);
        windows++;
    }
    EXPECT_EQ(windows + 3 * 4, (unsigned)HAK_EXACT_COLD_WINDOWS) << "cold since the second";
    EXPECT_EQ(program.Sizes(), (std::set<uint32_t>{592, 656, 720, 784}));
    EXPECT_EQ(program.Changes(hot, 1000), 0u);
}

TEST(ExactPolicy, NeverDropsWhatWasGivenByHand) {
    Program program;
    program.by_hand = 1ull << 528 / 16;
    program.Give(528);
    EXPECT_EQ(program.Changes({{{576, 2000}}, false}, 1000), 0u);
    program.by_hand = 0;
    EXPECT_EQ(program.Changes({{{576, 2000}}, false}, 1000), 1u);
}

// A size about as hot as makes the difference, at random: the decision does not swing.
TEST(ExactPolicy, NoOscillationUnderAStationaryLoad) {
    Program program;
    uint64_t random = 6;
    unsigned changes = 0;
    for (unsigned i = 0; i < 10000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t odd = 500 + (random >> 33) % 1000;
        Program::Step step = {{{528, odd}, {576, 1000}, {16, 20000}}, i % 4 != 0};
        hak_exact_decision_t decision = program.Window(step);
        changes += (decision.add_bytes != 0) + (decision.drop_bytes != 0);
    }
    EXPECT_LE(changes, 1u);
}

} // namespace
