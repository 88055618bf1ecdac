/* Calls that the kernel refuses: nothing is changed, nothing is lost, nothing is kept. */
#include "boxes/huge/huge_fixture.h"
#include "core/meta/meta.h"

namespace {

using namespace hak_testing;

TEST_F(HugeResize, FailedResizeLeavesAllAsItWas) {
    char *block = Alloc(12 * kMiB);
    Write(block, 12 * kMiB);
    hak_huge_stats_t before = Stats();
    struct {
        hak_os_call_t call;
        size_t bytes;
        const char *what;
    } const cases[] = {
        {HAK_OS_CALL_MAP, 40 * kMiB, "no address space to move to"},
        {HAK_OS_CALL_MOVE, 40 * kMiB, "the kernel refuses the move"},
        {HAK_OS_CALL_COMMIT, 3072 * kMiB, "the registry has no memory for the new place"},
        {HAK_OS_CALL_RESIZE, 3 * kMiB, "the kernel refuses to cut"},
    };
    for (const auto &c : cases) {
        hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
        hak_os_fake_fail(c.call, 0, UINT64_MAX);
        errno = 0;
        EXPECT_EQ(Resize(block, c.bytes), nullptr) << c.what;
        EXPECT_EQ(errno, ENOMEM) << c.what;
        EXPECT_TRUE(Registered(block, 12 * kMiB)) << c.what;
        EXPECT_TRUE(Holds(block, 12 * kMiB)) << c.what;
        EXPECT_EQ(Usable(block), 12 * kMiB) << c.what;
        EXPECT_EQ(Stats().bytes, before.bytes) << c.what;
        hak_os_fake_reset();
        char *resized = Resize(block, 13 * kMiB);
        ASSERT_NE(resized, nullptr) << c.what;
        ASSERT_EQ(Resize(resized, 12 * kMiB), resized);
        EXPECT_TRUE(Holds(resized, 12 * kMiB));
        block = resized;
    }
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(HugeResize, AMappingThatThePurgeCannotCutGoesAsAWhole) {
    char *block = Alloc(12 * kMiB);
    EXPECT_TRUE(hak_huge_free_mt(block));
    hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
    errno = 7;
    EXPECT_EQ(hak_huge_purge_mt(Now() + 1001, 1000, 2, 0), 12 * kMiB);
    EXPECT_EQ(errno, 7);
    EXPECT_TRUE(Forgotten((uintptr_t)block, 12 * kMiB));
}

TEST_F(HugeResize, FailedAllocationKeepsNothing) {
    hak_os_calls_t before, after;
    char *warm = Alloc(3 * kMiB); /* the descriptor and the leaf exist from here on */
    EXPECT_TRUE(hak_huge_free_mt(warm));
    PurgeAll();
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    errno = 0;
    EXPECT_EQ(Alloc(3 * kMiB), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    hak_os_fake_reset();
    /* A registry without memory: what was mapped goes back. */
    hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
    hak_os_calls(&before);
    errno = 0;
    EXPECT_EQ(Alloc(2100 * kMiB), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    hak_os_calls(&after);
    EXPECT_GE(after.munmap, before.munmap + 1);
    EXPECT_EQ(Stats().bytes, 0u);
    hak_os_fake_reset();
    char *block = Alloc(3 * kMiB);
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(HugeResize, FailuresUseUpNoDescriptor) {
    char *pages = static_cast<char *>(hak_os_map_aligned(2 * kMiB, kWindow));
    EXPECT_TRUE(hak_huge_free_mt(Alloc(3 * kMiB)));
    PurgeAll(); /* a descriptor without memory is there from here on */
    uint64_t meta = hak_meta_bytes();
    for (int i = 0; i < 1000; i++) {
        hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
        EXPECT_EQ(Alloc(3 * kMiB), nullptr);
        EXPECT_EQ(hak_huge_adopt_mt(pages, 2 * kMiB, 40 * kMiB), nullptr);
        hak_os_fake_reset();
        EXPECT_TRUE(hak_huge_free_mt(Alloc(3 * kMiB)));
        PurgeAll();
    }
    EXPECT_EQ(hak_meta_bytes(), meta);
    hak_os_unmap(pages, 2 * kMiB);
}

/* The registry's memory for 8 GiB would be kept for good. */
TEST_F(HugeResize, RegistryGetsReadyForMuchOnlyIfTheKernelHasIt) {
    size_t bytes = 8192 * kMiB, page_bytes = 12 * kMiB;
    char *block = Alloc(page_bytes);
    Write(block, page_bytes);
    char *pages = static_cast<char *>(hak_os_map_aligned(page_bytes, kWindow));
    ASSERT_NE(pages, nullptr);
    uint64_t meta = hak_meta_bytes();
    hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 2);
    EXPECT_EQ(Resize(block, bytes), nullptr);
    EXPECT_EQ(hak_huge_adopt_mt(pages, page_bytes, bytes), nullptr);
    EXPECT_LT(hak_meta_bytes() - meta, 4096u) << "a descriptor, and no leaf";
    EXPECT_TRUE(Holds(block, page_bytes));
    char *resized = Resize(block, bytes);
    if (resized != nullptr) { /* else this machine is small */
        EXPECT_GE(hak_meta_bytes() - meta, 7u * 4096) << "the test sees what it looks for";
        EXPECT_TRUE(Holds(resized, page_bytes));
        EXPECT_TRUE(Registered(resized, bytes));
        block = resized;
    }
    EXPECT_TRUE(hak_huge_free_mt(block));
    hak_os_unmap(pages, page_bytes);
}

/* Pages of an extent are uncharged, so the kernel would let them grow to anything. */
TEST_F(HugeResize, PagesOfAnExtentGrowToNoMoreThanTheKernelGivesARequest) {
    size_t bytes = (size_t)48 << 40, page_bytes = 12 * kMiB;
    void *much = hak_os_map(bytes);
    if (much != nullptr) {
        hak_os_unmap(much, bytes);
        GTEST_SKIP() << "this kernel gives whatever is asked for";
    }
    void *pages = hak_os_hold_aligned(page_bytes, kWindow);
    ASSERT_TRUE(hak_os_commit_held(pages, page_bytes));
    uint64_t meta = hak_meta_bytes();
    EXPECT_EQ(hak_huge_adopt_mt(pages, page_bytes, bytes), nullptr);
    char *block = static_cast<char *>(hak_huge_adopt_mt(pages, page_bytes, 40 * kMiB));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(Resize(block, bytes), nullptr);
    EXPECT_LT(hak_meta_bytes() - meta, kMiB) << "leaves for the block alone";
    EXPECT_TRUE(Registered(block, 40 * kMiB));
    EXPECT_TRUE(hak_huge_free_mt(block));
}

} // namespace
