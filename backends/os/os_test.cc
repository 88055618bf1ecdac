#include "backends/os/os.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "backends/os/os_fake.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/testing/testing.h"

namespace {

using hak_testing::InChild;

class Os : public ::testing::Test {
  protected:
    void SetUp() override { hak_os_fake_reset(); }
    void TearDown() override { hak_os_fake_reset(); }

    static bool IsZero(const void *base, size_t bytes) {
        const char *p = static_cast<const char *>(base);
        return std::all_of(p, p + bytes, [](char c) { return c == 0; });
    }
    static unsigned long DataKib() {
        std::ifstream status("/proc/self/status");
        std::string text{std::istreambuf_iterator<char>(status), {}};
        return std::stoul(text.substr(text.find("VmData:") + strlen("VmData:")));
    }
    /* Is the page at `address` mapped? */
    static bool IsMapped(const void *address) {
        unsigned char resident;
        return mincore(const_cast<void *>(address), 1, &resident) == 0;
    }
    const size_t page_ = hak_os_page_bytes();
};

TEST_F(Os, DetachTakesPagesAndLeavesZeroes) {
    char *base = static_cast<char *>(hak_os_map(6 * page_));
    memset(base, 7, 6 * page_);
    char *pages = static_cast<char *>(hak_os_detach(base + page_, 3 * page_));
    ASSERT_NE(pages, nullptr);
    EXPECT_TRUE(IsZero(base + page_, 3 * page_));
    EXPECT_TRUE(std::all_of(pages, pages + 3 * page_, [](char c) { return c == 7; }));
    EXPECT_EQ(base[page_ - 1] + base[4 * page_], 14) << "the neighbours";
    base[page_] = 1;
    hak_os_unmap(pages, 3 * page_);
    EXPECT_EQ(base[page_], 1);
    hak_os_fake_fail(HAK_OS_CALL_MOVE, 0, 1);
    errno = 5;
    EXPECT_EQ(hak_os_detach(base, page_), nullptr);
    EXPECT_EQ(errno, 5);
    EXPECT_EQ(base[0], 7);
    hak_os_unmap(base, 6 * page_);
}

TEST_F(Os, PageSizeIsTheSystems) {
    EXPECT_EQ(page_, (size_t)sysconf(_SC_PAGESIZE));
    EXPECT_EQ(page_ & (page_ - 1), 0u);
}

TEST_F(Os, MapGivesZeroesThatCanBeWritten) {
    size_t bytes = 5 * page_;
    char *base = static_cast<char *>(hak_os_map(bytes));
    ASSERT_NE(base, nullptr);
    EXPECT_TRUE(IsZero(base, bytes));
    memset(base, 1, bytes);
    hak_os_unmap(base, bytes);
    EXPECT_FALSE(IsMapped(base));
}

/* T-01: a plain mapping is aligned to a page and by luck to more, so a single page is mapped in
 * between to spoil the luck. */
TEST_F(Os, AlignedMapIsAlignedWhateverLiesBeside) {
    for (size_t align : {(size_t)1 << 16, (size_t)1 << 21, (size_t)1 << 30}) {
        for (size_t bytes : {(size_t)1 << 21, ((size_t)1 << 21) + 1, (size_t)1 << 16}) {
            void *skew = hak_os_map(page_);
            char *base = static_cast<char *>(hak_os_map_aligned(bytes, align));
            ASSERT_NE(base, nullptr);
            EXPECT_EQ((uintptr_t)base % align, 0u);
            base[0] = base[bytes - 1] = 1;
            /* Nothing of the wider mapping is left around it. */
            size_t mapped = (bytes + page_ - 1) / page_ * page_;
            hak_os_unmap(base, mapped);
            EXPECT_FALSE(IsMapped(base));
            EXPECT_FALSE(IsMapped(base + mapped - page_));
            hak_os_unmap(skew, page_);
        }
    }
}

TEST_F(Os, SizesThatCannotBeFailWithEnomem) {
    errno = 0;
    EXPECT_EQ(hak_os_map_aligned(SIZE_MAX - 4095, 1 << 21), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_os_map_aligned(PTRDIFF_MAX, 1 << 21), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_os_hold_aligned(SIZE_MAX - 4095, 1 << 21), nullptr);
    EXPECT_EQ(errno, ENOMEM);
}

TEST_F(Os, ReservationReadsAsZeroAndIsWrittenOnlyWhereCommitted) {
    size_t bytes = (size_t)1 << 33;
    char *base = static_cast<char *>(hak_os_reserve(bytes));
    ASSERT_NE(base, nullptr);
    EXPECT_TRUE(IsZero(base + bytes / 2, page_));
    char *part = base + 16 * page_;
    EXPECT_EQ(InChild([=] {
                  signal(SIGSEGV, SIG_DFL);
                  *(volatile char *)part = 1;
                  return 0;
              }),
              -SIGSEGV);
    ASSERT_TRUE(hak_os_commit(part, page_));
    part[0] = 1;
    EXPECT_EQ(part[page_], 0);
    EXPECT_EQ(InChild([=] {
                  signal(SIGSEGV, SIG_DFL);
                  *(volatile char *)(part + page_) = 1;
                  return 0;
              }),
              -SIGSEGV);
    hak_os_unmap(base, bytes);
}

TEST_F(Os, PurgedMemoryReadsAsZero) {
    char *base = static_cast<char *>(hak_os_map(4 * page_));
    memset(base, 7, 4 * page_);
    ASSERT_TRUE(hak_os_purge(base + page_, 2 * page_));
    EXPECT_TRUE(IsZero(base + page_, 2 * page_));
    EXPECT_EQ(base[page_ - 1], 7);
    EXPECT_EQ(base[3 * page_], 7);
    hak_os_unmap(base, 4 * page_);
}

TEST_F(Os, RefusedPurgeKeepsContentAndErrno) {
    char *base = static_cast<char *>(hak_os_map(page_));
    base[0] = 7;
    if (syscall(SYS_mlock, base, page_) == 0) { /* not mlock(), which TSan turns into nothing */
        errno = 3;
        EXPECT_FALSE(hak_os_purge(base, page_));
        EXPECT_EQ(errno, 3);
        syscall(SYS_munlock, base, page_);
    }
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
    errno = 3;
    EXPECT_FALSE(hak_os_purge(base, page_));
    EXPECT_EQ(errno, 3);
    EXPECT_EQ(base[0], 7);
    EXPECT_TRUE(hak_os_purge(base, page_));
    EXPECT_EQ(base[0], 0);
    hak_os_unmap(base, page_);
}

TEST_F(Os, ResizeInPlaceKeepsContent) {
    char *base = static_cast<char *>(hak_os_map(8 * page_));
    memset(base, 3, 8 * page_);
    ASSERT_TRUE(hak_os_resize(base, 8 * page_, 4 * page_));
    EXPECT_FALSE(IsMapped(base + 4 * page_));
    EXPECT_EQ(base[4 * page_ - 1], 3);
    /* The place behind was free a moment ago and no other thread runs. */
    ASSERT_TRUE(hak_os_resize(base, 4 * page_, 8 * page_));
    EXPECT_EQ(base[4 * page_ - 1], 3);
    EXPECT_TRUE(IsZero(base + 4 * page_, 4 * page_));
    hak_os_unmap(base, 8 * page_);
}

TEST_F(Os, ResizeInPlaceRefusesToRunIntoANeighbour) {
    char *base = static_cast<char *>(hak_os_map(8 * page_));
    ASSERT_EQ(mprotect(base + 4 * page_, page_, PROT_READ), 0);
    EXPECT_FALSE(hak_os_resize(base, 4 * page_, 6 * page_));
    EXPECT_EQ(errno, ENOMEM);
    hak_os_unmap(base, 8 * page_);
}

TEST_F(Os, MoveTakesThePagesToTheHeldPlace) {
    char *base = static_cast<char *>(hak_os_map(4 * page_));
    memset(base, 9, 4 * page_);
    size_t align = (size_t)1 << 21;
    char *target = static_cast<char *>(hak_os_hold_aligned(8 * page_, align));
    ASSERT_NE(target, nullptr);
    EXPECT_EQ((uintptr_t)target % align, 0u);
    ASSERT_TRUE(hak_os_move(base, 4 * page_, target, 8 * page_));
    EXPECT_FALSE(IsMapped(base));
    EXPECT_EQ(std::count(target, target + 4 * page_, 9), (long)(4 * page_));
    EXPECT_TRUE(IsZero(target + 4 * page_, 4 * page_));
    target[8 * page_ - 1] = 1;
    hak_os_unmap(target, 8 * page_);
}

TEST_F(Os, HeldPlaceCannotBeTouched) {
    char *held = static_cast<char *>(hak_os_hold_aligned(page_, (size_t)1 << 16));
    ASSERT_NE(held, nullptr);
    EXPECT_EQ(InChild([=] {
                  signal(SIGSEGV, SIG_DFL);
                  return (int)*(volatile char *)held;
              }),
              -SIGSEGV);
    hak_os_unmap(held, page_);
}

/* VmData is what RLIMIT_DATA limits. */
TEST_F(Os, HeldAgainIsAsAtFirst) {
    size_t bytes = (size_t)8 << 20;
    char *held = static_cast<char *>(hak_os_hold_aligned(bytes, (size_t)1 << 21));
    ASSERT_TRUE(hak_os_commit_held(held, bytes));
    memset(held, 9, bytes);
    ASSERT_TRUE(hak_os_purge(held + bytes / 2, bytes / 2));
    unsigned long before = DataKib();
    EXPECT_FALSE(hak_os_hold_again(held, bytes)) << "nothing is limited";
    hak_testing::LimitedData limited;
    hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, 1);
    EXPECT_FALSE(hak_os_hold_again(held + bytes / 2, bytes / 2));
    ASSERT_TRUE(hak_os_hold_again(held + bytes / 2, bytes / 2));
    EXPECT_LT(DataKib() + (bytes / 2 >> 10), before + 1024); /* what reads it allocates, too */
    EXPECT_EQ(InChild([=] {
                  signal(SIGSEGV, SIG_DFL);
                  return (int)*(volatile char *)(held + bytes / 2);
              }),
              -SIGSEGV);
    EXPECT_EQ(std::count(held, held + bytes / 2, 9), (long)(bytes / 2));
    ASSERT_TRUE(hak_os_commit_held(held + bytes / 2, bytes / 2));
    EXPECT_TRUE(IsZero(held + bytes / 2, bytes / 2));
    hak_os_unmap(held, bytes);
}

TEST_F(Os, FailedMoveChangesNothing) {
    char *base = static_cast<char *>(hak_os_map(page_));
    base[0] = 9;
    char *target = static_cast<char *>(hak_os_hold_aligned(2 * page_, (size_t)1 << 16));
    hak_os_fake_fail(HAK_OS_CALL_MOVE, 0, 1);
    errno = 0;
    EXPECT_FALSE(hak_os_move(base, page_, target, 2 * page_));
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(base[0], 9);
    EXPECT_FALSE(IsMapped(target)) << "it is not the caller's any more";
    hak_os_unmap(base, page_);
}

/* The kernel moves no mapping that has become two. */
TEST_F(Os, ResizeTellsThatPartsWereChanged) {
    char *base = static_cast<char *>(hak_os_map(4 * page_));
    ASSERT_EQ(mprotect(base + page_, page_, PROT_READ), 0);
    errno = 0;
    EXPECT_FALSE(hak_os_resize(base, 4 * page_, 8 * page_));
    EXPECT_EQ(errno, EFAULT);
    hak_os_unmap(base, 4 * page_);
}

/* Whether its size is a multiple of the alignment does not decide what the kernel lends. */
TEST_F(Os, AlignedMappingIsChargedLikeAnyOther) {
    struct sysinfo machine;
    ASSERT_EQ(sysinfo(&machine), 0);
    size_t align = (size_t)2 << 20;
    size_t more = hak_align_up((machine.totalram + machine.totalswap) * machine.mem_unit, align);
    int given = 0;
    for (size_t bytes : {more + align, more + align + page_}) {
        void *base = hak_os_map_aligned(bytes, align);
        if (base != nullptr) {
            given++;
            hak_os_unmap(base, bytes);
        }
    }
    EXPECT_TRUE(given == 0 || given == 2) << "vm.overcommit_memory says which";
}

TEST_F(Os, UnmapKeepsErrno) {
    errno = 3;
    hak_os_unmap((void *)1, page_); /* EINVAL in the kernel */
    EXPECT_EQ(errno, 3);
}

TEST_F(Os, FlatMapIsRefusedUnderLimits) {
    if (!hak_testing::AddressSpaceCanBeLimited()) {
        GTEST_SKIP() << "the limit does not count here";
    }
    EXPECT_EQ(InChild([] {
                  struct rlimit limit = {(rlim_t)1 << 32, RLIM_INFINITY};
                  return setrlimit(RLIMIT_AS, &limit) == 0 && !hak_os_address_space_is_free() ? 0
                                                                                              : 1;
              }),
              0);
    EXPECT_EQ(InChild([] {
                  struct rlimit limit;
                  (void)getrlimit(RLIMIT_MEMLOCK, &limit);
                  limit.rlim_cur = std::min((rlim_t)64 << 20, limit.rlim_max); /* a default */
                  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
                      return 0;
                  }
                  struct rlimit space;
                  bool limited =
                      getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
                  return limited || hak_os_address_space_is_free() ? 0 : 1;
              }),
              0);
    EXPECT_EQ(InChild([] {
                  struct sysinfo machine;
                  if (sysinfo(&machine) != 0) {
                      return 2;
                  }
                  rlim_t half = (rlim_t)machine.totalram * machine.mem_unit / 2;
                  struct rlimit limit = {half, half};
                  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
                      return 0; /* only root may raise it */
                  }
                  return hak_os_address_space_is_free() ? 1 : 0;
              }),
              0);
}

TEST_F(Os, WaitReturnsWhenTheWordDiffersOrTimeIsUpOrWoken) {
    hak_a32_t word = {1};
    errno = 3;
    hak_os_wait(&word.v, 0, -1); /* would sleep for ever if it slept */
    hak_os_wait(&word.v, 1, 1);
    EXPECT_EQ(errno, 3);
    hak_testing::RunThreads(2, [&](int self) {
        if (self == 0) {
            while (hak_load_acq(&word) == 1) {
                hak_os_wait(&word.v, 1, -1);
            }
        } else {
            hak_store_rel(&word, 2u);
            hak_os_wake(&word.v, 1);
        }
    });
}

const bool kUnregistered = hak_os_barrier(); /* before any test has registered the process */

TEST_F(Os, BarrierCanBeRegisteredTwiceAndFaked) {
    EXPECT_EQ(kUnregistered, hak_os_barrier_register()) << "it registers by itself";
    bool has = hak_os_barrier_register();
    EXPECT_EQ(hak_os_barrier_register(), has);
    if (has) {
        EXPECT_TRUE(hak_os_barrier());
    }
    hak_os_fake_fail(HAK_OS_CALL_BARRIER, 0, 2);
    EXPECT_FALSE(hak_os_barrier_register());
    EXPECT_FALSE(hak_os_barrier());
    hak_os_yield();
}

/* As a program does that gives up what it does not need once it runs. */
bool ForbidMembarrier() {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}
TEST_F(Os, BarrierTellsThatItWasForbiddenSince) {
    EXPECT_EQ(InChild([] {
                  if (!hak_os_barrier_register() || !hak_os_barrier() || !ForbidMembarrier()) {
                      return 0; /* this kernel has no such thing */
                  }
                  errno = 3;
                  return !hak_os_barrier() && errno == 3 ? 0 : 1;
              }),
              0);
}

TEST_F(Os, ClockGoesForwardAndCanBeAdvanced) {
    uint64_t before = hak_os_now_ms();
    EXPECT_GE(hak_os_now_ms(), before);
    hak_os_fake_advance_ms(100000);
    uint64_t after = hak_os_now_ms();
    EXPECT_GE(after, before + 100000);
    EXPECT_LT(after, before + 160000);
}

TEST_F(Os, RandomDiffersFromZero) { EXPECT_NE(hak_os_random(), 0u); }

TEST_F(Os, ProcessFacts) {
    EXPECT_EQ(hak_os_pid(), (uint32_t)getpid());
    EXPECT_FALSE(hak_os_is_secure());
}

} // namespace
