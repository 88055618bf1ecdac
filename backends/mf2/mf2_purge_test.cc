/* What one purge pass takes in of remote frees, and what it says of the rest. */
#include "backends/mf2/mf2.h"

#include <gtest/gtest.h>

#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/mf2_page/mf2_page.h"
#include "boxes/testing/engine.h"

namespace {

using hak_testing::OwnHeap;

const hak_backend_t &backend = hak_backend_mf2;

constexpr unsigned kPages = 1600; // more than one pass takes in while a malloc waits for it
constexpr unsigned kIndex = 4;    // 32 KiB
constexpr uint64_t kDelayMs = 1000;
constexpr unsigned kInPassing = 48, kInBackground = 512; // front/decay

uint64_t Pages() {
    hak_backend_stats_t stats = {};
    backend.stats(&stats);
    return stats.slabs;
}

size_t Purge(hak_heap_t *mine, uint64_t delay_ms, unsigned max_calls) {
    hak_purge_order_t order = {hak_os_now_ms(), delay_ms, max_calls, 0};
    return backend.purge(mine, &order);
}

// A heap with kPages pages that wait on its pending stack, all their blocks free.
class Mf2Purge : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        unsigned sc = hak_mf2_sc(kIndex);
        std::vector<hak_block_t *> blocks;
        for (unsigned i = 0; i < 2 * kPages; i++) {
            blocks.push_back(backend.refill_one(own_.get(), sc));
            ASSERT_NE(blocks.back(), nullptr);
        }
        for (hak_block_t *block : blocks) {
            ASSERT_TRUE(backend.take_back_remote(nullptr, block, sc));
        }
        ASSERT_EQ(Pages(), kPages);
    }
    void TearDown() override {
        (void)Purge(own_.get(), 0, UINT32_MAX);
        EXPECT_EQ(Pages(), 0u);
        hak_os_fake_reset();
    }
    OwnHeap own_;
};

// The next pass has to come soon, though nothing is old enough to go back yet.
TEST_F(Mf2Purge, PassThatWasCutSaysSo) {
    EXPECT_EQ(Purge(own_.get(), kDelayMs, kInPassing), 1u);
    EXPECT_GE(Pages(), 1u) << "a malloc waits for it";
    EXPECT_LE(Pages(), kPages - 600u) << "38 MiB";
    EXPECT_EQ(Purge(own_.get(), kDelayMs, kInPassing), 1u);
    EXPECT_EQ(Purge(own_.get(), kDelayMs, kInPassing), 0u) << "nothing waits any more";
    EXPECT_EQ(Pages(), 0u);
}

// The same for a heap whose thread sleeps.
TEST_F(Mf2Purge, PassOverAnotherHeapThatWasCutSaysSo) {
    hak_os_fake_advance_ms(2 * kDelayMs);
    EXPECT_EQ(Purge(nullptr, kDelayMs, kInPassing), 1u);
    EXPECT_GE(Pages(), 1u);
    EXPECT_EQ(Purge(nullptr, kDelayMs, kInPassing), 1u);
    EXPECT_EQ(Purge(nullptr, kDelayMs, kInPassing), 0u);
    EXPECT_EQ(Pages(), 0u);
}

// Nobody waits for a thread of hakmem's own: it goes on in the same pass.
TEST_F(Mf2Purge, BackgroundTakesInTenTimesAsMuch) {
    hak_os_fake_advance_ms(2 * kDelayMs);
    EXPECT_EQ(Purge(nullptr, kDelayMs, kInBackground), 0u);
    EXPECT_EQ(Pages(), 0u);
}

} // namespace
