/* The script of os_fake: which calls it makes fail, and that the counts of os.h see them. */
#include "backends/os/os_fake.h"

#include <errno.h>
#include <gtest/gtest.h>

#include "backends/os/os.h"
#include "base/testing/testing.h"

namespace {

class OsFake : public ::testing::Test {
  protected:
    void SetUp() override { hak_os_fake_reset(); }
    void TearDown() override { hak_os_fake_reset(); }

    /* Maps and unmaps a page. */
    static bool Map() {
        void *base = hak_os_map(hak_os_page_bytes());
        if (base != nullptr) {
            hak_os_unmap(base, hak_os_page_bytes());
        }
        return base != nullptr;
    }
};

TEST_F(OsFake, FailsAfterTheGivenSuccessesAndThenSucceedsAgain) {
    hak_os_fake_fail(HAK_OS_CALL_MAP, 2, 3);
    std::string answers;
    for (int i = 0; i < 7; i++) {
        errno = 0;
        bool ok = Map();
        EXPECT_TRUE(ok || errno == ENOMEM);
        answers += ok ? '+' : '-';
    }
    EXPECT_EQ(answers, "++---++");
}

TEST_F(OsFake, FailsForGoodAndIsReset) {
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    for (int i = 0; i < 10; i++) {
        EXPECT_FALSE(Map());
    }
    hak_os_fake_reset();
    EXPECT_TRUE(Map());
}

TEST_F(OsFake, EveryKindFailsItsOwnCallAlone) {
    size_t page = hak_os_page_bytes();
    for (int kind = 0; kind < HAK_OS_CALL_COUNT; kind++) {
        hak_os_fake_reset();
        void *a = hak_os_map(page);
        void *target = hak_os_hold_aligned(4 * page, (size_t)1 << 16);
        ASSERT_TRUE(a != nullptr && target != nullptr);
        hak_os_fake_fail((hak_os_call_t)kind, 0, UINT64_MAX);
        void *reserved = hak_os_reserve(4 * page);
        void *aligned = hak_os_map_aligned(page, (size_t)1 << 16);
        EXPECT_EQ(Map(), kind != HAK_OS_CALL_MAP);
        EXPECT_EQ(aligned != nullptr, kind != HAK_OS_CALL_MAP);
        EXPECT_EQ(reserved != nullptr, kind != HAK_OS_CALL_RESERVE);
        EXPECT_EQ(hak_os_purge(a, page), kind != HAK_OS_CALL_PURGE);
        EXPECT_EQ(hak_os_resize(a, page, page), kind != HAK_OS_CALL_RESIZE);
        if (reserved != nullptr) {
            EXPECT_EQ(hak_os_commit(reserved, page), kind != HAK_OS_CALL_COMMIT);
            hak_os_unmap(reserved, 4 * page);
        }
        bool moved = hak_os_move(a, page, target, 4 * page);
        EXPECT_EQ(moved, kind != HAK_OS_CALL_MOVE);
        if (!moved) {
            hak_os_unmap(a, page);
        }
        if (aligned != nullptr) {
            hak_os_unmap(aligned, page);
        }
        hak_os_unmap(target, 4 * page);
    }
}

TEST_F(OsFake, FailuresAreSharedOutAmongThreads) {
    enum { THREADS = 4, CALLS = 200, FAILURES = 100 };
    uint64_t before = hak_os_fake_calls(HAK_OS_CALL_MAP);
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, FAILURES);
    std::atomic<int> failed(0);
    hak_testing::RunThreads(THREADS, [&](int) {
        for (int i = 0; i < CALLS; i++) {
            failed += Map() ? 0 : 1;
        }
    });
    EXPECT_EQ(failed.load(), FAILURES);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_MAP) - before, (uint64_t)THREADS * CALLS);
}

TEST_F(OsFake, CountsOfSystemCalls) {
    hak_os_calls_t before, after;
    hak_os_calls(&before);
    hak_os_fake_fail(HAK_OS_CALL_MAP, 1, 1);
    EXPECT_TRUE(Map());
    EXPECT_FALSE(Map());
    hak_os_calls(&after);
    EXPECT_EQ(after.mmap - before.mmap, 1u);
    EXPECT_EQ(after.munmap - before.munmap, 1u);
    EXPECT_EQ(after.failed - before.failed, 1u);
    EXPECT_EQ(after.madvise, before.madvise);
    EXPECT_EQ(after.mremap, before.mremap);
    EXPECT_EQ(after.mprotect, before.mprotect);
}

} // namespace
