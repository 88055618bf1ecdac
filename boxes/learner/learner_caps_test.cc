// CAP learning, dwell, samples and the budget: rows D5, D6 and D7 of the specification.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "boxes/learner/learner.h"

namespace {

// The state, totals that grow, and a clock that goes on by a second with each step.
class Caps : public ::testing::Test {
  protected:
    void SetUp() override { hak_learner_defaults(&config_); }

    void Start() {
        hak_learner_init(&state_, &config_);
        totals_ = {};
        for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
            totals_.class_bytes[ci] = 2048u << ci;
        }
        Step();
        EXPECT_EQ(out_.count, 0u) << "the first window has no beginning";
    }
    void Add(unsigned ci, uint64_t samples, double hit) {
        auto hits = static_cast<uint64_t>(static_cast<double>(samples) * hit + 0.5);
        totals_.hits[ci] += hits;
        totals_.misses[ci] += samples - hits;
    }
    void Step(uint64_t ms = 1000) {
        totals_.now_ms += ms;
        hak_learner_step(&state_, &totals_, &out_);
    }
    uint32_t Cap(unsigned ci) const {
        EXPECT_EQ(out_.policy.cap[ci], state_.cap[ci].cap);
        return state_.cap[ci].cap;
    }
    uint32_t Sum() const {
        return std::accumulate(out_.policy.cap, out_.policy.cap + HAK_POLICY_FIXED, 0u);
    }

    hak_learner_config_t config_;
    hak_learner_t state_;
    hak_learner_totals_t totals_;
    hak_learner_decisions_t out_;
};

TEST_F(Caps, OneStepByTable) {
    const struct {
        uint32_t cap;
        uint64_t samples;
        double hit;
        uint32_t after;
    } cases[] = {
        {64, 1000, 0.500, 68}, // below 0.60
        {64, 1000, 0.599, 68},  {64, 1000, 0.600, 64}, {64, 1000, 0.650, 64}, {64, 1000, 0.700, 64},
        {64, 1000, 0.701, 60},  {64, 1000, 0.900, 60}, {64, 255, 0.0, 64}, // one sample short
        {64, 256, 0.0, 68},     {64, 0, 0.0, 64},      {510, 1000, 0.1, 512}, {512, 1000, 0.1, 512},
        {18, 1000, 0.9, 16},    {16, 1000, 0.9, 16},   {4, 1000, 0.65, 16}, // begins out of bounds
        {900, 1000, 0.65, 512},
    };
    for (const auto &c : cases) {
        config_.cap_start[2] = c.cap;
        Start();
        Add(2, c.samples, c.hit);
        Step();
        EXPECT_EQ(Cap(2), c.after) << c.cap << " " << c.samples << " " << c.hit;
        EXPECT_EQ(Cap(0), 64u) << "no requests";
        uint32_t before = std::clamp(c.cap, 16u, 512u);
        ASSERT_EQ(out_.count, c.after != before ? 1u : 0u);
        if (out_.count == 1) {
            EXPECT_EQ(out_.change[0].kind,
                      c.after > before ? HAK_CHANGE_CAP_RAISE : HAK_CHANGE_CAP_CUT);
            EXPECT_EQ(out_.change[0].before, before);
            EXPECT_EQ(out_.change[0].after, c.after);
            EXPECT_EQ(out_.change[0].bytes, 8192u);
            EXPECT_EQ(out_.change[0].samples, c.samples);
            EXPECT_EQ(out_.change[0].limit, c.after > before ? 600u : 700u);
        }
    }
}

TEST_F(Caps, TooFewSamplesAreNeverAChange) {
    Start();
    for (int i = 0; i < 100; i++) {
        for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
            Add(ci, 255, ci % 2);
        }
        Step();
        EXPECT_EQ(out_.count, 0u);
    }
    EXPECT_EQ(state_.quiet_windows, 100u);
    EXPECT_EQ(state_.windows, 100u);
}

TEST_F(Caps, ClassesNotInUseAreLeftAlone) {
    Start();
    totals_.class_bytes[5] = 14336; // DYN1 alone
    for (unsigned ci = 0; ci < HAK_POLICY_CLASSES; ci++) {
        Add(ci, 1000, 0.1);
    }
    Step();
    EXPECT_EQ(Cap(5), 68u) << "tuned although DYN2 is not in use";
    EXPECT_EQ(Cap(6), 64u);
    EXPECT_EQ(out_.count, 6u);
}

TEST_F(Caps, Dwells) {
    config_.cap_dwell_ms = 3000;
    Start();
    std::vector<uint32_t> caps;
    for (int second = 0; second < 9; second++) {
        Add(0, 1000, 0.1);
        Step();
        caps.push_back(Cap(0));
    }
    EXPECT_EQ(caps, (std::vector<uint32_t>{68, 68, 68, 72, 72, 72, 76, 76, 76}));
}

// The pool answers to a cap: the more pages above what the load needs, the more of a miss is
// fetched in advance. `gain` is hit rate per page, `at` the cap at which it begins to rise.
struct Load {
    const char *name;
    double base, gain;
    uint32_t at;
    double ceiling;
};

double Hit(const Load &load, uint32_t cap) {
    double above = cap > load.at ? static_cast<double>(cap - load.at) : 0;
    return std::min(load.ceiling, load.base + above * load.gain);
}

// Into the band and at rest there; the bound on changes is the distance in steps, and what the
// search for the place costs: a step of 4 is halved twice.
TEST_F(Caps, ConvergesIntoTheBandAndStays) {
    const Load loads[] = {
        {"gentle", 0.30, 0.005, 16, 0.95},  {"steep", 0.20, 0.04, 100, 0.95},
        {"very steep", 0.0, 0.09, 77, 1.0}, {"from above", 0.60, 0.002, 16, 0.99},
        {"far", 0.10, 0.004, 200, 0.90},
    };
    for (uint32_t target : {650u, 750u}) {
        for (const Load &load : loads) {
            config_.target_permille = target;
            Start();
            int changes = 0, late = 0;
            for (int second = 0; second < 900; second++) {
                Add(1, 5000, Hit(load, Cap(1)));
                Step();
                changes += static_cast<int>(out_.count);
                late += second >= 450 ? static_cast<int>(out_.count) : 0;
                ASSERT_GE(Cap(1), config_.cap_min);
                ASSERT_LE(Cap(1), config_.cap_max);
            }
            double hit = Hit(load, Cap(1));
            EXPECT_GE(hit, target / 1000.0 - 0.051) << load.name;
            EXPECT_LE(hit, target / 1000.0 + 0.051) << load.name;
            EXPECT_LE(changes, 80) << load.name;
            EXPECT_EQ(late, 0) << load.name << ": a stationary load";
        }
    }
}

// One page decides between far too little and far too much: no cap is right. The changes become
// single pages, and the time between them grows to 16 times the dwell time.
TEST_F(Caps, AnUnreachableBandCostsOnePageNowAndThen) {
    Start();
    int changes[2] = {0, 0};
    for (int second = 0; second < 600; second++) {
        Add(1, 5000, Cap(1) > 70 ? 0.99 : 0.05);
        uint32_t before = Cap(1);
        Step();
        changes[second >= 120] += static_cast<int>(out_.count);
        if (second >= 120) {
            EXPECT_LE(std::max(before, Cap(1)) - std::min(before, Cap(1)), 1u);
        }
    }
    EXPECT_LE(changes[0], 20);
    EXPECT_LE(changes[1], 480 / 48 + 1);
}

TEST_F(Caps, FollowsALoadThatMoves) {
    const Load first = {"first", 0.1, 0.02, 40, 0.95}, second = {"second", 0.1, 0.02, 300, 0.95};
    Start();
    for (const Load *load : {&first, &second, &first}) {
        for (int i = 0; i < 600; i++) {
            Add(0, 5000, Hit(*load, Cap(0)));
            Step();
        }
        EXPECT_NEAR(Hit(*load, Cap(0)), 0.65, 0.051) << load->name;
    }
}

TEST_F(Caps, NoiseInsideTheBandChangesNothing) {
    Start();
    uint64_t random = 1;
    for (int i = 0; i < 500; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        Add(3, 2000, 0.61 + 0.08 * static_cast<double>(random >> 40) / (1 << 24));
        Step();
        ASSERT_EQ(out_.count, 0u);
    }
}

TEST_F(Caps, OffChangesNothingAndLimitsNothing) {
    config_.learn_caps = false;
    Start();
    Add(0, 10000, 0.0);
    Step();
    EXPECT_EQ(out_.count, 0u);
    for (uint32_t cap : out_.policy.cap) {
        EXPECT_EQ(cap, 0u);
    }
}

// D7.
TEST_F(Caps, BudgetIsKeptAfterEachStep) {
    for (uint32_t budget : {0u, 80u, 100u, 240u, 300u, 1000u}) {
        config_.budget = budget;
        Start();
        uint64_t random = budget + 1;
        for (int i = 0; i < 400; i++) {
            for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                Add(ci, random >> 52, static_cast<double>(random >> 32 & 1023) / 1024);
            }
            Step();
            if (budget != 0) {
                ASSERT_LE(Sum(), budget) << i;
            }
            for (unsigned ci = 0; ci < HAK_POLICY_FIXED && budget >= 80; ci++) {
                ASSERT_GE(Cap(ci), 16u);
            }
        }
    }
}

TEST_F(Caps, ABudgetBelowAllLeastCapsIsShared) {
    config_.budget = 50;
    Start();
    Step();
    EXPECT_LE(Sum(), 50u);
    for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
        EXPECT_EQ(Cap(ci), 10u);
    }
}

TEST_F(Caps, OverBudgetTheLeastDemandGivesFirst) {
    config_.budget = 240 - 40; // the defaults add up to 240
    Start();
    Add(0, 5000, 0.65);
    Add(1, 300, 0.65);
    Add(2, 4000, 0.65);
    Add(3, 3000, 0.65);
    Add(4, 2000, 0.65);
    Step();
    EXPECT_EQ(Cap(1), 24u) << "300 requests";
    EXPECT_EQ(Sum(), 200u);
    ASSERT_EQ(out_.count, 1u);
    EXPECT_EQ(out_.change[0].kind, HAK_CHANGE_BUDGET_CUT);
    EXPECT_EQ(out_.change[0].limit, 200u);
}

TEST_F(Caps, SurplusGoesToTheLargestDeficitFirst) {
    config_.budget = 240 + 6;
    Start();
    Add(0, 1000, 0.50); // 100 hits are missing
    Add(1, 4000, 0.40); // 800
    Add(2, 1000, 0.30); // 300
    Add(3, 9000, 0.65);
    Add(4, 9000, 0.65);
    Step();
    EXPECT_EQ(Cap(1), 68u) << "a whole step";
    EXPECT_EQ(Cap(2), 66u) << "what is left";
    EXPECT_EQ(Cap(0), 64u) << "nothing left, and it has as much demand as class 2";
    EXPECT_EQ(Sum(), 246u);
}

TEST_F(Caps, WhoNeedsLittlePaysForWhoNeedsMuch) {
    config_.budget = 240;
    Start();
    Add(0, 8000, 0.10);
    Add(1, 100, 0.10); // says nothing of its own
    Step();
    EXPECT_EQ(Cap(0), 68u);
    EXPECT_EQ(Sum(), 240u);
    EXPECT_EQ(std::count_if(out_.change, out_.change + out_.count,
                            [](const hak_change_t &c) { return c.kind == HAK_CHANGE_BUDGET_CUT; }),
              1);
    // Full on all sides: nothing moves.
    Start();
    for (unsigned ci = 0; ci < HAK_POLICY_FIXED; ci++) {
        Add(ci, 1000, 0.10);
    }
    Step();
    EXPECT_EQ(out_.count, 0u);
}

} // namespace
