/* How blocks and chunks come back: from other threads, from heaps whose thread is gone or sleeps,
 * to the kernel. */
#include <gtest/gtest.h>

#include <vector>

#include "backends/pool_tls/pool_tls.h"
#include "backends/pool_tls/testing.h"
#include "boxes/adoption/adoption.h"
#include "boxes/page_arena/page_arena.h"
#include "boxes/pool_heap/pool_heap.h"
#include "core/options/options.h"

namespace {

using namespace hak_pool_testing;

size_t Purge(hak_heap_t *mine, uint64_t delay_ms, size_t keep = 0, unsigned calls = UINT32_MAX) {
    hak_purge_order_t order = {hak_os_now_ms(), delay_ms, calls, keep};
    return backend.purge(mine, &order);
}

bool FreeRemote(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    return backend.take_back_remote(mine, block, sc);
}

void InThread(const std::function<void()> &body) {
    hak_testing::RunThreads(1, [&](int) { body(); });
}

/* A heap whose thread is gone, and the blocks that it left. */
std::vector<hak_block_t *> Orphans(unsigned sc, size_t count) {
    std::vector<hak_block_t *> blocks;
    InThread([&] {
        Own own;
        for (size_t i = 0; i < count; i++) {
            blocks.push_back(backend.refill_one(own.get(), sc));
        }
    });
    return blocks;
}

class PoolTlsReturn : public PoolTest {};

/* T-11: frees of threads with and without a heap, and of one whose first call it is. */
TEST_F(PoolTlsReturn, RemoteFreesComeBackAtARefill) {
    Own own;
    std::vector<hak_block_t *> blocks;
    for (int i = 0; i < 60; i++) {
        blocks.push_back(backend.refill_one(own.get(), 48));
    }
    InThread([&] {
        for (size_t i = 0; i < 30; i++) {
            EXPECT_TRUE(FreeRemote(nullptr, blocks[i], 48));
        }
        Own other;
        for (size_t i = 30; i < 60; i++) {
            EXPECT_TRUE(FreeRemote(other.get(), blocks[i], 48));
        }
        EXPECT_EQ(hak_load_rlx(&other.get()->counters.remote_blocks), 30u);
    });
    EXPECT_EQ(Stats().blocks, 60u);
    EXPECT_EQ(Check(), 0u);
    uint64_t drained = hak_load_rlx(&own.get()->counters.drained_blocks);
    hak_block_t *block = backend.refill_one(own.get(), 72);
    EXPECT_EQ(hak_load_rlx(&own.get()->counters.drained_blocks) - drained, 60u);
    EXPECT_EQ(Stats().blocks, 1u);
    EXPECT_TRUE(FreeRemote(nullptr, block, 72));
}

/* One refill does not pay for a queue of any length. */
TEST_F(PoolTlsReturn, ARefillDrainsABoundedNumber) {
    Own own;
    std::vector<hak_block_t *> blocks;
    for (int i = 0; i < 1000; i++) {
        blocks.push_back(backend.refill_one(own.get(), 40));
    }
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(FreeRemote(nullptr, block, 40));
    }
    uint64_t drained = hak_load_rlx(&own.get()->counters.drained_blocks);
    hak_block_t *last = backend.refill_one(own.get(), 40);
    EXPECT_EQ(hak_load_rlx(&own.get()->counters.drained_blocks) - drained, 256u);
    EXPECT_EQ(Check(), 0u) << "the rest waits on the heap's own list";
    EXPECT_TRUE(FreeRemote(nullptr, last, 40));
    backend.thread_exit(own.get());
    EXPECT_EQ(Stats().blocks, 0u);
}

TEST_F(PoolTlsReturn, PlacesNeverHandedOutAreRefused) {
    Own own;
    char *block = (char *)own.TakeOne(64);
    EXPECT_FALSE(FreeRemote(nullptr, (hak_block_t *)(block + 3 * 16384), 64));
    EXPECT_FALSE(FreeRemote(own.get(), (hak_block_t *)(block + 3 * 16384), 64));
    EXPECT_FALSE(FreeRemote(nullptr, (hak_block_t *)(block + 8192), 64)) << "no block's start";
    EXPECT_EQ(Stats().blocks, 1u);
    own.GiveAll();
}

/* The queue of a heap without a thread strands nothing: a purge by anyone takes it in. */
TEST_F(PoolTlsReturn, APurgeDrainsTheQueueOfADeadOwner) {
    std::vector<hak_block_t *> blocks = Orphans(56, 100);
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(FreeRemote(nullptr, block, 56));
    }
    EXPECT_EQ(Stats().blocks, 100u);
    EXPECT_GT(PurgeAll(nullptr), 0u);
    EXPECT_EQ(Stats().blocks, 0u);
    EXPECT_EQ(Chunks().mapped_bytes, 0u);
}

/* In passing it takes in a part and asks for another pass soon, though it gave nothing back. */
TEST_F(PoolTlsReturn, APurgeThatLeavesSomeInAQueueComesAgain) {
    std::vector<hak_block_t *> blocks = Orphans(40, 5000);
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(FreeRemote(nullptr, block, 40));
    }
    EXPECT_NE(Purge(nullptr, 500, 0, 48), 0u);
    EXPECT_EQ(Stats().blocks, 904u);
    EXPECT_EQ(Purge(nullptr, 500, 0, 48), 0u);
    EXPECT_EQ(Stats().blocks, 0u);
}

/* No malloc waits for the background thread: it takes in more. */
TEST_F(PoolTlsReturn, APurgeWithTimeTakesInMore) {
    std::vector<hak_block_t *> blocks = Orphans(40, 12000);
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(FreeRemote(nullptr, block, 40));
    }
    (void)Purge(nullptr, 500, 0, 512);
    EXPECT_EQ(Stats().blocks, 0u);
}

/* A thread at work with other sizes does not look into its queue; one that does is left alone. */
TEST_F(PoolTlsReturn, APurgeDrainsTheQueueOfAnOwnerAtWorkElsewhere) {
    Own own;
    std::vector<hak_block_t *> blocks;
    for (int i = 0; i < 10; i++) {
        blocks.push_back(backend.refill_one(own.get(), 56));
    }
    EXPECT_TRUE(FreeRemote(nullptr, blocks[0], 56));
    hak_store_rlx(&own.get()->active_ms, hak_os_now_ms() + 1000);
    (void)Purge(nullptr, 500, 0, 48);
    EXPECT_EQ(Stats().blocks, 9u);
    EXPECT_TRUE(FreeRemote(nullptr, blocks[1], 56));
    blocks[0] = backend.refill_one(own.get(), 56);
    EXPECT_TRUE(FreeRemote(nullptr, blocks[2], 56));
    (void)Purge(nullptr, 500, 0, 48);
    EXPECT_EQ(Stats().blocks, 9u) << "it takes in itself";
    (void)Purge(nullptr, 500, 0, 48);
    EXPECT_EQ(Stats().blocks, 8u) << "it did, but does no more";
    EXPECT_TRUE(FreeRemote(nullptr, blocks[0], 56));
    for (size_t i = 3; i < blocks.size(); i++) {
        EXPECT_TRUE(FreeRemote(nullptr, blocks[i], 56));
    }
}

TEST_F(PoolTlsReturn, TheNextThreadOfAHeapDrainsItsQueue) {
    std::vector<hak_block_t *> blocks = Orphans(56, 100);
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(FreeRemote(nullptr, block, 56));
    }
    uint64_t made = Chunks().made;
    Own own; /* the idle heap that was left last */
    for (int i = 0; i < 100; i++) {
        own.TakeOne(56);
    }
    EXPECT_EQ(Chunks().made, made);
    EXPECT_EQ(Stats().blocks, 100u);
    own.GiveAll();
}

/* A heap that has run out takes a chunk of a dead one over, with the blocks in use there. */
TEST_F(PoolTlsReturn, ChunksOfADeadOwnerAreAdopted) {
    Own own; /* before the other's, so that its heap is not this one's */
    std::vector<hak_block_t *> blocks = Orphans(72, 20);
    for (size_t i = 0; i < 10; i++) {
        EXPECT_TRUE(FreeRemote(nullptr, blocks[i], 72));
    }
    uint64_t made = Chunks().made;
    for (int i = 0; i < 20; i++) {
        ASSERT_NE(own.TakeOne(72), nullptr);
    }
    EXPECT_EQ(Chunks().made, made) << "there was memory";
    EXPECT_EQ(hak_load_rlx(&hak_pool_heap_of(own.get())->adopted_chunks), 1u);
    EXPECT_EQ(Check(), 0u);
    for (size_t i = 10; i < 20; i++) {
        EXPECT_EQ(hak_registry_tag((uintptr_t)blocks[i]), own.get()->tag | 72u << HAK_BIN_SHIFT);
        EXPECT_TRUE(FreeRemote(nullptr, blocks[i], 72));
    }
    own.GiveAll();
    backend.thread_exit(own.get());
    EXPECT_EQ(Stats().blocks, 0u) << "they came to the new owner";
}

/* From a thread that sleeps: what others freed there. Blocks that were queued at the old owner are
 * sent on, and those in its bin go where they belong when they leave it. */
TEST_F(PoolTlsReturn, ASleepingOwnersChunkIsAdoptedAndItsBlocksFollow) {
    Own sleeper;
    std::vector<hak_block_t *> blocks;
    for (int i = 0; i < 8; i++) {
        blocks.push_back(backend.refill_one(sleeper.get(), 72));
    }
    sleeper.Give(sleeper.Take(72), 72); /* the bin is full of blocks now */
    EXPECT_GT(sleeper.InBin(72), 8u);
    EXPECT_TRUE(FreeRemote(nullptr, blocks[0], 72));
    hak_pool_heap_t *old = hak_pool_heap_of(sleeper.get());
    /* in the future, so that the lease runs however slow this machine is */
    hak_store_rlx(&sleeper.get()->active_ms, hak_os_now_ms() + 1000000);
    auto tries = [&](bool adopts) {
        InThread([&] {
            Own own;
            own.TakeOne(72);
            EXPECT_EQ(hak_load_rlx(&hak_pool_heap_of(own.get())->adopted_chunks), adopts);
            own.GiveAll();
        });
    };
    tries(false); /* its lease runs */
    (void)PurgeAll(sleeper.get());
    EXPECT_TRUE(FreeRemote(nullptr, blocks[1], 72));
    hak_store_rlx(&sleeper.get()->active_ms, hak_os_now_ms());
    hak_os_fake_advance_ms(HAK_ADOPTION_LEASE_MS + 1);
    tries(true);
    EXPECT_NE(hak_pool_chunk_heap(hak_pool_unit_chunk(hak_pool_unit_of((uintptr_t)blocks[2]))),
              old);
    EXPECT_EQ(Check(), 0u);
    /* As if a thread had looked at the owner just before the chunk moved. */
    hak_pool_remote_push_mt(&old->remote, blocks[2]);
    uint64_t live = Stats().blocks;
    (void)hak_pool_heap_drain_owner(old, UINT32_MAX);
    EXPECT_EQ(Stats().blocks, live) << "sent on, not taken in";
    EXPECT_TRUE(hak_pool_remote_is_empty(&old->remote));
    for (size_t i = 3; i < blocks.size(); i++) {
        EXPECT_TRUE(FreeRemote(sleeper.get(), blocks[i], 72));
    }
    backend.thread_flush(sleeper.get());
    EXPECT_EQ(Check(), 0u);
    (void)PurgeAll(sleeper.get());
    EXPECT_EQ(Stats().blocks, 0u);
}

/* Two visits, half a delay apart, must find a unit free. */
TEST_F(PoolTlsReturn, FreeUnitsGoBackAfterTheDelay) {
    Own own;
    hak_block_t *live = backend.refill_one(own.get(), 72);
    for (int i = 0; i < 20; i++) {
        own.TakeOne(72);
    }
    own.GiveAll();
    EXPECT_TRUE(backend.has_garbage());
    EXPECT_EQ(Purge(own.get(), 1000), 0u) << "found free for the first time";
    hak_os_fake_advance_ms(400);
    EXPECT_EQ(Purge(own.get(), 1000), 0u) << "too early";
    hak_os_fake_advance_ms(200);
    EXPECT_EQ(Purge(own.get(), 1000), 10u * HAK_UNIT_BYTES);
    EXPECT_FALSE(backend.has_garbage());
    EXPECT_EQ(Check(), 0u);
    EXPECT_TRUE(FreeRemote(nullptr, live, 72));
    EXPECT_EQ(PurgeAll(own.get()), (size_t)HAK_POOL_LEAST_BYTES) << "the chunk as a whole";
    EXPECT_EQ(Chunks().mapped_bytes, 0u);
}

TEST_F(PoolTlsReturn, AUnitInUseAgainStartsAnew) {
    Own own;
    own.TakeOne(72);
    own.TakeOne(72);
    own.TakeOne(72);
    hak_block_t *live = backend.refill_one(own.get(), 40);
    own.GiveAll();
    EXPECT_EQ(Purge(own.get(), 1000), 0u);
    own.TakeOne(72); /* takes a dirty unit, which then is not aged any more */
    own.GiveAll();
    hak_os_fake_advance_ms(600);
    EXPECT_EQ(Purge(own.get(), 1000), 1u * HAK_UNIT_BYTES) << "the one that nobody used";
    EXPECT_TRUE(FreeRemote(nullptr, live, 40));
}

TEST_F(PoolTlsReturn, PurgeKeepsToItsOrder) {
    Own own;
    std::vector<hak_block_t *> live;
    for (int i = 0; i < 100; i++) {
        hak_block_t *block = backend.refill_one(own.get(), 72);
        if (i % 4 == 0) {
            live.push_back(block); /* every second unit stays in use */
        } else {
            own.Keep(block, 72);
        }
    }
    own.GiveAll();
    EXPECT_EQ(Purge(own.get(), 0, size_t{64} << 20), 0u) << "all of it may be kept";
    EXPECT_EQ(Purge(own.get(), 0, 0, 3), 3u * HAK_UNIT_BYTES) << "three system calls";
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
    uint64_t dirty = hak_load_rlx(&hak_pool_heap_of(own.get())->dirty_units);
    EXPECT_EQ(Purge(own.get(), 0), (dirty - 1) * HAK_UNIT_BYTES) << "one was refused";
    EXPECT_TRUE(backend.has_garbage());
    EXPECT_EQ(Purge(own.get(), 0), 1u * HAK_UNIT_BYTES) << "and is tried again";
    for (hak_block_t *block : live) {
        EXPECT_TRUE(FreeRemote(nullptr, block, 72));
    }
}

/* G5: with the page arena on, chunks wait on the shelf and serve the next need. */
TEST_F(PoolTlsReturn, PageArenaServesChunks) {
    hak_store_rlx(&hak_option_values[HAK_OPTION_PAGE_ARENA], 1);
    hak_page_arena_stats_t before, after;
    hak_page_arena_stats_mt(&before);
    {
        Own own;
        while (Chunks().mapped_bytes < (7u << 20)) {
            own.TakeOne(72);
        }
        own.GiveAll();
        backend.thread_flush(own.get());
        EXPECT_EQ(Purge(own.get(), 1000), 0u);
        hak_os_fake_advance_ms(600);
        EXPECT_EQ(Purge(own.get(), 1000), 7u << 20);
        EXPECT_EQ(Chunks().mapped_bytes, 0u);
        hak_page_arena_stats_mt(&after);
        EXPECT_EQ(after.bytes, 6u << 20) << "of 1, 2 and 4 MiB, in pieces of 2";
        EXPECT_EQ(after.misses, before.misses + 3);
        own.TakeOne(72);
        hak_page_arena_stats_mt(&after);
        EXPECT_EQ(after.hits, before.hits + 1);
        EXPECT_EQ(Chunks().mapped_bytes, 2u << 20);
        own.GiveAll();
    }
    EXPECT_TRUE(backend.has_garbage());
    (void)PurgeAll(nullptr);
    hak_page_arena_stats_mt(&after);
    (void)PurgeAll(nullptr);
    hak_page_arena_stats_mt(&after);
    EXPECT_EQ(after.bytes, 0u);
    hak_store_rlx(&hak_option_values[HAK_OPTION_PAGE_ARENA], 0);
}

/* Owners that take, others that free, one that purges all the time: every block comes home. */
TEST_F(PoolTlsReturn, ManyThreads) {
    enum { THREADS = 4, SLOTS = 256, STEPS = 20000 };
    std::vector<std::atomic<uintptr_t>> slot(SLOTS);
    hak_testing::RunThreads(THREADS + 1, [&](int who) {
        hak_testing::Random random((uint64_t)who);
        if (who == THREADS) {
            for (int i = 0; i < 300; i++) {
                hak_os_fake_advance_ms(7);
                (void)Purge(nullptr, i % 10 == 0 ? 0 : 10);
            }
            return;
        }
        Own own;
        for (int i = 0; i < STEPS; i++) {
            unsigned k = (unsigned)random.Below(5);
            hak_block_t *block = own.Take(kClasses[k]);
            ASSERT_NE(block, nullptr);
            uintptr_t old =
                slot[random.Below(SLOTS)].exchange((uintptr_t)block | k); /* aligned to 2 KiB */
            if (old == 0) {
                continue;
            }
            block = (hak_block_t *)(old & ~(uintptr_t)7);
            unsigned sc = kClasses[old & 7];
            if (hak_registry_tag((uintptr_t)block) == (own.get()->tag | sc << HAK_BIN_SHIFT)) {
                own.Give(block, sc);
            } else {
                ASSERT_TRUE(FreeRemote(own.get(), block, sc));
            }
        }
    });
    EXPECT_EQ(Check(), 0u);
    for (auto &each : slot) {
        uintptr_t block = each & ~(uintptr_t)7;
        EXPECT_TRUE(block == 0 || FreeRemote(nullptr, (hak_block_t *)block, kClasses[each & 7]));
    }
}

} // namespace
