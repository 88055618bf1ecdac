// Regression tests of the specification's section 9 that need one thread: T-01, T-02, T-03, T-06,
// T-12, T-22, T-23, T-28.
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

constexpr size_t kUnit = 65536;

// The usable size of each class up to `limit`, asked of the allocator itself.
std::vector<size_t> class_sizes(size_t limit) {
    std::vector<size_t> sizes;
    for (size_t size = hak_good_size(1); size <= limit; size = hak_good_size(size + 1)) {
        sizes.push_back(size);
    }
    return sizes;
}

size_t resident_bytes() {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total = 0, resident = 0;
    EXPECT_EQ(2, fscanf(file, "%lu %lu", &total, &resident));
    fclose(file);
    return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// T-01: in an address space with holes that skew plain mappings by 4 KiB, every byte of every block
// leads to its block: the start is one, no other byte is.
TEST(T01_Alignment, EveryByteResolves) {
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    std::vector<void *> skews;
    std::vector<unsigned char *> blocks;
    for (size_t bytes : {size_t{16}, size_t{48}, size_t{1000}, size_t{5000}, size_t{65536}}) {
        size_t count = bytes == 65536 ? 10000 / (HAK_TEST_SANITIZED ? 8 : 1) : 200;
        for (size_t i = 0; i < count; i++) {
            if (i % 64 == 0) {
                skews.push_back(mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
            }
            auto *block = static_cast<unsigned char *>(hak_test.malloc(bytes));
            ASSERT_NE(nullptr, block);
            ASSERT_TRUE(hak_owns(block));
            // All bytes of the small ones; of the large ones the places where a lookup could slip.
            size_t step = bytes <= 5000 ? 1 : 4096;
            for (size_t at = step; at < bytes; at += step) {
                ASSERT_FALSE(hak_owns(block + at)) << "byte " << at << " of " << bytes;
            }
            ASSERT_FALSE(hak_owns(block + bytes - 1));
            blocks.push_back(block);
        }
    }
    for (unsigned char *block : blocks) {
        hak_test.free(block);
    }
    for (void *skew : skews) {
        munmap(skew, page);
    }
    EXPECT_EQ(0u, hak_check());
}

// T-02: no free disappears in silence. Each misuse is counted, NULL is not one.
TEST(T02_Conservation, EveryBadFreeIsCounted) {
    ASSERT_EQ(0, hak_option_set("on_error", "ignore"));
    auto errors = [] { return hak_test_stats().errors; };
    uint64_t before = errors();
    auto *small = static_cast<char *>(hak_test.malloc(64));
    auto *large = static_cast<char *>(hak_test.malloc(300000));
    auto *huge = static_cast<char *>(hak_test.malloc(4 << 20));
    char local[64] = "";
    void *wild[] = {local + 16,
                    large + 4096,
                    huge + 4096,
                    large + 16,
                    reinterpret_cast<void *>(8),
                    reinterpret_cast<void *>(-16L),
                    &wild,
                    huge + (2 << 20)};
    uint64_t expected = 0;
    for (void *pointer : wild) {
        hak_test.free(pointer);
        EXPECT_EQ(before + ++expected, errors()) << "free(" << pointer << ") went unseen";
        EXPECT_EQ(nullptr, hak_test.realloc(pointer, 100));
        EXPECT_EQ(before + ++expected, errors()) << "realloc(" << pointer << ") went unseen";
    }
    hak_test.free(small);
    hak_test.free(small);
    hak_test.free(large);
    hak_test.free(large);
    hak_test.free(huge);
    hak_test.free(huge);
    EXPECT_EQ(before + expected + 3, errors());
    hak_test.free(nullptr);
    EXPECT_EQ(before + expected + 3, errors());
    ASSERT_EQ(0, hak_option_set("on_error", "abort"));
    EXPECT_EQ(0u, hak_check());
}

// T-03: blocks of a class fill several slabs, each to its last usable byte, and no neighbour
// changes; slabs hold as many blocks as fit.
TEST(T03_Stride, FullBlocksDoNotTouch) {
    for (size_t bytes : class_sizes(65536)) {
        size_t count = std::max<size_t>(40, 3 * kUnit / bytes);
        if (HAK_TEST_SANITIZED && bytes > 4096) {
            continue;
        }
        std::vector<void *> blocks;
        for (size_t i = 0; i < count; i++) {
            void *block = hak_test.malloc(bytes);
            ASSERT_NE(nullptr, block);
            ASSERT_EQ(bytes, hak_test.usable_size(block));
            hak_pattern_fill(block, bytes, i);
            blocks.push_back(block);
        }
        for (size_t i = 0; i < count; i++) {
            ASSERT_TRUE(hak_pattern_holds(blocks[i], bytes, i)) << bytes;
        }
        std::set<void *> places(blocks.begin(), blocks.end());
        EXPECT_EQ(count, places.size());
        for (void *block : blocks) {
            hak_test.free(block);
        }
    }
}

// T-06: one thread fills slabs, frees all in random order and allocates the same again: what the
// owner freed to a full slab is used before a new slab is made.
TEST(T06_Reuse, OwnFreesAreReused) {
    hak_random_t random = {6};
    for (size_t bytes : {size_t{32}, size_t{500}, size_t{3000}, size_t{20000}}) {
        std::vector<void *> blocks(6 * kUnit / std::min(bytes, kUnit) + 40);
        for (void *&block : blocks) {
            block = hak_test.malloc(bytes);
        }
        hak_stats_t full = hak_test_stats();
        for (unsigned round = 0; round < 5; round++) {
            for (size_t i = blocks.size() - 1; i > 0; i--) {
                std::swap(blocks[i], blocks[hak_random_below(&random, i + 1)]);
            }
            for (void *block : blocks) {
                hak_test.free(block);
            }
            for (void *&block : blocks) {
                block = hak_test.malloc(bytes);
            }
        }
        hak_stats_t again = hak_test_stats();
        EXPECT_LE(again.mapped_bytes, full.mapped_bytes) << bytes;
        EXPECT_LE(again.slabs_active, full.slabs_active + 2) << bytes;
        for (void *block : blocks) {
            hak_test.free(block);
        }
    }
}

// T-12 and T-22: at each class boundary, one less and one more, malloc and free work and hakmem is
// what served, in slabs, runs and mappings of their own.
/* Which backend the variant is made to use for a size, told by its name. */
const char *backend_of(size_t size) {
    std::string variant = hak_version();
    if (size > 65536) {
        return "large";
    }
    if (variant.find("mid_mt") != std::string::npos && size > 7680 && size <= 32768) {
        return "mid_mt";
    }
    if (size > 1024) {
        if (size <= 32768) {
            return variant.find("midpool") != std::string::npos      ? "mid_pool"
                   : variant.find("pool_tls") != std::string::npos   ? "pool_tls"
                   : variant.find("hakmem_mf2") != std::string::npos ? "mf2"
                                                                     : "slabs";
        }
        return "slabs";
    }
    return variant.find("sp_slot") != std::string::npos     ? "sp_slot"
           : variant.find("shared_ss") != std::string::npos ? "shared"
           : variant.find("per_class") != std::string::npos ? "per_class"
                                                            : "slabs";
}

TEST(T12_T22_ServedBy, EachBoundary) {
    std::vector<size_t> sizes = {0, 1};
    for (size_t bytes : class_sizes(size_t{3} << 20)) {
        if (bytes <= 65536 || bytes % (size_t{64} << 10) == 0) {
            sizes.insert(sizes.end(), {bytes - 1, bytes, bytes + 1});
        }
    }
    hak_stats_t before = hak_test_stats_flushed();
    std::vector<void *> blocks;
    uint64_t asked = 0, large = 0;
    for (size_t size : sizes) {
        for (unsigned i = 0; i < 3; i++) {
            void *block = hak_test.malloc(size);
            ASSERT_TRUE(hak_owns(block)) << size;
            EXPECT_STREQ(hak_served_by(block), backend_of(size)) << size;
            ASSERT_GE(hak_test.usable_size(block), size);
            memset(block, 0xa5, std::min<size_t>(size, 256));
            blocks.push_back(block);
            asked += size;
            large += size > 65536;
        }
    }
    hak_stats_t full = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks + blocks.size(), full.live_blocks);
    EXPECT_GE(full.live_bytes, before.live_bytes + asked);
    EXPECT_EQ(before.large_blocks + large, full.large_blocks);
    EXPECT_GT(full.refill_blocks, before.refill_blocks);
    for (void *block : blocks) {
        hak_test.free(block);
    }
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks, after.live_blocks);
    EXPECT_EQ(before.large_bytes, after.large_bytes);
}

// T-23: whatever the pointer, hak_owns answers and never touches it.
TEST(T23_Classifier, ForeignPointers) {
    static char data[3 * kUnit];
    char local[64];
    auto *foreign = static_cast<char *>(mmap(nullptr, size_t{4} << 20, PROT_NONE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ASSERT_NE(MAP_FAILED, static_cast<void *>(foreign));
    std::vector<const void *> pointers = {nullptr, data, local, foreign, &data[kUnit]};
    pointers.push_back(
        reinterpret_cast<const void *>(reinterpret_cast<uintptr_t>(&hak_test_stats)));
    for (uintptr_t bit = 1; bit != 0; bit <<= 1) {
        pointers.push_back(reinterpret_cast<const void *>(bit));
        pointers.push_back(reinterpret_cast<const void *>(bit - 1));
        pointers.push_back(reinterpret_cast<const void *>(0 - bit));
    }
    for (size_t at = 0; at < (size_t{4} << 20); at += 4096) {
        pointers.push_back(foreign + at);
    }
    for (const void *pointer : pointers) {
        EXPECT_FALSE(hak_owns(pointer)) << pointer;
    }
    hak_random_t random = {23};
    unsigned long count = hak_test_scaled(1000000);
    for (unsigned long i = 0; i < count; i++) {
        uintptr_t wild = hak_random_next(&random) >> hak_random_below(&random, 40);
        // By chance it may be a block; what counts is that the answer agrees with the block's size.
        if (hak_owns(reinterpret_cast<const void *>(wild))) {
            EXPECT_EQ(0u, wild % 16);
        }
    }
    munmap(foreign, size_t{4} << 20);
}

// What surrounds live blocks: between hakmem's own regions and just outside of them. Where blocks
// lie behind headers of 16 or 32 bytes, those are at multiples of the block size.
TEST(T23_Classifier, AroundBlocks) {
    ASSERT_EQ(0, hak_option_set("on_error", "ignore"));
    std::vector<unsigned char *> blocks;
    for (size_t bytes : {size_t{16}, size_t{4096}, size_t{4096}, size_t{100000}, size_t{3} << 20}) {
        blocks.push_back(static_cast<unsigned char *>(hak_test.malloc(bytes)));
        unsigned char *block = blocks.back();
        EXPECT_TRUE(hak_owns(block));
        for (size_t at : {1, 8, 15, 16, 32}) {
            for (unsigned char *near : {block + at, block - at}) {
                bool start = bytes == 16 && at >= 16; // of another block
                EXPECT_TRUE(start || !hak_owns(near)) << bytes << " " << near - block;
                // A unit before may be one of small blocks, which start at every 16 bytes.
                bool same = (reinterpret_cast<uintptr_t>(near) >> 16) ==
                            (reinterpret_cast<uintptr_t>(block) >> 16);
                EXPECT_TRUE(start || !same || hak_test.usable_size(near) == 0)
                    << bytes << " " << near - block;
            }
        }
        EXPECT_FALSE(hak_owns(block + bytes - 1));
    }
    for (unsigned char *block : blocks) {
        hak_test.free(block);
    }
    EXPECT_FALSE(hak_owns(blocks.back())) << "a freed huge block is still owned";
    ASSERT_EQ(0, hak_option_set("on_error", "abort"));
}

// T-28: fresh memory from the kernel is zero already: neither malloc nor calloc touches it.
TEST(T28_NoMemset, FreshMemoryStaysUntouched) {
    constexpr size_t kBytes = size_t{64} << 20;
    hak_test.free(hak_test.malloc(kBytes)); // whatever is set up on the way is set up now
    hak_trim(0);
    size_t before = resident_bytes();
    void *plain = hak_test.malloc(kBytes);
    void *zeroed = hak_test.calloc(kBytes / 64, 64);
    ASSERT_NE(nullptr, plain);
    ASSERT_NE(nullptr, zeroed);
    EXPECT_LT(resident_bytes(), before + (size_t{1} << 20) + (HAK_TEST_SANITIZED ? kBytes : 0));
    EXPECT_TRUE(hak_pattern_is_zero(zeroed, kBytes));
    hak_test.free(plain);
    hak_test.free(zeroed);
}

// A block of 64 KiB costs the page that its list link stands on and no more.
TEST(T28_NoMemset, FreshSlabsStayUntouched) {
    size_t before = resident_bytes();
    std::vector<void *> blocks(400);
    for (void *&block : blocks) {
        block = hak_test.malloc(65536);
        ASSERT_NE(nullptr, block);
    }
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_t bound = blocks.size() * 2 * page + (size_t{1} << 20);
    EXPECT_LT(resident_bytes(), before + bound * (HAK_TEST_SANITIZED ? 8 : 1));
    for (void *block : blocks) {
        hak_test.free(block);
    }
}

} // namespace
