/* The standard functions, as C, POSIX and the GNU C library's manual pages describe them, once
 * under their names and once as hak_* twins. */
#include <errno.h>
#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "tests/api/names.h"

namespace {

/* Both sides of every border between mechanisms. */
const size_t kSizes[] = {0,        1,
                         8,        15,
                         16,       17,
                         127,      128,
                         129,      1000,
                         1023,     1024,
                         1025,     4095,
                         4096,     4097,
                         32767,    32768,
                         32769,    65535,
                         65536,    65537,
                         100000,   131072,
                         1u << 20, (1u << 20) + 1,
                         3u << 20, 10u << 20};

size_t Usable(void *block) { return CALL_usable_size(block); }

void Fill(void *block, size_t size, int seed) { memset(block, seed & 0xff, size); }

/* Every byte equals the next one, in one call: byte by byte, a sanitizer takes seconds. */
bool Holds(const void *block, size_t size, int seed) {
    const unsigned char *bytes = static_cast<const unsigned char *>(block);
    return size == 0 || (bytes[0] == (seed & 0xff) && memcmp(bytes, bytes + 1, size - 1) == 0);
}

TEST(Malloc, GivesWritableAlignedBlocksOfEverySize) {
    std::vector<void *> blocks;
    for (size_t size : kSizes) {
        void *block = CALL(malloc)(size);
        ASSERT_NE(block, nullptr) << size;
        EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % alignof(max_align_t), 0u) << size;
        EXPECT_GE(Usable(block), size);
        Fill(block, size, static_cast<int>(size) + 1);
        blocks.push_back(block);
    }
    size_t i = 0;
    for (size_t size : kSizes) {
        EXPECT_TRUE(Holds(blocks[i], size, static_cast<int>(size) + 1)) << size;
        CALL(free)(blocks[i++]);
    }
}

TEST(Malloc, ZeroGivesDistinctBlocks) {
    std::set<void *> blocks;
    for (int i = 0; i < 100; i++) {
        void *block = CALL(malloc)(0);
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(blocks.insert(block).second);
    }
    for (void *block : blocks) {
        CALL(free)(block);
    }
}

TEST(Malloc, UsableSizeMayBeUsed) {
    for (size_t size : kSizes) {
        char *block = static_cast<char *>(CALL(malloc)(size));
        char *next = static_cast<char *>(CALL(malloc)(size));
        ASSERT_NE(block, nullptr);
        ASSERT_NE(next, nullptr);
        Fill(next, Usable(next), 2);
        Fill(block, Usable(block), 1);
        EXPECT_TRUE(Holds(next, Usable(next), 2)) << size;
        CALL(free)(block);
        CALL(free)(next);
    }
}

TEST(Malloc, TooMuchIsEnomem) {
    const size_t sizes[] = {SIZE_MAX,
                            SIZE_MAX - 15,
                            SIZE_MAX - 4096,
                            static_cast<size_t>(PTRDIFF_MAX) + 1,
                            PTRDIFF_MAX,
                            PTRDIFF_MAX - 4096,
                            static_cast<size_t>(1) << 60};
    for (size_t size : sizes) {
        errno = 0;
        EXPECT_EQ(CALL(malloc)(Hidden(size)), nullptr) << size;
        EXPECT_EQ(errno, ENOMEM) << size;
        errno = 0;
        EXPECT_EQ(CALL(calloc)(1, Hidden(size)), nullptr) << size;
        EXPECT_EQ(errno, ENOMEM) << size;
        errno = 0;
        EXPECT_EQ(CALL(valloc)(Hidden(size)), nullptr) << size;
        EXPECT_EQ(errno, ENOMEM) << size;
        errno = 0;
        EXPECT_EQ(CALL(pvalloc)(Hidden(size)), nullptr) << size;
        EXPECT_EQ(errno, ENOMEM) << size;
        errno = 0;
        EXPECT_EQ(CALL(aligned_alloc)(64, Hidden(size)), nullptr) << size;
        EXPECT_EQ(errno, ENOMEM) << size;
        errno = 0;
        EXPECT_EQ(CALL(memalign)(64, Hidden(size)), nullptr) << size;
        EXPECT_EQ(errno, ENOMEM) << size;
    }
    void *block = CALL(malloc)(100);
    EXPECT_NE(block, nullptr) << "the program cannot go on after it was refused memory";
    CALL(free)(block);
}

TEST(Calloc, GivesZeroesAlsoInUsedMemory) {
    for (size_t size : kSizes) {
        for (int round = 0; round < 3; round++) {
            void *dirty = CALL(malloc)(size);
            ASSERT_NE(dirty, nullptr);
            Fill(dirty, Usable(dirty), 0xee);
            CALL(free)(dirty);
            void *block = CALL(calloc)(1, size);
            ASSERT_NE(block, nullptr);
            EXPECT_TRUE(Holds(block, size, 0)) << size;
            Fill(block, size, 0xff);
            CALL(free)(block);
        }
    }
}

TEST(Calloc, MultipliesAndChecksTheProduct) {
    char *block = static_cast<char *>(CALL(calloc)(300, 7));
    ASSERT_NE(block, nullptr);
    EXPECT_GE(Usable(block), 2100u);
    EXPECT_TRUE(Holds(block, 2100, 0));
    CALL(free)(block);
    void *empty = CALL(calloc)(0, Hidden(SIZE_MAX));
    EXPECT_NE(empty, nullptr);
    CALL(free)(empty);
    const size_t half = static_cast<size_t>(1) << 32;
    errno = 0;
    EXPECT_EQ(CALL(calloc)(Hidden(half), half), nullptr); /* the product is 0 modulo 2^64 */
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(CALL(calloc)(Hidden(half + 1), half), nullptr); /* it is 2^32 */
    EXPECT_EQ(errno, ENOMEM);
}

TEST(Realloc, KeepsContentBetweenAllPairsOfSizes) {
    for (size_t from : kSizes) {
        for (size_t to : kSizes) {
            if (to == 0 || from + to > (50u << 20)) {
                continue;
            }
            void *block = CALL(malloc)(from);
            ASSERT_NE(block, nullptr);
            /* The large ones are only marked at their ends, which is where a copy goes wrong. */
            size_t kept = from < to ? from : to;
            size_t head = kept < 70000 ? kept : 4096;
            Fill(block, head, 3);
            if (kept != 0) {
                static_cast<char *>(block)[kept - 1] = 9;
            }
            void *moved = CALL(realloc)(block, to);
            ASSERT_NE(moved, nullptr) << from << " to " << to;
            EXPECT_GE(Usable(moved), to);
            if (kept != 0) {
                EXPECT_TRUE(Holds(moved, head == kept ? head - 1 : head, 3))
                    << from << " to " << to;
                EXPECT_EQ(static_cast<char *>(moved)[kept - 1], 9) << from << " to " << to;
            }
            static_cast<char *>(moved)[to - 1] = 1;
            CALL(free)(moved);
        }
    }
}

TEST(Realloc, NullIsMalloc) {
    void *block = CALL(realloc)(nullptr, 100);
    ASSERT_NE(block, nullptr);
    EXPECT_GE(Usable(block), 100u);
    CALL(free)(block);
    block = CALL(realloc)(nullptr, 0);
    EXPECT_NE(block, nullptr);
    CALL(free)(block);
}

TEST(Realloc, ZeroFreesAndGivesNull) {
    for (size_t size : {16, 5000, 200000, 8 << 20}) {
        void *block = CALL(malloc)(size);
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(hak_owns(block));
        size_t live_before = Usable(block);
        EXPECT_GE(live_before, size);
        hak_stats_t before = {}, after = {};
        before.struct_bytes = after.struct_bytes = sizeof before;
        hak_thread_flush();
        ASSERT_EQ(hak_stats_get(&before), 0);
        EXPECT_EQ(CALL(realloc)(block, 0), nullptr);
        hak_thread_flush();
        ASSERT_EQ(hak_stats_get(&after), 0);
        EXPECT_EQ(after.live_blocks, before.live_blocks - 1) << size << ": not freed";
    }
}

TEST(Realloc, FailureLeavesTheBlock) {
    for (size_t size : {24, 3000, 60000, 300000, 6 << 20}) {
        void *block = CALL(malloc)(size);
        ASSERT_NE(block, nullptr);
        Fill(block, size, 7);
        for (size_t huge :
             {SIZE_MAX, static_cast<size_t>(PTRDIFF_MAX) + 1, static_cast<size_t>(1) << 60}) {
            void *volatile kept = block; /* the compiler takes a block given to realloc for freed */
            errno = 0;
            EXPECT_EQ(CALL(realloc)(block, Hidden(huge)), nullptr);
            EXPECT_EQ(errno, ENOMEM);
            block = kept;
        }
        EXPECT_TRUE(Holds(block, size, 7)) << size;
        CALL(free)(block);
    }
}

TEST(Reallocarray, IsReallocWithACheckedProduct) {
    int *numbers = static_cast<int *>(CALL(reallocarray)(nullptr, 10, sizeof(int)));
    ASSERT_NE(numbers, nullptr);
    numbers[9] = 42;
    numbers = static_cast<int *>(CALL(reallocarray)(numbers, 100000, sizeof(int)));
    ASSERT_NE(numbers, nullptr);
    EXPECT_EQ(numbers[9], 42);
    errno = 0;
    int *volatile kept = numbers; /* the compiler takes a block given to reallocarray for freed */
    EXPECT_EQ(CALL(reallocarray)(numbers, Hidden(SIZE_MAX / 4 + 2), 4), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(kept[9], 42);
    EXPECT_EQ(CALL(reallocarray)(kept, 0, 4), nullptr);
}

TEST(Free, NullIsNothing) {
    CALL(free)(nullptr);
    CALL(free_sized)(nullptr, 8);
    CALL(free_aligned_sized)(nullptr, 64, 8);
}

TEST(Free, KeepsErrno) {
    for (size_t size : kSizes) {
        void *block = CALL(malloc)(size);
        ASSERT_NE(block, nullptr);
        errno = 12345;
        CALL(free)(block);
        EXPECT_EQ(errno, 12345) << size;
    }
    errno = 54321;
    CALL(free)(nullptr);
    EXPECT_EQ(errno, 54321);
}

TEST(FreeSized, TakesWhatWasAskedFor) {
    for (size_t size : kSizes) {
        CALL(free_sized)(CALL(malloc)(size), size);
        CALL(free_sized)(CALL(calloc)(1, size), size);
        CALL(free_aligned_sized)(CALL(aligned_alloc)(256, size), 256, size);
    }
    EXPECT_EQ(hak_check(), 0u);
}

TEST(Memalignment, IsTheLargestPowerOfTwoThatDivides) {
    EXPECT_EQ(CALL(memalignment)(nullptr), 0u);
    EXPECT_EQ(CALL(memalignment)(reinterpret_cast<void *>(1)), 1u);
    EXPECT_EQ(CALL(memalignment)(reinterpret_cast<void *>(0x7000)), 0x1000u);
    EXPECT_EQ(CALL(memalignment)(reinterpret_cast<void *>(0x12345678)), 8u);
}

TEST(UsableSize, OfNullIsZero) { EXPECT_EQ(Usable(nullptr), 0u); }

void ExpectAligned(void *block, size_t align, size_t size) {
    ASSERT_NE(block, nullptr) << align << ", " << size;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % align, 0u) << align << ", " << size;
    EXPECT_GE(Usable(block), size) << align;
    if (size != 0) {
        static_cast<char *>(block)[0] = 1;
        static_cast<char *>(block)[size - 1] = 1;
    }
}

TEST(Aligned, EveryPowerOfTwoAndSize) {
    for (size_t align = 1; align <= (4u << 20); align *= 2) {
        for (size_t size : {static_cast<size_t>(0), static_cast<size_t>(1), static_cast<size_t>(24),
                            align - 1, align, align + 1, 3 * align}) {
            void *block = CALL(aligned_alloc)(align, size);
            ExpectAligned(block, align, size);
            void *other = CALL(memalign)(align, size);
            ExpectAligned(other, align, size);
            EXPECT_NE(block, other);
            CALL(free)(block);
            CALL(free)(other);
            if (align >= sizeof(void *)) {
                EXPECT_EQ(CALL(posix_memalign)(&block, align, size), 0);
                ExpectAligned(block, align, size);
                CALL(free)(block);
            }
        }
    }
    EXPECT_EQ(hak_check(), 0u);
}

TEST(Aligned, BlocksLiveThroughRealloc) {
    for (size_t align : {64u, 4096u, 65536u, 1u << 20}) {
        char *block = static_cast<char *>(CALL(aligned_alloc)(align, 1000));
        ASSERT_NE(block, nullptr);
        Fill(block, 1000, 5);
        block = static_cast<char *>(CALL(realloc)(block, 300000));
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(Holds(block, 1000, 5));
        CALL(free)(block);
    }
}

TEST(PosixMemalign, ReturnsErrorsAndTouchesNothingElse) {
    void *const marker = &errno;
    void *out = marker;
    errno = 777;
    for (size_t align : {0, 1, 2, 4, 3, 24, 48, 100}) {
        EXPECT_EQ(CALL(posix_memalign)(&out, align, 64), EINVAL) << align;
    }
    EXPECT_EQ(CALL(posix_memalign)(&out, 64, Hidden(SIZE_MAX)), ENOMEM);
    EXPECT_EQ(CALL(posix_memalign)(&out, 4096, Hidden(SIZE_MAX - 8192)), ENOMEM);
    EXPECT_EQ(CALL(posix_memalign)(&out, Hidden(static_cast<size_t>(1) << 63), 1), ENOMEM);
    EXPECT_EQ(out, marker);
    EXPECT_EQ(errno, 777);
    EXPECT_EQ(CALL(posix_memalign)(&out, 4096, 0), 0);
    EXPECT_NE(out, marker);
    EXPECT_EQ(errno, 777);
    CALL(free)(out);
}

TEST(AlignedAlloc, WrongAlignmentIsEinval) {
    for (size_t align : {0, 3, 24, 100, 4097}) {
        errno = 0;
        EXPECT_EQ(CALL(aligned_alloc)(Hidden(align), 64), nullptr) << align;
        EXPECT_EQ(errno, EINVAL) << align;
    }
    errno = 0;
    EXPECT_EQ(CALL(aligned_alloc)(Hidden(static_cast<size_t>(1) << 63), 1), nullptr);
    EXPECT_EQ(errno, ENOMEM);
}

TEST(Memalign, RoundsTheAlignmentUp) {
    const size_t pairs[][2] = {{0, 16}, {3, 16}, {17, 32}, {24, 32}, {100, 128}, {4097, 8192}};
    for (const auto &pair : pairs) {
        void *blocks[16]; /* several, as the first of a slab is aligned by chance */
        for (void *&block : blocks) {
            block = CALL(memalign)(Hidden(pair[0]), 130);
            ExpectAligned(block, pair[1], 130);
        }
        for (void *block : blocks) {
            CALL(free)(block);
        }
    }
    errno = 0;
    EXPECT_EQ(CALL(memalign)(Hidden((static_cast<size_t>(1) << 63) + 1), 1), nullptr);
    EXPECT_EQ(errno, EINVAL);
}

TEST(Valloc, AlignsToOsPages) {
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    for (size_t size : {static_cast<size_t>(0), static_cast<size_t>(1), page, page + 1}) {
        void *block = CALL(valloc)(size);
        ExpectAligned(block, page, size);
        CALL(free)(block);
        block = CALL(pvalloc)(size);
        ExpectAligned(block, page, (size + page - 1) / page * page);
        CALL(free)(block);
    }
}

TEST(Trim, KeepsLiveBlocks) {
    std::vector<char *> kept;
    for (int i = 0; i < 20000; i++) {
        char *block = static_cast<char *>(CALL(malloc)(500));
        ASSERT_NE(block, nullptr);
        Fill(block, 500, i);
        if (i % 100 == 0) {
            kept.push_back(block);
        } else {
            CALL(free)(block);
        }
    }
    int trimmed = CALL_trim(0);
    EXPECT_TRUE(trimmed == 0 || trimmed == 1);
    for (size_t i = 0; i < kept.size(); i++) {
        EXPECT_TRUE(Holds(kept[i], 500, static_cast<int>(i) * 100));
        CALL(free)(kept[i]);
    }
    EXPECT_EQ(hak_check(), 0u);
}
} // namespace
