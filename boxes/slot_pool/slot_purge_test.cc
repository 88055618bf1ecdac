/* The way back of memory: what is purged when, what must not be, and forks and takes meanwhile.
 * Linked with --wrap=madvise, so that a test can stand still inside the kernel. */
#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "boxes/testing/engine.h"
#include "core/lock/lock.h"
#include "core/options/options.h"

namespace {
std::function<void(void *base, size_t bytes)> *in_purge;
}

extern "C" int __real_madvise(void *base, size_t bytes, int advice);
extern "C" int __wrap_madvise(void *base, size_t bytes, int advice) {
    if (advice == MADV_DONTNEED && in_purge != nullptr) {
        (*in_purge)(base, bytes);
    }
    return __real_madvise(base, bytes, advice);
}

namespace {

using hak_testing::Faults;
using hak_testing::TakeUnits;

constexpr uint64_t kDelayMs = 1000;

hak_slot_pool_stats_t Stats() {
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    return stats;
}

class SlotPurge : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        saved_delay_ms_ = hak_option(HAK_OPTION_PURGE_DELAY_MS);
        hak_store_rlx(&hak_option_values[HAK_OPTION_PURGE_DELAY_MS], kDelayMs);
        PurgeAll();
    }
    void TearDown() override {
        in_purge = nullptr;
        hak_os_fake_reset();
        PurgeAll();
        hak_store_rlx(&hak_option_values[HAK_OPTION_PURGE_DELAY_MS], saved_delay_ms_);
        EXPECT_EQ(Stats().active_slots, 0u);
        EXPECT_EQ(Stats().dirty_slots, 0u);
        EXPECT_EQ(Faults(), 0u);
    }

    /* Time goes on, beyond every pause after a refusal. */
    static void PurgeAll() {
        Wait(60000);
        (void)Purge(0);
    }
    static void Wait(uint64_t ms) { hak_os_fake_advance_ms(ms); }
    static size_t Purge(uint64_t delay_ms, unsigned calls = UINT32_MAX, size_t keep_bytes = 0) {
        return hak_slot_pool_purge_mt(hak_os_now_ms(), delay_ms, calls, keep_bytes);
    }
    static char *Base(const hak_slab_t *slab) {
        return reinterpret_cast<char *>(hak_slab_base(slab));
    }
    /* Takes slabs of one unit and writes to each. */
    static std::vector<hak_slab_t *> Take(size_t count) {
        std::vector<hak_slab_t *> slabs;
        for (size_t i = 0; i < count; i++) {
            slabs.push_back(TakeUnits(1));
            Base(slabs.back())[0] = 1;
        }
        return slabs;
    }
    static void Give(const std::vector<hak_slab_t *> &slabs) {
        for (hak_slab_t *slab : slabs) {
            hak_slot_pool_give_mt(slab);
        }
    }
    uint64_t saved_delay_ms_;
};

TEST_F(SlotPurge, MemoryGoesBackAfterTheDelayAndNotBeforeHalfOfIt) {
    std::vector<hak_slab_t *> slabs = Take(3);
    char *base = Base(slabs[0]);
    Give(slabs);
    EXPECT_TRUE(hak_slot_pool_has_dirty());
    size_t given = 0;
    uint64_t waited = 0;
    for (; given == 0 && waited < 3 * kDelayMs; waited += 50) {
        Wait(50);
        given = Purge(kDelayMs);
    }
    EXPECT_GE(waited, kDelayMs / 2);
    EXPECT_LE(waited, kDelayMs + 200);
    EXPECT_EQ(given, 3u * HAK_UNIT_BYTES);
    EXPECT_EQ(base[0], 0);
    EXPECT_FALSE(hak_slot_pool_has_dirty());
}

TEST_F(SlotPurge, SlotThatIsUsedMeanwhileStartsAnew) {
    std::vector<hak_slab_t *> keep = Take(1), used = Take(1);
    hak_slab_t *slab = used[0];
    Give(used);
    for (int i = 0; i < 12; i++) {
        Wait(kDelayMs / 3);
        EXPECT_EQ(Purge(kDelayMs), 0u) << i;
        hak_slab_t *again = TakeUnits(1);
        ASSERT_EQ(again, slab);
        EXPECT_EQ(Base(again)[0], 1) << "purged although it was in use a moment ago";
        hak_slot_pool_give_mt(again);
    }
    Give(keep);
}

TEST_F(SlotPurge, OnlyEmptySlotsArePurged) {
    std::vector<hak_slab_t *> slabs = Take(32);
    std::vector<hak_slab_t *> odd, even;
    for (size_t i = 0; i < slabs.size(); i++) {
        (i % 2 == 0 ? even : odd).push_back(slabs[i]);
    }
    Give(odd);
    EXPECT_EQ(Purge(0), odd.size() * HAK_UNIT_BYTES);
    for (hak_slab_t *slab : even) {
        EXPECT_EQ(Base(slab)[0], 1);
    }
    for (hak_slab_t *slab : odd) {
        EXPECT_EQ(Base(slab)[0], 0);
    }
    Give(even);
}

TEST_F(SlotPurge, NeighboursGoWithOneCall) {
    std::vector<hak_slab_t *> slabs = Take(32);
    Give(slabs);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    uint64_t purges = Stats().purges;
    EXPECT_EQ(Purge(0), 32u * HAK_UNIT_BYTES);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls + 1);
    EXPECT_EQ(Stats().purges, purges + 1);
}

TEST_F(SlotPurge, CallsAndKeptBytesAreBounded) {
    std::vector<hak_slab_t *> slabs = Take(32 * 3);
    Give(slabs);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    EXPECT_EQ(Purge(0, 1), 32u * HAK_UNIT_BYTES);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls + 1);
    EXPECT_EQ(Purge(0, UINT32_MAX, 64u * HAK_UNIT_BYTES), 0u) << "that much may stay";
    EXPECT_EQ(Purge(0, UINT32_MAX, 32u * HAK_UNIT_BYTES), 32u * HAK_UNIT_BYTES);
    EXPECT_EQ(Stats().dirty_slots, 32u);
}

TEST_F(SlotPurge, WhollyFreeSuperslabsAreUnmappedButForAFew) {
    std::vector<hak_slab_t *> slabs = Take(32 * 10);
    uint64_t superslabs = Stats().superslabs;
    ASSERT_GE(superslabs, 10u);
    uintptr_t some = hak_slab_base(slabs[0]);
    Give(slabs);
    (void)Purge(0);
    EXPECT_EQ(Stats().superslabs, 4u);
    size_t known = 0;
    for (hak_slab_t *slab : slabs) {
        known += hak_load_rlx(&hak_slab_superslab(slab)->mapped) != 0;
    }
    EXPECT_LE(known, 4u * 32);
    EXPECT_EQ(hak_registry_tag(some), HAK_TAG_NONE);
    EXPECT_EQ(Purge(0), 0u) << "the kept ones are purged already";
}

TEST_F(SlotPurge, RefusedPurgeKeepsTheSlotEmptyAndIsTriedAgain) {
    std::vector<hak_slab_t *> slabs = Take(4);
    Give(slabs);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    EXPECT_EQ(Purge(0), 0u);
    EXPECT_EQ(Stats().dirty_slots, 4u);
    EXPECT_EQ(Faults(), 0u);
    hak_slab_t *again = TakeUnits(1);
    EXPECT_EQ(Base(again)[0], 1) << "the content is still there, so it is no fresh slot";
    hak_slot_pool_give_mt(again);
    hak_os_fake_reset();
    EXPECT_EQ(Purge(0), 4u * HAK_UNIT_BYTES);
    EXPECT_EQ(Stats().dirty_slots, 0u);
}

/* A program locked a page of one superslab: the others go back as ever, and that one is not
 * tried by each pass. */
TEST_F(SlotPurge, OneRefusalStopsNoOtherSuperslab) {
    std::vector<hak_slab_t *> slabs = Take(32 * 2), later = Take(32);
    Give(slabs);
    Wait(kDelayMs / 2 + 1);
    EXPECT_EQ(Purge(kDelayMs), 0u);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
    Wait(kDelayMs / 2 + 1);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    EXPECT_EQ(Purge(kDelayMs), 32u * HAK_UNIT_BYTES);
    Give(later);
    size_t given = 0;
    for (int i = 0; i < 3; i++) {
        Wait(kDelayMs / 2 + 1);
        given += Purge(kDelayMs);
    }
    EXPECT_EQ(given, 32u * HAK_UNIT_BYTES) << "it was freed after the refusal";
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls + 3);
    EXPECT_EQ(Stats().dirty_slots, 32u);
    Wait(10000);
    given = 0;
    for (int i = 0; i < 3; i++) {
        Wait(kDelayMs / 2 + 1);
        given += Purge(kDelayMs);
    }
    EXPECT_EQ(given, 32u * HAK_UNIT_BYTES) << "tried again after a while";
}

TEST_F(SlotPurge, APassThatMetRefusalsOnlyIsFollowedByARest) {
    std::vector<hak_slab_t *> slabs = Take(32 * 3);
    Give(slabs);
    Wait(kDelayMs / 2 + 1);
    EXPECT_EQ(Purge(kDelayMs), 0u);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 2);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    for (int i = 0; i < 4; i++) {
        Wait(kDelayMs / 2 + 1);
        EXPECT_EQ(Purge(kDelayMs, 2), 0u);
    }
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls + 2);
    Wait(10000);
    EXPECT_EQ(Purge(kDelayMs, 1), 32u * HAK_UNIT_BYTES) << "the one that had no turn";
}

/* Memory that cannot be given back (a program locked it) must not keep a pass busy for ever. */
TEST_F(SlotPurge, PassEndsWhenEveryPurgeIsRefused) {
    std::vector<hak_slab_t *> slabs = Take(32 * 3);
    Give(slabs);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    hak_testing::RunThreads(2, [](int) { EXPECT_EQ(Purge(0), 0u); });
    EXPECT_EQ(Stats().dirty_slots, 96u);
}

TEST_F(SlotPurge, ShorterDelayCountsAtOnce) {
    hak_store_rlx(&hak_option_values[HAK_OPTION_PURGE_DELAY_MS], (uint64_t)3600000);
    Give(Take(2));
    for (int i = 0; i < 8; i++) {
        Wait(50);
        (void)Purge(100);
    }
    EXPECT_EQ(Stats().dirty_slots, 0u);
}

/* While a purge is inside the kernel, nobody may get the slots that it has in hand. */
TEST_F(SlotPurge, SlotsInThePurgesHandCannotBeTaken) {
    std::vector<hak_slab_t *> slabs = Take(32);
    hak_slab_t *kept = slabs.back();
    slabs.pop_back();
    Give(slabs);
    std::vector<hak_slab_t *> taken;
    std::function<void(void *, size_t)> hook = [&](void *base, size_t bytes) {
        in_purge = nullptr;
        for (int i = 0; i < 40; i++) {
            taken.push_back(TakeUnits(1));
            char *at = Base(taken.back());
            ASSERT_TRUE(at + HAK_UNIT_BYTES <= base || at >= static_cast<char *>(base) + bytes);
            at[0] = 2;
        }
        taken.push_back(TakeUnits(16));
        Base(taken.back())[0] = 2;
    };
    in_purge = &hook;
    EXPECT_EQ(Purge(0), 31u * HAK_UNIT_BYTES);
    ASSERT_EQ(taken.size(), 41u);
    for (hak_slab_t *slab : taken) {
        EXPECT_EQ(Base(slab)[0], 2);
    }
    EXPECT_EQ(Base(kept)[0], 1);
    Give(taken);
    Give({kept});
}

/* The same for tiny slabs, whose slots the policy knows; and the superslab's last slab goes while
 * the purge is at work, so that it is wholly free only when the purge is done. */
TEST_F(SlotPurge, TinySlotsInThePurgesHandCannotBeTaken) {
    unsigned sc = hak_sc_of(64);
    std::vector<hak_slab_t *> slabs, others;
    for (int i = 0; i < 5; i++) {
        slabs.push_back(hak_slot_pool_take_mt(sc));
        Base(slabs.back())[0] = 1;
    }
    hak_superslab_t *ss = hak_slab_superslab(slabs[0]);
    hak_slab_t *last = slabs.back();
    slabs.pop_back();
    Give(slabs);
    uint64_t kept = Stats().lru_superslabs;
    std::function<void(void *, size_t)> hook = [&](void *base, size_t bytes) {
        in_purge = nullptr;
        for (int i = 0; i < 40; i++) {
            others.push_back(hak_slot_pool_take_mt(sc));
            char *at = Base(others.back());
            ASSERT_TRUE(at + HAK_UNIT_BYTES <= base || at >= static_cast<char *>(base) + bytes);
            at[0] = 2;
        }
        Give(others);
        Give({last});
        EXPECT_EQ(ss->free_mask | ss->purge_mask, UINT32_MAX);
    };
    in_purge = &hook;
    EXPECT_GE(Purge(0), 4u * HAK_UNIT_BYTES);
    ASSERT_EQ(others.size(), 40u);
    EXPECT_EQ(ss->free_mask, UINT32_MAX);
    EXPECT_GT(Stats().lru_superslabs, kept);
    EXPECT_EQ(Faults(), 0u) << "a superslab that is wholly free and not in the LRU";
}

bool ForkWaits() {
    hak_lock_take(&hak_pool.lock);
    bool waits = hak_pool.fork_waits;
    hak_lock_drop(&hak_pool.lock);
    return waits;
}

/* A fork that copied the pool while a purge has slots in hand would lose them in the child. But all
 * threads wait for a fork, so it does not wait for all that a purge has to do. */
TEST_F(SlotPurge, ForkWaitsForOneSystemCall) {
    std::vector<hak_slab_t *> slabs = Take(32 * 4), kept;
    for (hak_slab_t *slab : slabs) {
        slab->slot == 0 ? kept.push_back(slab) : hak_slot_pool_give_mt(slab);
    }
    std::atomic<int> calls(0);
    std::atomic<bool> purging(false), forked(false);
    std::function<void(void *, size_t)> hook = [&](void *, size_t) {
        purging = true;
        while (calls == 0 && !ForkWaits()) {
            std::this_thread::yield();
        }
        EXPECT_EQ(forked, calls++ != 0);
    };
    in_purge = &hook;
    hak_testing::RunThreads(2, [&](int self) {
        if (self == 0) {
            EXPECT_EQ(Purge(0), (slabs.size() - kept.size()) * HAK_UNIT_BYTES);
            return;
        }
        while (!purging) {
            std::this_thread::yield();
        }
        hak_slot_pool_fork_take();
        forked = true;
        EXPECT_EQ(hak_slot_pool_check_locked(), 0u);
        hak_slot_pool_fork_drop();
    });
    in_purge = nullptr;
    EXPECT_GE(calls, 4);
    Give(kept);
}

/* Takers write their whole slab and read it back while others purge all the time. */
TEST_F(SlotPurge, TakersAndPurgersDoNotMeet) {
    enum { TAKERS = 3, ROUNDS = 400 };
    const unsigned kUnits[] = {1, 2, 16};
    std::atomic<int> running(TAKERS);
    hak_testing::RunThreads(TAKERS + 1, [&](int self) {
        if (self == TAKERS) {
            while (running != 0) {
                (void)Purge(0);
                std::this_thread::yield();
            }
            return;
        }
        hak_testing::Random random((uint64_t)self);
        std::vector<hak_slab_t *> mine;
        for (int i = 0; i < ROUNDS; i++) {
            hak_slab_t *slab = TakeUnits(kUnits[random.Below(3)]);
            for (unsigned unit = 0; unit < slab->units; unit++) {
                char *at = Base(slab) + ((size_t)unit << HAK_UNIT_SHIFT);
                at[0] = at[HAK_UNIT_BYTES - 1] = (char)(self + 1);
            }
            mine.push_back(slab);
            if (mine.size() > 6) {
                size_t victim = random.Below(mine.size());
                for (unsigned unit = 0; unit < mine[victim]->units; unit++) {
                    char *at = Base(mine[victim]) + ((size_t)unit << HAK_UNIT_SHIFT);
                    ASSERT_EQ(at[0], self + 1);
                    ASSERT_EQ(at[HAK_UNIT_BYTES - 1], self + 1);
                }
                hak_slot_pool_give_mt(mine[victim]);
                mine[victim] = mine.back();
                mine.pop_back();
            }
        }
        Give(mine);
        running--;
    });
}

} // namespace
