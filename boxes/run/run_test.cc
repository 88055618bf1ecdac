#include "boxes/run/run.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"

namespace {

class Run : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        (void)hak_slot_pool_purge_mt(hak_os_now_ms(), 0, UINT32_MAX, 0);
    }
    void TearDown() override {
        hak_os_fake_reset();
        hak_slot_pool_stats_t stats;
        hak_slot_pool_stats_mt(&stats);
        EXPECT_EQ(stats.active_slots, 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
    }
    static char *Alloc(size_t bytes) {
        bool zeroed;
        return static_cast<char *>(hak_run_alloc_mt(bytes, &zeroed));
    }
    /* Usable bytes by the box's own description of `address`; its start must be `block`. */
    static size_t Describe(const char *address, const char *block) {
        uintptr_t start = 0;
        size_t bytes = hak_run_describe((uintptr_t)address, &start);
        EXPECT_TRUE(bytes == 0 || start == (uintptr_t)block);
        return bytes;
    }
    static uint32_t Tag(const char *address) { return hak_registry_tag((uintptr_t)address); }
};

TEST_F(Run, EverySizeGetsItsUnitsAndTags) {
    for (size_t bytes = 1; bytes <= HAK_RUN_MAX_BYTES; bytes += bytes < 70000 ? 9973 : 65535) {
        char *block = Alloc(bytes);
        ASSERT_NE(block, nullptr);
        EXPECT_EQ((uintptr_t)block % HAK_UNIT_BYTES, 0u);
        size_t usable = Describe(block, block);
        EXPECT_GE(usable, bytes);
        EXPECT_LT(usable, bytes + hak_os_page_bytes());
        memset(block, 1, usable);
        size_t units = (bytes + HAK_UNIT_BYTES - 1) / HAK_UNIT_BYTES;
        EXPECT_EQ(Tag(block), HAK_TAG_RUN);
        for (size_t unit = 1; unit < units; unit++) {
            EXPECT_EQ(Tag(block + unit * HAK_UNIT_BYTES), HAK_TAG_RUN_BODY);
        }
        EXPECT_EQ(Tag(block + units * HAK_UNIT_BYTES), HAK_TAG_NONE);
        EXPECT_EQ(Describe(block + bytes - 1, block), usable) << "inside";
        EXPECT_TRUE(hak_run_free_mt(block));
        EXPECT_EQ(Tag(block), HAK_TAG_NONE);
        EXPECT_EQ(Tag(block + (units - 1) * HAK_UNIT_BYTES), HAK_TAG_NONE);
        EXPECT_EQ(Describe(block, block), 0u);
    }
}

TEST_F(Run, OnlyTheStartOfALiveRunCanBeFreed) {
    char *block = Alloc(3 * HAK_UNIT_BYTES);
    int local;
    EXPECT_FALSE(hak_run_free_mt(&local));
    EXPECT_FALSE(hak_run_free_mt(block + 16));
    EXPECT_FALSE(hak_run_free_mt(block + HAK_UNIT_BYTES));
    EXPECT_TRUE(hak_run_free_mt(block));
    EXPECT_FALSE(hak_run_free_mt(block)) << "a second time";
}

TEST_F(Run, OfTwoThreadsThatFreeTheSameBlockOneSucceeds) {
    enum { ROUNDS = 3000 };
    std::atomic<char *> block(nullptr);
    std::atomic<int> freed(0), arrived(0);
    auto meet = [&](int all) { /* both free at the same moment */
        arrived++;
        for (int spins = 0; arrived < all; spins++) {
            if (spins > 1000) {
                std::this_thread::yield();
            }
        }
    };
    hak_testing::RunThreads(2, [&](int self) {
        for (int round = 1; round <= ROUNDS; round++) {
            if (self == 0) {
                block = Alloc(100000);
            }
            meet(4 * round - 2);
            freed += hak_run_free_mt(block) ? 1 : 0;
            meet(4 * round);
        }
    });
    EXPECT_EQ(freed.load(), ROUNDS);
}

TEST_F(Run, GrowsAndShrinksInPlaceAndKeepsContent) {
    char *block = Alloc(HAK_UNIT_BYTES);
    memset(block, 7, HAK_UNIT_BYTES);
    ASSERT_TRUE(hak_run_resize_mt(block, 5 * HAK_UNIT_BYTES - 100));
    EXPECT_EQ(Describe(block + 4 * HAK_UNIT_BYTES, block), 5u * HAK_UNIT_BYTES);
    EXPECT_EQ(Tag(block + 4 * HAK_UNIT_BYTES), HAK_TAG_RUN_BODY);
    char *behind = Alloc(HAK_UNIT_BYTES);
    ASSERT_EQ(behind, block + 5 * HAK_UNIT_BYTES);
    EXPECT_FALSE(hak_run_resize_mt(block, 6 * HAK_UNIT_BYTES)) << "the neighbour is in use";
    EXPECT_EQ(Describe(block, block), 5u * HAK_UNIT_BYTES) << "nothing changed";
    ASSERT_TRUE(hak_run_resize_mt(block, 2 * HAK_UNIT_BYTES));
    EXPECT_EQ(Tag(block + HAK_UNIT_BYTES), HAK_TAG_RUN_BODY);
    EXPECT_EQ(Tag(block + 2 * HAK_UNIT_BYTES), HAK_TAG_NONE);
    EXPECT_EQ(Describe(block + 2 * HAK_UNIT_BYTES, block), 0u);
    ASSERT_TRUE(hak_run_resize_mt(block, HAK_UNIT_BYTES + 1)) << "no unit less, fewer bytes";
    EXPECT_EQ(Describe(block, block), HAK_UNIT_BYTES + hak_os_page_bytes());
    EXPECT_FALSE(hak_run_resize_mt(block, HAK_RUN_MAX_BYTES + 1));
    EXPECT_EQ(block[0], 7);
    EXPECT_EQ(memcmp(block, block + 1, HAK_UNIT_BYTES - 1), 0);
    EXPECT_TRUE(hak_run_free_mt(block));
    EXPECT_TRUE(hak_run_free_mt(behind));
}

TEST_F(Run, WithoutMemoryThereIsNone) {
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    std::vector<char *> blocks;
    char *block;
    errno = 0;
    while ((block = Alloc(HAK_RUN_MAX_BYTES)) != nullptr) { /* what the pool has in stock */
        blocks.push_back(block);
        ASSERT_LT(blocks.size(), 100u);
    }
    EXPECT_EQ(errno, ENOMEM);
    hak_os_fake_reset();
    blocks.push_back(Alloc(HAK_RUN_MAX_BYTES));
    for (char *each : blocks) {
        EXPECT_TRUE(hak_run_free_mt(each));
    }
}

TEST_F(Run, ThreadsAllocateResizeAndFree) {
    hak_testing::RunThreads(4, [](int self) {
        hak_testing::Random random((uint64_t)self);
        std::vector<std::pair<char *, size_t>> mine;
        for (int i = 0; i < 500; i++) {
            size_t bytes = 1 + random.Below(HAK_RUN_MAX_BYTES);
            if (mine.size() < 8) {
                char *block = Alloc(bytes);
                ASSERT_NE(block, nullptr);
                block[0] = block[bytes - 1] = (char)(self + 1);
                mine.push_back({block, bytes});
                continue;
            }
            auto &victim = mine[random.Below(mine.size())];
            ASSERT_EQ(victim.first[0], self + 1);
            ASSERT_EQ(victim.first[victim.second - 1], self + 1);
            if (random.Below(2) == 0) {
                if (hak_run_resize_mt(victim.first, bytes)) {
                    victim.first[bytes - 1] = (char)(self + 1);
                    victim.second = bytes;
                }
                continue;
            }
            ASSERT_TRUE(hak_run_free_mt(victim.first));
            victim = mine.back();
            mine.pop_back();
        }
        for (auto &each : mine) {
            ASSERT_TRUE(hak_run_free_mt(each.first));
        }
    });
}

} // namespace
