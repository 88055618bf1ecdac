/* huge_fixture: what the tests of this box share.
 *
 * Layer      tests only.
 */
#ifndef HAK_BOXES_HUGE_HUGE_FIXTURE_H_
#define HAK_BOXES_HUGE_HUGE_FIXTURE_H_

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/bits.h"
#include "base/testing/testing.h"
#include "boxes/huge/huge.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "registry/registry.h"

namespace hak_testing {

constexpr size_t kMiB = 1 << 20;
constexpr size_t kWindow = HAK_WINDOW_BYTES;
constexpr unsigned kCalls = 48; /* of a purge with a delay */

inline hak_huge_stats_t Stats() {
    hak_huge_stats_t stats;
    hak_huge_stats_mt(&stats);
    return stats;
}

inline uint64_t Now() { return hak_os_now_ms(); }

class HugeResize : public ::testing::Test {
  protected:
    void SetUp() override {
        StartEngine();
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
    static void PurgeAll() { (void)hak_huge_purge_mt(Now(), 0, kCalls, 0); }
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

} // namespace hak_testing

#endif /* HAK_BOXES_HUGE_HUGE_FIXTURE_H_ */
