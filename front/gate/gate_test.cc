#include <errno.h>
#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "backends/port/backend.h"
#include "base/testing/testing.h"
#include "boxes/huge/huge.h"
#include "core/options/options.h"
#include "front/gate/gate_fixture.h"
#include "registry/registry.h"

namespace {

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
    char *huge = Alloc(kHuge);
    ASSERT_NE(kHuge % HAK_WINDOW_BYTES, 0u);
    ExpectInvalid(huge + kHuge, HAK_ERROR_WILD, "in a window that a huge block shares");
    Free(huge);
    ExpectInvalid(huge + kHuge - 1, HAK_ERROR_FREED, "in a huge block that is gone");
    Free(run);
}

/* A slab that comes free is carved anew if its blocks were freed in disorder. What was freed there
 * before was handed out all the same. */
TEST_F(Gate, BlocksFreedInASlabsFormerLife) {
    constexpr size_t kBytes = 1024, kBlocks = 640, kAgain = 100;
    std::vector<char *> blocks;
    for (size_t i = 0; i < kBlocks; i++) {
        blocks.push_back(Alloc(kBytes));
    }
    std::set<char *> freed(blocks.begin(), blocks.end());
    std::shuffle(blocks.begin(), blocks.end(), std::mt19937(1));
    for (char *block : blocks) {
        Free(block);
    }
    hak_gate_thread_flush();
    std::vector<char *> again;
    for (size_t i = 0; i < kAgain; i++) {
        again.push_back(Alloc(kBytes));
        freed.erase(again.back());
    }
    size_t found = 0;
    for (char *block : freed) {
        hak_classified_t c;
        hak_gate_classify(block, &c);
        EXPECT_EQ(c.kind, HAK_KIND_INVALID);
        EXPECT_NE(c.error, HAK_ERROR_UNALLOCATED);
        if (c.tag != HAK_TAG_NONE && c.error == HAK_ERROR_FREED) {
            ExpectInvalid(block, HAK_ERROR_FREED, "where a slab was carved anew");
            found++;
        }
    }
    EXPECT_GT(found, 0u);
    for (char *block : again) {
        Free(block);
    }
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

TEST_F(Gate, WithoutMemoryNoEmptySuperslabIsKeptFromALargeBlock) {
    std::vector<char *> blocks;
    for (int i = 0; i < 1000; i++) {
        blocks.push_back(Alloc(30000));
    }
    for (char *block : blocks) {
        Free(block);
    }
    Settle();
    ASSERT_NE(Stats().lru_superslabs, 0u);
    uint64_t superslabs = Stats().superslabs - Stats().lru_superslabs;
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    EXPECT_EQ(Alloc(16 << 20), nullptr);
    EXPECT_EQ(Stats().lru_superslabs, 0u) << "their address space might have been enough";
    EXPECT_EQ(Stats().superslabs, superslabs);
}

/* As in a process that has locked its memory. */
TEST_F(Gate, RoomThatATrimMadeIsUsedAlsoIfTheKernelTakesNothing) {
    std::vector<char *> blocks = {Alloc(60000)};
    FillSlots(&blocks);
    errno = 0;
    EXPECT_EQ(Alloc(100), nullptr) << "no slot is left for a slab of this class";
    EXPECT_EQ(errno, ENOMEM);
    /* All of a slab, and the bin keeps some of them. */
    uintptr_t slab = (uintptr_t)blocks[0] >> 20;
    for (char *&block : blocks) {
        if ((uintptr_t)block >> 20 == slab) {
            Free(block);
            block = nullptr;
        }
    }
    char *block = Alloc(100);
    EXPECT_NE(block, nullptr);
    Free(block);
    for (char *rest : blocks) {
        Free(rest);
    }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which need the space */
/* The registry's flat map alone is longer than that. */
TEST_F(Gate, ProcessMayLimitItsAddressSpaceWhenItRuns) {
    EXPECT_EQ(hak_testing::InChild([] {
                  struct rlimit limit = {(rlim_t)4 << 30, (rlim_t)4 << 30};
                  if (setrlimit(RLIMIT_AS, &limit) != 0) {
                      return 1;
                  }
                  for (size_t size : {(size_t)100, (size_t)60000, (size_t)1 << 20, kHuge}) {
                      for (size_t bytes = 0; bytes < 256 << 20; bytes += size) {
                          char *block = Alloc(size);
                          if (block == nullptr) {
                              return 2;
                          }
                          block[0] = 1;
                      }
                  }
                  Free(nullptr);
                  return hak_gate_check_heap() == 0 ? 0 : 3;
              }),
              0);
}
#endif

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
    uint64_t cached = Stats().huge_cached_bytes;
    EXPECT_GE(cached, kHuge + 200000);
    EXPECT_EQ(hak_gate_trim(0), 1);
    EXPECT_GE(Stats().purged_bytes, stats.purged_bytes + cached);
    EXPECT_GE(Stats().purges, stats.purges + 2);
}

/* Each part of the sum comes from another box. */
TEST_F(Gate, StatisticsCountWhatIsFreeAndWhatGoesBack) {
    constexpr size_t kBytes = 200000, kUnits = 4;
    char *large = Alloc(kBytes);
    uint64_t tail = kUnits * HAK_UNIT_BYTES - hak_gate_usable(large, "usable");
    EXPECT_EQ(Stats().slab_free_bytes, before_.slab_free_bytes + tail);
    Free(large);
    (void)hak_gate_trim(0);
    EXPECT_EQ(Stats().purges, before_.purges + 1);
    EXPECT_GE(Stats().purged_bytes, before_.purged_bytes + kUnits * HAK_UNIT_BYTES);
    std::vector<char *> blocks;
    for (int i = 0; i < 200; i++) {
        blocks.push_back(Alloc(60000));
    }
    for (char *block : blocks) {
        Free(block);
    }
    hak_gate_thread_flush();
    EXPECT_GE(Stats().empty_dirty_bytes, before_.empty_dirty_bytes + 100 * HAK_UNIT_BYTES);
}

} // namespace
