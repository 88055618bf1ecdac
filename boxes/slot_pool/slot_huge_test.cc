/* Superslabs that become one huge page: when they do, who gets what comes with it, and how it goes
 * back. Linked with --wrap=madvise and --wrap=mincore: the tests see what the kernel is asked, and
 * answer for it, so that they do not depend on the system's huge pages. */
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/bits.h"
#include "base/testing/testing.h"
#include "boxes/slot_policy/slot_policy.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"

namespace {
std::string asked; /* H: huge pages, n: none, F: free one OS page, D: purge */
bool kernel_has_huge, touching;
std::function<void()> in_touch; /* while the kernel is asked for one */

bool ForkWaits() {
    hak_pool_lock_take();
    bool waits = hak_pool.fork_waits;
    hak_lock_drop(&hak_pool.lock);
    return waits;
}
} // namespace

extern "C" int __real_madvise(void *base, size_t bytes, int advice);
extern "C" int __wrap_madvise(void *base, size_t bytes, int advice) {
    const bool whole = bytes == HAK_SUPERSLAB_BYTES && (uintptr_t)base % bytes == 0;
    if (advice == MADV_HUGEPAGE) {
        EXPECT_TRUE(whole);
        asked += 'H';
        touching = true;
        if (in_touch) {
            auto hook = std::move(in_touch);
            in_touch = nullptr;
            hook();
        }
        return 0;
    }
    if (advice == MADV_COLD) {
        EXPECT_EQ(bytes, hak_os_page_bytes());
        asked += 'F';
    } else if (advice == MADV_DONTNEED) {
        asked += 'D';
    } else if (advice == MADV_NOHUGEPAGE && whole && touching) {
        asked += 'n';
        touching = false;
    }
    return __real_madvise(base, bytes, advice);
}
extern "C" int __wrap_mincore(void *, size_t, unsigned char *resident) {
    *resident = kernel_has_huge;
    return 0;
}

namespace {

constexpr uint64_t kDelayMs = 1000;
constexpr uint64_t kEnough = 16 * HAK_SUPERSLAB_SLOTS; /* slots in use for a touch */

hak_slot_pool_stats_t Stats() {
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    return stats;
}

class SlotHuge : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        hak_store_rlx(&hak_option_values[HAK_OPTION_PURGE_DELAY_MS], kDelayMs);
        hak_store_rlx(&hak_option_values[HAK_OPTION_THP], HAK_THP_DENSE);
        hak_os_fake_advance_ms(64000); /* beyond every pause */
        PurgeAll();
        hak_slot_pool_release_free_mt();
        kernel_has_huge = true;
        asked.clear();
    }
    void TearDown() override {
        in_touch = nullptr;
        Give();
        PurgeAll();
        EXPECT_EQ(Stats().active_slots, 0u);
        EXPECT_EQ(Stats().dirty_slots, 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }

    static void PurgeAll() { (void)Purge(0); }
    static size_t Purge(uint64_t delay_ms) {
        return hak_slot_pool_purge_mt(hak_os_now_ms(), delay_ms, UINT32_MAX, 0);
    }
    /* Slabs of blocks above 1 KiB until so many slots are in use, and no room is left. */
    void Fill(uint64_t slots) {
        while (Stats().active_slots < slots) {
            slabs_.push_back(hak_testing::TakeUnits(1));
        }
        ASSERT_EQ(Stats().active_slots % HAK_SUPERSLAB_SLOTS, 0u);
    }
    hak_slab_t *TakeTiny() {
        slabs_.push_back(hak_slot_pool_take_mt(hak_sc_of(64)));
        return slabs_.back();
    }
    void Give() {
        for (hak_slab_t *slab : slabs_) {
            hak_slot_pool_give_mt(slab);
        }
        slabs_.clear();
    }
    /* Other sizes have no part in a superslab of such a policy's. */
    static bool TinyAreApart() { return hak_slot_policy_serves(hak_sc_of(64)); }
    std::vector<hak_slab_t *> slabs_;
};

TEST_F(SlotHuge, SmallBlocksOfALargePoolGetOneAndNoOthersDo) {
    Fill(kEnough - HAK_SUPERSLAB_SLOTS);
    hak_slab_t *early = TakeTiny();
    EXPECT_EQ(asked, "") << "the pool is small";
    EXPECT_FALSE(hak_slab_superslab(early)->huge);
    while (Stats().active_slots < kEnough) {
        (void)TakeTiny();
    }
    slabs_.push_back(hak_testing::TakeUnits(16));
    EXPECT_EQ(asked, "") << "blocks of 64 KiB";
    slabs_.push_back(hak_testing::TakeUnits(16));
    uint64_t touched = Stats().huge_touched;
    hak_slab_t *slab = TakeTiny();
    EXPECT_EQ(asked, "DHn") << "asked for, and no more once it is there";
    EXPECT_TRUE(hak_slab_superslab(slab)->huge);
    EXPECT_EQ(Stats().huge_touched, touched + 1);
    EXPECT_EQ(Stats().dirty_slots, 31u) << "what came with the first slab counts as resident";
    EXPECT_TRUE(hak_slot_pool_has_dirty());
}

TEST_F(SlotHuge, EveryRequestTakesWhatCameWithItFirst) {
    if (TinyAreApart()) {
        GTEST_SKIP() << "the policy places tiny slabs";
    }
    Fill(kEnough);
    hak_superslab_t *ss = hak_slab_superslab(TakeTiny());
    for (unsigned units : {1u, 2u, 1u, 16u, 2u}) {
        slabs_.push_back(hak_testing::TakeUnits(units));
        EXPECT_EQ(hak_slab_superslab(slabs_.back()), ss) << units;
    }
    while (Stats().dirty_slots != 0) {
        EXPECT_EQ(hak_slab_superslab(TakeTiny()), ss);
    }
    EXPECT_EQ(asked, "DHn");
    EXPECT_NE(hak_slab_superslab(TakeTiny()), ss);
    EXPECT_EQ(asked, "DHnDHn");
}

TEST_F(SlotHuge, WhatNobodyTakesGoesBackAndThePageIsSplitOnce) {
    Fill(kEnough);
    hak_superslab_t *ss = hak_slab_superslab(TakeTiny());
    asked.clear();
    uint64_t ms = 0;
    for (; asked.empty() && ms < 10 * kDelayMs; ms += 50) {
        hak_os_fake_advance_ms(50);
        (void)Purge(kDelayMs);
    }
    EXPECT_EQ(asked, "FD") << "else the kernel keeps the whole page";
    EXPECT_GE(ms, 2 * kDelayMs) << "parts cost more than the whole, which may soon be free";
    EXPECT_LE(ms, 3 * kDelayMs);
    EXPECT_EQ(Stats().dirty_slots, 0u);
    EXPECT_FALSE(ss->huge);
    hak_slot_pool_give_mt(TakeTiny());
    slabs_.pop_back();
    PurgeAll();
    EXPECT_EQ(asked, "FDD");
}

TEST_F(SlotHuge, OneThatIsWhollyFreeGoesAsAWholeAndComesAgain) {
    Fill(kEnough);
    std::vector<hak_slab_t *> most;
    most.swap(slabs_);
    hak_superslab_t *ss = hak_slab_superslab(TakeTiny());
    Give();
    ASSERT_EQ(ss->dirty_mask, UINT32_MAX);
    slabs_.swap(most);
    asked.clear();
    PurgeAll();
    EXPECT_EQ(asked, "D");
    EXPECT_FALSE(ss->huge);
    EXPECT_EQ(hak_slab_superslab(TakeTiny()), ss) << "from the LRU";
    EXPECT_EQ(asked, "DDHn");
    EXPECT_TRUE(ss->huge);
}

TEST_F(SlotHuge, WholePageNeedsNoMoreThanTheDelay) {
    Fill(kEnough);
    hak_superslab_t *ss = hak_slab_superslab(TakeTiny());
    hak_slot_pool_give_mt(slabs_.back());
    slabs_.pop_back();
    ASSERT_EQ(ss->dirty_mask, UINT32_MAX);
    asked.clear();
    uint64_t ms = 0;
    for (; asked.empty() && ms < 10 * kDelayMs; ms += 50) {
        hak_os_fake_advance_ms(50);
        (void)Purge(kDelayMs);
    }
    EXPECT_EQ(asked, "D");
    EXPECT_LE(ms, kDelayMs + 100);
}

/* What is EMPTY already, and cannot be used here, counts as well. */
TEST_F(SlotHuge, NoneWhereMuchIsEmpty) {
    if (!TinyAreApart()) {
        GTEST_SKIP() << "every request uses what is EMPTY";
    }
    Fill(kEnough);
    slabs_.push_back(hak_testing::TakeUnits(16));
    hak_slab_t *other = hak_testing::TakeUnits(16);
    ASSERT_EQ(hak_slab_superslab(other), hak_slab_superslab(slabs_.back()));
    hak_slot_pool_give_mt(other);
    ASSERT_EQ(Stats().dirty_slots, 16u);
    (void)TakeTiny();
    EXPECT_EQ(asked, "");
}

/* A purge that the kernel refuses leaves it whole. */
/* What is EMPTY is resident: a touch would count it once more. */
TEST_F(SlotHuge, OneThatHasEmptySlotsIsNotTouched) {
    Fill(2 * kEnough);
    std::vector<hak_slab_t *> others;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        others.push_back(hak_testing::TakeUnits(1));
    }
    for (hak_slab_t *slab : others) {
        hak_slot_pool_give_mt(slab);
    }
    ASSERT_EQ(Stats().dirty_slots, (uint64_t)HAK_SUPERSLAB_SLOTS);
    asked.clear();
    TakeTiny();
    EXPECT_EQ(asked.find('H'), std::string::npos);
    EXPECT_EQ(hak_testing::Faults(), 0u);
}

TEST_F(SlotHuge, RefusedPurgeMeansAnotherSplitLater) {
    Fill(kEnough);
    hak_superslab_t *ss = hak_slab_superslab(TakeTiny());
    asked.clear();
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
    PurgeAll();
    EXPECT_EQ(asked, "F");
    EXPECT_EQ(Stats().dirty_slots, 31u);
    EXPECT_TRUE(ss->huge);
    PurgeAll();
    EXPECT_EQ(asked, "FFD");
    EXPECT_FALSE(ss->huge);
}

TEST_F(SlotHuge, KernelWithoutOneIsAskedAgainAfterAWhile) {
    if (TinyAreApart()) {
        GTEST_SKIP() << "the policy places tiny slabs";
    }
    Fill(kEnough);
    kernel_has_huge = false;
    uint64_t touched = Stats().huge_touched;
    hak_superslab_t *ss = hak_slab_superslab(TakeTiny());
    EXPECT_EQ(asked, "DHDn") << "what is resident all the same goes back";
    EXPECT_FALSE(ss->huge);
    EXPECT_EQ(Stats().dirty_slots, 0u) << "nothing more is resident";
    Fill(kEnough + HAK_SUPERSLAB_SLOTS);
    (void)TakeTiny();
    EXPECT_EQ(asked, "DHDn");
    hak_os_fake_advance_ms(10000);
    kernel_has_huge = true;
    Fill(kEnough + 2 * HAK_SUPERSLAB_SLOTS);
    (void)TakeTiny();
    EXPECT_EQ(asked, "DHDnDHn");
    EXPECT_EQ(Stats().huge_touched, touched + 1);
}

TEST_F(SlotHuge, KernelThatTakesLongIsLeftAloneForAWhile) {
    if (TinyAreApart()) {
        GTEST_SKIP() << "the policy places tiny slabs";
    }
    Fill(kEnough);
    hak_os_fake_slow_down_us(2000);
    EXPECT_TRUE(hak_slab_superslab(TakeTiny())->huge) << "it is there all the same";
    Fill(kEnough + HAK_SUPERSLAB_SLOTS);
    EXPECT_FALSE(hak_slab_superslab(TakeTiny())->huge);
    Fill(kEnough + 2 * HAK_SUPERSLAB_SLOTS);
    hak_os_fake_advance_ms(2100);
    EXPECT_TRUE(hak_slab_superslab(TakeTiny())->huge);
    hak_os_fake_slow_down_us(0);
}

TEST_F(SlotHuge, OptionTurnsItOff) {
    for (uint64_t off : {HAK_THP_OFF, HAK_THP_SYSTEM, HAK_THP_DENSE}) {
        hak_store_rlx(&hak_option_values[HAK_OPTION_THP], off);
        if (off == HAK_THP_DENSE) { /* what came with the first slab would go back at once */
            hak_store_rlx(&hak_option_values[HAK_OPTION_PURGE_DELAY_MS], 0);
        }
        Fill(Stats().active_slots + kEnough);
        (void)TakeTiny();
        Fill(hak_align_up(Stats().active_slots, HAK_SUPERSLAB_SLOTS));
    }
    EXPECT_EQ(asked, "");
}

/* Others go on meanwhile, and have no huge page of their own unless the pool is as large as both
 * need; only a fork waits. */
TEST_F(SlotHuge, TheLockIsFreeDuringATouch) {
    Fill(kEnough);
    hak_slab_t *other = nullptr;
    std::atomic<bool> forked(false);
    std::thread forker;
    in_touch = [&] {
        other = hak_slot_pool_take_mt(hak_sc_of(64));
        forker = std::thread([&] {
            hak_slot_pool_fork_take();
            EXPECT_EQ(hak_slot_pool_check_locked(), 0u);
            forked = true;
            hak_slot_pool_fork_drop();
        });
        while (!ForkWaits()) {
            std::this_thread::yield();
        }
        EXPECT_FALSE(forked);
    };
    hak_slab_t *slab = TakeTiny();
    ASSERT_TRUE(forker.joinable()) << "there was no touch";
    forker.join();
    EXPECT_TRUE(forked);
    ASSERT_NE(other, nullptr);
    slabs_.push_back(other);
    EXPECT_EQ(asked, "DHn");
    EXPECT_TRUE(hak_slab_superslab(slab)->huge ||
                hak_slab_superslab(other) == hak_slab_superslab(slab));
    EXPECT_FALSE(hak_slab_superslab(other)->huge);
}

} // namespace
