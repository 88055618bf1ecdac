#include "backends/large/large.h"

#include <gtest/gtest.h>
#include <string.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/run/run.h"
#include "boxes/testing/engine.h"

namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;

class Large : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Live().blocks, 0u);
        EXPECT_EQ(Live().bytes, 0u);
        (void)hak_large_purge_mt(hak_os_now_ms(), 0, 0);
        EXPECT_FALSE(hak_large_has_garbage());
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static char *Alloc(size_t bytes, size_t align = 1) {
        bool zeroed;
        return static_cast<char *>(hak_large_alloc_mt(bytes, align, &zeroed));
    }
    static hak_backend_stats_t Live() {
        hak_backend_stats_t stats;
        uint64_t cached;
        hak_large_stats_mt(&stats, &cached);
        return stats;
    }
    static size_t Usable(const char *block) {
        hak_block_info_t info;
        EXPECT_TRUE(hak_large_describe((uintptr_t)block, &info));
        EXPECT_EQ(info.block, (uintptr_t)block);
        EXPECT_TRUE(info.handed_out);
        return info.bytes;
    }
};

TEST_F(Large, RunsUpToOneMiBAndMappingsAbove) {
    char *run = Alloc(kMiB), *huge = Alloc(kMiB + 1), *aligned = Alloc(70 * kKiB, 128 * kKiB);
    EXPECT_EQ(hak_registry_tag((uintptr_t)run), HAK_TAG_RUN);
    EXPECT_EQ(hak_registry_tag((uintptr_t)huge), HAK_TAG_HUGE);
    EXPECT_EQ(hak_registry_tag((uintptr_t)aligned), HAK_TAG_HUGE);
    EXPECT_EQ((uintptr_t)aligned % (128 * kKiB), 0u);
    EXPECT_EQ(Usable(run), kMiB);
    EXPECT_EQ(Live().blocks, 3u);
    EXPECT_EQ(Live().bytes, Usable(run) + Usable(huge) + Usable(aligned));
    for (char *block : {run, huge, aligned}) {
        EXPECT_TRUE(hak_large_free_mt(block));
        EXPECT_FALSE(hak_large_free_mt(block));
    }
}

TEST_F(Large, GoodSizeIsNoMoreThanWhatABlockHas) {
    for (size_t bytes : {65537ul, 100000ul, kMiB - 1, kMiB, kMiB + 1, 3 * kMiB + 5}) {
        char *block = Alloc(bytes);
        EXPECT_LE(hak_large_good_bytes(bytes), Usable(block)) << bytes;
        EXPECT_GE(hak_large_good_bytes(bytes), bytes);
        memset(block, 1, Usable(block));
        EXPECT_TRUE(hak_large_free_mt(block));
    }
}

TEST_F(Large, DescribesInsideAndNothingElse) {
    char *block = Alloc(200 * kKiB);
    hak_block_info_t info;
    EXPECT_TRUE(hak_large_describe((uintptr_t)block + 200 * kKiB - 1, &info));
    EXPECT_EQ(info.block, (uintptr_t)block);
    int local;
    EXPECT_FALSE(hak_large_describe((uintptr_t)&local, &info));
    EXPECT_TRUE(hak_large_free_mt(block));
    EXPECT_FALSE(hak_large_describe((uintptr_t)block, &info));
}

TEST_F(Large, ResizeInPlaceKeepsContentOrSaysNo) {
    char *run = Alloc(100 * kKiB);
    memset(run, 3, 100 * kKiB);
    EXPECT_EQ(hak_large_resize_mt(run, 500 * kKiB), run);
    EXPECT_GE(Usable(run), 500 * kKiB);
    EXPECT_EQ(memcmp(run, run + 1, 100 * kKiB - 1), 0);
    EXPECT_EQ(hak_large_resize_mt(run, 2 * kMiB), nullptr) << "a run does not become a mapping";
    EXPECT_EQ(hak_large_resize_mt(run, 1000), nullptr) << "nor a block of a slab";
    EXPECT_GE(Usable(run), 500 * kKiB);
    EXPECT_TRUE(hak_large_free_mt(run));
    char *huge = Alloc(2 * kMiB);
    memset(huge, 4, 2 * kMiB);
    huge = static_cast<char *>(hak_large_resize_mt(huge, 33 * kMiB));
    ASSERT_NE(huge, nullptr);
    EXPECT_EQ(memcmp(huge, huge + 1, 2 * kMiB - 1), 0);
    EXPECT_EQ(hak_large_resize_mt(huge, 500 * kKiB), nullptr);
    EXPECT_GE(Usable(huge), 33 * kMiB);
    EXPECT_TRUE(hak_large_free_mt(huge));
}

TEST_F(Large, FreshnessIsNeverClaimedWrongly) {
    hak_testing::Random random(5);
    for (int i = 0; i < 200; i++) {
        bool zeroed = false;
        size_t bytes = 66000 + random.Below(3 * kMiB);
        auto *block = static_cast<char *>(hak_large_alloc_mt(bytes, 1, &zeroed));
        ASSERT_NE(block, nullptr);
        ASSERT_TRUE(!zeroed || (block[0] == 0 && memcmp(block, block + 1, bytes - 1) == 0));
        memset(block, 1, bytes);
        ASSERT_TRUE(hak_large_free_mt(block));
        if (i % 10 == 0) {
            (void)hak_large_purge_mt(hak_os_now_ms(), 0, 0);
        }
    }
}

TEST_F(Large, ForkStopsAllChanges) {
    hak_large_fork_take();
    std::atomic<bool> done(false);
    std::thread other([&] {
        char *block = Alloc(2 * kMiB);
        EXPECT_TRUE(hak_large_free_mt(block));
        done = true;
    });
    usleep(2000);
    EXPECT_FALSE(done);
    hak_large_fork_drop();
    other.join();
}

} // namespace
