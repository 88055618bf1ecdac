/* Linked with --wrap=mmap and --wrap=mremap: a test can act as another thread would at the moment
 * when the kernel has taken a range of addresses back. */
#include "boxes/huge/huge.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "registry/registry.h"

namespace {
std::function<void()> *after_mremap;
/* Moves fail as the kernel may fail: when it has unmapped the place. Then this is called. */
std::function<void(void *, size_t)> *late_failure;
void *next_mmap_at; /* where the next mapping shall lie, as the kernel might choose it */
} // namespace

extern "C" void *__real_mremap(void *base, size_t old_bytes, size_t bytes, int flags, void *to);
extern "C" void *__wrap_mremap(void *base, size_t old_bytes, size_t bytes, int flags, void *to) {
    if ((flags & MREMAP_FIXED) != 0 && late_failure != nullptr) {
        munmap(to, bytes);
        (*late_failure)(to, bytes);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *result = __real_mremap(base, old_bytes, bytes, flags, to);
    if (result != MAP_FAILED && after_mremap != nullptr) {
        std::function<void()> *hook = after_mremap;
        after_mremap = nullptr;
        (*hook)();
    }
    return result;
}

extern "C" void *__real_mmap(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset);
extern "C" void *__wrap_mmap(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset) {
    if (next_mmap_at != nullptr) {
        hint = next_mmap_at;
        flags |= MAP_FIXED_NOREPLACE;
        next_mmap_at = nullptr;
    }
    return __real_mmap(hint, bytes, prot, flags, fd, offset);
}

namespace {

constexpr size_t kMiB = (size_t)1 << 20;

class Huge : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        DropCache();
    }
    void TearDown() override {
        after_mremap = nullptr;
        late_failure = nullptr;
        next_mmap_at = nullptr;
        hak_os_fake_reset();
        DropCache();
        EXPECT_EQ(Stats().blocks, 0u);
        EXPECT_EQ(Stats().bytes, 0u);
        EXPECT_EQ(Stats().cached_bytes, 0u);
    }
    static void DropCache() { (void)hak_huge_purge_mt(hak_os_now_ms(), 0, 48, 0); }
    static hak_huge_stats_t Stats() {
        hak_huge_stats_t stats;
        hak_huge_stats_mt(&stats);
        return stats;
    }
    static char *Alloc(size_t bytes, size_t align = 1, bool *zeroed = nullptr) {
        bool ignored;
        return static_cast<char *>(
            hak_huge_alloc_mt(bytes, align, zeroed == nullptr ? &ignored : zeroed));
    }
    /* Checks that every byte of the block leads to it and its neighbours do not. */
    static void ExpectKnown(const char *block, size_t bytes) {
        uintptr_t start = 0, base = (uintptr_t)block;
        EXPECT_EQ(hak_registry_tag(base), HAK_TAG_HUGE);
        for (uintptr_t at : {base, base + 1, base + bytes / 2, base + bytes - 1}) {
            EXPECT_GE(hak_huge_describe_mt(at, &start), bytes);
            EXPECT_EQ(start, base);
        }
        size_t usable = hak_huge_describe_mt(base, &start);
        for (uintptr_t at : {base - 1, base + usable}) { /* a neighbour or nothing */
            EXPECT_TRUE(hak_huge_describe_mt(at, &start) == 0 || start != base);
        }
    }
    static void ExpectUnknown(const char *block) {
        uintptr_t start;
        EXPECT_EQ(hak_registry_tag((uintptr_t)block), HAK_TAG_NONE);
        EXPECT_EQ(hak_huge_describe_mt((uintptr_t)block, &start), 0u);
    }
    static bool IsMapped(const char *at) {
        unsigned char resident;
        return mincore(const_cast<char *>(at), 1, &resident) == 0;
    }
};

TEST_F(Huge, BlocksAreZeroAlignedAndKnown) {
    for (size_t bytes : {kMiB + 1, 2 * kMiB, 5 * kMiB + 12345, 70 * kMiB}) {
        for (size_t align : {(size_t)1, (size_t)1 << 17, (size_t)1 << 21, (size_t)1 << 26}) {
            bool zeroed = false;
            char *block = Alloc(bytes, align, &zeroed);
            ASSERT_NE(block, nullptr);
            EXPECT_TRUE(zeroed);
            EXPECT_EQ((uintptr_t)block % align, 0u);
            EXPECT_EQ((uintptr_t)block % HAK_WINDOW_BYTES, 0u);
            EXPECT_EQ(block[0] | block[bytes - 1], 0);
            block[bytes - 1] = 1;
            ExpectKnown(block, bytes);
            EXPECT_TRUE(hak_huge_free_mt(block));
            ExpectUnknown(block);
            DropCache();
            EXPECT_FALSE(IsMapped(block));
        }
    }
}

TEST_F(Huge, SmallBlockOfLargeAlignment) {
    char *block = Alloc(100, (size_t)1 << 22);
    EXPECT_EQ((uintptr_t)block % ((size_t)1 << 22), 0u);
    ExpectKnown(block, 100);
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(Huge, ImpossibleRequestsFail) {
    for (auto request :
         {std::make_pair((size_t)PTRDIFF_MAX, (size_t)1),
          std::make_pair((size_t)PTRDIFF_MAX + 1, (size_t)1), std::make_pair(SIZE_MAX, (size_t)1),
          std::make_pair((size_t)1, (size_t)1 << 62),
          std::make_pair((size_t)PTRDIFF_MAX - 4096, (size_t)1 << 62)}) {
        errno = 0;
        EXPECT_EQ(Alloc(request.first, request.second), nullptr);
        EXPECT_EQ(errno, ENOMEM);
    }
}

TEST_F(Huge, FreedMappingServesARequestOfNearlyItsSize) {
    char *block = Alloc(16 * kMiB);
    block[0] = 9;
    EXPECT_TRUE(hak_huge_free_mt(block));
    EXPECT_TRUE(hak_huge_has_cached());
    EXPECT_EQ(Stats().cached_bytes, 16 * kMiB);
    char *much_less = Alloc(4 * kMiB);
    EXPECT_NE(much_less, block) << "that would hold memory that nobody asked for";
    char *more = Alloc(17 * kMiB);
    EXPECT_NE(more, block);
    bool zeroed = true;
    char *less = Alloc(15 * kMiB, 1, &zeroed);
    EXPECT_EQ(less, block);
    EXPECT_FALSE(zeroed);
    EXPECT_EQ(less[0], 9);
    ExpectKnown(less, 16 * kMiB);
    EXPECT_FALSE(hak_huge_has_cached());
    for (char *each : {much_less, more, less}) {
        EXPECT_TRUE(hak_huge_free_mt(each));
    }
}

TEST_F(Huge, CachedMappingMustBeAlignedToo) {
    char *block = nullptr;
    std::vector<char *> odd;
    do { /* one that is aligned to 2 MiB and no more */
        odd.push_back(block = Alloc(8 * kMiB));
    } while ((uintptr_t)block % (32 * kMiB) == 0);
    EXPECT_TRUE(hak_huge_free_mt(block));
    odd.pop_back();
    char *aligned = Alloc(8 * kMiB, 32 * kMiB);
    EXPECT_EQ((uintptr_t)aligned % (32 * kMiB), 0u);
    EXPECT_TRUE(hak_huge_free_mt(aligned));
    for (char *each : odd) {
        EXPECT_TRUE(hak_huge_free_mt(each));
    }
}

TEST_F(Huge, CacheIsBoundedAndAges) {
    uint64_t saved = hak_option(HAK_OPTION_HUGE_CACHE_MB);
    hak_store_rlx(&hak_option_values[HAK_OPTION_HUGE_CACHE_MB], (uint64_t)20);
    char *a = Alloc(10 * kMiB), *b = Alloc(8 * kMiB), *c = Alloc(6 * kMiB);
    uint64_t now_ms = hak_os_now_ms();
    EXPECT_TRUE(hak_huge_free_mt(a));
    hak_os_fake_advance_ms(1000);
    EXPECT_TRUE(hak_huge_free_mt(b));
    EXPECT_TRUE(hak_huge_free_mt(c));
    EXPECT_EQ(Stats().cached_bytes, 18 * kMiB) << "the third is too much";
    EXPECT_FALSE(IsMapped(c));
    EXPECT_EQ(hak_huge_purge_mt(now_ms + 1200, 1000, 48, 0), 10 * kMiB) << "the oldest alone";
    EXPECT_FALSE(IsMapped(a));
    EXPECT_EQ(hak_huge_purge_mt(now_ms + 5000, 1000, 48, 8 * kMiB), 0u) << "that much may stay";
    EXPECT_EQ(hak_huge_purge_mt(now_ms + 5000, 1000, 48, 8 * kMiB - 1), 8 * kMiB);
    hak_store_rlx(&hak_option_values[HAK_OPTION_HUGE_CACHE_MB], saved);
}

TEST_F(Huge, OnlyTheStartOfALiveBlockCanBeFreed) {
    char *block = Alloc(3 * kMiB);
    EXPECT_FALSE(hak_huge_free_mt(block + 16));
    EXPECT_FALSE(hak_huge_free_mt(block + 2 * kMiB));
    std::atomic<int> freed(0);
    hak_testing::RunThreads(2, [&](int) { freed += hak_huge_free_mt(block) ? 1 : 0; });
    EXPECT_EQ(freed.load(), 1);
    EXPECT_FALSE(hak_huge_free_mt(block)) << "while it is cached";
    DropCache();
    EXPECT_FALSE(hak_huge_free_mt(block)) << "while nothing is there";
}

TEST_F(Huge, ResizeKeepsContentWhereverItGoes) {
    for (bool in_place : {true, false}) {
        if (!in_place) {
            hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
        }
        char *block = Alloc(2 * kMiB);
        memset(block, 5, 2 * kMiB);
        size_t before = 2 * kMiB;
        for (size_t bytes : {3 * kMiB, 9 * kMiB + 777, 40 * kMiB}) {
            auto *grown = static_cast<char *>(hak_huge_resize_mt(block, bytes));
            ASSERT_NE(grown, nullptr);
            EXPECT_EQ(grown[0], 5);
            EXPECT_EQ(memcmp(grown, grown + 1, 2 * kMiB - 1), 0);
            EXPECT_EQ(grown[before + 4096], 0) << "new memory is zero";
            ExpectKnown(grown, bytes);
            if (grown != block) {
                ExpectUnknown(block);
            }
            block = grown;
            before = bytes;
        }
        hak_os_fake_reset();
        auto *shrunk = static_cast<char *>(hak_huge_resize_mt(block, 2 * kMiB));
        ASSERT_EQ(shrunk, block);
        ExpectKnown(shrunk, 2 * kMiB);
        ExpectUnknown(block + 10 * kMiB);
        EXPECT_FALSE(IsMapped(block + 10 * kMiB));
        EXPECT_EQ(Stats().bytes, 2 * kMiB);
        EXPECT_TRUE(hak_huge_free_mt(shrunk));
    }
}

TEST_F(Huge, ResizeThatFailsChangesNothing) {
    char *block = Alloc(4 * kMiB);
    block[4 * kMiB - 1] = 6;
    hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
    for (hak_os_call_t kind : {HAK_OS_CALL_MOVE, HAK_OS_CALL_MAP}) {
        hak_os_fake_fail(kind, 0, UINT64_MAX);
        errno = 0;
        EXPECT_EQ(hak_huge_resize_mt(block, 60 * kMiB), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        ExpectKnown(block, 4 * kMiB);
        EXPECT_EQ(block[4 * kMiB - 1], 6);
    }
    EXPECT_EQ(hak_huge_resize_mt(block, 2 * kMiB), nullptr) << "shrinking was refused too";
    ExpectKnown(block, 4 * kMiB);
    EXPECT_EQ(hak_huge_resize_mt(block, (size_t)PTRDIFF_MAX + 1), nullptr);
    hak_os_fake_reset();
    EXPECT_EQ(Stats().bytes, 4 * kMiB);
    EXPECT_TRUE(hak_huge_free_mt(block));
}

/* Once the kernel has the old range back, another thread may map and register something there. */
TEST_F(Huge, MoveDoesNotForgetWhatAnotherThreadPutInItsOldPlace) {
    char *block = Alloc(4 * kMiB), *other = nullptr;
    hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
    std::function<void()> hook = [&] {
        next_mmap_at = block;
        other = Alloc(2 * kMiB);
    };
    after_mremap = &hook;
    auto *moved = static_cast<char *>(hak_huge_resize_mt(block, 8 * kMiB));
    ASSERT_NE(moved, nullptr);
    ASSERT_EQ(other, block);
    ExpectKnown(other, 2 * kMiB);
    ExpectKnown(moved, 8 * kMiB);
    EXPECT_TRUE(hak_huge_free_mt(other));
    EXPECT_TRUE(hak_huge_free_mt(moved));
}

/* A move that fails may have lost its place already, and another thread may have got that. */
TEST_F(Huge, FailedMoveLeavesItsPlaceToWhoeverHasIt) {
    for (bool taken : {false, true}) {
        char *block = Alloc(4 * kMiB);
        block[4 * kMiB - 1] = 6;
        hak_os_fake_fail(HAK_OS_CALL_RESIZE, 0, UINT64_MAX);
        char *place = nullptr;
        std::function<void(void *, size_t)> hook = [&](void *to, size_t bytes) {
            place = static_cast<char *>(to);
            if (taken) {
                ASSERT_EQ(__real_mmap(to, bytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                          to);
                place[0] = 5;
            }
        };
        late_failure = &hook;
        EXPECT_EQ(hak_huge_resize_mt(block, 60 * kMiB), nullptr);
        late_failure = nullptr;
        ASSERT_NE(place, nullptr);
        EXPECT_EQ(hak_registry_region((uintptr_t)place), nullptr);
        unsigned char resident;
        ASSERT_EQ(mincore(place, 4096, &resident) == 0, taken) << "it is not kept either";
        if (taken) {
            EXPECT_EQ(place[0], 5);
            munmap(place, 60 * kMiB);
        }
        ExpectKnown(block, 4 * kMiB);
        EXPECT_EQ(block[4 * kMiB - 1], 6);
        hak_os_fake_reset();
        EXPECT_TRUE(hak_huge_free_mt(block));
    }
}

/* Who has changed a part of a block has made several mappings of it, which do not move as one. */
TEST_F(Huge, BlockOfWhichAPartWasChangedIsNotMoved) {
    char *block = Alloc(4 * kMiB);
    ASSERT_EQ(madvise(block + kMiB, kMiB, MADV_DONTFORK), 0);
    hak_os_calls_t before, after;
    hak_os_calls(&before);
    errno = 7;
    EXPECT_EQ(hak_huge_resize_mt(block, 60 * kMiB), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    hak_os_calls(&after);
    EXPECT_EQ(after.mremap, before.mremap + 1) << "once in place, no second time elsewhere";
    EXPECT_EQ(after.mmap, before.mmap);
    ExpectKnown(block, 4 * kMiB);
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(Huge, ShrinkDoesNotForgetWhatAnotherThreadPutBehind) {
    char *block = Alloc(8 * kMiB), *other = nullptr;
    std::function<void()> hook = [&] {
        next_mmap_at = block + 4 * kMiB;
        other = Alloc(2 * kMiB);
    };
    after_mremap = &hook;
    ASSERT_EQ(hak_huge_resize_mt(block, 2 * kMiB), block);
    ASSERT_EQ(other, block + 4 * kMiB);
    ExpectKnown(other, 2 * kMiB);
    EXPECT_TRUE(hak_huge_free_mt(other));
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(Huge, FailureGivesNullAndLaterCallsSucceed) {
    for (hak_os_call_t kind : {HAK_OS_CALL_MAP, HAK_OS_CALL_COMMIT}) {
        for (uint64_t k = 0; k < 4; k++) {
            hak_os_fake_fail(kind, k, UINT64_MAX);
            errno = 0;
            char *block = Alloc(3 * kMiB);
            EXPECT_TRUE(block != nullptr || errno == ENOMEM);
            EXPECT_EQ(Stats().blocks, block != nullptr ? 1u : 0u);
            EXPECT_TRUE(block == nullptr || hak_huge_free_mt(block));
            hak_os_fake_reset();
            DropCache();
        }
    }
    char *block = Alloc(3 * kMiB);
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(hak_huge_free_mt(block));
}

TEST_F(Huge, ThreadsAllocateResizeAndFree) {
    hak_testing::RunThreads(3, [](int self) {
        hak_testing::Random random((uint64_t)self);
        std::vector<std::pair<char *, size_t>> mine;
        for (int i = 0; i < 200; i++) {
            size_t bytes = kMiB + random.Below(12 * kMiB);
            if (mine.size() < 4) {
                char *block = Alloc(bytes);
                ASSERT_NE(block, nullptr);
                block[0] = block[bytes - 1] = (char)(self + 1);
                mine.push_back({block, bytes});
                continue;
            }
            auto &victim = mine[random.Below(mine.size())];
            ASSERT_EQ(victim.first[0], self + 1);
            ASSERT_EQ(victim.first[victim.second - 1], self + 1);
            if (random.Below(2) == 0) {
                auto *block = static_cast<char *>(hak_huge_resize_mt(victim.first, bytes));
                ASSERT_NE(block, nullptr);
                block[bytes - 1] = (char)(self + 1);
                victim = {block, bytes};
                continue;
            }
            ASSERT_TRUE(hak_huge_free_mt(victim.first));
            victim = mine.back();
            mine.pop_back();
        }
        for (auto &each : mine) {
            ASSERT_TRUE(hak_huge_free_mt(each.first));
        }
    });
}

} // namespace
