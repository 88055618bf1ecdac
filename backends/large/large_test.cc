#include "backends/large/large.h"

#include <gtest/gtest.h>
#include <string.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/bits.h"
#include "base/testing/testing.h"
#include "boxes/huge/huge.h"
#include "boxes/run/run.h"
#include "boxes/testing/engine.h"
#include "registry/registry.h"

namespace {

class Large : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Stats().blocks, 0u);
        EXPECT_EQ(Stats().bytes, 0u);
        (void)hak_large_purge_mt(hak_os_now_ms(), 0, 0);
        EXPECT_FALSE(hak_large_has_garbage());
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static hak_backend_stats_t Stats() {
        hak_backend_stats_t stats;
        uint64_t cached_bytes;
        hak_large_stats_mt(&stats, &cached_bytes);
        return stats;
    }
    static char *Alloc(size_t bytes, size_t align = 1) {
        bool zeroed;
        return static_cast<char *>(hak_large_alloc_mt(bytes, align, &zeroed));
    }
    static uint32_t Tag(const char *block) { return hak_registry_tag((uintptr_t)block); }
};

TEST_F(Large, SizeAndAlignmentDecideBetweenRunAndMapping) {
    struct {
        size_t bytes, align;
        uint32_t tag;
    } const cases[] = {
        {HAK_SC_MAX_BYTES + 1, 1, HAK_TAG_RUN},
        {HAK_RUN_MAX_BYTES, HAK_UNIT_BYTES, HAK_TAG_RUN},
        {HAK_RUN_MAX_BYTES + 1, 1, HAK_TAG_HUGE},
        {1, 2 * HAK_UNIT_BYTES, HAK_TAG_HUGE},
        {HAK_RUN_MAX_BYTES, 8 << 20, HAK_TAG_HUGE},
    };
    for (const auto &c : cases) {
        char *block = Alloc(c.bytes, c.align);
        ASSERT_NE(block, nullptr);
        EXPECT_EQ(Tag(block), c.tag) << c.bytes;
        EXPECT_EQ((uintptr_t)block % c.align, 0u);
        hak_block_info_t info;
        ASSERT_TRUE(hak_large_describe((uintptr_t)block + c.bytes - 1, &info));
        EXPECT_EQ(info.block, (uintptr_t)block);
        EXPECT_EQ(info.bytes, hak_large_good_bytes(c.bytes));
        EXPECT_TRUE(info.handed_out);
        EXPECT_EQ(Stats().blocks, 1u);
        EXPECT_EQ(Stats().bytes, info.bytes);
        EXPECT_TRUE(hak_large_free_mt(block));
        EXPECT_FALSE(hak_large_free_mt(block));
        EXPECT_FALSE(hak_large_describe((uintptr_t)block, &info));
        (void)hak_large_purge_mt(hak_os_now_ms(), 0, 0);
    }
}

/* A block changes its size only within its kind; the caller copies where it must become another
 * one. */
TEST_F(Large, ResizeStaysWithinTheKind) {
    char *run = Alloc(200000);
    char *mapping = Alloc(4 << 20);
    memset(run, 1, 200000);
    memset(mapping, 2, 4 << 20);
    EXPECT_EQ(hak_large_resize_mt(run, HAK_SC_MAX_BYTES), nullptr);
    EXPECT_EQ(hak_large_resize_mt(run, HAK_RUN_MAX_BYTES + 1), nullptr);
    EXPECT_EQ(hak_large_resize_mt(mapping, HAK_SC_MAX_BYTES), nullptr);
    EXPECT_EQ(hak_large_resize_mt(mapping, HAK_RUN_MAX_BYTES), nullptr);
    EXPECT_EQ(hak_large_resize_mt(mapping, 100), nullptr);
    uint64_t page = hak_os_page_bytes();
    EXPECT_EQ(Stats().bytes, hak_align_up(200000, page) + (4 << 20)) << "nothing changed";
    EXPECT_EQ(hak_large_resize_mt(run, HAK_SC_MAX_BYTES + 1), run);
    EXPECT_EQ(Stats().bytes, HAK_SC_MAX_BYTES + page + (4 << 20));
    EXPECT_EQ(hak_large_resize_mt(mapping, HAK_RUN_MAX_BYTES + 1), mapping);
    EXPECT_EQ(Stats().bytes, HAK_SC_MAX_BYTES + page + HAK_RUN_MAX_BYTES + page);
    EXPECT_EQ(run[HAK_SC_MAX_BYTES], 1);
    EXPECT_EQ(mapping[HAK_RUN_MAX_BYTES], 2);
    EXPECT_TRUE(hak_large_free_mt(run));
    EXPECT_TRUE(hak_large_free_mt(mapping));
}

TEST_F(Large, FreedMappingIsGarbageUntilPurged) {
    EXPECT_FALSE(hak_large_has_garbage());
    char *mapping = Alloc(4 << 20);
    EXPECT_TRUE(hak_large_free_mt(mapping));
    EXPECT_TRUE(hak_large_has_garbage());
    hak_backend_stats_t stats;
    uint64_t cached_bytes = 0;
    hak_large_stats_mt(&stats, &cached_bytes);
    EXPECT_EQ(cached_bytes, 4u << 20);
    EXPECT_EQ(hak_large_purge_mt(hak_os_now_ms(), 0, 4 << 20), 0u) << "may be kept";
    EXPECT_EQ(hak_large_purge_mt(hak_os_now_ms(), 0, 0), 4u << 20);
}

TEST_F(Large, ChildOfAForkGoesOn) {
    char *run = Alloc(100000), *mapping = Alloc(3 << 20);
    hak_large_fork_take();
    EXPECT_EQ(hak_testing::InChild([&] {
                  hak_large_fork_drop();
                  char *another = Alloc(5 << 20);
                  return another != nullptr && hak_large_free_mt(another) &&
                                 hak_large_free_mt(run) && hak_large_free_mt(mapping) &&
                                 Stats().blocks == 0
                             ? 0
                             : 1;
              }),
              0);
    hak_large_fork_drop();
    EXPECT_TRUE(hak_large_free_mt(run));
    EXPECT_TRUE(hak_large_free_mt(mapping));
}

} // namespace
