/* How blocks and slabs come back: from other threads, at a thread's end, by a purge, after a
 * failure. */
#include "backends/slabs/slabs.h"

#include <gtest/gtest.h>
#include <string.h>

#include <set>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/poison.h"
#include "base/testing/testing.h"
#include "boxes/slab/slab.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "boxes/tls_sll/tls_sll.h"

namespace {

using hak_testing::OwnHeap;

const hak_backend_t &backend = hak_backend_slabs;

hak_backend_stats_t Stats() {
    hak_backend_stats_t stats = {};
    backend.stats(&stats);
    return stats;
}

size_t Check() {
    backend.fork_take();
    size_t faults = backend.check();
    backend.fork_drop(false);
    return faults;
}

size_t PurgeAll(hak_heap_t *mine) {
    hak_os_fake_advance_ms(60000);
    hak_purge_order_t order = {hak_os_now_ms(), 0, UINT32_MAX, 0};
    return backend.purge(mine, &order);
}

/* As the front: from the bin, else by a refill. */
hak_block_t *Alloc(hak_heap_t *heap, unsigned sc) {
    hak_bin_t &bin = hak_tls.bin[sc];
    if (bin.head == nullptr) {
        return backend.refill(heap, sc);
    }
    hak_block_t *block = bin.head;
    bin.head = hak_block_next(block);
    bin.room++;
    return block;
}

class SlabsReturn : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        ASSERT_STREQ(backend.name, "slabs");
    }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Stats().slabs, 0u);
        EXPECT_EQ(Stats().blocks, 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        EXPECT_EQ(Check(), 0u);
        (void)PurgeAll(nullptr);
        EXPECT_FALSE(backend.has_garbage());
    }
    /* The thread's part of its end, but for the heap itself. */
    static void Leave(hak_heap_t *heap) {
        backend.thread_flush(heap);
        backend.thread_exit(heap);
    }
};

TEST_F(SlabsReturn, RefillOfOneLeavesTheBinsAlone) {
    OwnHeap own;
    std::set<hak_block_t *> blocks;
    for (int i = 0; i < 500; i++) {
        hak_block_t *block = backend.refill_one(own.get(), 3);
        ASSERT_TRUE(blocks.insert(block).second) << "handed out twice";
        EXPECT_EQ(hak_tls.bin[3].head, nullptr);
    }
    EXPECT_EQ(Stats().blocks, 500u);
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(backend.take_back_remote(nullptr, block, 3));
    }
    Leave(own.get());
}

TEST_F(SlabsReturn, RemoteFreeOfAPlaceNeverHandedOutIsRefused) {
    OwnHeap own;
    hak_block_t *block = Alloc(own.get(), 20);
    hak_slab_t *slab = hak_slab_of((uintptr_t)block);
    uintptr_t last = hak_slab_base(slab) + (slab->cap - 1) * (uintptr_t)hak_sc_bytes[20];
    hak_testing::RunThreads(1, [&](int) {
        EXPECT_FALSE(backend.take_back_remote(nullptr, (hak_block_t *)last, 20));
        OwnHeap other;
        EXPECT_FALSE(backend.take_back_remote(other.get(), (hak_block_t *)last, 20));
        EXPECT_TRUE(backend.take_back_remote(other.get(), block, 20));
    });
    Leave(own.get());
}

TEST_F(SlabsReturn, ThreadExitGivesFreeSlabsBack) {
    std::vector<hak_block_t *> kept;
    {
        OwnHeap own;
        std::vector<hak_block_t *> blocks;
        for (int i = 0; i < 5000; i++) {
            blocks.push_back(Alloc(own.get(), 8));
        }
        uint64_t slabs = Stats().slabs;
        EXPECT_GE(slabs, 5000u / hak_sc_slab_blocks(8));
        kept.push_back(blocks.front());
        for (size_t i = 1; i < blocks.size(); i++) {
            backend.take_back(own.get(), blocks[i], 8);
        }
        Leave(own.get());
        EXPECT_EQ(Stats().slabs, 1u) << "the slab of the live block stays";
        EXPECT_EQ(Stats().blocks, 1u);
        EXPECT_TRUE(backend.has_garbage());
    }
    /* The last block comes back when its heap has no thread: a purge by anyone takes it in. */
    EXPECT_TRUE(backend.take_back_remote(nullptr, kept[0], 8));
    EXPECT_GT(PurgeAll(nullptr), 0u);
    EXPECT_EQ(Stats().slabs, 0u);
}

TEST_F(SlabsReturn, ThreadExitTakesInRemoteFrees) {
    OwnHeap own;
    hak_block_t *block = Alloc(own.get(), 30);
    hak_testing::RunThreads(
        1, [&](int) { EXPECT_TRUE(backend.take_back_remote(nullptr, block, 30)); });
    Leave(own.get());
    EXPECT_EQ(Stats().slabs, 0u) << "no purge was needed";
}

TEST_F(SlabsReturn, PurgeTakesInTheCallersOwnRemoteFrees) {
    OwnHeap own;
    hak_block_t *block = Alloc(own.get(), 30);
    backend.thread_flush(own.get());
    hak_testing::RunThreads(
        1, [&](int) { EXPECT_TRUE(backend.take_back_remote(nullptr, block, 30)); });
    EXPECT_EQ(Stats().blocks, 0u) << "it is free";
    EXPECT_EQ(Stats().slabs, 1u);
    (void)PurgeAll(own.get());
    EXPECT_EQ(Stats().slabs, 0u);
}

TEST_F(SlabsReturn, PurgeKeepsWhatItIsTold) {
    OwnHeap own;
    std::vector<hak_block_t *> blocks;
    for (int i = 0; i < 64; i++) {
        blocks.push_back(Alloc(own.get(), HAK_SC_FIXED));
        hak_unpoison(blocks.back(), 64); /* as the front does */
        memset((void *)blocks.back(), 1, 64);
    }
    for (hak_block_t *block : blocks) {
        backend.take_back(own.get(), block, HAK_SC_FIXED);
    }
    Leave(own.get());
    hak_purge_order_t order = {hak_os_now_ms(), 0, UINT32_MAX, 64 << 20};
    EXPECT_EQ(backend.purge(nullptr, &order), 0u);
    order.delay_ms = 1000;
    order.keep_bytes = 0;
    EXPECT_EQ(backend.purge(nullptr, &order), 0u) << "too young";
    EXPECT_TRUE(backend.has_garbage());
    EXPECT_GT(PurgeAll(nullptr), 0u);
}

TEST_F(SlabsReturn, RefillWithoutMemoryGivesNullAndWorksAgain) {
    OwnHeap own;
    std::vector<hak_block_t *> blocks;
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    hak_block_t *block = nullptr;
    while ((block = Alloc(own.get(), HAK_SC_FIXED)) != nullptr) {
        blocks.push_back(block);
        ASSERT_LT(blocks.size(), 10000u);
    }
    EXPECT_EQ(backend.refill_one(own.get(), HAK_SC_FIXED), nullptr);
    EXPECT_EQ(Check(), 0u);
    hak_os_fake_reset();
    blocks.push_back(Alloc(own.get(), HAK_SC_FIXED));
    EXPECT_NE(blocks.back(), nullptr);
    for (hak_block_t *b : blocks) {
        backend.take_back(own.get(), b, HAK_SC_FIXED);
    }
    Leave(own.get());
}
} // namespace
