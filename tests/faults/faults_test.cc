// T-15: every kind of system call fails, at calls k from 0 to 20, under a script that uses all
// kinds of blocks. Each request succeeds or gives NULL with ENOMEM, live blocks keep their content,
// hak_check() finds nothing, and when the kernel answers again everything works. The same is done
// in fresh processes whose failures begin before the library's constructor.
#include <gtest/gtest.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "backends/os/os_fake.h"
#include "hakmem.h"
#include "tests/faults/script.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

using hak_faults::kCalls;
using hak_faults::Script;

// A sanitizer makes each process slow: it gets each fourth k, ThreadSanitizer 0 and 11.
constexpr uint64_t kStep = HAK_TEST_THREAD_SANITIZED ? 11 : HAK_TEST_SANITIZED ? 4 : 1;
// Each k with this in the environment; else 0 to 4, 6, 8, 11, 14, 18. Who cannot move 35 MiB copies
// them, in a second: of those calls 0, 1, 2, 4, 7, 11, 17, or 0 and 11, or 0 alone.
uint64_t NextCall(int call, uint64_t k) {
    bool every = getenv("HAK_TEST_EVERY_CALL") != nullptr;
    uint64_t seldom = HAK_TEST_THREAD_SANITIZED ? kCalls : 11;
    uint64_t move = HAK_TEST_SANITIZED || !every ? seldom : 1 + k / 2;
    return k + (call == HAK_OS_CALL_MOVE ? move : std::max(kStep, every ? 1 : 1 + k / 4));
}
constexpr const char *kVariable = "HAK_TEST_FAULT";

const char *const kNames[] = {"map",  "reserve",  "commit", "purge",  "resize",
                              "move", "resident", "huge",   "barrier"};
static_assert(sizeof kNames / sizeof *kNames == HAK_OS_CALL_COUNT, "a name for each kind");

void StartFault(hak_os_call_t call, uint64_t k, uint64_t failures) {
    hak_os_fake_fail(call, k, failures);
    if (call == HAK_OS_CALL_MOVE) { // whoever can grow in place does not move
        hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
    }
}

// The kernel refuses, then answers again.
void RunWithFault(hak_os_call_t call, uint64_t k, uint64_t failures) {
    SCOPED_TRACE(std::string(kNames[call]) + " fails at call " + std::to_string(k));
    {
        Script script(true);
        script.Run(k + 1);
        EXPECT_TRUE(failures == UINT64_MAX || script.refused() <= 1)
            << "one failing system call cost " << script.refused() << " requests";
        hak_os_fake_reset();
    }
    EXPECT_EQ(0u, hak_check());
    Script again(false);
    again.Run(k + 100);
    again.FreeAll();
    EXPECT_EQ(0u, hak_check());
}

// Failures in a process that runs already. Its first calls are map, purge, resize and move.
class Faults : public ::testing::TestWithParam<int> {};

TEST_P(Faults, AtCallK) {
    auto call = static_cast<hak_os_call_t>(GetParam());
    for (uint64_t k = 0; k < kCalls && !HasFailure(); k = NextCall(call, k)) {
        for (uint64_t failures : {uint64_t{1}, UINT64_MAX}) {
            (void)hak_trim(0);
            uint64_t before = hak_os_fake_calls(call);
            StartFault(call, k, failures);
            RunWithFault(call, k, failures);
            bool repeated = call == HAK_OS_CALL_MAP || call == HAK_OS_CALL_PURGE ||
                            call == HAK_OS_CALL_RESIZE || call == HAK_OS_CALL_MOVE;
            EXPECT_TRUE(!repeated || hak_os_fake_calls(call) > before + k)
                << kNames[call] << " was not called often enough: nothing was tested";
        }
    }
    EXPECT_EQ(0u, hak_test_stats().errors);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Faults, ::testing::Range(0, static_cast<int>(HAK_OS_CALL_COUNT)),
                         [](const auto &info) { return std::string(kNames[info.param]); });

struct Fault {
    int call;
    unsigned long k;
    int forever;
};

// The fault that a process was started with, in the variable's text.
bool ReadFault(const char *text, Fault *fault) {
    return text != nullptr &&
           sscanf(text, "%d %lu %d", &fault->call, &fault->k, &fault->forever) == 3;
}

// Before all constructors, the library's included. The C library has not set `environ` yet.
void FailFromTheStart(int, char **, char **environment) {
    size_t length = strlen(kVariable);
    for (; *environment != nullptr; environment++) {
        Fault fault;
        if (strncmp(*environment, kVariable, length) == 0 && (*environment)[length] == '=' &&
            ReadFault(*environment + length + 1, &fault)) {
            StartFault(static_cast<hak_os_call_t>(fault.call), fault.k,
                       fault.forever != 0 ? UINT64_MAX : 1);
        }
    }
}
__attribute__((section(".preinit_array"),
               used)) void (*const fail_from_the_start)(int, char **, char **) = FailFromTheStart;

TEST(FaultsAtStart, Child) {
    Fault fault;
    if (!ReadFault(getenv(kVariable), &fault)) {
        GTEST_SKIP() << "runs in the processes that the next test starts";
    }
    auto call = static_cast<hak_os_call_t>(fault.call);
    RunWithFault(call, fault.k, fault.forever != 0 ? UINT64_MAX : 1);
    bool once = call == HAK_OS_CALL_RESERVE || call == HAK_OS_CALL_BARRIER ||
                call == HAK_OS_CALL_HUGE; /* not again for a while */
    EXPECT_TRUE((once && fault.k > 0) || hak_os_fake_calls(call) > fault.k)
        << kNames[call] << " was not called often enough: nothing was tested";
    if (call == HAK_OS_CALL_RESERVE && fault.k == 0) {
        EXPECT_EQ(0u, hak_test_stats().registry_flat) << "the fallback was not used";
    }
}

int RunChild(const std::string &fault) {
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        setenv(kVariable, fault.c_str(), 1);
        execl("/proc/self/exe", "faults_test", "--gtest_filter=FaultsAtStart.Child",
              "--gtest_brief=1", static_cast<char *>(nullptr));
        _exit(127);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

TEST(FaultsAtStart, EachKindAtCallK) {
    for (int call = 0; call < HAK_OS_CALL_COUNT; call++) {
        for (uint64_t k = 0; k < kCalls && !HasFailure(); k = NextCall(call, k)) {
            std::string fault = std::to_string(call) + " " + std::to_string(k) + " ";
            EXPECT_EQ(0, RunChild(fault + "0")) << kNames[call] << " fails once at call " << k;
            EXPECT_EQ(0, RunChild(fault + "1"))
                << kNames[call] << " fails from call " << k << " on";
        }
    }
}

} // namespace
