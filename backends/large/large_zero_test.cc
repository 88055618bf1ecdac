/* Clearing where huge pages are. Linked with --wrap=madvise, to see what the kernel is asked. */
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>

#include <vector>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "base/testing/testing.h"
#include "boxes/testing/engine.h"
#include "registry/registry.h"

namespace {
std::vector<char *> split, purged;
}

extern "C" int __real_madvise(void *base, size_t bytes, int advice);
extern "C" int __wrap_madvise(void *base, size_t bytes, int advice) {
    if (advice == MADV_COLD) {
        split.push_back(static_cast<char *>(base));
    } else if (advice == MADV_DONTNEED) {
        purged.push_back(static_cast<char *>(base));
        purged.push_back(static_cast<char *>(base) + bytes);
    }
    return __real_madvise(base, bytes, advice);
}

namespace {

constexpr size_t kWindow = HAK_WINDOW_BYTES;

class LargeZero : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        base_ = static_cast<char *>(hak_os_map_aligned(4 * kWindow, kWindow));
        ASSERT_NE(base_, nullptr);
    }
    void TearDown() override { hak_os_unmap(base_, 4 * kWindow); }
    /* Clears until pages are given back: after blocks that came back full it writes zeroes. */
    void ZeroUntilPurged(char *block, size_t bytes) {
        for (int i = 0; i < 10000 && purged.empty(); i++) {
            split.clear();
            memset(block, 1, bytes);
            hak_large_zero(block, bytes);
            for (size_t at = 0; at < bytes; at += 512) {
                ASSERT_EQ(block[at], 0);
            }
        }
        ASSERT_FALSE(purged.empty());
    }
    char *base_ = nullptr;
};

/* Else 2 MiB at each end stay in use while a half of them counts as resident. */
TEST_F(LargeZero, SplitsHugePagesThatReachBeyondTheBlock) {
    purged.clear();
    char *block = base_ + kWindow / 2;
    ZeroUntilPurged(block, kWindow + 4096);
    ASSERT_EQ(purged.size(), 2u);
    ASSERT_EQ(split.size(), 2u);
    EXPECT_EQ(split[0], purged[0]);
    EXPECT_EQ(split[1], purged[1] - hak_os_page_bytes());
}

TEST_F(LargeZero, AndNoOthers) {
    purged.clear();
    ZeroUntilPurged(base_, kWindow);
    EXPECT_EQ(purged.size(), 2u);
    EXPECT_TRUE(split.empty());
}

} // namespace
