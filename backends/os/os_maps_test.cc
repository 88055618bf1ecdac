/* What holds where the process has as many mappings as vm.max_map_count allows. */
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <fstream>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"

namespace {

constexpr size_t kHalf = 2u << 20;

/* Makes mappings until the kernel refuses: every second page of a range is readable. */
class AllMappings {
  public:
    explicit AllMappings(size_t most)
        : bytes_((most + 2) * hak_os_page_bytes()),
          base_(static_cast<char *>(mmap(nullptr, bytes_, PROT_NONE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
        size_t page = hak_os_page_bytes();
        for (size_t at = page; base_ != MAP_FAILED && at < bytes_ && !reached_; at += 2 * page) {
            reached_ = mprotect(base_ + at, page, PROT_READ) != 0;
        }
    }
    ~AllMappings() { (void)munmap(base_, bytes_); }
    bool Reached() const { return reached_; }

  private:
    size_t bytes_;
    char *base_;
    bool reached_ = false;
};

/* The first half is a mapping of its own and loses its access; the second would have to be split.
 */
TEST(OsMaps, WhatIsNotHeldAgainCanBeUsed) {
    size_t most = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> most;
    if (most == 0 || most > 70000) {
        GTEST_SKIP() << "it would take " << most << " mappings";
    }
    hak_os_fake_reset();
    char *held = static_cast<char *>(hak_os_hold_aligned(2 * kHalf, kHalf));
    ASSERT_NE(held, nullptr);
    ASSERT_TRUE(hak_os_commit_held(held, 2 * kHalf));
    if (madvise(held, kHalf, MADV_NOHUGEPAGE) != 0) {
        GTEST_SKIP() << "a kernel without huge pages";
    }
    bool reached = false, again = true;
    {
        hak_testing::LimitedData limited;
        AllMappings all(most);
        reached = all.Reached();
        again = hak_os_hold_again(held, kHalf + kHalf / 2);
    }
    ASSERT_TRUE(reached);
    EXPECT_FALSE(again);
    EXPECT_EQ(hak_testing::InChild([=] {
                  signal(SIGSEGV, SIG_DFL);
                  *(volatile char *)held = 1;
                  return 0;
              }),
              0)
        << "it has no access";
    hak_os_unmap(held, 2 * kHalf);
}

} // namespace
