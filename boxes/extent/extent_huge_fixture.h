/* extent_huge_fixture: what the tests of huge pages of this box share.
 *
 * Layer      tests only.
 */
#ifndef HAK_BOXES_EXTENT_EXTENT_HUGE_FIXTURE_H_
#define HAK_BOXES_EXTENT_EXTENT_HUGE_FIXTURE_H_

#include <algorithm>
#include <vector>

#include "base/bits.h"
#include "boxes/dense/dense.h"
#include "boxes/extent/extent_fixture.h"

namespace hak_testing {

class ExtentHuge : public Extent {
  protected:
    void SetUp() override {
        Extent::SetUp();
        hak_store_rlx(&hak_option_values[HAK_OPTION_THP], HAK_THP_DENSE);
        hak_os_fake_advance_ms(64000); /* beyond every pause */
        Sparse();
    }
    void TearDown() override {
        for (char *block : blocks_) {
            EXPECT_TRUE(Free(block));
        }
        Sparse();
        Extent::TearDown();
    }
    char *Take(size_t bytes) {
        blocks_.push_back(Alloc(bytes));
        EXPECT_NE(blocks_.back(), nullptr);
        return blocks_.back();
    }
    void Give(char *block) {
        EXPECT_TRUE(Free(block));
        blocks_.erase(std::find(blocks_.begin(), blocks_.end(), block));
    }
    /* Nobody's memory, by way of which the score is set. */
    static void Tell(bool full, unsigned times) {
        auto *base = static_cast<char *>(hak_os_map_aligned(HAK_WINDOW_BYTES, HAK_WINDOW_BYTES));
        hak_os_no_huge(base, HAK_WINDOW_BYTES); /* the system's setting may be always */
        memset(base, 1, full ? HAK_WINDOW_BYTES : 1);
        hak_dense_t block = {.block = base, .count = 1, .window = {base}, .bytes = 0};
        for (; times != 0; times--) {
            hak_dense_freed(&block);
        }
        hak_os_unmap(base, HAK_WINDOW_BYTES);
    }
    static void Sparse() {
        hak_dense_t none = {};
        hak_dense_made(&none);
        Tell(false, 1);
    }
    static void Dense() { Tell(true, 16); }
    static hak_tract_t *Tract(const char *block) {
        return (hak_tract_t *)hak_registry_region((uintptr_t)block);
    }
    static bool IsHuge(const char *at) {
        hak_tract_t *tract = Tract(at);
        uintptr_t base = hak_region_base(&tract->region);
        return hak_extent_is_huge(tract, (uint32_t)(((uintptr_t)at - base) / HAK_WINDOW_BYTES));
    }
    /* The first whole window of a block. */
    static char *Window(char *block) {
        return (char *)hak_align_up((uintptr_t)block, HAK_WINDOW_BYTES);
    }
    static unsigned HugeIn(char *block, size_t bytes) {
        unsigned huge = 0;
        for (char *at = Window(block); at + HAK_WINDOW_BYTES <= block + bytes;
             at += HAK_WINDOW_BYTES) {
            huge += IsHuge(at);
        }
        return huge;
    }
    static size_t Resident(char *base, size_t bytes) {
        std::vector<unsigned char> pages(bytes / hak_os_page_bytes());
        EXPECT_TRUE(hak_os_resident(base, bytes, pages.data()));
        size_t count = 0;
        for (unsigned char page : pages) {
            count += page & 1;
        }
        return count * hak_os_page_bytes();
    }
    /* True if the kernel makes a huge page where it is asked for one. */
    static bool KernelHasHugePages() {
        auto *base = static_cast<char *>(hak_os_map_aligned(HAK_WINDOW_BYTES, HAK_WINDOW_BYTES));
        bool has = hak_os_touch_huge(base, HAK_WINDOW_BYTES);
        hak_os_unmap(base, HAK_WINDOW_BYTES);
        return has;
    }
    std::vector<char *> blocks_;
};

/* Those that need a kernel with huge pages. */
class ExtentHugeThere : public ExtentHuge {
  protected:
    void SetUp() override {
        ExtentHuge::SetUp();
        if (!KernelHasHugePages()) {
            GTEST_SKIP() << "no huge pages";
        }
    }
};

} // namespace hak_testing

#endif /* HAK_BOXES_EXTENT_EXTENT_HUGE_FIXTURE_H_ */
