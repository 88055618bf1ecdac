// T-25: runs every misuse and compares what it prints, and how the process ends, with what the case
// and docs/ERRORS.md say.
#include "tests/death/death.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

extern char **environ;

namespace {

struct Outcome {
    int status = -1;
    pid_t pid = 0;
    std::string out, err;
};

std::string read_all(int fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t n = read(fd, buffer, sizeof buffer); n > 0; n = read(fd, buffer, sizeof buffer)) {
        text.append(buffer, static_cast<size_t>(n));
    }
    close(fd);
    return text;
}

// Runs this program with --case=`name`. What a case prints fits into a pipe.
Outcome run_case(const std::string &name, const std::vector<std::string> &more, bool with_stderr) {
    int out[2], err[2];
    EXPECT_EQ(0, pipe2(out, O_CLOEXEC));
    EXPECT_EQ(0, pipe2(err, O_CLOEXEC));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (with_stderr) {
        posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    } else {
        posix_spawn_file_actions_addclose(&actions, 2);
    }
    std::vector<char *> environment;
    for (char **at = environ; *at != nullptr; at++) {
        if (strncmp(*at, "HAKMEM_", 7) != 0) {
            environment.push_back(*at);
        }
    }
    for (const std::string &setting : more) {
        environment.push_back(const_cast<char *>(setting.c_str()));
    }
    environment.push_back(nullptr);
    std::string flag = "--case=" + name;
    char self[] = "/proc/self/exe";
    char *arguments[] = {self, const_cast<char *>(flag.c_str()), nullptr};
    Outcome outcome;
    EXPECT_EQ(0, posix_spawn(&outcome.pid, self, &actions, nullptr, arguments, environment.data()));
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    outcome.out = read_all(out[0]);
    outcome.err = read_all(err[0]);
    EXPECT_EQ(outcome.pid, waitpid(outcome.pid, &outcome.status, 0));
    return outcome;
}

// hak_free shares the hit path of free, and with it the name; the other twins have their own.
std::string call_name(const hak_death_case_t *one) {
    if (strcmp(hak_test.name, "hak") != 0 || strcmp(one->call, "free") == 0) {
        return one->call;
    }
    return strcmp(one->call, "malloc_usable_size") == 0 ? "hak_usable_size"
                                                        : std::string("hak_") + one->call;
}

std::string line_of(const hak_death_case_t *one, const std::string &call, const std::string &pid,
                    const std::string &address, const std::string &block,
                    const std::string &bytes) {
    std::string line = "hakmem[" + pid + "]: " + call + "(" + address + "): " + one->error;
    if (one->names_block) {
        line += "; block " + block + " of " + bytes + " bytes";
    }
    return line;
}

// The line for the numbers that the case announced on stdout.
std::string expected_line(const hak_death_case_t *one, const Outcome &outcome) {
    std::istringstream words(outcome.out);
    std::string address, block, bytes;
    words >> address >> block >> bytes;
    address = address == "(nil)" ? "0x0" : address;
    return line_of(one, call_name(one), std::to_string(outcome.pid), address, block, bytes) + "\n";
}

std::vector<std::string> settings(const hak_death_case_t *one, const char *on_error) {
    std::vector<std::string> all;
    if (on_error != nullptr) {
        all.push_back(std::string("HAKMEM_ON_ERROR=") + on_error);
    }
    if (one->environment != nullptr) {
        all.push_back(one->environment);
    }
    return all;
}

std::vector<const hak_death_case_t *> all_cases() {
    std::vector<const hak_death_case_t *> all;
    for (const hak_death_case_t *one = hak_death_first(); one != nullptr; one = one->next) {
        all.push_back(one);
    }
    return all;
}

class DeathTest : public testing::TestWithParam<const hak_death_case_t *> {};

TEST_P(DeathTest, AbortsWithOneLine) {
    Outcome outcome = run_case(GetParam()->name, settings(GetParam(), nullptr), true);
    EXPECT_EQ(expected_line(GetParam(), outcome), outcome.err);
    EXPECT_TRUE(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT)
        << "wait status " << outcome.status;
}

TEST_P(DeathTest, ReportGoesOn) {
    Outcome outcome = run_case(GetParam()->name, settings(GetParam(), "report"), true);
    EXPECT_EQ(expected_line(GetParam(), outcome), outcome.err);
    EXPECT_EQ(0, outcome.status);
}

TEST_P(DeathTest, IgnoreIsSilent) {
    Outcome outcome = run_case(GetParam()->name, settings(GetParam(), "ignore"), true);
    EXPECT_EQ("", outcome.err);
    EXPECT_EQ(0, outcome.status);
}

INSTANTIATE_TEST_SUITE_P(Misuse, DeathTest, testing::ValuesIn(all_cases()),
                         [](const auto &one) { return std::string(one.param->name); });

TEST(Death, WithoutStderrItStillAborts) {
    Outcome outcome = run_case("double_free_at_once", {}, false);
    EXPECT_TRUE(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT);
}

std::string read_file(const char *path) {
    std::ifstream file(path);
    EXPECT_TRUE(file.good()) << path;
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// docs/ERRORS.md has a row for each case, with its line, and none without a case.
TEST(Death, DocumentAgrees) {
    std::string document = read_file("docs/ERRORS.md");
    size_t rows = 0;
    for (const hak_death_case_t *one : all_cases()) {
        std::string row = std::string("| ") + one->what + " | `" +
                          line_of(one, one->call, "PID", "ADDRESS", "BLOCK", "BYTES") + "` |";
        EXPECT_NE(std::string::npos, document.find(row)) << "docs/ERRORS.md lacks this row:\n"
                                                         << row;
        rows++;
    }
    std::regex line("\\| `hakmem\\[PID\\]: ");
    auto begin = std::sregex_iterator(document.begin(), document.end(), line);
    EXPECT_EQ(rows, static_cast<size_t>(std::distance(begin, std::sregex_iterator())));
}

} // namespace

int main(int argc, char **argv) {
    if (argc == 2 && strncmp(argv[1], "--case=", 7) == 0) {
        return hak_death_run(argv[1] + 7);
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
