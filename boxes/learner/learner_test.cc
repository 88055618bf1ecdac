// W_MAX, sizes and lines of the log: rows D8, D10 and D13 of the specification.
#include "boxes/learner/learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "boxes/learner/learner_internal.h"
#include "boxes/learner/learner_text.h"

namespace {

std::string Line(const hak_change_t &change) {
    hak_text_t text;
    hak_text_init(&text, -1);
    hak_learner_put_change(&text, &change);
    return std::string(text.buffer, text.length);
}

TEST(LearnerMath, LogAndRoot) {
    for (uint64_t n : {1ull, 2ull, 3ull, 10ull, 100ull, 12345ull, 1ull << 31, 1ull << 32,
                       (1ull << 40) + 12345, ~0ull}) {
        EXPECT_NEAR(static_cast<double>(hak_learner_log_milli(n)),
                    1000 * std::log(static_cast<double>(n)), 2)
            << n;
    }
    for (uint64_t n : {0ull, 1ull, 3ull, 4ull, 99ull, 1000000ull, 999999999999ull, ~0ull}) {
        double root = std::sqrt(static_cast<double>(n));
        EXPECT_NEAR(static_cast<double>(hak_learner_sqrt(n)), std::floor(root), 1) << n;
    }
}

// UCB1 on its own: rewards around a mean for each arm. The best one is chosen most, for 90 % of the
// seeds and more.
TEST(LearnerUcb, FindsTheBestArm) {
    const std::vector<double> tables[] = {
        {0.50, 0.55, 0.60, 0.52},
        {0.80, 0.70, 0.75, 0.65},
        {0.60, 0.62, 0.58, 0.66},
        {0.30, 0.30, 0.30, 0.36},
    };
    for (const std::vector<double> &means : tables) {
        unsigned best =
            static_cast<unsigned>(std::max_element(means.begin(), means.end()) - means.begin());
        int right = 0;
        for (unsigned seed = 0; seed < 100; seed++) {
            std::mt19937 random(seed);
            std::normal_distribution<double> noise(0, 0.05);
            std::vector<hak_learner_arm_t> arms(means.size());
            for (int trial = 0; trial < 500; trial++) {
                unsigned arm = hak_learner_pick_arm(arms.data(), 4);
                double reward = std::clamp(means[arm] + noise(random), 0.0, 1.0);
                arms[arm].trials++;
                arms[arm].reward_ppm += static_cast<uint64_t>(1e6 * reward);
            }
            right +=
                std::max_element(arms.begin(), arms.end(),
                                 [](const auto &a, const auto &b) { return a.trials < b.trials; }) -
                    arms.begin() ==
                best;
        }
        EXPECT_GE(right, 90) << "arm " << best;
    }
}

class WMax : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_learner_defaults(&config_);
        config_.learn_caps = false;
        config_.learn_w_max = true;
    }
    void Start() {
        hak_learner_init(&state_, &config_);
        totals_ = {};
        lines_.clear();
        hak_learner_step(&state_, &totals_, &out_);
    }
    // A second in which one of `misses_in_1000` requests misses.
    void Second(unsigned misses_in_1000) {
        totals_.now_ms += 1000;
        totals_.ace.count[HAK_ACE_MID_HIT] += 1000 - misses_in_1000;
        totals_.ace.count[HAK_ACE_MID_MISS] += misses_in_1000;
        hak_learner_step(&state_, &totals_, &out_);
        for (unsigned i = 0; i < out_.count; i++) {
            lines_.push_back(Line(out_.change[i]));
        }
    }
    uint32_t Base() const { return state_.config.w_max_arm[state_.w_max.base]; }

    hak_learner_config_t config_;
    hak_learner_t state_;
    hak_learner_totals_t totals_;
    hak_learner_decisions_t out_;
    std::vector<std::string> lines_;
};

TEST_F(WMax, CanaryRevertsAHarmfulArm) {
    config_.w_max_arms = 2;
    config_.w_max_arm[0] = 150;
    config_.w_max_arm[1] = 160;
    Start();
    EXPECT_EQ(out_.policy.w_max_mid, 160u);
    for (int second = 0; second < 40; second++) {
        Second(out_.policy.w_max_mid == 150 ? 400 : 100);
    }
    ASSERT_GE(lines_.size(), 2u);
    EXPECT_EQ(lines_[0], "[Learner] W_MAX mid canary start: 1.50");
    EXPECT_EQ(lines_[1], "[Learner] W_MAX mid canary revert to 1.60");
    EXPECT_EQ(Base(), 160u);
    EXPECT_EQ(out_.policy.w_max_mid, 160u);
}

TEST_F(WMax, CanaryAdoptsABetterArm) {
    config_.w_max_arms = 2;
    config_.w_max_arm[0] = 150;
    config_.w_max_arm[1] = 160;
    Start();
    for (int second = 0; second < 40; second++) {
        Second(out_.policy.w_max_mid == 150 ? 50 : 300);
    }
    ASSERT_GE(lines_.size(), 2u);
    EXPECT_EQ(lines_[0], "[Learner] W_MAX mid canary start: 1.50");
    EXPECT_EQ(lines_[1], "[Learner] W_MAX mid canary adopt");
    EXPECT_EQ(Base(), 150u);
}

// A reward must exceed that of the base by one part in a hundred.
TEST_F(WMax, AdoptsFromTheThresholdOn) {
    // misses of 1000: reward = (1 - 2 m / 1000 + 2) / 3; base at 250: 0.83333
    for (unsigned misses : {240u, 236u}) {
        config_.w_max_arms = 2;
        config_.w_max_arm[0] = 150;
        config_.w_max_arm[1] = 160;
        Start();
        for (int second = 0; second < 17; second++) {
            Second(out_.policy.w_max_mid == 150 ? misses : 250);
        }
        ASSERT_EQ(lines_.size(), 2u);
        EXPECT_EQ(lines_[1], misses == 240 ? "[Learner] W_MAX mid canary revert to 1.60"
                                           : "[Learner] W_MAX mid canary adopt")
            << misses;
    }
}

TEST_F(WMax, TrialsAndDwellTakeTheirTime) {
    Start();
    std::vector<uint32_t> by_second;
    for (int second = 0; second < 30; second++) {
        Second(out_.policy.w_max_mid == 160 ? 100 : 300);
        by_second.push_back(out_.policy.w_max_mid);
    }
    auto first =
        std::find_if(by_second.begin(), by_second.end(), [](uint32_t w) { return w != 160; });
    ASSERT_NE(first, by_second.end());
    EXPECT_EQ(first - by_second.begin(), 9) << "ten seconds after the start";
    auto last = std::find(first, by_second.end(), 160u);
    EXPECT_EQ(last - first, 5) << "a trial of five seconds";
    auto next = std::find_if(last, by_second.end(), [](uint32_t w) { return w != 160; });
    EXPECT_EQ(next - last, 10) << "and ten more at the base";
}

TEST_F(WMax, FewRequestsAreNoTrial) {
    Start();
    for (int i = 0; i < 100; i++) {
        totals_.now_ms += 1000;
        totals_.ace.count[HAK_ACE_MID_HIT] += 255;
        hak_learner_step(&state_, &totals_, &out_);
        ASSERT_EQ(out_.count, 0u);
        ASSERT_EQ(out_.policy.w_max_mid, 160u);
    }
}

// The best of four arms is in force in the end, for 90 % of the seeds and more, with the canary and
// without.
TEST_F(WMax, EndsWithTheBestArm) {
    const double means[] = {300, 200, 260, 280}; // misses of 1.40, 1.50, 1.60, 1.70
    for (bool canary : {true, false}) {
        config_.canary = canary;
        int right = 0;
        for (unsigned seed = 0; seed < 100; seed++) {
            std::mt19937 random(seed);
            std::normal_distribution<double> noise(0, 20);
            Start();
            for (int second = 0; second < 3000; second++) {
                unsigned arm = state_.w_max.current;
                Second(static_cast<unsigned>(std::clamp(means[arm] + noise(random), 0.0, 1000.0)));
            }
            const hak_learner_arm_t *arm = state_.w_max.arm;
            unsigned most = 0;
            for (unsigned i = 1; i < 4; i++) {
                most = arm[i].trials > arm[most].trials ? i : most;
            }
            right += canary ? Base() == 150 : most == 1;
        }
        EXPECT_GE(right, 90) << "canary " << canary;
    }
}

TEST_F(WMax, WasteOfTheWindowCountsAndNotOfAllTime) {
    config_.w_max_arms = 1;
    config_.w_max_arm[0] = 160;
    Start();
    for (int second = 0; second < 50; second++) {
        totals_.ace.waste_bytes += 4000000; // two points of 1000
        Second(0);
    }
    const hak_learner_arm_t &arm = state_.w_max.arm[0];
    EXPECT_EQ(arm.trials, 10u);
    EXPECT_EQ(arm.reward_ppm / arm.trials, (3000000u - 2000u) / 3);
}

class Sizes : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_learner_defaults(&config_);
        config_.dyn_auto[0] = true;
        Start();
    }
    void Start() {
        hak_learner_init(&state_, &config_);
        totals_ = {};
        hak_learner_step(&state_, &totals_, &out_);
    }
    void Ask(uint32_t size, uint64_t count) {
        totals_.sizes.count[(size - 1) / 1024] += count;
        uint32_t &most = totals_.sizes.most[(size - 1) / 1024];
        most = std::max(most, size);
    }
    void Window() {
        totals_.now_ms += 1000;
        hak_learner_step(&state_, &totals_, &out_);
        totals_.sizes = {};
        for (unsigned i = 0; i < out_.count; i++) {
            ASSERT_EQ(out_.change[i].kind, HAK_CHANGE_DYN);
            totals_.class_bytes[HAK_POLICY_FIXED + out_.change[i].index] = out_.change[i].after;
            line_ = Line(out_.change[i]);
        }
    }
    // So often that a dwell time passes; returns DYN1.
    uint32_t Settle(const std::vector<std::pair<uint32_t, uint64_t>> &asked) {
        for (int i = 0; i < 15; i++) {
            for (const auto &a : asked) {
                Ask(a.first, a.second);
            }
            Window();
        }
        EXPECT_EQ(out_.policy.dyn_bytes[0], totals_.class_bytes[5]);
        return totals_.class_bytes[5];
    }

    hak_learner_config_t config_;
    hak_learner_t state_;
    hak_learner_totals_t totals_;
    hak_learner_decisions_t out_;
    std::string line_;
};

TEST_F(Sizes, PeaksByTable) {
    const struct {
        std::vector<std::pair<uint32_t, uint64_t>> asked;
        uint32_t dyn1;
    } cases[] = {
        {{{14336, 1000}}, 14336},
        {{{8192, 1000}}, 0},      // a fixed class fits
        {{{13500, 1000}}, 13568}, // rounded up to 128
        {{{8192, 9000}, {14336, 1000}}, 14336},
        {{{8192, 90000}, {14336, 1000}}, 0}, // less than one in 16
        {{{14336, 255}}, 0},                 // too few requests
        {{{14336, 256}}, 14336},
        {{{15800, 1000}}, 0},                  // 16384 is near enough
        {{{1500, 5000}}, 0},                   // below 2 KiB
        {{{40000, 5000}}, 0},                  // above 32 KiB
        {{{2100, 1000}, {17000, 400}}, 17024}, // dearer though not as frequent
        {{{32768, 1000}}, 0},
    };
    for (const auto &c : cases) {
        Start();
        EXPECT_EQ(Settle(c.asked), c.dyn1) << c.asked[0].first;
    }
}

TEST_F(Sizes, TwoWindowsMustAgree) {
    Ask(14336, 1000);
    Window();
    EXPECT_EQ(out_.count, 0u);
    Ask(20480, 1000);
    Window();
    EXPECT_EQ(out_.count, 0u);
    Ask(20480, 1000);
    Window();
    ASSERT_EQ(out_.count, 1u);
    EXPECT_EQ(line_, "[Learner] DYN1: 0 -> 20480 (1000 of 1000 requests, saves 12288 bytes each)");
}

TEST_F(Sizes, ANewPeakTakesOverWhenItIsWorthTwice) {
    EXPECT_EQ(Settle({{14336, 1000}}), 14336u);
    EXPECT_EQ(Settle({{14336, 1000}, {10240, 600}}), 14336u);
    EXPECT_EQ(Settle({{14336, 100}, {10240, 1000}}), 10240u);
    EXPECT_EQ(Settle({{10240, 1000}}), 10240u);
}

TEST_F(Sizes, TwoPeaksGetTwoClasses) {
    config_.dyn_auto[1] = true;
    Start();
    (void)Settle({{10240, 1000}, {5000, 1000}, {14336, 100}});
    EXPECT_EQ(totals_.class_bytes[5], 10240u);
    EXPECT_EQ(totals_.class_bytes[6], 5120u);
}

TEST_F(Sizes, ARefusedSizeIsForgotten) {
    for (int i = 0; i < 2; i++) {
        Ask(14336, 1000);
        Window();
    }
    ASSERT_EQ(out_.count, 1u);
    hak_learner_dyn_is(&state_, 0, 0);
    EXPECT_EQ(state_.dyn_bytes[0], 0u);
}

TEST_F(Sizes, OffAssignsNothing) {
    config_.dyn_auto[0] = false;
    Start();
    EXPECT_EQ(Settle({{14336, 1000}}), 0u);
}

TEST(LearnerText, EveryKindHasALineAndAReason) {
    hak_change_t cap = {HAK_CHANGE_CAP_RAISE, 1, 64, 68, 0, 4096, 412, 600, 5000};
    EXPECT_EQ(Line(cap), "[Learner] CAP mid 4096: 64 -> 68 (hit 0.412 below 0.600 of 5000)");
    cap.kind = HAK_CHANGE_CAP_CUT;
    cap.limit = 700;
    cap.seen = 1000;
    EXPECT_EQ(Line(cap), "[Learner] CAP mid 4096: 64 -> 68 (hit 1.000 above 0.700 of 5000)");
    cap.kind = HAK_CHANGE_BUDGET_CUT;
    cap.limit = 240;
    cap.seen = 7;
    EXPECT_EQ(Line(cap), "[Learner] CAP mid 4096: 64 -> 68 (hit 0.007, budget 240 of 5000)");
    hak_change_t w_max = {HAK_CHANGE_W_MAX_SET, 0, 160, 140, 0, 0, 0, 0, 0};
    EXPECT_EQ(Line(w_max), "[Learner] W_MAX mid: 1.60 -> 1.40");
    hak_change_t exact = {HAK_CHANGE_EXACT_ADD, 0, 0, 528, 0, 528, 8, 9, 48};
    EXPECT_EQ(Line(exact), "[Learner] EXACT: + 528 (8 of 9 new slabs, saves 48 bytes each)");
    exact.kind = HAK_CHANGE_EXACT_REFUSED;
    EXPECT_EQ(Line(exact), "[Learner] EXACT: refused 528 (8 of 9 new slabs, would save 48 bytes "
                           "each, no spare class)");
    exact = {HAK_CHANGE_EXACT_DROP, 0, 528, 0, 0, 528, 64, 2, 0};
    EXPECT_EQ(Line(exact), "[Learner] EXACT: - 528 (cold for 64 windows, 2 slabs left)");
    for (int kind = 0; kind < HAK_CHANGE_KINDS; kind++) {
        EXPECT_STRNE(hak_learner_reason(static_cast<hak_change_kind_t>(kind)), "unknown");
        EXPECT_NE(hak_learner_reason(static_cast<hak_change_kind_t>(kind)), nullptr);
    }
}

} // namespace
