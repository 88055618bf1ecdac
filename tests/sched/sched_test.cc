/* Every scenario under every schedule within its bounds. By hand, with --gtest_filter for one
 * scenario: HAK_SCHED_REPLAY="..." runs the one schedule that a failure printed, step by step;
 * HAK_SCHED_MUTANT="..." puts a fault of tests/sched/mutants.txt in.
 */
#include <gtest/gtest.h>
#include <stdlib.h>

#include "tests/sched/sched.h"

namespace {

std::string Variable(const char *name) {
    const char *value = getenv(name);
    return value != nullptr ? value : "";
}

class Schedules : public ::testing::TestWithParam<std::string> {};

TEST_P(Schedules, AllAreRight) {
    const hak_sched::Scenario *scenario = hak_sched::FindScenario(GetParam());
    ASSERT_NE(scenario, nullptr);
    std::string mutant = Variable("HAK_SCHED_MUTANT"), replay = Variable("HAK_SCHED_REPLAY");
    if (!replay.empty()) {
        hak_sched::Replay(*scenario, replay, mutant);
        return;
    }
    hak_sched::Result result = hak_sched::Explore(*scenario, scenario->bounds, mutant);
    printf("%s: %llu schedules, %s\n", scenario->name, (unsigned long long)result.schedules,
           result.exhausted ? "all" : "not all");
    if (result.failed) {
        hak_sched::Replay(*scenario, result.schedule, mutant);
    }
    EXPECT_FALSE(result.failed) << result.failure << "\nHAK_SCHED_REPLAY=\"" << result.schedule
                                << "\"";
    EXPECT_TRUE(result.exhausted);
    EXPECT_GE(result.schedules, scenario->at_least);
}

std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const hak_sched::Scenario &scenario : hak_sched::Scenarios()) {
        names.push_back(scenario.name);
    }
    return names;
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Schedules, ::testing::ValuesIn(Names()),
                         [](const ::testing::TestParamInfo<std::string> &info) {
                             return info.param;
                         });

} // namespace
