/* Growth, moves, failures, purges and forks: the registry and the kernel agree at each step, also
 * while other threads do the same. */
#include "boxes/huge/huge.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include <atomic>
#include <thread>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/bits.h"
#include "base/testing/testing.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "registry/registry.h"

namespace {

constexpr size_t kMiB = 1 << 20;
constexpr size_t kWindow = HAK_WINDOW_BYTES;

hak_huge_stats_t Stats() {
    hak_huge_stats_t stats;
    hak_huge_stats_mt(&stats);
    return stats;
}

uint64_t Now() { return hak_os_now_ms(); }

class HugeResize : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        saved_cache_mb_ = hak_option(HAK_OPTION_HUGE_CACHE_MB);
        SetCache(1024);
        PurgeAll();
    }
    void TearDown() override {
        hak_os_fake_reset();
        PurgeAll();
        SetCache(saved_cache_mb_);
        EXPECT_EQ(Stats().blocks, 0u);
        EXPECT_EQ(Stats().bytes, 0u);
        EXPECT_EQ(Stats().cached_bytes, 0u);
        EXPECT_FALSE(hak_huge_has_cached());
    }

    static void SetCache(uint64_t mb) {
        hak_store_rlx(&hak_option_values[HAK_OPTION_HUGE_CACHE_MB], mb);
    }
    static void PurgeAll() { (void)hak_huge_purge_mt(Now(), 0, 0); }
    static char *Alloc(size_t bytes, size_t align = 1) {
        bool zeroed;
        return static_cast<char *>(hak_huge_alloc_mt(bytes, align, &zeroed));
    }
    static char *Resize(char *block, size_t bytes) {
        return static_cast<char *>(hak_huge_resize_mt(block, bytes));
    }
    static size_t Usable(const char *block) {
        uintptr_t start = 0;
        size_t bytes = hak_huge_describe_mt((uintptr_t)block, &start);
        EXPECT_TRUE(bytes == 0 || start == (uintptr_t)block);
        return bytes;
    }
    /* A word at each OS page that tells where it was written. */
    static void Write(char *block, size_t bytes) {
        for (size_t at = 0; at + sizeof at <= bytes; at += hak_os_page_bytes()) {
            memcpy(block + at, &at, sizeof at);
        }
    }
    static bool Holds(const char *block, size_t bytes) {
        for (size_t at = 0; at + sizeof at <= bytes; at += hak_os_page_bytes()) {
            if (memcmp(block + at, &at, sizeof at) != 0) {
                return false;
            }
        }
        return true;
    }
    /* True if each window of the block leads to it and the one behind does not. */
    static bool Registered(const char *block, size_t bytes) {
        uintptr_t base = (uintptr_t)block, end = base + hak_align_up(bytes, kWindow);
        hak_region_t *region = hak_registry_region(base);
        if (region == nullptr || hak_region_base(region) != base ||
            hak_registry_tag(base) != HAK_TAG_HUGE) {
            return false;
        }
        for (uintptr_t at = base; at < end; at += kWindow) {
            if (hak_registry_region(at) != region) {
                return false;
            }
        }
        return hak_registry_region(end) != region;
    }
    /* But for the windows that the kernel gave to `heir` meanwhile. */
    static bool Forgotten(uintptr_t base, size_t bytes, const char *heir = nullptr) {
        const hak_region_t *later =
            heir != nullptr ? hak_registry_region((uintptr_t)heir) : nullptr;
        for (uintptr_t at = base; at < base + bytes; at += kWindow) {
            const hak_region_t *found = hak_registry_region(at);
            if (found == nullptr ? hak_registry_tag(at) != HAK_TAG_NONE : found != later) {
                return false;
            }
        }
        return true;
    }
    uint64_t saved_cache_mb_;
};

TEST_F(HugeResize, CacheIsPurgedOldestFirstAfterTheDelay) {
    constexpr uint64_t kDelayMs = 100000;
    char *block[3];
    for (size_t i = 0; i < 3; i++) {
        block[i] = Alloc((8 << i) * kMiB);
    }
    uint64_t freed_at = 0;
    for (char *b : block) {
        hak_os_fake_advance_ms(10000);
        freed_at = Now();
        EXPECT_TRUE(hak_huge_free_mt(b));
    }
    EXPECT_EQ(hak_huge_purge_mt(freed_at, kDelayMs, 0), 0u);
    EXPECT_EQ(hak_huge_purge_mt(freed_at + kDelayMs - 15000, kDelayMs, 0), 8 * kMiB);
    EXPECT_TRUE(Forgotten((uintptr_t)block[0], 8 * kMiB));
    EXPECT_EQ(hak_huge_purge_mt(freed_at + kDelayMs - 5000, kDelayMs, 0), 16 * kMiB);
    EXPECT_EQ(hak_huge_purge_mt(freed_at + kDelayMs + 1000, kDelayMs, 32 * kMiB), 0u)
        << "told to keep it";
    EXPECT_EQ(hak_huge_purge_mt(freed_at + kDelayMs + 1000, kDelayMs, 0), 32 * kMiB);
}

TEST_F(HugeResize, ShrinkGivesWindowsBackAndGrowthInPlaceTakesThemAgain) {
    char *block = Alloc(32 * kMiB);
    Write(block, 32 * kMiB);
    uint64_t moves = hak_os_fake_calls(HAK_OS_CALL_MOVE);
    ASSERT_EQ(Resize(block, 3 * kMiB + 1), block);
    EXPECT_EQ(Usable(block), 3 * kMiB + hak_os_page_bytes());
    EXPECT_TRUE(Registered(block, 3 * kMiB + 1));
    EXPECT_TRUE(Forgotten((uintptr_t)block + 4 * kMiB, 28 * kMiB));
    EXPECT_TRUE(Holds(block, 3 * kMiB));
    /* The hole behind is still there. */
    ASSERT_EQ(Resize(block, 31 * kMiB), block);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_MOVE), moves);
    EXPECT_TRUE(Registered(block, 31 * kMiB));
    EXPECT_TRUE(Holds(block, 3 * kMiB));
    EXPECT_EQ(block[20 * kMiB], 0) << "new memory";
    EXPECT_EQ(Stats().bytes, 31 * kMiB);
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(HugeResize, GrowthByMoveKeepsContentAndLeavesNothingBehind) {
    char *block = Alloc(5 * kMiB);
    Write(block, 5 * kMiB);
    for (size_t bytes : {6 * kMiB, 17 * kMiB, 100 * kMiB}) {
        size_t old = Usable(block);
        hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, 1);
        char *moved = Resize(block, bytes);
        ASSERT_NE(moved, nullptr);
        EXPECT_NE(moved, block);
        EXPECT_EQ((uintptr_t)moved % kWindow, 0u);
        EXPECT_TRUE(Forgotten((uintptr_t)block, old, moved));
        EXPECT_TRUE(Registered(moved, bytes));
        EXPECT_EQ(Usable(moved), bytes);
        EXPECT_EQ(Stats().bytes, bytes);
        EXPECT_TRUE(Holds(moved, 5 * kMiB));
        EXPECT_EQ(moved[bytes - 1], 0);
        EXPECT_FALSE(hak_huge_free_mt(block)) << "the old place is no block";
        block = moved;
    }
    EXPECT_TRUE(hak_huge_free_mt(block));
}

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

/* The most that was ever live is 4096 MiB, of which 600 are free again. So live and cached ones may
 * have 512 MiB more, and 1112 MiB are left for both. 1080 of them are cached. */
class HugeBound : public HugeResize {
  protected:
    void SetUp() override {
        HugeResize::SetUp();
        SetCache(0);
        EXPECT_TRUE(hak_huge_free_mt(Alloc(4096 * kMiB)));
        SetCache(8192);
        filler_ = Alloc(3496 * kMiB); /* nothing of them is touched */
        for (char *&block : cached_) {
            block = Alloc((&block == cached_ ? 580 : 500) * kMiB);
            EXPECT_TRUE(hak_huge_free_mt(block));
        }
        before_ = Stats();
        ASSERT_EQ(before_.cached_bytes, 1080 * kMiB);
    }
    void TearDown() override {
        EXPECT_TRUE(hak_huge_free_mt(filler_));
        HugeResize::TearDown();
    }
    /* Allocates, writes and frees. */
    static char *Cache(size_t bytes) {
        char *block = Alloc(bytes);
        Write(block, bytes);
        EXPECT_TRUE(hak_huge_free_mt(block));
        return block;
    }
    char *filler_, *cached_[2];
    hak_huge_stats_t before_;
};

/* Within the bound sizes keep mappings of their own; beyond it the last freed one is made to fit:
 * it holds old content, and nothing is registered that is not its. */
TEST_F(HugeBound, FreedMappingIsCutOrLengthenedWhereAnotherWouldBeTooMuch) {
    char *small = Cache(30 * kMiB);
    EXPECT_EQ(Stats().made, before_.made + 1);
    char *block = Alloc(20 * kMiB);
    EXPECT_EQ(block, small) << "cut";
    EXPECT_TRUE(Holds(block, 20 * kMiB));
    EXPECT_TRUE(Registered(block, 20 * kMiB));
    EXPECT_TRUE(Forgotten((uintptr_t)block + 20 * kMiB, 10 * kMiB));
    EXPECT_EQ(Stats().bytes, before_.bytes + 20 * kMiB);
    EXPECT_EQ(Stats().cached_bytes, 1080 * kMiB);
    for (size_t bytes : {29 * kMiB, 38 * kMiB}) {
        EXPECT_TRUE(hak_huge_free_mt(block));
        hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, bytes == 38 * kMiB); /* then it moves */
        block = Alloc(bytes);
        hak_os_fake_reset();
        EXPECT_TRUE(Holds(block, 20 * kMiB)) << "lengthened";
        EXPECT_EQ(block[bytes - 1], 0);
        EXPECT_TRUE(Registered(block, bytes));
        EXPECT_EQ(Usable(block), bytes);
        EXPECT_EQ(Stats().cached_bytes, 1080 * kMiB);
    }
    EXPECT_TRUE(hak_huge_free_mt(block));
    EXPECT_EQ(Stats().made, before_.made + 1);
    EXPECT_EQ(Stats().reused, before_.reused + 3);
}

TEST_F(HugeBound, MappingThatCannotBeMadeToFitLeaves) {
    char *small = Cache(30 * kMiB);
    hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
    hak_os_fake_fail(HAK_OS_CALL_MOVE, 0, UINT64_MAX);
    char *block = Alloc(38 * kMiB);
    hak_os_fake_reset();
    EXPECT_TRUE(Forgotten((uintptr_t)small, 30 * kMiB, block));
    EXPECT_EQ(block[20 * kMiB], 0);
    EXPECT_TRUE(Registered(block, 38 * kMiB));
    EXPECT_EQ(Stats().made, before_.made + 2);
    EXPECT_EQ(Stats().cached_bytes, 500 * kMiB) << "and the first freed one, to make room";
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(HugeBound, FirstFreedLeavesWhereTheLastIsOfNoUse) {
    (void)Cache(10 * kMiB);
    char *block = Alloc(30 * kMiB); /* of which 10 MiB would be less than half */
    EXPECT_EQ(Stats().made, before_.made + 2);
    EXPECT_EQ(Stats().cached_bytes, 510 * kMiB);
    EXPECT_TRUE(Forgotten((uintptr_t)cached_[0], 500 * kMiB, block));
    EXPECT_TRUE(hak_huge_free_mt(block));
}

/* A block that grows counts as what is mapped anew. */
TEST_F(HugeBound, GrowthMakesRoom) {
    char *block = Resize(Alloc(4 * kMiB), 30 * kMiB);
    EXPECT_EQ(Stats().cached_bytes, 1080 * kMiB);
    block = Resize(block, 60 * kMiB);
    EXPECT_EQ(Stats().cached_bytes, 500 * kMiB);
    EXPECT_TRUE(hak_huge_free_mt(block));
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

TEST_F(HugeResize, OfTwoThreadsThatFreeABlockOneSucceeds) {
    for (int round = 0; round < 200; round++) {
        SetCache(round % 2 == 0 ? 0 : 1024);
        char *block = Alloc(3 * kMiB);
        std::atomic<int> freed(0);
        hak_testing::RunThreads(2, [&](int) { freed += hak_huge_free_mt(block); });
        ASSERT_EQ(freed.load(), 1);
        ASSERT_EQ(Stats().blocks, 0u);
    }
}

/* Blocks of several threads grow, move and shrink while another one purges: nobody's registry
 * entries or pages get lost, although the kernel hands the same places out again and again. */
TEST_F(HugeResize, ThreadsResizeWhileAnotherPurges) {
    std::atomic<int> wrong(0), working(3);
    hak_testing::RunThreads(4, [&](int thread) {
        if (thread == 3) {
            while (working.load() != 0) {
                (void)hak_huge_purge_mt(Now(), 0, 0);
            }
            return;
        }
        hak_testing::Random random((uint64_t)thread + 77);
        for (int round = 0; round < 15; round++) {
            size_t bytes = kMiB + random.Below(8 * kMiB);
            char *block = Alloc(bytes);
            if (block == nullptr) {
                wrong++;
                continue;
            }
            Write(block, bytes);
            for (int step = 0; step < 6; step++) {
                size_t other = kMiB + random.Below(12 * kMiB);
                char *resized = Resize(block, other);
                wrong += resized == nullptr || !Registered(resized, other) ||
                         !Holds(resized, bytes < other ? bytes : other);
                if (resized != nullptr) {
                    block = resized;
                    bytes = other;
                    Write(block, bytes);
                }
            }
            wrong += !hak_huge_free_mt(block);
        }
        working--;
    });
    EXPECT_EQ(wrong.load(), 0);
}

/* A fork waits until no mapping is in a thread's hand, so the child can give everything back. */
TEST_F(HugeResize, ChildOfAForkOwnsTheCache) {
    std::atomic<bool> stop(false);
    std::thread busy([&] {
        while (!stop.load()) {
            char *block = Alloc(3 * kMiB);
            (void)hak_huge_free_mt(block);
            (void)hak_huge_purge_mt(Now(), 0, 0);
        }
    });
    for (int round = 0; round < 20; round++) {
        hak_huge_fork_take();
        int result = hak_testing::InChild([] {
            hak_huge_fork_drop();
            hak_huge_stats_t stats = Stats();
            PurgeAll();
            char *block = Alloc(3 * kMiB);
            bool works = block != nullptr && hak_huge_free_mt(block);
            return works && stats.blocks <= 1 ? 0 : 1;
        });
        hak_huge_fork_drop();
        EXPECT_EQ(result, 0);
    }
    stop = true;
    busy.join();
}
} // namespace
