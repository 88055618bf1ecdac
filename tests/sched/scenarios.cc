#include "tests/sched/sched.h"

namespace hak_sched {

namespace {
std::vector<Scenario> &All() {
    static std::vector<Scenario> all;
    return all;
}
} // namespace

Add::Add(const Scenario &scenario) { All().push_back(scenario); }

const std::vector<Scenario> &Scenarios() { return All(); }

const Scenario *FindScenario(const std::string &name) {
    for (const Scenario &scenario : All()) {
        if (name == scenario.name) {
            return &scenario;
        }
    }
    return nullptr;
}

} // namespace hak_sched
