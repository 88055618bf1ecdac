/* Every fault that can be put into the boxes makes some scenario fail, and the committed list of
 * them, --list=FILE, is what the code has today. A line is a mutant; " | reason" behind it says why
 * the fault is none. With --update FILE the program writes FILE anew, keeping reasons. The list
 * holds the faults in the sources whose path begins with one of the words behind --scope=; without
 * it, of every box that the scenarios link, but for what only tests have.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "tests/sched/mutants.h"
#include "tests/sched/sched.h"

namespace {

using hak_sched::Bounds;
using hak_sched::Explore;
using hak_sched::ListedMutant;
using hak_sched::Result;
using hak_sched::Scenario;

std::string list_path = "tests/sched/mutants.txt";
std::vector<std::string> scope = {"boxes/", "core/lock/", "core/meta/", "core/owner_lock/",
                                  "registry/"};
const char *const not_in_scope = "boxes/testing/";

struct Line {
    std::string key, reason;
};

void PrintTo(const Line &line, std::ostream *out) { *out << line.key; }

std::vector<Line> ReadList(const std::string &path) {
    std::vector<Line> lines;
    std::ifstream file(path);
    std::string text;
    while (std::getline(file, text)) {
        if (!text.empty() && text[0] != '#') {
            size_t bar = text.find(" | ");
            lines.push_back(
                {text.substr(0, bar), bar == std::string::npos ? "" : text.substr(bar + 3)});
        }
    }
    return lines;
}

/* What each scenario reaches, by a short search, and how long that took. */
struct Reach {
    const Scenario *scenario;
    Result result;
};

const std::vector<Reach> &Reaches() {
    static const std::vector<Reach> reaches = [] {
        std::vector<Reach> found;
        for (const Scenario &scenario : hak_sched::Scenarios()) {
            found.push_back({&scenario, Explore(scenario, {1, 1})});
            if (found.back().result.failed) {
                /* It would seem to find every fault. */
                fprintf(stderr, "%s fails without a mutant: %s\n", scenario.name,
                        found.back().result.failure.c_str());
                exit(1);
            }
        }
        std::sort(found.begin(), found.end(), [](const Reach &one, const Reach &other) {
            return one.result.schedules < other.result.schedules;
        });
        return found;
    }();
    return reaches;
}

const std::vector<ListedMutant> &Mutants() {
    static const std::vector<ListedMutant> mutants = [] {
        std::vector<uint8_t> reached(Reaches()[0].result.reached);
        for (const Reach &reach : Reaches()) {
            for (size_t i = 0; i < reached.size(); i++) {
                reached[i] = (uint8_t)(reached[i] | reach.result.reached[i]);
            }
        }
        std::vector<ListedMutant> list = hak_sched::ListMutants(scope, reached);
        list.erase(std::remove_if(list.begin(), list.end(),
                                  [](const ListedMutant &mutant) {
                                      return mutant.key.find(not_in_scope) == 0;
                                  }),
                   list.end());
        return list;
    }();
    return mutants;
}

/* Searches with growing bounds, cheap scenarios first. */
std::string FindKiller(const ListedMutant &mutant) {
    uint64_t schedules = 0;
    for (int round = 0; round < 3; round++) {
        for (const Reach &reach : Reaches()) {
            if ((reach.result.reached[mutant.group] & mutant.bit) == 0) {
                continue;
            }
            const Bounds small[] = {{1, 1}, {2, 1}, reach.scenario->bounds};
            Result result = Explore(*reach.scenario, small[round], mutant.key);
            schedules += result.schedules;
            if (result.failed) {
                return std::string(reach.scenario->name) + " after " + std::to_string(schedules) +
                       " schedules: " + result.failure;
            }
        }
    }
    return "";
}

class Mutant : public ::testing::TestWithParam<Line> {};

TEST_P(Mutant, IsFound) {
    const std::vector<ListedMutant> &all = Mutants();
    auto found = std::find_if(all.begin(), all.end(), [](const ListedMutant &mutant) {
        return mutant.key == GetParam().key;
    });
    ASSERT_NE(found, all.end()) << "not in the code any more: " << GetParam().key;
    if (!GetParam().reason.empty()) {
        GTEST_SKIP() << GetParam().reason;
    }
    std::string killer = FindKiller(*found);
    EXPECT_NE(killer, "") << "no scenario fails with " << found->key;
    printf("%s\n    %s\n", found->key.c_str(), killer.c_str());
}

/* The list NAME.txt is that of the test NAME_test. */
std::string UpdateCommand() {
    size_t name = list_path.rfind('/') + 1;
    std::string folder = list_path.substr(0, name - 1);
    return "bazel run --test_sharding_strategy=disabled //" + folder + ":" +
           list_path.substr(name, list_path.rfind('.') - name) + "_test -- --update $PWD/" +
           list_path;
}

INSTANTIATE_TEST_SUITE_P(List, Mutant, ::testing::ValuesIn(ReadList(list_path)));

TEST(MutantList, IsThatOfTheCode) {
    std::vector<std::string> listed, now;
    for (const Line &line : ReadList(list_path)) {
        listed.push_back(line.key);
    }
    for (const ListedMutant &mutant : Mutants()) {
        now.push_back(mutant.key);
    }
    EXPECT_EQ(listed, now) << UpdateCommand();
}

int Update(const char *path) {
    std::map<std::string, std::string> reasons;
    for (const Line &line : ReadList(path)) {
        reasons[line.key] = line.reason;
    }
    std::ofstream file(path);
    file << "# Faults that tests/sched can switch on in the boxes. Written by\n"
         << "#   " << UpdateCommand() << "\n"
         << "# Behind a bar: why a fault is none; such a line is not tried.\n";
    for (const ListedMutant &mutant : Mutants()) {
        const std::string &reason = reasons[mutant.key];
        file << mutant.key << (reason.empty() ? "" : " | ") << reason << "\n";
    }
    return file.good() ? 0 : 1;
}

/* Takes `--list=` and `--scope=` out of the arguments. */
void ReadArguments(int *argc, char **argv) {
    std::vector<std::string> chosen;
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        std::string argument = argv[i];
        if (argument.rfind("--list=", 0) == 0) {
            list_path = argument.substr(7);
        } else if (argument.rfind("--scope=", 0) == 0) {
            chosen.push_back(argument.substr(8));
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    scope = chosen.empty() ? scope : chosen;
}

} // namespace

int main(int argc, char **argv) {
    ReadArguments(&argc, argv);
    if (argc == 3 && std::string(argv[1]) == "--update") {
        return Update(argv[2]);
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
