/* Superslabs that are wholly free: kept, used again, given back. Under the limits of the options
 * and on a clock that the test moves. */
#include <gtest/gtest.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"

namespace {

using hak_testing::TakeUnits;

class SlotLru : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        DropAll();
        ASSERT_EQ(Stats().superslabs, 0u);
    }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Stats().active_slots, 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        DropAll();
    }
    static void Set(hak_option_id_t option, uint64_t value) {
        hak_store_rlx(&hak_option_values[option], value);
    }
    static hak_slot_pool_stats_t Stats() {
        hak_slot_pool_stats_t stats;
        hak_slot_pool_stats_mt(&stats);
        return stats;
    }
    static size_t Purge(uint64_t delay_ms, unsigned calls = UINT32_MAX, size_t keep_bytes = 0) {
        return hak_slot_pool_purge_mt(hak_os_now_ms(), delay_ms, calls, keep_bytes);
    }
    static void DropAll() {
        Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 256);
        Set(HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB, 512);
        Set(HAK_OPTION_SUPERSLAB_TTL_SEC, 60);
        hak_os_fake_advance_ms(61000);
        (void)Purge(0);
    }
    /* One slab of half a superslab for each superslab, written to. */
    static std::vector<hak_slab_t *> Fill(size_t superslabs) {
        std::vector<hak_slab_t *> slabs;
        for (size_t i = 0; i < 2 * superslabs; i++) {
            slabs.push_back(TakeUnits(16));
            *reinterpret_cast<char *>(hak_slab_base(slabs.back())) = 1;
        }
        return slabs;
    }
    static void Give(const std::vector<hak_slab_t *> &slabs) {
        for (hak_slab_t *slab : slabs) {
            hak_slot_pool_give_mt(slab);
        }
    }
};

TEST_F(SlotLru, CyclicLoadIsServedFromTheCache) {
    Give(Fill(20));
    hak_slot_pool_stats_t before = Stats();
    EXPECT_EQ(before.lru_superslabs, 20u);
    hak_os_calls_t calls, after_calls;
    hak_os_calls(&calls);
    for (int cycle = 0; cycle < 10; cycle++) {
        Give(Fill(20));
    }
    hak_os_calls(&after_calls);
    hak_slot_pool_stats_t after = Stats();
    EXPECT_EQ(after.lru_hits - before.lru_hits, 200u);
    EXPECT_EQ(after.lru_misses, before.lru_misses);
    EXPECT_EQ(after.lru_pushes - before.lru_pushes, 200u);
    EXPECT_EQ(after_calls.mmap, calls.mmap);
    EXPECT_EQ(after_calls.munmap, calls.munmap);
}

TEST_F(SlotLru, SuperslabsAreMappedSeveralAtATime) {
    hak_os_calls_t calls, after_calls;
    hak_os_calls(&calls);
    std::vector<hak_slab_t *> slabs = Fill(200);
    hak_os_calls(&after_calls);
    EXPECT_LT(after_calls.mmap - calls.mmap, 100u);
    EXPECT_LE(Stats().stock_superslabs, 15u);
    EXPECT_GE(Stats().mapped_superslabs_peak, Stats().superslabs + Stats().stock_superslabs);
    Give(slabs);
    DropAll();
    EXPECT_EQ(Stats().superslabs, 0u);
    EXPECT_EQ(Stats().stock_superslabs, 0u) << "a trim gives back what nobody used, too";
}

TEST_F(SlotLru, WithoutRoomForSeveralThereIsOne) {
    std::vector<hak_slab_t *> slabs = Fill(100);
    while (Stats().stock_superslabs != 0) {
        for (hak_slab_t *slab : Fill(1)) {
            slabs.push_back(slab);
        }
    }
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 1);
    for (hak_slab_t *slab : Fill(1)) {
        ASSERT_NE(slab, nullptr);
        slabs.push_back(slab);
    }
    EXPECT_EQ(Stats().stock_superslabs, 0u);
    Give(slabs);
}

TEST_F(SlotLru, OffMeansUnmappedAtOnce) {
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 0);
    std::vector<hak_slab_t *> slabs = Fill(3);
    hak_slot_pool_stats_t before = Stats();
    Give(slabs);
    EXPECT_EQ(Stats().superslabs, 0u);
    EXPECT_EQ(Stats().dirty_slots, 0u);
    EXPECT_EQ(Stats().purges, before.purges + 3);
    EXPECT_EQ(Stats().purged_bytes, before.purged_bytes + 3 * HAK_SUPERSLAB_BYTES);
    EXPECT_EQ(Stats().lru_pushes, before.lru_pushes);
    Give(Fill(1));
    EXPECT_EQ(Stats().lru_hits, before.lru_hits);
    EXPECT_EQ(Stats().lru_misses, before.lru_misses + 1);
    (void)Purge(0); /* visits that were due meanwhile find nothing */
}

TEST_F(SlotLru, LimitsHoldAndMayBeLowered) {
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 5);
    hak_slot_pool_stats_t before = Stats();
    Give(Fill(12));
    EXPECT_EQ(Stats().lru_superslabs, 5u);
    EXPECT_EQ(Stats().superslabs, 5u);
    EXPECT_EQ(Stats().lru_evictions - before.lru_evictions, 7u);
    Set(HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB, 4);
    Give(Fill(1));
    EXPECT_EQ(Stats().superslabs, 2u);
}

TEST_F(SlotLru, CachedSuperslabsArePurgedAndStayMapped) {
    Give(Fill(6));
    EXPECT_EQ(Stats().dirty_slots, 6u * 32);
    size_t bytes = 0;
    for (int i = 0; i < 30; i++) {
        hak_os_fake_advance_ms(100);
        bytes += Purge(1000);
    }
    EXPECT_EQ(bytes, 6u * HAK_SUPERSLAB_BYTES);
    EXPECT_EQ(Stats().dirty_slots, 0u);
    EXPECT_EQ(Stats().superslabs, 6u);
    EXPECT_EQ(Stats().lru_superslabs, 6u);
}

TEST_F(SlotLru, AgeIsCountedFromTheLastUse) {
    std::vector<hak_slab_t *> all = Fill(3);
    Give({all[0], all[1]});
    hak_os_fake_advance_ms(30000);
    Give({all[2], all[3], all[4], all[5]});
    hak_os_fake_advance_ms(29000);
    (void)Purge(1000);
    (void)Purge(1000);
    EXPECT_EQ(Stats().superslabs, 3u);
    hak_os_fake_advance_ms(2000);
    (void)Purge(1000);
    EXPECT_EQ(Stats().superslabs, 2u) << "the first one is over 60 s old";
    Give({TakeUnits(16)}); /* one is used again, and young again */
    hak_os_fake_advance_ms(29500);
    (void)Purge(1000);
    EXPECT_EQ(Stats().superslabs, 1u);
}

TEST_F(SlotLru, ExpiryRespectsTheNumberOfCalls) {
    Give(Fill(8));
    hak_os_fake_advance_ms(61000);
    EXPECT_EQ(Purge(1000, 3), 3u * HAK_SUPERSLAB_BYTES);
    EXPECT_EQ(Stats().superslabs, 5u);
}

TEST_F(SlotLru, TrimLeavesFourAndHonoursWhatMayStay) {
    Give(Fill(20));
    EXPECT_EQ(Purge(0, UINT32_MAX, 20u * HAK_SUPERSLAB_BYTES), 0u);
    EXPECT_EQ(Purge(0, UINT32_MAX, 10u * HAK_SUPERSLAB_BYTES), 10u * HAK_SUPERSLAB_BYTES);
    EXPECT_EQ(Stats().superslabs, 10u);
    (void)Purge(0);
    EXPECT_EQ(Stats().superslabs, 4u);
    EXPECT_EQ(Stats().dirty_slots, 0u);
    EXPECT_EQ(Purge(0), 0u);
}

/* Address space that the cache holds is no reason to fail: what the gate does then reaches it also
 * when there is no memory left in it to purge. */
TEST_F(SlotLru, TrimGivesAddressSpaceBackThatHoldsNoMemory) {
    Give(Fill(40));
    for (int i = 0; i < 4; i++) {
        hak_os_fake_advance_ms(600);
        (void)Purge(1000);
    }
    ASSERT_EQ(Stats().dirty_slots, 0u);
    ASSERT_EQ(Stats().superslabs, 40u);
    hak_os_calls_t before, after;
    hak_os_calls(&before);
    uint64_t stock = Stats().stock_superslabs;
    EXPECT_EQ(Purge(0), (36 + stock) * HAK_SUPERSLAB_BYTES) << "0 says: no use in trying again";
    hak_os_calls(&after);
    EXPECT_EQ(after.munmap - before.munmap, stock != 0 ? 37u : 36u);
    EXPECT_EQ(Stats().superslabs, 4u);
}

/* Threads drive superslabs in and out while a purge has some in hand. */
TEST_F(SlotLru, ThreadsAndPurges) {
    enum { TAKERS = 3, ROUNDS = 150 };
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 2);
    std::atomic<int> running(TAKERS);
    hak_testing::RunThreads(TAKERS + 1, [&](int self) {
        if (self == TAKERS) {
            while (running != 0) {
                (void)Purge(0);
                std::this_thread::yield();
            }
            return;
        }
        for (int i = 0; i < ROUNDS; i++) {
            Give(Fill(3));
        }
        running--;
    });
    EXPECT_LE(Stats().superslabs, 2u);
}

} // namespace
