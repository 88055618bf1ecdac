#include "core/errors/errors.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/testing/testing.h"
#include "config/hak_config.h"
#include "core/options/options.h"

namespace {

class Errors : public ::testing::Test {
  protected:
    void TearDown() override { Do(HAK_ON_ERROR_ABORT); }
    static void Do(hak_on_error_t action) {
        hak_store_rlx(&hak_option_values[HAK_OPTION_ON_ERROR], (uint64_t)action);
    }
    /* What a report writes on stderr under `report`. */
    static std::string Line(hak_error_t kind, const void *block, uint64_t bytes) {
        Do(HAK_ON_ERROR_REPORT);
        testing::internal::CaptureStderr();
        hak_error_report(kind, "free", (const void *)0x7f0012345648, block, bytes);
        return testing::internal::GetCapturedStderr();
    }
    static std::string Head() { return "hakmem[" + std::to_string(getpid()) + "]: "; }
};

TEST_F(Errors, ReportIsOneLineWithWhatIsKnown) {
    EXPECT_EQ(Line(HAK_ERROR_INTERIOR, (const void *)0x7f0012345640, 64),
              Head() + "free(0x7f0012345648): invalid pointer: inside a block, not at its start; "
                       "block 0x7f0012345640 of 64 bytes\n");
    EXPECT_EQ(Line(HAK_ERROR_WILD, nullptr, 0),
              Head() + "free(0x7f0012345648): invalid pointer: not a block of hakmem\n");
}

/* Whoever calls free or malloc_usable_size does not expect errno to change. */
TEST_F(Errors, AReportThatNobodyCanReadLeavesErrnoAlone) {
    Do(HAK_ON_ERROR_REPORT);
    int kept = dup(2);
    close(2);
    errno = ENOTTY;
    hak_error_report(HAK_ERROR_WILD, "malloc_usable_size", (const void *)0x10, nullptr, 0);
    int after = errno;
    dup2(kept, 2);
    close(kept);
    EXPECT_EQ(after, ENOTTY);
}

TEST_F(Errors, EveryKindHasATextOfItsOwn) {
    std::vector<std::string> lines;
    for (int kind = 0; kind < HAK_ERROR_COUNT; kind++) {
        std::string line = Line((hak_error_t)kind, nullptr, 0);
        EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
        EXPECT_GT(line.size(), Head().size() + 30) << line;
        EXPECT_EQ(std::count(lines.begin(), lines.end(), line), 0) << line;
        lines.push_back(line);
    }
}

TEST_F(Errors, AbortIsTheDefaultAndComesAfterTheLine) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    EXPECT_EQ(hak_testing::InChild([&] {
                  dup2(ends[1], 2);
                  hak_error_report(HAK_ERROR_DOUBLE_FREE, "free", (void *)16, nullptr, 0);
                  return 0;
              }),
              -SIGABRT);
    close(ends[1]);
    char line[256] = {};
    EXPECT_GT(read(ends[0], line, sizeof line - 1), 0);
    EXPECT_NE(std::string(line).find("free(0x10): double free"), std::string::npos) << line;
    close(ends[0]);
}

TEST_F(Errors, IgnoreIsSilentAndGoesOn) {
    Do(HAK_ON_ERROR_IGNORE);
    testing::internal::CaptureStderr();
    hak_error_report(HAK_ERROR_WILD, "free", (void *)16, nullptr, 0);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Errors, AllAreCountedAlsoIgnoredOnes) {
    uint64_t before = hak_error_count();
    (void)Line(HAK_ERROR_WILD, nullptr, 0);
    Do(HAK_ON_ERROR_IGNORE);
    hak_testing::RunThreads(4, [](int) {
        for (int i = 0; i < 1000; i++) {
            hak_error_report(HAK_ERROR_WILD, "free", nullptr, nullptr, 0);
        }
    });
    EXPECT_EQ(hak_error_count() - before, 4001u);
}

TEST_F(Errors, ClosedStderrDoesNoHarm) {
    EXPECT_EQ(hak_testing::InChild([] {
                  close(2);
                  Do(HAK_ON_ERROR_REPORT);
                  hak_error_report(HAK_ERROR_WILD, "free", nullptr, nullptr, 0);
                  return 7;
              }),
              7);
}

TEST_F(Errors, AssertionAbortsInDebugBuildsAndIsNotEvaluatedInOthers) {
    int end = hak_testing::InChild([] {
        int evaluated = 0;
        close(2);
        hak_debug_assert(++evaluated == 0);
        return evaluated;
    });
    EXPECT_EQ(end, hak_cfg_debug ? -SIGABRT : 0);
}

TEST_F(Errors, FailedAssertionSaysWhere) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    EXPECT_EQ(hak_testing::InChild([&] {
                  dup2(ends[1], 2);
                  hak_error_assert_failed("a < b", "file.c", 12);
                  return 0;
              }),
              -SIGABRT);
    close(ends[1]);
    char line[256] = {};
    EXPECT_GT(read(ends[0], line, sizeof line - 1), 0);
    EXPECT_NE(std::string(line).find("internal error: file.c:12: a < b\n"), std::string::npos);
    close(ends[0]);
}

} // namespace
