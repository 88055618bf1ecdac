#include "backends/slabs/slabs.h"

#include <gtest/gtest.h>
#include <string.h>

#include <set>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
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

class Slabs : public ::testing::Test {
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

TEST_F(Slabs, EveryClassIsServedAndDescribed) {
    OwnHeap own;
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        hak_block_t *block = Alloc(own.get(), sc);
        ASSERT_NE(block, nullptr);
        memset((void *)block, 1, hak_sc_bytes[sc]);
        hak_block_info_t info;
        for (size_t offset : {(size_t)0, (size_t)1, (size_t)hak_sc_bytes[sc] - 1}) {
            ASSERT_TRUE(backend.describe((uintptr_t)block + offset, &info));
            EXPECT_EQ(info.block, (uintptr_t)block);
            EXPECT_EQ(info.bytes, hak_sc_bytes[sc]);
            EXPECT_TRUE(info.handed_out);
        }
        hak_slab_t *slab = hak_slab_of((uintptr_t)block);
        uintptr_t last = hak_slab_base(slab) + (slab->cap - 1) * (uintptr_t)hak_sc_bytes[sc];
        ASSERT_TRUE(backend.describe(last, &info));
        EXPECT_EQ(info.handed_out, hak_load_rlx(&slab->carved) == slab->cap) << sc;
        uintptr_t end = hak_slab_base(slab) + ((uintptr_t)slab->units << HAK_UNIT_SHIFT);
        uintptr_t tail = last + hak_sc_bytes[sc];
        EXPECT_TRUE(tail == end || !backend.describe(tail, &info)) << "too short for a block";
        backend.take_back(own.get(), block, sc);
    }
    int local;
    hak_block_info_t info;
    EXPECT_FALSE(backend.describe((uintptr_t)&local, &info));
    EXPECT_FALSE(backend.describe(0, &info));
    Leave(own.get());
}

TEST_F(Slabs, StatisticsAddUpToTheMemoryOfTheSlabs) {
    OwnHeap own;
    std::vector<std::pair<hak_block_t *, unsigned>> blocks;
    uint64_t least_bytes = 0;
    for (int i = 0; i < 3000; i++) {
        unsigned sc = 1 + (unsigned)i % HAK_SC_FIXED;
        blocks.push_back({Alloc(own.get(), sc), sc});
        least_bytes += hak_sc_bytes[sc];
    }
    for (size_t i = 0; i < 1000; i++) {
        backend.take_back(own.get(), blocks.back().first, blocks.back().second);
        least_bytes -= hak_sc_bytes[blocks.back().second];
        blocks.pop_back();
    }
    backend.thread_flush(own.get());
    hak_backend_stats_t stats = Stats();
    EXPECT_EQ(stats.blocks, 2000u);
    EXPECT_EQ(stats.bytes, least_bytes);
    hak_slot_pool_stats_t pool;
    hak_slot_pool_stats_mt(&pool);
    EXPECT_EQ(stats.bytes + stats.free_bytes + stats.uncarved_bytes,
              pool.active_slots * HAK_UNIT_BYTES);
    EXPECT_EQ(Check(), 0u);
    for (auto &b : blocks) {
        backend.take_back(own.get(), b.first, b.second);
    }
    Leave(own.get());
}

TEST_F(Slabs, RefillOfOneLeavesTheBinsAlone) {
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

TEST_F(Slabs, RemoteFreeOfAPlaceNeverHandedOutIsRefused) {
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

TEST_F(Slabs, ThreadExitGivesFreeSlabsBack) {
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

TEST_F(Slabs, PurgeTakesInTheCallersOwnRemoteFrees) {
    OwnHeap own;
    hak_block_t *block = Alloc(own.get(), 30);
    backend.thread_flush(own.get());
    hak_testing::RunThreads(1, [&](int) {
        EXPECT_TRUE(backend.take_back_remote(nullptr, block, 30));
    });
    EXPECT_EQ(Stats().blocks, 1u);
    (void)PurgeAll(own.get());
    EXPECT_EQ(Stats().slabs, 0u);
}

TEST_F(Slabs, PurgeKeepsWhatItIsTold) {
    OwnHeap own;
    std::vector<hak_block_t *> blocks;
    for (int i = 0; i < 64; i++) {
        blocks.push_back(Alloc(own.get(), HAK_SC_FIXED));
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

TEST_F(Slabs, RefillWithoutMemoryGivesNullAndWorksAgain) {
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

TEST_F(Slabs, CheckFindsDamage) {
    OwnHeap own;
    hak_block_t *block = Alloc(own.get(), 12);
    backend.take_back(own.get(), Alloc(own.get(), 12), 12);
    backend.thread_flush(own.get());
    hak_slab_t *slab = hak_slab_of((uintptr_t)block);
    ASSERT_NE(slab->free, nullptr);
    ASSERT_EQ(Check(), 0u);
    uint32_t used = hak_load_rlx(&slab->used);
    hak_store_rlx(&slab->used, used + 1);
    EXPECT_GT(Check(), 0u) << "a wrong count";
    hak_store_rlx(&slab->used, used);
    uint8_t listed = slab->listed;
    slab->listed = 0;
    EXPECT_GT(Check(), 0u) << "a slab that nobody will find";
    slab->listed = listed;
    uint32_t tag = hak_registry_tag(hak_slab_base(slab));
    hak_registry_set_tags(hak_slab_base(slab), 1, tag + 0x10);
    EXPECT_GT(Check(), 0u) << "a wrong tag";
    hak_registry_set_tags(hak_slab_base(slab), 1, tag);
    hak_block_t *free_list = slab->free;
    slab->free = (hak_block_t *)(hak_slab_base(slab) + 8);
    EXPECT_GT(Check(), 0u) << "a list that leads nowhere";
    slab->free = free_list;
    EXPECT_EQ(Check(), 0u);
    backend.take_back(own.get(), block, 12);
    Leave(own.get());
}

/* A thread may have marked a slab as queued and not yet pushed it when the process forks. Without
 * the rebuilding in the child, its remote frees would be lost there. */
TEST_F(Slabs, ChildOfAForkQueuesSlabsAgain) {
    OwnHeap own;
    hak_block_t *block = Alloc(own.get(), 40);
    backend.thread_flush(own.get());
    EXPECT_TRUE(backend.take_back_remote(nullptr, block, 40));
    ASSERT_TRUE(hak_free_remote_is_queued(hak_slab_of((uintptr_t)block)));
    backend.fork_take();
    EXPECT_EQ(hak_testing::InChild([&] {
                  hak_pending_forget_owner(own.get()); /* as if it had never been pushed */
                  backend.fork_drop(true);
                  Leave(own.get());
                  return Stats().slabs == 0 ? 0 : 1;
              }),
              0);
    backend.fork_drop(false);
    Leave(own.get());
}

} // namespace
