/* extent_fixture: what the tests of this box share.
 *
 * Layer      tests only.
 */
#ifndef HAK_BOXES_EXTENT_EXTENT_FIXTURE_H_
#define HAK_BOXES_EXTENT_EXTENT_FIXTURE_H_

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/extent/extent.h"
extern "C" {
#include "boxes/extent/extent_internal.h"
}
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "registry/registry.h"

namespace hak_testing {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;
constexpr unsigned kCalls = 48; /* of a purge with a delay */
constexpr size_t kTract = (size_t)HAK_TRACT_UNITS * HAK_UNIT_BYTES;

inline size_t ExtentFaults() {
    hak_extent_fork_take();
    size_t faults = hak_extent_check_locked();
    hak_extent_fork_drop();
    return faults;
}

class Extent : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        Drop();
        hak_extents.used_peak_units = 0;
        hak_extents.recent_units = 0;
    }
    void TearDown() override {
        hak_os_fake_reset();
        hak_extent_unpark_mt(parked_);
        EXPECT_EQ(Stats().blocks, 0u);
        EXPECT_EQ(Stats().bytes, 0u);
        EXPECT_EQ(Stats().tail_bytes, 0u);
        EXPECT_EQ(ExtentFaults(), 0u);
        Drop();
        EXPECT_EQ(Stats().cached_bytes, 0u);
        EXPECT_EQ(Stats().mapped_bytes, 0u);
        EXPECT_EQ(Stats().tracts, 0u);
    }
    /* Gives everything back that is free. */
    static void Drop() { (void)hak_extent_purge_mt(hak_os_now_ms(), 0, kCalls, 0); }
    /* Purges what is free, and keeps it usable. */
    static void Clean() {
        for (uint64_t later : {100000u, 100600u}) {
            (void)hak_extent_purge_mt(hak_os_now_ms() + later, 1000, kCalls, 0);
        }
    }
    static hak_extent_stats_t Stats() {
        hak_extent_stats_t stats;
        hak_extent_stats_mt(&stats);
        return stats;
    }
    char *Alloc(size_t bytes, bool *zeroed = nullptr, hak_aptr_t *parked = nullptr) {
        bool ignored;
        return static_cast<char *>(
            hak_extent_alloc_mt(bytes, parked, zeroed == nullptr ? &ignored : zeroed));
    }
    static bool Free(char *block) { return hak_extent_free_mt(block, nullptr); }
    static char *Resize(char *block, size_t bytes) {
        return static_cast<char *>(hak_extent_resize_mt(block, bytes));
    }
    static size_t Usable(const char *at, const char *block) {
        uintptr_t start = 0;
        size_t bytes = hak_extent_describe((uintptr_t)at, &start);
        if (bytes != 0) {
            EXPECT_EQ(start, (uintptr_t)block);
        }
        return bytes;
    }
    hak_aptr_t parked_[HAK_EXTENT_PARKED] = {};
};

} // namespace hak_testing

#endif /* HAK_BOXES_EXTENT_EXTENT_FIXTURE_H_ */
