#include "boxes/mf2_pool/mf2_pool.h"

#include <gtest/gtest.h>

#include <errno.h>
#include <string.h>

#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "boxes/mf2_heap/mf2_heap.h"
#include "boxes/testing/engine.h"

namespace {

class Mf2Pool : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
    void TearDown() override {
        hak_mf2_pool_fork_take();
        EXPECT_EQ(hak_mf2_pool_check_locked(), 0u);
        hak_mf2_pool_fork_drop();
    }
    static hak_mf2_pool_stats_t Stats() {
        hak_mf2_pool_stats_t stats;
        hak_mf2_pool_stats_mt(&stats);
        return stats;
    }
    static std::vector<hak_mf2_page_t *> Take(size_t count) {
        std::vector<hak_mf2_page_t *> pages(count);
        for (hak_mf2_page_t *&page : pages) {
            page = hak_mf2_pool_take_mt();
            EXPECT_NE(page, nullptr);
        }
        return pages;
    }
    static void Give(const std::vector<hak_mf2_page_t *> &pages) {
        for (hak_mf2_page_t *page : pages) {
            hak_mf2_pool_give_mt(page);
        }
    }
};

TEST_F(Mf2Pool, OneMappingServesAllPagesOfARegion) {
    std::vector<hak_mf2_page_t *> pages = Take(10 * HAK_MF2_REGION_PAGES);
    EXPECT_LE(Stats().regions, 11u);
    uint64_t made = Stats().regions_made;
    Give(pages);
    Give(Take(10 * HAK_MF2_REGION_PAGES));
    EXPECT_EQ(Stats().regions_made, made) << "empty pages are used again";
    EXPECT_GT(hak_mf2_pool_purge_mt(hak_os_now_ms(), 0, UINT32_MAX, 0), 0u);
    EXPECT_EQ(Stats().dirty_pages, 0u);
    EXPECT_LE(Stats().regions, 5u) << "wholly free regions go back but for a few";
}

// T-10: what was purged reads as zero and is not taken for a free list.
TEST_F(Mf2Pool, PurgeWipesClosedPagesOnly) {
    std::vector<hak_mf2_page_t *> pages = Take(4);
    for (hak_mf2_page_t *page : pages) {
        memset((void *)hak_mf2_page_base(page), 0x5a, HAK_MF2_PAGE_BYTES);
    }
    hak_mf2_pool_give_mt(pages[1]);
    hak_mf2_pool_give_mt(pages[2]);
    EXPECT_EQ(hak_mf2_pool_purge_mt(hak_os_now_ms(), 0, UINT32_MAX, 0), 2u * HAK_MF2_PAGE_BYTES);
    EXPECT_EQ(*(unsigned char *)hak_mf2_page_base(pages[0]), 0x5a);
    EXPECT_EQ(*(unsigned char *)hak_mf2_page_base(pages[1]), 0);
    EXPECT_EQ(*(unsigned char *)hak_mf2_page_base(pages[3]), 0x5a);
    Give({pages[0], pages[3]});
}

TEST_F(Mf2Pool, PurgeWaitsForTheDelay) {
    uint64_t now = hak_os_now_ms();
    (void)hak_mf2_pool_purge_mt(now, 0, UINT32_MAX, 0);
    Give(Take(3));
    EXPECT_EQ(hak_mf2_pool_purge_mt(now, 500, UINT32_MAX, 0), 0u);
    EXPECT_EQ(hak_mf2_pool_purge_mt(now + 260, 500, UINT32_MAX, 0), 0u) << "first visit";
    EXPECT_EQ(hak_mf2_pool_purge_mt(now + 520, 500, UINT32_MAX, 0), 3u * HAK_MF2_PAGE_BYTES);
}

// T-15: the kernel refuses memory; everything is as before and the next call works.
TEST_F(Mf2Pool, NoMemory) {
    std::vector<hak_mf2_page_t *> pages = Take(HAK_MF2_REGION_PAGES);
    uint64_t regions = Stats().regions;
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    hak_mf2_page_t *page;
    errno = 0;
    while ((page = hak_mf2_pool_take_mt()) != nullptr) {
        pages.push_back(page);
    }
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(Stats().regions, regions);
    hak_os_fake_reset();
    pages.push_back(hak_mf2_pool_take_mt());
    EXPECT_NE(pages.back(), nullptr);
    Give(pages);
}

TEST_F(Mf2Pool, RefusedPurgeIsTriedAgain) {
    (void)hak_mf2_pool_purge_mt(hak_os_now_ms(), 0, UINT32_MAX, 0);
    std::vector<hak_mf2_page_t *> pages = Take(3);
    Give({pages[0], pages[1]}); // one stays open, so that the region is not unmapped
    uint64_t dirty = Stats().dirty_pages;
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    EXPECT_EQ(hak_mf2_pool_purge_mt(hak_os_now_ms(), 0, UINT32_MAX, 0), 0u);
    EXPECT_EQ(Stats().dirty_pages, dirty);
    hak_os_fake_reset();
    EXPECT_EQ(hak_mf2_pool_purge_mt(hak_os_now_ms(), 0, UINT32_MAX, 0), dirty * HAK_MF2_PAGE_BYTES);
    Give({pages[2]});
}

/* A program locked a page of one region: the others go back as ever, and that one is not tried by
 * each pass. */
TEST_F(Mf2Pool, OneRefusalStopsNoOtherRegion) {
    constexpr uint64_t kDelayMs = 500, kPauseMs = 10000;
    uint64_t now = hak_os_now_ms() + kPauseMs; /* after the rest that another test began */
    auto pass = [&] {
        now += kDelayMs / 2 + 2;
        return hak_mf2_pool_purge_mt(now, kDelayMs, UINT32_MAX, 0);
    };
    (void)hak_mf2_pool_purge_mt(now, 0, UINT32_MAX, 0);
    (void)pass(); /* visits that were due to regions which went back */
    std::vector<hak_mf2_page_t *> pages = Take(3 * HAK_MF2_REGION_PAGES);
    std::vector<hak_mf2_page_t *> given, kept; /* every second: each run is a call of its own */
    for (hak_mf2_page_t *page : pages) {
        (page->slot % 2 == 0 ? given : kept).push_back(page);
    }
    Give(given);
    EXPECT_EQ(pass(), 0u) << "the first visit";
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
    EXPECT_EQ(pass(), (given.size() - 1) * HAK_MF2_PAGE_BYTES);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    EXPECT_EQ(pass(), 0u) << "the region with the locked page has a rest";
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls);
    Give({kept[1]}); /* of another region or of the same: only that one rests */
    Give({kept.back()});
    size_t bytes = pass() + pass();
    EXPECT_GE(bytes, 1u * HAK_MF2_PAGE_BYTES) << "freed after the refusal, beside it";
    now += kPauseMs;
    EXPECT_GE(pass() + bytes, 3u * HAK_MF2_PAGE_BYTES) << "the rest is over";
    EXPECT_EQ(Stats().dirty_pages, 0u);
    kept.erase(kept.begin() + 1);
    kept.pop_back();
    Give(kept);
}

} // namespace
