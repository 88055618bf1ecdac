/* For how long no huge pages are asked for. */
#include "boxes/huge_cost/huge_cost.h"

#include <gtest/gtest.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "boxes/testing/engine.h"
#include "registry/registry.h"

namespace {

constexpr size_t kWindow = HAK_WINDOW_BYTES;
constexpr size_t kWindows = 6;

class HugeCost : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        for (int i = 0; i < 64; i++) { /* what others left is forgotten */
            hak_huge_cost_note(true, 0);
        }
        hak_os_fake_advance_ms(64000);
    }
    void TearDown() override { hak_os_fake_reset(); }
    /* How long it is not fine after a page, to the nearest 100 ms. */
    static uint64_t PauseMs(bool came, uint64_t took_us) {
        hak_huge_cost_note(came, took_us);
        uint64_t ms = 0;
        for (; !hak_huge_cost_is_fine(); ms += 100) {
            hak_os_fake_advance_ms(100);
        }
        return ms;
    }
};

TEST_F(HugeCost, QuickOnesGoOn) {
    for (uint64_t us : {0, 50, 300, 999}) {
        EXPECT_EQ(PauseMs(true, us), 0u);
    }
}

TEST_F(HugeCost, EachSlowOneDoublesTheBreak) {
    for (uint64_t pause : {2000, 4000, 8000, 16000, 32000, 64000, 64000}) {
        EXPECT_NEAR((double)PauseMs(true, 4200), (double)pause, 200);
    }
}

TEST_F(HugeCost, AndAQuickOneHalvesTheNext) {
    (void)PauseMs(true, 1000);
    (void)PauseMs(true, 1000);
    EXPECT_NEAR((double)PauseMs(true, 1000), 8000, 200);
    EXPECT_EQ(PauseMs(true, 200), 0u);
    EXPECT_NEAR((double)PauseMs(true, 1000), 8000, 200);
    for (int i = 0; i < 5; i++) {
        (void)PauseMs(true, 200);
    }
    EXPECT_NEAR((double)PauseMs(true, 1000), 2000, 200);
}

TEST_F(HugeCost, WhereThereAreNoneNobodyAsksForLong) {
    EXPECT_NEAR((double)PauseMs(false, 10), 10000, 200);
    EXPECT_EQ(PauseMs(true, 10), 0u);
}

TEST_F(HugeCost, TriesAFewAndStopsAtTheFirstThatIsSlow) {
    auto *base = static_cast<char *>(hak_os_map_aligned(kWindows * kWindow, kWindow));
    ASSERT_NE(base, nullptr);
    (void)hak_os_want_huge(base, kWindows * kWindow);
    size_t touched = 0;
    if (hak_os_get_huge(base + 5 * kWindow, kWindow)) {
        EXPECT_TRUE(hak_huge_cost_try(base, kWindows, &touched));
        EXPECT_EQ(touched, 2u);
        unsigned char first = 0;
        for (size_t i = 0; i < 5; i++) {
            ASSERT_TRUE(hak_os_resident(base + i * kWindow, 1, &first));
            EXPECT_EQ(first & 1, i < 2) << "a quarter of them";
        }
        hak_os_fake_slow_down_us(5000);
        EXPECT_FALSE(hak_huge_cost_try(base + 2 * kWindow, 3, &touched));
        ASSERT_TRUE(hak_os_resident(base + 2 * kWindow, 1, &first));
        EXPECT_EQ(first & 1, 1);
        EXPECT_FALSE(hak_huge_cost_try(base + 3 * kWindow, 1, &touched)) << "not even touched now";
        EXPECT_EQ(touched, 0u);
        ASSERT_TRUE(hak_os_resident(base + 3 * kWindow, 1, &first));
        EXPECT_EQ(first & 1, 0);
    } else {
        EXPECT_FALSE(hak_huge_cost_try(base, kWindows, &touched)) << "the kernel has none";
    }
    hak_os_unmap(base, kWindows * kWindow);
}

TEST_F(HugeCost, OfALargeBlockNoMoreThanOfASmallerOne) {
    constexpr size_t kMany = 512;
    auto *base = static_cast<char *>(hak_os_map_aligned(kMany * kWindow, kWindow));
    ASSERT_NE(base, nullptr);
    (void)hak_os_want_huge(base, kMany * kWindow);
    size_t touched = 0;
    (void)hak_huge_cost_try(base, kMany, &touched);
    EXPECT_LE(touched, 8u) << "a program may hardly use it, and has to live within its limits";
    hak_os_unmap(base, kMany * kWindow);
}

} // namespace
