/* Threads, and the parts that other parts are made of. Linked with --wrap=madvise, so that a test
 * can stand still inside the kernel. */
#include <sys/mman.h>

#include <functional>
#include <memory>

#include "boxes/extent/extent_fixture.h"

namespace {
std::function<void()> *in_purge;
}

extern "C" int __real_madvise(void *base, size_t bytes, int advice);
extern "C" int __wrap_madvise(void *base, size_t bytes, int advice) {
    if (advice == MADV_DONTNEED && in_purge != nullptr) {
        (*in_purge)();
    }
    return __real_madvise(base, bytes, advice);
}

namespace hak_testing {

TEST_F(Extent, BinsAreInOrderOfLength) {
    unsigned last = 0;
    for (uint32_t units = 1; units <= HAK_TRACT_UNITS; units++) {
        unsigned bin = hak_extent_bin_of(units);
        ASSERT_GE(bin, last);
        ASSERT_LE(bin, last + 1);
        ASSERT_LT(bin, (unsigned)HAK_EXTENT_BINS);
        last = bin;
    }
    EXPECT_EQ(last, (unsigned)HAK_EXTENT_BINS - 1);
}

TEST_F(Extent, BitsOfRanges) {
    Random random(3);
    for (int round = 0; round < 2000; round++) {
        auto tract = std::make_unique<hak_tract_t>();
        uint64_t *words = tract->dirty;
        uint32_t first = (uint32_t)random.Below(HAK_TRACT_UNITS);
        uint32_t count = 1 + (uint32_t)random.Below(HAK_TRACT_UNITS - first);
        hak_extent_bits_set(words, first, count);
        ASSERT_EQ(hak_extent_bits_count(words, 0, HAK_TRACT_UNITS), count);
        uint32_t at = 0;
        ASSERT_EQ(hak_extent_bits_run(words, &at, HAK_TRACT_UNITS), count);
        ASSERT_EQ(at, first);
        at = first + count;
        ASSERT_EQ(hak_extent_bits_run(words, &at, HAK_TRACT_UNITS), 0u);
        uint32_t middle = first + count / 2;
        hak_extent_bits_set(tract->aged, first, count);
        hak_extent_bits_set(tract->refused, first, count);
        hak_extent_bits_clear(tract.get(), middle, 1);
        ASSERT_EQ(hak_extent_bits_count(tract->aged, first, count), count - 1);
        ASSERT_EQ(hak_extent_bits_count(tract->refused, first, count), count - 1);
        ASSERT_EQ(hak_extent_bits_count(words, first, count), count - 1);
        ASSERT_EQ(hak_extent_bits_count(words, 0, first + 1), middle == first ? 0u : 1u);
    }
}

TEST_F(Extent, ThreadsAndAPurger) {
    std::atomic<bool> done(false);
    hak_aptr_t parked[3][HAK_EXTENT_PARKED] = {};
    std::thread purger([&] {
        for (uint64_t i = 0; !done; i++) {
            (void)hak_extent_purge_mt(hak_os_now_ms(), i / 16 % 2, kCalls, 0);
            for (hak_aptr_t *places : parked) {
                hak_extent_unpark_mt(places);
            }
            (void)Stats();
        }
    });
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; t++) {
        threads.emplace_back([&, t] {
            Random random(t);
            for (int i = 0; i < 1000; i++) {
                size_t bytes = 1 + random.Below(900 * kKiB);
                char *block = Alloc(bytes, nullptr, parked[t]);
                ASSERT_NE(block, nullptr);
                block[0] = block[bytes - 1] = (char)t;
                if (i % 4 == 0) {
                    size_t more = bytes + random.Below(kMiB);
                    block = Resize(block, more);
                    ASSERT_NE(block, nullptr);
                    ASSERT_EQ(block[bytes - 1], (char)t);
                }
                ASSERT_EQ(block[0], (char)t);
                ASSERT_TRUE(hak_extent_free_mt(block, parked[t]));
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    done = true;
    purger.join();
    for (hak_aptr_t *places : parked) {
        hak_extent_unpark_mt(places);
    }
}

/* Whoever looks while a block shrinks in place finds no block longer than its units. */
TEST_F(Extent, BooksAreRightWhileABlockShrinks) {
    std::atomic<bool> done(false);
    std::thread reader([&] {
        while (!done) {
            hak_extent_stats_t stats = Stats();
            ASSERT_LE(stats.tail_bytes, stats.mapped_bytes);
            ASSERT_EQ(ExtentFaults(), 0u);
        }
    });
    char *block = Alloc(8 * kMiB);
    for (int i = 0; i < 20000 && !HasFailure(); i++) {
        ASSERT_EQ(Resize(block, i % 2 == 0 ? kMiB : 8 * kMiB), block);
    }
    done = true;
    reader.join();
    EXPECT_TRUE(Free(block));
}

TEST_F(Extent, OfTwoFreesOfOneBlockOneCounts) {
    for (int i = 0; i < 200; i++) {
        char *block = Alloc(100 * kKiB);
        std::atomic<int> freed(0), ready(0);
        auto racer = [&] {
            ready++;
            while (ready != 2) {
            }
            freed += Free(block);
        };
        std::thread other(racer);
        racer();
        other.join();
        EXPECT_EQ(freed, 1);
    }
}

TEST_F(Extent, ForkStopsAllChanges) {
    hak_extent_fork_take();
    std::atomic<bool> done(false);
    std::thread other([&] {
        EXPECT_TRUE(Free(Alloc(kMiB)));
        done = true;
    });
    usleep(2000);
    EXPECT_FALSE(done);
    hak_extent_fork_drop();
    other.join();
}

/* Threads that give memory back all the time would else keep a fork out for ever. */
TEST_F(Extent, AForkThatWaitsGoesBeforeThoseWhoComeLater) {
    char *block = Alloc(kMiB);
    hak_lock_take(&hak_extents.lock);
    hak_extents.in_flight++; /* as if another thread were in a system call */
    hak_lock_drop(&hak_extents.lock);
    std::atomic<bool> freed(false);
    std::thread fork([&] {
        hak_extent_fork_take();
        EXPECT_FALSE(freed);
        hak_extent_fork_drop();
    });
    usleep(20000);
    std::thread other([&] {
        EXPECT_TRUE(Free(block));
        Drop();
        freed = true;
    });
    usleep(20000);
    EXPECT_FALSE(freed);
    hak_lock_take(&hak_extents.lock);
    hak_extents.in_flight--;
    hak_lock_drop(&hak_extents.lock);
    fork.join();
    other.join();
}

bool ForkWaits() {
    hak_lock_take(&hak_extents.lock);
    bool waits = hak_extents.fork_waits;
    hak_lock_drop(&hak_extents.lock);
    return waits;
}

/* All threads wait for a fork, so it does not wait for all that a purge has to do. */
TEST_F(Extent, AForkWaitsForOneSystemCall) {
    constexpr int kHoles = 40;
    std::vector<char *> blocks;
    for (int i = 0; i < 2 * kHoles; i++) {
        blocks.push_back(Alloc(kMiB));
    }
    for (int i = 0; i < kHoles; i++) {
        ASSERT_TRUE(Free(blocks[2 * i]));
    }
    std::atomic<int> calls(0);
    std::atomic<bool> purging(false), forked(false);
    std::function<void()> hook = [&] {
        purging = true;
        while (calls == 0 && !ForkWaits()) {
            std::this_thread::yield();
        }
        EXPECT_EQ(forked, calls++ != 0);
    };
    in_purge = &hook;
    RunThreads(2, [&](int self) {
        if (self == 0) {
            Drop();
            return;
        }
        while (!purging) {
            std::this_thread::yield();
        }
        hak_extent_fork_take();
        forked = true;
        EXPECT_EQ(hak_extent_check_locked(), 0u);
        hak_extent_fork_drop();
    });
    in_purge = nullptr;
    EXPECT_EQ(calls, kHoles);
    for (int i = 0; i < kHoles; i++) {
        EXPECT_TRUE(Free(blocks[2 * i + 1]));
    }
}

} // namespace hak_testing
