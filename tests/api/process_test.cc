/* The ends of a process: options from the environment, the report at exit. Each test runs this
 * program again as a child that does what its first argument says. */
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "hakmem.h"

extern char **environ;

namespace {

struct Result {
    int status = -1;
    pid_t pid = 0;
    std::string err;
};

std::string ReadAll(int fd) {
    std::string text;
    char part[4096];
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;) {
        text.append(part, static_cast<size_t>(n));
    }
    return text;
}

/* Runs `program` with `task` in an environment of `entries` alone; collects stderr. */
Result RunChild(const char *program, const char *task, std::vector<std::string> entries) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    std::vector<char *> environment;
    for (std::string &entry : entries) {
        environment.push_back(&entry[0]);
    }
    environment.push_back(nullptr);
    Result result;
    result.pid = fork();
    if (result.pid == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        const char *argv[] = {program, task, nullptr};
        execve(program, const_cast<char *const *>(argv), environment.data());
        _exit(126);
    }
    close(ends[1]);
    result.err = ReadAll(ends[0]);
    close(ends[0]);
    int status = 0;
    EXPECT_EQ(waitpid(result.pid, &status, 0), result.pid);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

Result RunChild(const char *task, std::vector<std::string> entries) {
    return RunChild("/proc/self/exe", task, std::move(entries));
}

std::string Head(const Result &result) { return "hakmem[" + std::to_string(result.pid) + "]: "; }

size_t LineCount(const std::string &text) {
    size_t count = 0;
    for (char c : text) {
        count += c == '\n';
    }
    return count;
}

TEST(Report, IsSilentUnlessAsked) {
    Result result = RunChild("allocate", {});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(RunChild("allocate", {"HAKMEM_STATS=0"}).err, "");
}

TEST(Report, EveryFormatCarriesThePid) {
    Result text = RunChild("allocate", {"HAKMEM_STATS=1"});
    EXPECT_EQ(text.status, 0);
    EXPECT_EQ(text.err.find(Head(text) + "statistics of " + hak_version() + "\n"), 0u) << text.err;
    Result summary = RunChild("allocate", {"HAKMEM_STATS=summary"});
    EXPECT_EQ(summary.err.find(Head(summary) + hak_version() + ": live "), 0u) << summary.err;
    EXPECT_EQ(LineCount(summary.err), 1u) << summary.err;
    Result json = RunChild("allocate", {"HAKMEM_STATS=json"});
    EXPECT_NE(json.err.find("\"pid\":" + std::to_string(json.pid) + ","), std::string::npos)
        << json.err;
    Result metrics = RunChild("allocate", {"HAKMEM_STATS=openmetrics"});
    EXPECT_NE(metrics.err.find("pid=\"" + std::to_string(metrics.pid) + "\""), std::string::npos);
}

/* The 1,000 blocks of 1,000 bytes that the task leaks must stand in the report: it is made at the
 * end. */
TEST(Report, IsMadeAtTheEnd) {
    Result result = RunChild("allocate", {"HAKMEM_STATS=1"});
    size_t at = result.err.find("live_bytes");
    ASSERT_NE(at, std::string::npos);
    EXPECT_GE(strtoull(result.err.c_str() + at + strlen("live_bytes"), nullptr, 10), 1000u * 1000u);
}

TEST(Report, SurvivesAClosedStderr) {
    Result result = RunChild("close_stderr", {"HAKMEM_STATS=summary"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(LineCount(result.err), 1u) << result.err;
}

TEST(Report, DoesNotWriteIntoAStrangersFile) {
    Result result = RunChild("reuse_descriptors", {"HAKMEM_STATS=summary"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.err, "");
}

/* Nor into one that a program opened after it closed stderr, and so got its number. */
TEST(Report, LeavesTheFileAloneThatBecameDescriptorTwo) {
    Result result = RunChild("replace_stderr", {"HAKMEM_STATS=summary"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(LineCount(result.err), 2u) << "both go to what was stderr: " << result.err;
}

TEST(Report, NoneWithoutStderrAtStart) {
    Result result = RunChild("start_without_stderr", {"HAKMEM_STATS=summary"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(LineCount(result.err), 1u) << "the parent's: " << result.err;
}

TEST(Report, NoneAfterUnderscoreExit) { EXPECT_EQ(RunChild("_exit", {"HAKMEM_STATS=1"}).err, ""); }

TEST(Report, TheChildOfAForkReportsForItself) {
    Result result = RunChild("fork", {"HAKMEM_STATS=summary"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(LineCount(result.err), 2u) << result.err;
    EXPECT_NE(result.err.find(Head(result)), std::string::npos) << result.err;
}

TEST(Environment, ReachesTheOptions) {
    EXPECT_EQ(RunChild("purge_delay_is_7", {"HAKMEM_PURGE_DELAY_MS=7"}).status, 0);
    EXPECT_EQ(RunChild("purge_delay_is_7", {"HAKMEM_PURGE_DELAY_MS=8"}).status, 1);
}

TEST(Environment, WarnsOncePerFault) {
    Result result = RunChild("allocate", {"HAKMEM_PURGE_DELAY_MS=soon", "HAKMEM_NO_SUCH=1"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(
        result.err,
        Head(result) + "HAKMEM_PURGE_DELAY_MS=soon: not a number in 0..86400000; using 500\n" +
            Head(result) + "HAKMEM_NO_SUCH: no such option, ignored; HAKMEM_HELP=1 lists them\n");
}

TEST(Environment, HelpPrintsTheTableAndGoesOn) {
    Result result = RunChild("allocate", {"HAKMEM_HELP=1"});
    EXPECT_EQ(result.status, 0);
    EXPECT_NE(result.err.find("HAKMEM_ON_ERROR=abort|report|ignore\n"), std::string::npos)
        << result.err;
    EXPECT_NE(result.err.find("HAKMEM_HELP=0|1\n"), std::string::npos);
}

/* A set-user-ID copy of this program ignores the environment. Making one needs root and a file
 * system that honours the bit; the copy itself tells whether it is privileged. */
TEST(Environment, IsIgnoredByPrivilegedPrograms) {
    if (geteuid() != 0) {
        GTEST_SKIP() << "only root can make a program of another user";
    }
    const char *folder = getenv("TEST_TMPDIR");
    std::string copy = std::string(folder != nullptr ? folder : "/tmp") + "/privileged_" +
                       std::to_string(getpid());
    int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int out = open(copy.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    ASSERT_GE(in, 0);
    ASSERT_GE(out, 0);
    std::string program = ReadAll(in);
    ASSERT_EQ(write(out, program.data(), program.size()), static_cast<ssize_t>(program.size()));
    close(in);
    bool prepared = fchown(out, 65534, 65534) == 0 && fchmod(out, 04755) == 0;
    close(out);
    Result result = prepared ? RunChild(copy.c_str(), "is_privileged", {}) : Result();
    if (result.status != 0) {
        unlink(copy.c_str());
        GTEST_SKIP() << "set-user-ID has no effect here";
    }
    result =
        RunChild(copy.c_str(), "allocate", {"HAKMEM_STATS=1", "HAKMEM_HELP=1", "HAKMEM_NO_SUCH=1"});
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(RunChild(copy.c_str(), "purge_delay_is_7", {"HAKMEM_PURGE_DELAY_MS=7"}).status, 1);
    unlink(copy.c_str());
}

int Allocate() {
    for (int i = 0; i < 1000; i++) {
        void *volatile leaked = hak_malloc(1000);
        if (leaked == nullptr) {
            return 1;
        }
    }
    return 0;
}

/* As a daemon does: closes everything, then opens a file of its own, which gets the lowest numbers
 * and, here, the one of the duplicate too. Returns whether the file is still empty when the process
 * has reported. */
int ReuseDescriptors() {
    char path[] = "/tmp/hakmem_process_test_XXXXXX";
    int mine = mkstemp(path);
    unlink(path);
    for (int fd = 3; fd < 256; fd++) {
        if (fd != mine && fcntl(fd, F_GETFD) != -1 && dup2(mine, fd) < 0) {
            return 2;
        }
    }
    close(2);
    pid_t child = fork();
    if (child == 0) {
        exit(0); /* reports, if it can */
    }
    int status = 0;
    struct stat file;
    waitpid(child, &status, 0);
    return fstat(mine, &file) == 0 && file.st_size == 0 ? 0 : 3;
}

constexpr int kFile = 50;

/* An empty file without a name, at descriptor kFile. */
bool OpenFile() {
    char path[] = "/tmp/hakmem_process_test_XXXXXX";
    int file = mkstemp(path);
    unlink(path);
    return dup2(file, kFile) == kFile && close(file) == 0;
}

/* Waits for the child; whether it succeeded and the file is still empty. */
bool LeftFileEmpty(pid_t child) {
    int status = 0;
    struct stat file;
    return waitpid(child, &status, 0) == child && status == 0 && fstat(kFile, &file) == 0 &&
           file.st_size == 0;
}

int ReplaceStderr() {
    if (!OpenFile()) {
        return 2;
    }
    close(2);
    if (dup(kFile) != 2) {
        return 3;
    }
    pid_t child = fork();
    if (child == 0) {
        exit(0); /* reports */
    }
    return LeftFileEmpty(child) ? 0 : 4;
}

int StartWithoutStderr() {
    if (!OpenFile()) {
        return 2;
    }
    pid_t child = fork();
    if (child == 0) {
        close(2);
        execl("/proc/self/exe", "process_test", "take_two", static_cast<char *>(nullptr));
        _exit(126);
    }
    return LeftFileEmpty(child) ? 0 : 4;
}

int Fork() {
    pid_t child = fork();
    if (child == 0) {
        exit(Allocate());
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}

int PurgeDelayIs7() {
    char value[16];
    return hak_option_get("purge_delay_ms", value, sizeof value) == 1 && value[0] == '7' ? 0 : 1;
}

int Child(const std::string &task) {
    if (task == "allocate") {
        return Allocate();
    }
    if (task == "close_stderr") {
        fclose(stderr);
        return 0;
    }
    if (task == "reuse_descriptors") {
        return ReuseDescriptors();
    }
    if (task == "replace_stderr") {
        return ReplaceStderr();
    }
    if (task == "start_without_stderr") {
        return StartWithoutStderr();
    }
    if (task == "take_two") {
        return dup(kFile) == 2 ? 0 : 1;
    }
    if (task == "_exit") {
        _exit(Allocate());
    }
    if (task == "fork") {
        return Fork();
    }
    if (task == "purge_delay_is_7") {
        return PurgeDelayIs7();
    }
    if (task == "is_privileged") {
        return getauxval(AT_SECURE) != 0 ? 0 : 1;
    }
    return 125;
}

} // namespace

int main(int argc, char **argv) {
    if (argc == 2 && argv[1][0] != '-') {
        return Child(argv[1]);
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
