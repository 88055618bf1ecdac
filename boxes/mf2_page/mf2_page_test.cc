#include "boxes/mf2_page/mf2_page.h"

#include <gtest/gtest.h>

#include <set>

#include "boxes/mf2_heap/mf2_heap.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/testing/engine.h"

namespace {

class Mf2Page : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        ASSERT_TRUE(hak_dyn_class_assign_mt(0, 14336));
        ASSERT_TRUE(hak_dyn_class_assign_mt(1, 2176));
        ASSERT_GE(hak_mf2_classes(), HAK_MF2_FIXED + 2u);
        heap_ = hak_heap_acquire_mt();
        mine_ = hak_mf2_heap_of_owner(heap_);
    }
    void TearDown() override { hak_heap_release_mt(heap_); }
    hak_mf2_page_t *Open(unsigned sc) {
        hak_mf2_page_t *page = hak_mf2_pool_take_mt();
        hak_mf2_page_open(page, sc, mine_, heap_->tag | sc << HAK_BIN_SHIFT);
        return page;
    }
    static void Close(hak_mf2_page_t *page) {
        hak_mf2_page_close(page);
        hak_mf2_pool_give_mt(page);
    }
    hak_heap_t *heap_;
    hak_mf2_heap_t *mine_;
};

// The five powers of two and what was chosen.
TEST_F(Mf2Page, ClassesAndStrides) {
    for (unsigned index = 0; index < hak_mf2_classes(); index++) {
        unsigned sc = hak_mf2_sc(index);
        EXPECT_EQ(hak_mf2_index(sc), index);
        uint32_t bytes = index < HAK_MF2_FIXED
                             ? 2048u << index
                             : hak_load_rlx(&hak_dyn_class_sizes[index - HAK_MF2_FIXED]);
        hak_mf2_page_t *page = Open(sc);
        EXPECT_EQ(hak_mf2_page_bytes(page), bytes);
        EXPECT_EQ(hak_mf2_page_stride(page), bytes + hak_cfg_mf2_header);
        EXPECT_EQ(page->cap, HAK_MF2_PAGE_BYTES / (bytes + hak_cfg_mf2_header));
        EXPECT_EQ(hak_mf2_page_base(page) % HAK_MF2_PAGE_BYTES, 0u);
        Close(page);
    }
}

// T-01, T-03: each block is inside the page, no two overlap, every byte leads to the page, and only
// the first byte to the block.
TEST_F(Mf2Page, BlocksTileThePage) {
    for (unsigned index = 0; index < hak_mf2_classes(); index++) {
        hak_mf2_page_t *page = Open(hak_mf2_sc(index));
        uintptr_t end = hak_mf2_page_base(page);
        hak_block_t *list = hak_mf2_page_carve_owner(page, page->cap);
        uint32_t i = 0;
        for (hak_block_t *block = list; block != nullptr; block = hak_block_next(block), i++) {
            auto address = (uintptr_t)block;
            EXPECT_GE(address, end);
            end = address + hak_mf2_page_bytes(page);
            EXPECT_EQ(hak_mf2_page_block_index(page, address), i);
            EXPECT_EQ(hak_mf2_page_block_index(page, address + 16), UINT32_MAX);
            EXPECT_EQ(hak_mf2_page_block_index(page, (uint32_t)address), UINT32_MAX);
            EXPECT_EQ(hak_mf2_page_of(address), page);
            EXPECT_EQ(hak_mf2_page_of(end - 1), page);
        }
        EXPECT_EQ(i, page->cap);
        EXPECT_LE(end, hak_mf2_page_base(page) + HAK_MF2_PAGE_BYTES);
        EXPECT_TRUE(hak_mf2_page_is_used_up(page));
        hak_mf2_page_put_owner(page, list, page->cap);
        Close(page);
    }
}

TEST_F(Mf2Page, TakeAndPutKeepTheCounts) {
    hak_mf2_page_t *page = Open(hak_mf2_sc(1));
    hak_block_t *first = hak_mf2_page_take_one_owner(page);
    hak_block_t *second = hak_mf2_page_take_one_owner(page);
    EXPECT_NE(first, second);
    EXPECT_EQ(hak_load_rlx(&page->used), 2u);
    hak_block_link(first, nullptr);
    hak_mf2_page_put_owner(page, first, 1);
    hak_block_link(second, nullptr);
    hak_mf2_page_put_owner(page, second, 1);
    EXPECT_EQ(hak_load_rlx(&page->used), 0u);
    uint32_t count;
    EXPECT_EQ(hak_mf2_page_take_owner(page, &count), second);
    EXPECT_EQ(count, 2u);
    EXPECT_EQ(hak_load_rlx(&page->used), 2u);
    EXPECT_EQ(hak_block_next(second), first);
    hak_mf2_page_put_owner(page, second, 2);
    Close(page);
}

// T-04: regions whose addresses agree in their low 32 bits, and so in the index of a table of
// 65,536 pages, are told apart; once removed they lead nowhere. They are only registered.
TEST_F(Mf2Page, T04_FourGibApart) {
    constexpr uintptr_t kGib = uintptr_t{1} << 30;
    static hak_mf2_region_t regions[5];
    for (unsigned i = 0; i < 5; i++) {
        hak_mf2_region_t *region = &regions[i];
        region->region.kind = HAK_REGION_MF2;
        for (unsigned slot = 0; slot < HAK_MF2_REGION_PAGES; slot++) {
            region->page[slot].slot = static_cast<uint8_t>(slot);
        }
        uintptr_t base = 101 * kGib + 4 * kGib * i;
        hak_store_rlx(&region->region.base, base);
        ASSERT_TRUE(hak_registry_add(&region->region, base, HAK_MF2_REGION_BYTES));
    }
    for (hak_mf2_region_t &region : regions) {
        for (hak_mf2_page_t &page : region.page) {
            uintptr_t base = hak_mf2_page_base(&page);
            EXPECT_EQ(hak_mf2_page_of(base), &page);
            EXPECT_EQ(hak_mf2_page_of(base + HAK_MF2_PAGE_BYTES - 1), &page);
        }
    }
    for (hak_mf2_region_t &region : regions) {
        uintptr_t base = hak_region_base(&region.region);
        hak_registry_remove(base, HAK_MF2_REGION_BYTES);
        EXPECT_EQ(hak_mf2_page_of(base), nullptr);
        EXPECT_EQ(hak_mf2_page_of(base + 4 * kGib) == nullptr, &region == &regions[4]);
    }
}

// T-29: a page that is open when its class's size is given up keeps blocks and stride; the class's
// next page has the new size, and no id is shared between the two.
TEST_F(Mf2Page, T29_KeepsItsOwnStride) {
    unsigned old_sc = hak_mf2_sc(HAK_MF2_FIXED);
    hak_mf2_page_t *page = Open(old_sc);
    hak_block_t *first = hak_mf2_page_take_one_owner(page);
    for (uint32_t bytes : {20480u, 2304u, 30720u}) {
        ASSERT_TRUE(hak_dyn_class_assign_mt(0, bytes));
        auto sc = static_cast<unsigned>(hak_dyn_class_look_up(bytes) >> HAK_BIN_SHIFT);
        EXPECT_NE(sc, old_sc);
        hak_mf2_page_t *other = Open(sc);
        EXPECT_EQ(hak_mf2_page_bytes(other), bytes);
        EXPECT_EQ(hak_mf2_page_bytes(page), 14336u);
        hak_block_t *block = hak_mf2_page_take_one_owner(page);
        EXPECT_EQ(hak_mf2_page_block_index(page, (uintptr_t)block),
                  ((uintptr_t)block - (uintptr_t)first) / hak_mf2_page_stride(page));
        Close(other);
    }
    EXPECT_EQ(page->cap, 4u);
    EXPECT_TRUE(hak_mf2_page_is_used_up(page));
    for (uint32_t i = 0; i < page->cap; i++) {
        auto *block = (hak_block_t *)hak_mf2_page_block(page, i);
        hak_block_link(block, nullptr);
        hak_mf2_page_put_owner(page, block, 1);
    }
    Close(page);
}

TEST_F(Mf2Page, NumbersLeadBack) {
    std::set<hak_mf2_page_t *> pages;
    for (unsigned i = 0; i < 3 * HAK_MF2_REGION_PAGES; i++) {
        hak_mf2_page_t *page = Open(hak_mf2_sc(0));
        EXPECT_TRUE(pages.insert(page).second);
        EXPECT_EQ(hak_mf2_page_numbered(hak_mf2_page_number(page)), page);
    }
    for (hak_mf2_page_t *page : pages) {
        Close(page);
    }
}

} // namespace
