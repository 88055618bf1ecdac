#include "front/gate/gate.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "backends/port/backend.h"
#include "base/testing/testing.h"
#include "boxes/extent/extent.h"
#include "boxes/huge/huge.h"
#include "core/errors/errors.h"
#include "core/options/options.h"
#include "registry/registry.h"
extern "C" {
#include "front/gate/gate_internal.h"
}

namespace {

constexpr size_t kExtentMax = HAK_EXTENT_MAX_BYTES;
constexpr size_t kHuge = kExtentMax + (1 << 20);

char *Alloc(size_t size) { return static_cast<char *>(hak_gate_alloc_slow(size)); }
void Free(void *block) { hak_gate_free_slow(block, "free"); }
char *Realloc(char *block, size_t size) {
    return static_cast<char *>(hak_gate_realloc(block, size, "realloc"));
}

hak_stats_t Stats() {
    hak_stats_t stats = {};
    stats.struct_bytes = sizeof stats;
    hak_gate_stats(&stats);
    return stats;
}

/* Sizes where the kind of block or the size class changes, and their neighbours. */
std::vector<size_t> BorderSizes() {
    std::set<size_t> sizes = {0};
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        sizes.insert({hak_sc_bytes[sc] - 1, hak_sc_bytes[sc], hak_sc_bytes[sc] + 1});
    }
    for (size_t bytes :
         {2 * (size_t)HAK_UNIT_BYTES, 9 * (size_t)HAK_UNIT_BYTES, kExtentMax, kHuge}) {
        sizes.insert({bytes - 1, bytes, bytes + 1});
    }
    return std::vector<size_t>(sizes.begin(), sizes.end());
}

class Gate : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_os_fake_reset();
        hak_gate_init(environ);
        hak_store_rlx(&hak_option_values[HAK_OPTION_ON_ERROR], HAK_ON_ERROR_IGNORE);
        Settle();
        before_ = Stats();
    }
    void TearDown() override {
        hak_os_fake_reset();
        Settle();
        EXPECT_EQ(Stats().live_blocks, before_.live_blocks);
        EXPECT_EQ(hak_gate_check_heap(), 0u);
    }
    static void Settle() {
        hak_os_fake_advance_ms(60000);
        (void)hak_gate_trim(0);
    }
    static void ExpectInvalid(const void *pointer, hak_error_t error, const char *what) {
        hak_classified_t c;
        hak_gate_classify(pointer, &c);
        EXPECT_EQ(c.kind, HAK_KIND_INVALID) << what;
        EXPECT_EQ(c.error, error) << what;
        /* Every door reports it, once, and changes nothing. */
        uint64_t errors = hak_error_count();
        errno = 55;
        Free(const_cast<void *>(pointer));
        EXPECT_EQ(errno, 55) << what;
        EXPECT_EQ(hak_gate_usable(pointer, "usable"), 0u) << what;
        EXPECT_EQ(hak_gate_realloc(const_cast<void *>(pointer), 10, "realloc"), nullptr) << what;
        EXPECT_EQ(errno, EINVAL) << what;
        EXPECT_FALSE(hak_gate_check_sized(pointer, 1, 0, "free_sized")) << what;
        EXPECT_EQ(hak_error_count(), errors + 4) << what;
    }
    hak_stats_t before_;
};

TEST_F(Gate, LiveBlocksOfEachKind) {
    for (size_t size : BorderSizes()) {
        char *block = Alloc(size);
        ASSERT_NE(block, nullptr);
        hak_classified_t c;
        hak_gate_classify(block, &c);
        EXPECT_EQ(c.kind, size <= HAK_SC_MAX_BYTES ? HAK_KIND_BLOCK : HAK_KIND_LARGE) << size;
        EXPECT_EQ(c.info.block, (uintptr_t)block);
        EXPECT_GE(c.info.bytes, size);
        EXPECT_TRUE(hak_gate_owns(block));
        if (size > HAK_SC_MAX_BYTES) {
            EXPECT_EQ(c.tag, size <= kExtentMax ? HAK_TAG_EXTENT : HAK_TAG_HUGE) << size;
        } else {
            EXPECT_EQ(c.sc, hak_sc_of(size));
        }
        Free(block);
    }
}

TEST_F(Gate, PointersThatAreNoBlocks) {
    static int data;
    int local = 0;
    ExpectInvalid(&data, HAK_ERROR_WILD, ".data");
    ExpectInvalid(&local, HAK_ERROR_WILD, "stack");
    ExpectInvalid((const void *)16, HAK_ERROR_WILD, "nearly NULL");
    ExpectInvalid((const void *)0xdeadbeefdeadbeef, HAK_ERROR_WILD, "not canonical");
    ExpectInvalid((const void *)UINTPTR_MAX, HAK_ERROR_WILD, "the last address");
    ExpectInvalid((const void *)((uintptr_t)1 << HAK_OS_ADDRESS_BITS), HAK_ERROR_WILD,
                  "the first address above the map");
    char *foreign = new char[100];
    ExpectInvalid(foreign, HAK_ERROR_WILD, "another allocator's");
    delete[] foreign;
    void *bare = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(bare, MAP_FAILED);
    ExpectInvalid(bare, HAK_ERROR_WILD, "memory that must not be read");
    munmap(bare, 4096);
    EXPECT_FALSE(hak_gate_owns(&local));
    EXPECT_FALSE(hak_gate_owns(nullptr));
    EXPECT_EQ(hak_gate_usable(nullptr, "usable"), 0u);
    EXPECT_TRUE(hak_gate_check_sized(nullptr, 1, 0, "free_sized"));
    Free(nullptr);
}

TEST_F(Gate, PointersIntoBlocks) {
    for (size_t size : {(size_t)64, (size_t)5000, (size_t)60000, (size_t)200000, kHuge}) {
        char *block = Alloc(size);
        memset(block, 3, size);
        std::vector<size_t> offsets = {16, size / 2 / 16 * 16, size - 1};
        for (size_t offset : offsets) {
            ExpectInvalid(block + offset, HAK_ERROR_INTERIOR, "interior");
            EXPECT_FALSE(hak_gate_owns(block + offset));
            hak_classified_t c;
            hak_gate_classify(block + offset, &c);
            EXPECT_EQ(c.info.block, (uintptr_t)block);
        }
        EXPECT_EQ(block[0], 3);
        EXPECT_EQ(block[size - 1], 3);
        Free(block);
    }
}

TEST_F(Gate, PlacesThatHoldNoBlock) {
    char *block = Alloc(40000);
    hak_classified_t c;
    hak_gate_classify(block, &c);
    uintptr_t slab = (uintptr_t)block & ~(uintptr_t)(16 * HAK_UNIT_BYTES - 1);
    uint32_t blocks = hak_sc_slab_blocks(c.sc), bytes = hak_sc_bytes[c.sc];
    ExpectInvalid((const void *)(slab + (blocks - 1) * (uintptr_t)bytes), HAK_ERROR_UNALLOCATED,
                  "never handed out");
    ASSERT_NE(16u * HAK_UNIT_BYTES % bytes, 0u);
    ExpectInvalid((const void *)(slab + blocks * (uintptr_t)bytes), HAK_ERROR_UNALLOCATED,
                  "the slab's tail");
    Free(block);
    char *run = Alloc(200000);
    ASSERT_LE(hak_gate_usable(run, "usable"), 4u * HAK_UNIT_BYTES);
    ExpectInvalid(run + 4 * HAK_UNIT_BYTES - 1, HAK_ERROR_INTERIOR,
                  "in a run's last slot behind its usable part");
    char *freed = Alloc(300000);
    Free(freed);
    ExpectInvalid(freed + 70000, HAK_ERROR_FREED, "in a run that is gone");
    Free(run);
}

TEST_F(Gate, FreedBlocksAreFoundOnce) {
    char *block = Alloc(100);
    Free(block);
    ExpectInvalid(block, HAK_ERROR_DOUBLE_FREE, "in the thread cache");
    EXPECT_TRUE(hak_gate_owns(block)) << "hakmem's, although free";
    hak_gate_thread_flush();
    hak_classified_t c;
    hak_gate_classify(block, &c);
    EXPECT_EQ(c.kind, HAK_KIND_INVALID) << "in its slab";
    for (size_t size : {(size_t)200000, kHuge}) {
        char *large = Alloc(size);
        Free(large);
        ExpectInvalid(large, HAK_ERROR_FREED, "a large block");
    }
}

TEST_F(Gate, RemoteFreeIsMarkedToo) {
    char *block = Alloc(100);
    hak_testing::RunThreads(1, [block](int) {
        Free(block);
        uint64_t errors = hak_error_count();
        Free(block);
        EXPECT_EQ(hak_error_count(), errors + 1);
    });
    uint64_t errors = hak_error_count();
    Free(block);
    EXPECT_EQ(hak_error_count(), errors + 1);
}

TEST_F(Gate, OfTwoThreadsThatFreeALargeBlockOneSucceeds) {
    for (int round = 0; round < 600; round++) {
        char *block = Alloc(round % 8 != 0 ? 200000 : kHuge);
        uint64_t errors = hak_error_count();
        hak_testing::RunThreads(2, [block](int) { Free(block); });
        ASSERT_EQ(hak_error_count(), errors + 1);
    }
}

/* The lookup of a wild address meets slots that change hands; TSan sees a plain read of them. */
TEST_F(Gate, WildFreesBesideRunsThatComeAndGoAreErrors) {
    constexpr int kRounds = 400;
    char *first = Alloc(200000);
    Free(first);
    uint64_t errors = hak_error_count();
    hak_testing::RunThreads(2, [first](int thread) {
        for (int i = 0; i < kRounds; i++) {
            if (thread == 0) {
                Free(first + (size_t)(i % 4) * 65536 + 8);
            } else {
                Free(Alloc(200000 + (size_t)(i % 3) * 65536));
            }
        }
    });
    EXPECT_EQ(hak_error_count(), errors + kRounds);
}

TEST_F(Gate, GoodSizeIsWhatABlockHas) {
    for (size_t size : BorderSizes()) {
        Settle(); /* a cached mapping may be a little larger */
        char *block = Alloc(size);
        size_t usable = hak_gate_usable(block, "usable");
        EXPECT_EQ(hak_gate_good_size(size), usable) << size;
        EXPECT_GE(usable, size);
        EXPECT_TRUE(hak_gate_check_sized(block, size, 0, "free_sized"));
        EXPECT_TRUE(hak_gate_check_sized(block, usable, 16, "free_sized"));
        uint64_t errors = hak_error_count();
        EXPECT_FALSE(hak_gate_check_sized(block, usable + 1, 0, "free_sized"));
        EXPECT_FALSE(hak_gate_check_sized(block, size, (size_t)1 << 40, "free_aligned_sized"));
        EXPECT_FALSE(hak_gate_check_sized(block, size, 24, "free_aligned_sized"));
        EXPECT_EQ(hak_error_count(), errors + 3);
        memset(block, 1, usable);
        Free(block);
    }
    EXPECT_GT(hak_gate_good_size(PTRDIFF_MAX), 0u);
    EXPECT_EQ(hak_gate_good_size((size_t)PTRDIFF_MAX + 1), 0u);
    EXPECT_EQ(hak_gate_good_size(SIZE_MAX), 0u);
}

TEST_F(Gate, CallocGivesZeroesInUsedMemoryToo) {
    for (size_t size : BorderSizes()) {
        char *dirty = Alloc(size);
        memset(dirty, 0xee, hak_gate_usable(dirty, "usable"));
        Free(dirty);
        char *block = static_cast<char *>(hak_gate_calloc(size));
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(size == 0 || (block[0] == 0 && memcmp(block, block + 1, size - 1) == 0))
            << size;
        Free(block);
    }
}

TEST_F(Gate, AlignedBlocks) {
    for (size_t align = 1; align <= 32u << 20; align *= 2) {
        for (size_t size :
             {(size_t)0, (size_t)1, (size_t)100, (size_t)65536, (size_t)70000, kExtentMax + 1}) {
            char *block = static_cast<char *>(hak_gate_aligned(align, size));
            ASSERT_NE(block, nullptr) << align << " " << size;
            EXPECT_EQ((uintptr_t)block % (align < 16 ? 16 : align), 0u);
            EXPECT_GE(hak_gate_usable(block, "usable"), size);
            EXPECT_TRUE(hak_gate_check_sized(block, size, align, "free_aligned_sized"));
            memset(block, 1, size);
            Free(block);
        }
    }
    errno = 0;
    EXPECT_EQ(hak_gate_aligned((size_t)1 << 63, 100), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(hak_gate_aligned(4096, SIZE_MAX), nullptr);
    EXPECT_EQ(errno, ENOMEM);
}

/* From every border size to every other one nearby and far, up and down. */
TEST_F(Gate, ReallocKeepsContentAcrossAllBorders) {
    std::vector<size_t> sizes = BorderSizes();
    for (size_t i = 1; i < sizes.size(); i++) {
        for (size_t step : {(size_t)1, (size_t)7, sizes.size() / 2}) {
            size_t j = i + step < sizes.size() ? i + step : sizes.size() - 1;
            size_t path[] = {sizes[j], sizes[i]};
            size_t valid = sizes[i];
            char *block = Alloc(valid);
            /* Two bytes at a time depend on the place; the whole block is compared. */
            std::vector<char> expected(valid);
            for (size_t at = 0; at < valid; at++) {
                expected[at] = (char)((at * 31 + (at >> 8)) & 0xff);
            }
            memcpy(block, expected.data(), valid);
            for (size_t size : path) {
                block = Realloc(block, size);
                ASSERT_NE(block, nullptr);
                ASSERT_GE(hak_gate_usable(block, "usable"), size);
                valid = size < valid ? size : valid;
                ASSERT_EQ(memcmp(block, expected.data(), valid), 0) << sizes[i] << " " << size;
            }
            Free(block);
        }
    }
}

TEST_F(Gate, ReallocOfABlockThatFitsStaysInPlace) {
    char *block = Alloc(1000);
    EXPECT_EQ(Realloc(block, 1024), block);
    EXPECT_EQ(Realloc(block, 512), block);
    char *smaller = Realloc(block, 100);
    EXPECT_NE(smaller, block) << "less than half is worth a move";
    Free(smaller);
    EXPECT_NE(block = Realloc(nullptr, 50), nullptr);
    Free(block);
}

TEST_F(Gate, FailedReallocLeavesTheBlock) {
    for (size_t size : {(size_t)100, (size_t)60000, (size_t)200000, kHuge}) {
        Settle(); /* no cached mapping serves the large size */
        char *block = Alloc(size);
        memset(block, 6, size);
        for (int kind = 0; kind < HAK_OS_CALL_COUNT; kind++) {
            hak_os_fake_fail((hak_os_call_t)kind, 0, UINT64_MAX);
        }
        errno = 0;
        EXPECT_EQ(Realloc(block, 2 * kExtentMax), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(Realloc(block, (size_t)PTRDIFF_MAX + 1), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        hak_os_fake_reset();
        hak_classified_t c;
        hak_gate_classify(block, &c);
        EXPECT_EQ(c.info.block, (uintptr_t)block);
        EXPECT_TRUE(block[0] == 6 && memcmp(block, block + 1, size - 1) == 0);
        block = Realloc(block, 2 * kExtentMax);
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(block[0] == 6 && memcmp(block, block + 1, size - 1) == 0);
        Free(block);
    }
}

TEST_F(Gate, WithoutMemoryWhatOthersHoldFreeIsUsed) {
    char *cached = Alloc(64 << 20);
    Free(cached);                            /* stays mapped, too large for the requests below */
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 2); /* a tract, a smaller one */
    char *block = Alloc(16 << 20);
    EXPECT_NE(block, nullptr) << "the cache was given back and the request tried again";
    EXPECT_EQ(Stats().huge_cached_bytes, 0u);
    Free(block);
    Settle();
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    errno = 0;
    EXPECT_EQ(Alloc(16 << 20), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(Alloc(SIZE_MAX), nullptr);
    EXPECT_EQ(errno, ENOMEM);
}

/* The memory equation and the counts of blocks. */
TEST_F(Gate, StatisticsFollowTheBlocks) {
    std::vector<char *> blocks;
    for (size_t size : {(size_t)10, (size_t)1000, (size_t)60000, (size_t)200000, kHuge}) {
        blocks.push_back(Alloc(size));
    }
    hak_gate_thread_flush();
    hak_stats_t stats = Stats();
    EXPECT_EQ(stats.live_blocks, before_.live_blocks + 5);
    EXPECT_EQ(stats.large_blocks, before_.large_blocks + 2);
    uint64_t bytes = 0;
    for (char *block : blocks) {
        bytes += hak_gate_usable(block, "usable");
    }
    EXPECT_EQ(stats.live_bytes, before_.live_bytes + bytes);
    EXPECT_EQ(stats.resident_max_bytes, stats.live_bytes + stats.slab_free_bytes +
                                            stats.empty_dirty_bytes + stats.huge_cached_bytes +
                                            stats.metadata_bytes);
    EXPECT_GE(stats.mapped_peak_bytes, stats.mapped_bytes);
    EXPECT_EQ(stats.pid, (uint32_t)getpid());
    EXPECT_EQ(stats.malloc_calls, hak_gate_calls(HAK_CALL_MALLOC));
    EXPECT_EQ(stats.malloc_calls == HAK_STAT_DISABLED, !hak_cfg_stats);
    for (char *block : blocks) {
        Free(block);
    }
}

} // namespace
