/* The life of a thread's heap, driven through the gate as malloc and free drive it. */
#include "front/thread/thread.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/pending/pending.h"
#include "boxes/tls_sll/tls_sll.h"
#include "front/gate/gate.h"

namespace {

/* ThreadSanitizer allows no new thread in the child of a fork with threads, and forgets a thread in
 * the last round of destructors. */
#if defined(__SANITIZE_THREAD__)
constexpr bool kUnderTsan = true;
#else
constexpr bool kUnderTsan = false;
#endif

hak_stats_t Stats() {
    hak_stats_t stats = {};
    stats.struct_bytes = sizeof stats;
    hak_gate_stats(&stats);
    return stats;
}

void *Alloc(size_t size) { return hak_gate_alloc_slow(size); }
void Free(void *block) { hak_gate_free_slow(block, "free"); }

/* After a trim that also takes in what sits in idle heaps, so that counts are exact. */
hak_stats_t SettledStats() {
    hak_os_fake_advance_ms(60000);
    (void)hak_gate_trim(0);
    return Stats();
}

class Thread : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_os_fake_reset();
        hak_gate_init(environ);
        before_ = SettledStats();
    }
    void TearDown() override {
        hak_os_fake_reset();
        hak_stats_t after = SettledStats();
        EXPECT_EQ(after.live_blocks, before_.live_blocks);
        EXPECT_EQ(hak_gate_check_heap(), 0u);
    }
    hak_stats_t before_;
};

TEST_F(Thread, FirstAllocationAttachesAHeap) {
    hak_testing::RunThreads(1, [](int) {
        EXPECT_EQ(hak_tls.heap, nullptr);
        EXPECT_EQ(hak_tls.tag, HAK_TAG_NOBODY);
        void *block = Alloc(100);
        hak_heap_t *heap = hak_tls.heap;
        ASSERT_NE(heap, nullptr);
        EXPECT_EQ(hak_tls.tag, heap->tag);
        EXPECT_EQ(hak_thread_heap(), heap);
        Free(block);
        EXPECT_EQ(hak_tls.heap, heap);
    });
}

/* The C library frees at the very end of a thread: nothing would tell when such a heap is idle. */
TEST_F(Thread, AThreadThatOnlyFreesGetsAHeapAfterAWhile) {
    enum { FEW = 64 };
    void *blocks[FEW + 1];
    for (void *&block : blocks) {
        block = Alloc(100);
    }
    hak_testing::RunThreads(1, [&](int) {
        for (void *block : blocks) {
            EXPECT_EQ(hak_tls.heap, nullptr);
            Free(block);
        }
        EXPECT_NE(hak_tls.heap, nullptr);
    });
}

/* A thread whose destructors have run gets no heap again, and so no place to park large blocks. */
TEST_F(Thread, LargeBlocksNeedNoHeap) {
    hak_testing::RunThreads(1, [](int) {
        hak_tls.ended = 1;
        void *block = Alloc(1 << 20);
        EXPECT_NE(block, nullptr);
        Free(block);
        EXPECT_EQ(hak_tls.heap, nullptr);
    });
}

TEST_F(Thread, ExitGivesTheHeapAndItsSlabsBack) {
    hak_testing::RunThreads(1, [](int) {
        std::vector<void *> blocks;
        for (int i = 0; i < 20000; i++) {
            blocks.push_back(Alloc(16 + (size_t)i % 2000));
            ASSERT_NE(blocks.back(), nullptr);
        }
        for (void *block : blocks) {
            Free(block);
        }
        hak_os_fake_advance_ms(60000); /* a thread that lives shortly leaves its bins */
    });
    hak_stats_t after = Stats(); /* no trim: the exit alone must do it */
    EXPECT_EQ(after.live_blocks, before_.live_blocks);
    EXPECT_EQ(after.slabs_active, before_.slabs_active);
    EXPECT_EQ(after.heaps_idle, after.heaps - (hak_tls.heap != nullptr));
    EXPECT_EQ(after.cached_max_bytes, before_.cached_max_bytes);
}

/* A successor finds the blocks that it freed and refills nothing; what nobody takes goes back. */
TEST_F(Thread, ShortLivesLeaveTheirBins) {
    hak_testing::RunThreads(1, [](int) {
        std::vector<void *> blocks;
        for (size_t i = 0; i < 200; i++) {
            blocks.push_back(Alloc(200));
        }
        for (void *block : blocks) {
            Free(block);
        }
    });
    hak_stats_t between = Stats();
    EXPECT_GT(between.live_blocks, before_.live_blocks) << "they count as cached";
    EXPECT_GT(between.cached_max_bytes, before_.cached_max_bytes);
    EXPECT_EQ(hak_gate_check_heap(), 0u);
    hak_testing::RunThreads(1, [](int) {
        EXPECT_NE(hak_thread_heap(), nullptr);
        for (int i = 0; i < 50; i++) {
            Free(Alloc(200));
        }
    });
    EXPECT_EQ(Stats().refills, between.refills);
    hak_stats_t after = SettledStats();
    EXPECT_EQ(after.live_blocks, before_.live_blocks);
    EXPECT_EQ(after.cached_max_bytes, before_.cached_max_bytes);
}

TEST_F(Thread, HeapsAreUsedAgain) {
    hak_testing::RunThreads(1, [](int) { Free(Alloc(64)); });
    uint64_t heaps = Stats().heaps;
    for (int i = 0; i < 50; i++) {
        hak_testing::RunThreads(1, [](int) { Free(Alloc(64)); });
    }
    EXPECT_EQ(Stats().heaps, heaps);
}

/* Blocks that outlive their thread stay whole, whoever gets the heap, and can be freed anywhere. */
TEST_F(Thread, BlocksOutliveTheirThread) {
    std::vector<unsigned char *> blocks(2000);
    for (size_t generation = 0; generation < 4; generation++) {
        hak_testing::RunThreads(2, [&](int thread) {
            for (size_t i = generation * 500 + (size_t)thread; i < generation * 500 + 500; i += 2) {
                blocks[i] = static_cast<unsigned char *>(Alloc(200));
                memset(blocks[i], (int)(i % 251), 200);
            }
        });
    }
    for (size_t i = 0; i < blocks.size(); i++) {
        EXPECT_EQ(blocks[i][0], i % 251);
        EXPECT_EQ(memcmp(blocks[i], blocks[i] + 1, 199), 0);
        Free(blocks[i]);
    }
}

constexpr int kRounds = kUnderTsan ? 2 : PTHREAD_DESTRUCTOR_ITERATIONS;

/* Allocates and frees in each round that POSIX grants to destructors. The GNU C library runs them
 * in the order in which the keys were made, so one key is made before the allocator's own and one
 * after it. */
struct Late {
    pthread_key_t key;
    int rounds = 0, borrowed = 0;
    std::vector<void *> blocks;
    std::vector<int> errors;
};
void LateDestructor(void *value) {
    auto *late = static_cast<Late *>(value);
    late->rounds++;
    late->borrowed += hak_tls.ended;
    for (size_t size : {(size_t)24, (size_t)5000, (size_t)100000}) {
        void *block = Alloc(size);
        if (block != nullptr) {
            memset(block, 1, size);
            late->blocks.push_back(block);
        }
        Free(Alloc(size));
    }
    errno = 77;
    Free(Alloc(48));
    late->errors.push_back(errno);
    if (late->rounds < kRounds) {
        pthread_setspecific(late->key, late);
    }
}

pthread_key_t MakeKey() {
    pthread_key_t key;
    if (pthread_key_create(&key, LateDestructor) != 0) {
        abort();
    }
    return key;
}

const pthread_key_t early_key = MakeKey();

void AllocateInDestructors(pthread_key_t key, int *borrowed) {
    Late late;
    late.key = key;
    hak_testing::RunThreads(1, [&](int) {
        late.blocks.push_back(Alloc(24));
        pthread_setspecific(key, &late);
    });
    EXPECT_EQ(late.rounds, kRounds);
    EXPECT_EQ(late.blocks.size(), 1u + 3u * (size_t)late.rounds);
    for (int error : late.errors) {
        EXPECT_EQ(error, 77) << "free keeps errno";
    }
    hak_stats_t stats = Stats();
    EXPECT_EQ(stats.heaps_idle, stats.heaps - (hak_tls.heap != nullptr)) << "a heap stayed behind";
    for (void *block : late.blocks) {
        Free(block);
    }
    *borrowed = late.borrowed;
}

TEST_F(Thread, DestructorsOfOthersAllocateAndFreeBeforeAndAfterOurs) {
    int borrowed = 0;
    AllocateInDestructors(early_key, &borrowed);
    EXPECT_GE(borrowed, 1) << "no round ran after ours: nothing was tested";
    EXPECT_LT(borrowed, kRounds) << "no round ran before ours";
    pthread_key_t late_key = MakeKey();
    AllocateInDestructors(late_key, &borrowed);
    EXPECT_EQ(borrowed, kRounds);
    pthread_key_delete(late_key);
}

TEST_F(Thread, BorrowedHeapGoesBack) {
    uint64_t idle = Stats().heaps_idle;
    hak_heap_t *heap = hak_thread_borrow();
    ASSERT_NE(heap, nullptr);
    EXPECT_NE(heap, hak_tls.heap);
    hak_thread_return(heap);
    EXPECT_GE(Stats().heaps_idle, idle);
    EXPECT_EQ(hak_thread_borrow(), heap) << "the last that was returned";
    hak_thread_return(heap);
}

TEST_F(Thread, FlushEmptiesTheBins) {
    std::vector<void *> blocks;
    for (int i = 0; i < 30; i++) {
        blocks.push_back(Alloc(320));
    }
    for (void *block : blocks) {
        Free(block);
    }
    hak_thread_flush_all();
    for (const hak_bin_t &bin : hak_tls.bin) {
        EXPECT_EQ(bin.head, nullptr);
    }
}

/* Forks while other threads allocate and free; the child has all heaps but its own idle, its locks
 * free, and no fault. These threads do not use the test's own malloc: a sanitizer's is not made for
 * a fork meanwhile, and the child, which starts a thread, would wait for its locks. */
TEST_F(Thread, ForksLeaveAllInOrder) {
    std::atomic<bool> stop(false);
    std::atomic<int> starting(2);
    std::vector<std::thread> busy;
    for (unsigned t = 0; t < 2; t++) {
        busy.emplace_back([&stop, &starting, t] {
            hak_testing::Random random(t);
            void *blocks[40] = {};
            Free(Alloc(10));
            starting--;
            while (!stop.load()) {
                for (void *&block : blocks) {
                    Free(block);
                    block = Alloc(1 + random.Below(200000));
                }
            }
            for (void *block : blocks) {
                Free(block);
            }
        });
    }
    while (starting.load() != 0) {
        std::this_thread::yield();
    }
    Free(Alloc(10));
    hak_heap_t *mine = hak_tls.heap;
    for (int round = 0; round < 15; round++) {
        EXPECT_EQ(hak_testing::InChild([mine] {
                      if (hak_tls.heap != mine || hak_gate_check_heap() != 0) {
                          return 1;
                      }
                      hak_stats_t stats = Stats();
                      if (stats.heaps_idle != stats.heaps - 1) {
                          return 2;
                      }
                      for (size_t size = 1; size < 3u << 20; size = size * 3 + 1) {
                          void *block = Alloc(size);
                          if (block == nullptr) {
                              return 3;
                          }
                          Free(block);
                      }
                      if (!kUnderTsan) {
                          std::thread([] { Free(Alloc(100)); }).join();
                      }
                      return hak_gate_check_heap() == 0 ? 0 : 4;
                  }),
                  0)
            << round;
    }
    stop = true;
    for (std::thread &thread : busy) {
        thread.join();
    }
}

/* A fork may come when a thread has marked a slab as queued and not yet pushed it. The child must
 * not lose the slab. */
TEST_F(Thread, ChildOfAForkFindsSlabsThatWereAboutToBeQueued) {
    void *block = Alloc(3000);
    hak_gate_thread_flush();
    hak_testing::RunThreads(1, [block](int) { Free(block); });
    EXPECT_EQ(hak_testing::InChild([this] {
                  hak_pending_forget_owner(hak_tls.heap);
                  return hak_testing::InChild(
                      [this] { return SettledStats().live_blocks == before_.live_blocks ? 0 : 1; });
              }),
              0);
}

TEST_F(Thread, StoppedProcessGoesOn) {
    std::atomic<int> done(0);
    hak_thread_stop_all();
    std::thread other([&done] {
        void *block = Alloc(64); /* waits for a heap */
        done = 1;
        Free(block);
    });
    usleep(20000);
    EXPECT_EQ(done.load(), 0) << "a slow path went on although all were stopped";
    hak_thread_go_on();
    other.join();
    EXPECT_EQ(done.load(), 1);
}

/* Without memory for a heap there is no block; a free has nowhere to wait and must not crash. */
TEST_F(Thread, NoMemoryForAHeap) {
    void *block = Alloc(100);
    EXPECT_EQ(hak_testing::InChild([block] {
                  int result = 1;
                  std::vector<hak_heap_t *> heaps;
                  hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
                  hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
                  for (hak_heap_t *heap; (heap = hak_thread_borrow()) != nullptr;) {
                      heaps.push_back(heap);
                  }
                  std::thread([&result, block] {
                      errno = 0;
                      bool fails = Alloc(100) == nullptr && errno == ENOMEM;
                      Free(block);
                      hak_os_fake_reset();
                      void *again = Alloc(100);
                      result = fails && again != nullptr ? 0 : 2;
                      Free(again);
                  }).join();
                  for (hak_heap_t *heap : heaps) {
                      hak_thread_return(heap);
                  }
                  return result != 0 ? result : hak_gate_check_heap() == 0 ? 0 : 3;
              }),
              0);
    Free(block);
}

} // namespace
