/* Growth, moves, purges and forks: the registry and the kernel agree at each step, also while other
 * threads do the same. */
#include <atomic>
#include <thread>

#include "boxes/huge/huge_fixture.h"

namespace {

using namespace hak_testing;

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
    EXPECT_EQ(hak_huge_purge_mt(freed_at, kDelayMs, kCalls, 0), 0u);
    EXPECT_EQ(hak_huge_purge_mt(freed_at + kDelayMs - 15000, kDelayMs, kCalls, 0), 8 * kMiB);
    EXPECT_TRUE(Forgotten((uintptr_t)block[0], 8 * kMiB));
    EXPECT_EQ(hak_huge_purge_mt(freed_at + kDelayMs - 5000, kDelayMs, kCalls, 0), 16 * kMiB);
    EXPECT_EQ(hak_huge_purge_mt(freed_at + kDelayMs + 1000, kDelayMs, kCalls, 32 * kMiB), 0u)
        << "told to keep it";
    EXPECT_EQ(hak_huge_purge_mt(freed_at + kDelayMs + 1000, kDelayMs, kCalls, 0), 32 * kMiB);
}

/* A pass gives 2 MiB for each call back. The mapping that is more than is left of it is cut at its
 * end, and stays the oldest with the time that it has. */
TEST_F(HugeResize, APurgeCutsWhatIsMoreThanItsBound) {
    constexpr uint64_t kDelayMs = 100000;
    char *old = Alloc(41 * kMiB), *young = Alloc(8 * kMiB);
    EXPECT_TRUE(hak_huge_free_mt(old));
    uint64_t freed_at = Now();
    hak_os_fake_advance_ms(5000);
    EXPECT_TRUE(hak_huge_free_mt(young));
    uint64_t due = freed_at + kDelayMs + 1;
    EXPECT_EQ(hak_huge_purge_mt(due, kDelayMs, 0, 0), 0u);
    EXPECT_EQ(hak_huge_purge_mt(due, kDelayMs, 10, 0), 19 * kMiB) << "down to whole windows";
    EXPECT_EQ(Stats().cached_bytes, 30 * kMiB);
    EXPECT_TRUE(Forgotten((uintptr_t)old + 22 * kMiB, 20 * kMiB));
    EXPECT_EQ(hak_registry_region((uintptr_t)old), hak_registry_region((uintptr_t)old + 20 * kMiB));
    EXPECT_EQ(hak_huge_purge_mt(due, kDelayMs, 10, 0), 20 * kMiB);
    EXPECT_EQ(hak_huge_purge_mt(due, kDelayMs, 10, 0), 2 * kMiB) << "the other is not due";
    EXPECT_TRUE(Forgotten((uintptr_t)old, 42 * kMiB));
    EXPECT_EQ(Stats().cached_bytes, 8 * kMiB);
    EXPECT_EQ(hak_huge_purge_mt(due + 5000, kDelayMs, 1, 0), 2 * kMiB);
    char *block = Alloc(6 * kMiB);
    EXPECT_EQ(block, young) << "what is left of it serves";
    Write(block, 6 * kMiB);
    EXPECT_TRUE(Registered(block, 6 * kMiB));
    EXPECT_TRUE(hak_huge_free_mt(block));
    EXPECT_EQ(hak_huge_purge_mt(Now(), 0, 1, 0), 6 * kMiB) << "without a delay all goes";
}

TEST_F(HugeResize, SmallMappingsCountAsACallEach) {
    char *block[3];
    for (char *&b : block) {
        b = Alloc(128 * 1024, kWindow);
    }
    for (char *b : block) {
        EXPECT_TRUE(hak_huge_free_mt(b));
    }
    EXPECT_EQ(hak_huge_purge_mt(Now() + 1001, 1000, 2, 0), 256u * 1024);
    EXPECT_EQ(hak_huge_purge_mt(Now() + 1001, 1000, 2, 0), 128u * 1024);
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

/* It is where it is, and the block wants to be elsewhere. */
TEST_F(HugeBound, FreedMappingIsNotMadeToFitAnotherAlignment) {
    (void)Cache(30 * kMiB);
    constexpr size_t kAlign = (size_t)1 << 34;
    char *block = Alloc(38 * kMiB, kAlign);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ((uintptr_t)block % kAlign, 0u);
    EXPECT_TRUE(hak_huge_free_mt(block));
}

/* Pages that leave an extent are a new mapping, too. */
TEST_F(HugeBound, AdoptionMakesRoom) {
    (void)Cache(30 * kMiB);
    void *pages = hak_os_hold_aligned(12 * kMiB, kWindow);
    ASSERT_TRUE(hak_os_commit_held(pages, 12 * kMiB));
    uint64_t cached = Stats().cached_bytes;
    void *block = hak_huge_adopt_mt(pages, 12 * kMiB, 200 * kMiB);
    ASSERT_NE(block, nullptr);
    EXPECT_LT(Stats().cached_bytes, cached);
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(HugeBound, WhatGoesBackIsCounted) {
    hak_huge_stats_t before = Stats();
    EXPECT_EQ(hak_huge_purge_mt(Now() + 1001, 1000, 5, 0), 10 * kMiB); /* of one, which is cut */
    EXPECT_EQ(Stats().purges, before.purges + 1);
    EXPECT_EQ(Stats().purged_bytes, before.purged_bytes + 10 * kMiB);
    PurgeAll(); /* both */
    EXPECT_EQ(Stats().purges, before.purges + 3);
    EXPECT_EQ(Stats().purged_bytes, before.purged_bytes + before.cached_bytes);
}

/* As with a delay that is longer than the machine has been up. */
TEST_F(HugeBound, NothingIsDueBeforeADelayHasPassedSinceTheStart) {
    EXPECT_EQ(hak_huge_purge_mt(Now(), Now() + 1, kCalls, 0), 0u);
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
                (void)hak_huge_purge_mt(Now() + 2, 1, 1, 0); /* cuts */
                (void)hak_huge_purge_mt(Now(), 0, kCalls, 0);
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
            (void)hak_huge_purge_mt(Now() + 2, 1, 1, 0); /* cuts */
            (void)hak_huge_purge_mt(Now(), 0, kCalls, 0);
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
