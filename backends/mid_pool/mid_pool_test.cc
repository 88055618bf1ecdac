#include "backends/mid_pool/mid_pool.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/pool_cache/pool_cache.h"
#include "boxes/pool_shard/pool_shard.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "include/hakmem.h"
extern "C" {
#include "boxes/tls_sll/tls_sll.h"
#include "registry/registry_inl.h"
}

namespace {

const hak_backend_t &pool = hak_backend_mid_pool;

/* As the gate does it. */
hak_block_t *Take(hak_heap_t *mine, unsigned sc) {
    hak_block_t *block = pool.refill(mine, sc);
    if (block != nullptr) {
        hak_block_set_mark(block, 0);
        hak_unpoison(block, hak_sc_bytes[sc]);
    }
    return block;
}

void Give(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
    hak_poison(block, hak_sc_bytes[sc]);
    uint32_t tag = hak_registry_tag((uintptr_t)block);
    if (mine != nullptr && tag >> HAK_TAG_OWNER_SHIFT == mine->tag >> HAK_TAG_OWNER_SHIFT) {
        hak_tls.bin[sc].room--; /* as the push that found no room */
        pool.take_back(mine, block, sc);
    } else {
        EXPECT_TRUE(pool.take_back_remote(mine, block, sc));
    }
}

class MidPool : public testing::Test {
  protected:
    MidPool() {
        hak_testing::StartEngine();
        hak_options_set_text("pool_refill_batch", "2");
    }
    ~MidPool() override {
        Purge(nullptr);
        EXPECT_EQ(Check(), 0u);
        EXPECT_EQ(Stats().blocks, 0u);
        EXPECT_EQ(Stats().slabs, 0u) << "all is free, so no page may be left";
    }
    static hak_backend_stats_t Stats() {
        hak_backend_stats_t stats = {};
        pool.stats(&stats);
        return stats;
    }
    static hak_stats_t Counters() {
        hak_stats_t stats = {};
        pool.counters(&stats);
        return stats;
    }
    static size_t Purge(hak_heap_t *mine, uint64_t delay_ms = 0) {
        hak_purge_order_t order = {hak_os_now_ms(), delay_ms, UINT32_MAX, 0};
        return pool.purge(mine, &order);
    }
    static size_t Check() {
        hak_heap_fork_take(nullptr);
        pool.fork_take();
        size_t faults = pool.check();
        pool.fork_drop(false);
        hak_heap_fork_drop_parent(nullptr);
        return faults;
    }
};

TEST_F(MidPool, DescribesEveryAddressOfAPage) {
    hak_testing::OwnHeap own;
    unsigned sc = hak_pool_sc(2);
    hak_block_t *block = Take(own.get(), sc);
    uintptr_t base = hak_align_down((uintptr_t)block, HAK_UNIT_BYTES);
    for (uintptr_t at = 0; at < HAK_UNIT_BYTES; at += 97) {
        hak_block_info_t info = {};
        ASSERT_TRUE(pool.describe(base + at, &info));
        ASSERT_EQ(info.block, base + at / 8192 * 8192);
        ASSERT_EQ(info.bytes, 8192u);
        ASSERT_EQ(info.handed_out, at < 8192);
    }
    hak_block_info_t info;
    int local;
    EXPECT_FALSE(pool.describe((uintptr_t)&local, &info));
    EXPECT_FALSE(pool.describe(0, &info));
    auto *beyond = reinterpret_cast<hak_block_t *>(base + 8192);
    EXPECT_FALSE(pool.take_back_remote(nullptr, beyond, sc)) << "never handed out";
    EXPECT_FALSE(pool.take_back_remote(own.get(), beyond, sc));
    Give(own.get(), block, sc);
    pool.thread_flush(own.get());
}

/* The memory equation's terms, and the counters. */
TEST_F(MidPool, FiguresAddUp) {
    hak_testing::OwnHeap own;
    unsigned sc = hak_pool_sc(0);
    hak_stats_t before = Counters();
    hak_backend_stats_t empty = Stats();
    std::vector<hak_block_t *> blocks(40);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), sc);
    }
    hak_backend_stats_t full = Stats();
    EXPECT_EQ(full.blocks, 40u);
    EXPECT_EQ(full.bytes, 40u * 2048);
    EXPECT_EQ(full.slabs, 2u);
    EXPECT_EQ(full.uncarved_bytes, 24u * 2048);
    EXPECT_GE(full.mapped_bytes, (uint64_t)HAK_WINDOW_BYTES);
    for (hak_block_t *block : blocks) {
        Give(own.get(), block, sc);
    }
    hak_stats_t after = Counters();
    EXPECT_EQ(after.pool_frees - before.pool_frees, 40u);
    EXPECT_EQ(after.pool_hits + after.pool_misses - before.pool_hits - before.pool_misses, 40u);
    EXPECT_EQ(after.pool_refills - before.pool_refills, 1u);
    EXPECT_EQ(after.pool_pages_two_kib - before.pool_pages_two_kib, 2u);
    EXPECT_EQ(after.pool_page_bytes - before.pool_page_bytes, 2u * HAK_UNIT_BYTES);
    pool.thread_flush(own.get());
    hak_backend_stats_t flushed = Stats();
    EXPECT_EQ(flushed.blocks, 0u);
    EXPECT_EQ(flushed.free_bytes, 40u * 2048);
    after = Counters();
    EXPECT_EQ(after.pool_freelist_blocks, 40u);
    EXPECT_EQ(after.pool_nonempty_shards, 1u);
    EXPECT_EQ(empty.slabs, 0u);
}

/* B10, C23: a page that is wholly free goes back after the delay, and not before. */
TEST_F(MidPool, FreeMemoryGoesBackAfterTheDelay) {
    hak_testing::OwnHeap own;
    unsigned sc = hak_pool_sc(4);
    std::vector<hak_block_t *> blocks(64);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), sc);
    }
    for (hak_block_t *block : blocks) {
        Give(own.get(), block, sc);
    }
    pool.thread_flush(own.get());
    Purge(own.get());
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), sc);
        *reinterpret_cast<volatile char *>(block) = 1;
    }
    for (hak_block_t *block : blocks) {
        Give(own.get(), block, sc);
    }
    pool.thread_flush(own.get());
    EXPECT_TRUE(pool.has_garbage());
    EXPECT_EQ(Purge(own.get(), 500), 0u);
    hak_os_fake_advance_ms(400);
    EXPECT_EQ(Purge(own.get(), 500), 0u);
    hak_os_fake_advance_ms(200);
    EXPECT_EQ(Purge(own.get(), 500), 32u * HAK_UNIT_BYTES);
    EXPECT_FALSE(pool.has_garbage());
}

/* What a thread that sleeps has in ring, inbox and runs is not stranded. */
TEST_F(MidPool, IdleOwnersCacheIsEmptiedByOthers) {
    hak_testing::OwnHeap own;
    hak_heap_t *sleeper = hak_heap_acquire_mt();
    unsigned sc = hak_pool_sc(3);
    hak_block_t *block = pool.refill(sleeper, sc), *sent = pool.refill(sleeper, sc);
    hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
    hak_pool_cache_put_owner(hak_pool_cache_find(sleeper), 3, block);
    Give(own.get(), sent, sc);
    EXPECT_EQ(hak_mpsc_stack_count(&hak_pool_cache_find(sleeper)->bin[3].inbox), 1u);
    Purge(own.get(), 500);
    EXPECT_EQ(Stats().blocks, 2u) << "it was here a moment ago";
    hak_os_fake_advance_ms(1000);
    Purge(own.get(), 500);
    EXPECT_EQ(Stats().blocks, 0u);
    EXPECT_EQ(hak_load_rlx(&hak_pool_cache_find(sleeper)->touched), 0u);
    hak_heap_release_mt(sleeper);
}

/* T-15 through the backend: no call fails but by NULL, and later all works. */
TEST_F(MidPool, T15_NoMemory) {
    hak_heap_t *heap = hak_heap_acquire_mt();
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    std::vector<hak_block_t *> blocks;
    for (hak_block_t *b = pool.refill(heap, 72); b != nullptr; b = pool.refill(heap, 72)) {
        blocks.push_back(b);
    }
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(pool.refill_one(heap, 72), nullptr);
    hak_os_fake_reset();
    blocks.push_back(pool.refill_one(heap, 72));
    EXPECT_NE(blocks.back(), nullptr);
    hak_heap_release_mt(heap);
    for (hak_block_t *block : blocks) {
        Give(nullptr, block, 72);
    }
}

/* Issue 4, "Done when" 5: with batch 4 there are at most half the refills of batch 1. */
TEST_F(MidPool, BatchOfFourHalvesTheRefills) {
    uint64_t refills[2];
    hak_testing::OwnHeap own;
    for (int i = 0; i < 2; i++) {
        hak_options_set_text("pool_refill_batch", i == 0 ? "1" : "4");
        uint64_t before = Counters().pool_refills, calls = 0;
        for (int round = 0; round < 10; round++) {
            std::vector<std::pair<hak_block_t *, unsigned>> blocks;
            for (int k = 0; k < 1000; k++) {
                unsigned sc = hak_pool_sc((unsigned)k % HAK_POOL_CLASSES);
                blocks.push_back({Take(own.get(), sc), sc});
                calls++;
            }
            for (auto &[block, sc] : blocks) {
                Give(own.get(), block, sc);
            }
            Purge(own.get());
        }
        refills[i] = (Counters().pool_refills - before) * 1000000 / calls;
    }
    printf("refills per 10^6 mallocs: batch 1: %lu, batch 4: %lu\n", (unsigned long)refills[0],
           (unsigned long)refills[1]);
    EXPECT_GT(refills[1], 0u);
    EXPECT_LE(refills[1] * 2, refills[0]);
}

/* T-05: 8 producers hand blocks to one consumer, which frees them; each arrives once. */
TEST_F(MidPool, T05_EightProducersOneConsumer) {
    enum { PRODUCERS = 8, EACH = 4000, PLACES = 64 };
    static hak_aptr_t places[PLACES];
    std::atomic<int> freed{0};
    hak_testing::RunThreads(PRODUCERS + 1, [&](int self) {
        hak_testing::OwnHeap own;
        hak_testing::Random random((uint64_t)self);
        if (self == PRODUCERS) {
            for (int at = 0; freed.load() < PRODUCERS * EACH; at++) {
                uintptr_t block = hak_swap_acq_rel(&places[at % PLACES], (uintptr_t)0);
                if (block == 0) {
                    std::this_thread::yield();
                    continue;
                }
                auto *words = reinterpret_cast<uint64_t *>(block);
                ASSERT_EQ(words[2], block) << "somebody else wrote to it";
                Give(own.get(), reinterpret_cast<hak_block_t *>(block), (unsigned)words[3]);
                freed.fetch_add(1);
            }
            pool.thread_flush(own.get());
            return;
        }
        for (int i = 0; i < EACH; i++) {
            unsigned sc = hak_pool_sc((unsigned)random.Below(HAK_POOL_CLASSES));
            hak_block_t *block = Take(own.get(), sc);
            ASSERT_NE(block, nullptr);
            auto *words = reinterpret_cast<uint64_t *>(block);
            words[2] = (uintptr_t)block;
            words[3] = sc;
            uintptr_t none = 0;
            for (int at = self; !hak_cas_seq(&places[at % PLACES], &none, (uintptr_t)block); at++) {
                none = 0;
                std::this_thread::yield();
            }
        }
        pool.thread_flush(own.get());
    });
}

/* T-09 and conservation in a crowd: threads come and go with live blocks, and purges go on. */
TEST_F(MidPool, T09_NothingIsLostInACrowd) {
    enum { THREADS = 6, LIVES = 5, ROUNDS = 800, PLACES = 40 };
    static hak_aptr_t places[PLACES]; /* each for blocks of one class */
    hak_testing::RunThreads(THREADS, [&](int self) {
        for (int life = 0; life < LIVES; life++) {
            hak_testing::OwnHeap own;
            hak_testing::Random random((uint64_t)(100 * self + life));
            for (int i = 0; i < ROUNDS; i++) {
                unsigned place = (unsigned)random.Below(PLACES);
                unsigned sc = hak_pool_sc(place % HAK_POOL_CLASSES);
                hak_block_t *block = Take(own.get(), sc);
                ASSERT_NE(block, nullptr);
                auto *other = reinterpret_cast<hak_block_t *>(
                    hak_swap_acq_rel(&places[place], reinterpret_cast<uintptr_t>(block)));
                if (other != nullptr) {
                    Give(own.get(), other, sc);
                }
                if (i % 100 == self) {
                    Purge(own.get(), (uint64_t)(self % 2));
                }
            }
            pool.thread_flush(own.get());
            pool.thread_exit(own.get());
        }
    });
    EXPECT_EQ(Check(), 0u);
    for (unsigned i = 0; i < PLACES; i++) {
        auto *block = reinterpret_cast<hak_block_t *>(hak_swap_acq_rel(&places[i], (uintptr_t)0));
        if (block != nullptr) {
            Give(nullptr, block, hak_pool_sc(i % HAK_POOL_CLASSES));
        }
    }
}

/* The child of a fork has everything that other threads' caches held. */
TEST_F(MidPool, ForkLosesNothing) {
    hak_testing::OwnHeap own;
    hak_heap_t *gone = hak_heap_acquire_mt();
    unsigned sc = hak_pool_sc(1);
    hak_block_t *block = pool.refill(gone, sc);
    hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
    hak_pool_cache_put_owner(hak_pool_cache_find(gone), 1, block);
    hak_heap_fork_take(nullptr);
    pool.fork_take();
    int end = hak_testing::InChild([&] {
        pool.fork_drop(true);
        hak_heap_fork_drop_child(own.get());
        Purge(own.get());
        return Check() == 0 && Stats().blocks == 0 && Stats().slabs == 0 ? 0 : 1;
    });
    EXPECT_EQ(end, 0);
    pool.fork_drop(false);
    hak_heap_fork_drop_parent(nullptr);
    hak_heap_release_mt(gone);
}

} // namespace
