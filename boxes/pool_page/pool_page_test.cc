#include "boxes/pool_page/pool_page.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/testing/engine.h"

namespace {

class PoolPage : public testing::Test {
  protected:
    PoolPage() { hak_testing::StartEngine(); }
    hak_pool_page_t *Take(unsigned ci) {
        hak_pool_page_t *page = nullptr;
        EXPECT_EQ(hak_pool_page_take_mt(own_.get(), ci, 7, 1, &page), 1u);
        return page;
    }
    hak_testing::OwnHeap own_;
};

/* B3, T-03: a page gives exactly 65536 / stride blocks, side by side and inside of it. */
TEST_F(PoolPage, T03_CarvesAsManyAsFit) {
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        hak_pool_page_t *page = Take(ci);
        uintptr_t base = hak_pool_page_base(page);
        EXPECT_EQ(base % HAK_UNIT_BYTES, 0u);
        EXPECT_EQ(hak_sc_bytes[hak_pool_sc(ci)], hak_pool_bytes(ci));
        for (uint32_t i = 0; i < hak_pool_blocks(ci); i++) {
            EXPECT_EQ(hak_load_rlx(&page->state), (uint32_t)HAK_POOL_PAGE_ACTIVE);
            hak_block_t *block = hak_pool_page_carve_owner(page, ci, 1);
            EXPECT_EQ((uintptr_t)block, base + i * hak_pool_bytes(ci));
            EXPECT_LE((uintptr_t)block + hak_pool_bytes(ci), base + HAK_UNIT_BYTES);
        }
        EXPECT_EQ(hak_load_rlx(&page->state), (uint32_t)HAK_POOL_PAGE_FULL);
        EXPECT_TRUE(hak_pool_page_close_mt(page, hak_pool_blocks(ci)));
    }
}

/* B15: every byte of a page leads to it, and ids and blocks to each other. */
TEST_F(PoolPage, FindsPagesAndBlocks) {
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        hak_pool_page_t *page = Take(ci);
        uintptr_t base = hak_pool_page_base(page);
        for (uintptr_t at = 0; at < HAK_UNIT_BYTES; at += 1 + at % 61) {
            ASSERT_EQ(hak_pool_page_of(base + at), page);
        }
        ASSERT_EQ(hak_pool_page_of(base + HAK_UNIT_BYTES - 1), page);
        uint32_t tag = own_.get()->tag | hak_pool_sc(ci) << HAK_BIN_SHIFT;
        EXPECT_EQ(hak_registry_tag(base + HAK_UNIT_BYTES - 1), tag);
        uint32_t before = 0;
        for (uint32_t i = 0; i < hak_pool_blocks(ci); i++) {
            auto *block = reinterpret_cast<hak_block_t *>(base + i * hak_pool_bytes(ci));
            uint32_t id = hak_pool_page_id(ci, block);
            EXPECT_GT(id, before);
            EXPECT_EQ(hak_pool_page_block(ci, id), block);
            EXPECT_EQ(hak_pool_page_of_id(id), page);
            before = id;
        }
        hak_pool_page_park_mt(page);
        EXPECT_EQ(hak_registry_tag(base), HAK_TAG_NONE) << "nothing was carved: it is free";
    }
    int local;
    EXPECT_EQ(hak_pool_page_of((uintptr_t)&local), nullptr);
    EXPECT_EQ(hak_pool_page_of(0), nullptr);
}

TEST_F(PoolPage, ParkedPagesGoOnWhereTheyWereLeft) {
    hak_pool_page_t *one = Take(1), *two = Take(1);
    hak_pool_page_carve_owner(one, 1, 3);
    hak_pool_page_carve_owner(two, 1, 5);
    hak_pool_page_park_mt(one);
    hak_pool_page_park_mt(two);
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    EXPECT_FALSE(hak_pool_page_close_mt(one, 2)) << "a block of it is elsewhere";
    EXPECT_TRUE(hak_pool_page_close_mt(one, 3)) << "out of the middle of the list";
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    hak_pool_page_t *again = Take(1);
    EXPECT_EQ(again, two);
    EXPECT_EQ(hak_load_rlx(&again->carved), 5u);
    EXPECT_FALSE(hak_pool_page_close_mt(again, 5)) << "somebody carves it";
    hak_pool_page_park_mt(again);
    EXPECT_TRUE(hak_pool_page_close_mt(again, 5));
}

/* B10, C27: a region holds 32 pages; dirty ones are taken again before another is mapped. */
TEST_F(PoolPage, MapsNoMoreThanItNeeds) {
    uint32_t regions = hak_pool_page_regions();
    std::vector<hak_pool_page_t *> pages(70);
    for (hak_pool_page_t *&page : pages) {
        page = Take(4);
        hak_pool_page_carve_owner(page, 4, 1);
    }
    EXPECT_LE(hak_pool_page_regions(), regions + 3);
    regions = hak_pool_page_regions();
    for (hak_pool_page_t *page : pages) {
        hak_pool_page_park_mt(page);
        EXPECT_TRUE(hak_pool_page_close_mt(page, 1));
    }
    EXPECT_TRUE(hak_pool_page_has_dirty());
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    for (hak_pool_page_t *&page : pages) {
        page = Take(0);
    }
    EXPECT_EQ(hak_pool_page_regions(), regions);
    for (hak_pool_page_t *page : pages) {
        hak_pool_page_park_mt(page);
    }
}

TEST_F(PoolPage, PurgesAllButWhatIsToBeKept) {
    hak_pool_page_purge_mt(UINT32_MAX, 0);
    ASSERT_FALSE(hak_pool_page_has_dirty());
    std::vector<hak_pool_page_t *> pages(10);
    for (hak_pool_page_t *&page : pages) {
        page = Take(4);
        char *block = (char *)hak_pool_page_carve_owner(page, 4, 1);
        hak_block_set_mark((hak_block_t *)block, 1);
    }
    uintptr_t first = hak_pool_page_base(pages[0]);
    for (hak_pool_page_t *page : pages) {
        hak_pool_page_park_mt(page);
        EXPECT_TRUE(hak_pool_page_close_mt(page, 1));
    }
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    EXPECT_EQ(hak_pool_page_purge_mt(UINT32_MAX, 0), 0u);
    EXPECT_EQ(hak_pool_page_check_locked(), 0u) << "a refusal loses no page";
    hak_os_fake_reset();
    EXPECT_EQ(hak_pool_page_purge_mt(UINT32_MAX, 3 * HAK_UNIT_BYTES), 7u * HAK_UNIT_BYTES);
    EXPECT_EQ(hak_pool_page_purge_mt(UINT32_MAX, 0), 3u * HAK_UNIT_BYTES);
    EXPECT_FALSE(hak_pool_page_has_dirty());
    EXPECT_EQ(hak_block_mark((hak_block_t *)first), 0u) << "the kernel has it back";
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
}

/* Regions mapped, and wholly FREE ones among them: all that a pass may leave. */
uint64_t Mapped() { return hak_load_rlx(&hak_pool_page_counters.mapped); }
enum { KEPT = 4 };

/* Opens pages until nothing is left to open, and so many regions' worth more. */
std::vector<hak_pool_page_t *> TakeRegions(hak_heap_t *heap, unsigned regions) {
    std::vector<hak_pool_page_t *> pages;
    uint64_t before = Mapped();
    hak_pool_page_t *page;
    while (Mapped() < before + regions || hak_pool_page_region(pages.back())->free_mask != 0) {
        EXPECT_EQ(hak_pool_page_take_mt(heap, 4, 7, 1, &page), 1u);
        hak_pool_page_carve_owner(page, 4, 1);
        pages.push_back(page);
    }
    return pages;
}
void Close(hak_pool_page_t *page) {
    hak_pool_page_park_mt(page);
    EXPECT_TRUE(hak_pool_page_close_mt(page, 1));
}

/* A region without an open page goes back whole, but for a few; its number serves again. */
TEST_F(PoolPage, UnmapsRegionsThatAreWhollyFree) {
    std::vector<hak_pool_page_t *> pages = TakeRegions(own_.get(), 10);
    uint64_t peak = Mapped();
    uint32_t numbers = hak_pool_page_regions();
    hak_pool_page_t *last = pages.back();
    uintptr_t there = hak_pool_page_base(last);
    uint32_t id = hak_pool_page_first_id(last);
    for (hak_pool_page_t *page : pages) {
        if (page != last) {
            Close(page);
        }
    }
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    EXPECT_GT(hak_pool_page_purge_mt(UINT32_MAX, 0), 0u);
    EXPECT_EQ(Mapped(), KEPT + 1u) << "the one with an open page stays";
    EXPECT_EQ(hak_load_rlx(&hak_pool_page_counters.mapped_peak), peak);
    EXPECT_EQ(hak_pool_page_of(there), last);
    EXPECT_EQ(hak_registry_region(hak_pool_page_base(last)), &hak_pool_page_region(last)->region);
    EXPECT_FALSE(hak_pool_page_has_dirty());
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    EXPECT_EQ(hak_pool_page_purge_mt(UINT32_MAX, 0), 0u) << "there is nothing more";
    Close(last);
    pages = TakeRegions(own_.get(), 6);
    EXPECT_EQ(hak_pool_page_regions(), numbers) << "descriptors are used again";
    EXPECT_EQ(hak_pool_page_of_id(id), last);
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    for (hak_pool_page_t *page : pages) {
        EXPECT_EQ(hak_pool_page_of(hak_pool_page_base(page)), page);
        Close(page);
    }
    EXPECT_GT(hak_pool_page_purge_mt(UINT32_MAX, 0), 0u);
    EXPECT_EQ(Mapped(), (uint64_t)KEPT);
}

/* The address of a region that was unmapped leads nowhere. */
TEST_F(PoolPage, RegistryForgetsWhatIsUnmapped) {
    std::vector<hak_pool_page_t *> pages = TakeRegions(own_.get(), 6);
    std::vector<uintptr_t> bases;
    for (hak_pool_page_t *page : pages) {
        bases.push_back(hak_pool_page_base(page));
        Close(page);
    }
    (void)hak_pool_page_purge_mt(UINT32_MAX, 0);
    size_t found = 0;
    for (uintptr_t base : bases) {
        found += hak_pool_page_of(base) != nullptr;
        EXPECT_EQ(hak_registry_tag(base), HAK_TAG_NONE);
    }
    EXPECT_LE(found, (size_t)KEPT * HAK_POOL_REGION_PAGES);
    EXPECT_EQ(Mapped(), (uint64_t)KEPT);
}

/* Few calls a pass, and what a trim is told to keep. */
TEST_F(PoolPage, UnmapsNoMoreThanItIsTold) {
    std::vector<hak_pool_page_t *> pages = TakeRegions(own_.get(), 8);
    uint64_t mapped = Mapped();
    for (hak_pool_page_t *page : pages) {
        Close(page);
    }
    EXPECT_EQ(hak_pool_page_purge_mt(UINT32_MAX, pages.size() * HAK_UNIT_BYTES), 0u);
    EXPECT_EQ(Mapped(), mapped);
    EXPECT_EQ(hak_pool_page_purge_mt(1, 0), (size_t)HAK_WINDOW_BYTES);
    EXPECT_EQ(Mapped(), mapped - 1);
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    (void)hak_pool_page_purge_mt(UINT32_MAX, 0);
    EXPECT_EQ(Mapped(), (uint64_t)KEPT);
}

/* A page is opened in a region that has others open before one that could go back. */
TEST_F(PoolPage, OpensPagesWhereOthersAreOpen) {
    std::vector<hak_pool_page_t *> pages = TakeRegions(own_.get(), 3);
    hak_pool_page_t *kept = pages.front();
    for (hak_pool_page_t *page : pages) {
        if (page != kept) {
            Close(page);
        }
    }
    hak_pool_page_t *page = Take(4);
    EXPECT_EQ(hak_pool_page_region(page), hak_pool_page_region(kept));
    hak_pool_page_park_mt(page);
    Close(kept);
}

/* T-15: each mmap that a refill may need fails once: metadata, region. */
TEST_F(PoolPage, T15_NoMemoryIsNoPageAndLaterOneIs) {
    std::vector<hak_pool_page_t *> pages;
    for (uint64_t successes = 0; successes < 3; successes++) {
        hak_os_fake_fail(HAK_OS_CALL_MAP, successes, UINT64_MAX);
        hak_pool_page_t *page;
        errno = 0;
        while (hak_pool_page_take_mt(own_.get(), 3, 0, 1, &page) == 1) {
            pages.push_back(page);
        }
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_EQ(hak_pool_page_check_locked(), 0u);
        hak_os_fake_reset();
    }
    pages.push_back(Take(3));
    hak_pool_page_t *some[4];
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    unsigned got = 4;
    while (got == 4) { /* B11: what is there comes, though it is less than asked for */
        got = hak_pool_page_take_mt(own_.get(), 3, 0, 4, some);
        pages.insert(pages.end(), some, some + got);
    }
    hak_os_fake_reset();
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    for (hak_pool_page_t *page : pages) {
        hak_pool_page_park_mt(page);
    }
}

TEST_F(PoolPage, CheckFindsWhatIsWrong) {
    hak_pool_page_t *page = Take(2);
    hak_pool_page_carve_owner(page, 2, 4);
    ASSERT_EQ(hak_pool_page_check_locked(), 0u);
    hak_store_rlx(&page->shared, 5u);
    EXPECT_NE(hak_pool_page_check_locked(), 0u) << "more are shared than were carved";
    hak_store_rlx(&page->shared, 0u);
    hak_store_rlx(&page->state, (uint32_t)HAK_POOL_PAGE_PARKED);
    EXPECT_NE(hak_pool_page_check_locked(), 0u) << "parked, and on no list";
    hak_store_rlx(&page->state, (uint32_t)HAK_POOL_PAGE_ACTIVE);
    hak_pool_page_region(page)->free_mask |= 1u << page->slot;
    EXPECT_NE(hak_pool_page_check_locked(), 0u) << "free and in use";
    hak_pool_page_region(page)->free_mask &= ~(1u << page->slot);
    hak_registry_set_tags(hak_pool_page_base(page), 1, HAK_TAG_EXTENT);
    EXPECT_NE(hak_pool_page_check_locked(), 0u) << "wrong tag";
    hak_registry_set_tags(hak_pool_page_base(page), 1,
                          own_.get()->tag | hak_pool_sc(2) << HAK_BIN_SHIFT);
    EXPECT_EQ(hak_pool_page_check_locked(), 0u);
    hak_pool_page_park_mt(page);
    EXPECT_TRUE(hak_pool_page_close_mt(page, 4));
}

} // namespace
