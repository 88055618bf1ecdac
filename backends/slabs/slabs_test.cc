#include "backends/slabs/slabs.h"

#include <gtest/gtest.h>

#include "backends/os/os.h"
#include "base/testing/testing.h"
#include "boxes/flush/flush.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "boxes/transfer/transfer.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
}

namespace {

using hak_testing::NewSlab;
using hak_testing::SlabsOf;

constexpr unsigned kClass = 25;
const hak_backend_t &slabs = hak_backend_slabs;

hak_backend_stats_t Stats() {
    hak_backend_stats_t stats = {};
    slabs.stats(&stats);
    return stats;
}

size_t Check() {
    slabs.fork_take();
    size_t faults = slabs.check();
    slabs.fork_drop(false);
    return faults;
}

class Slabs : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        other_ = hak_heap_acquire_mt();
    }
    void TearDown() override {
        EXPECT_EQ(Check(), 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
            hak_testing::Settle(heap);
        }
        EXPECT_EQ(Stats().blocks, 0u) << "a block got lost";
        hak_heap_release_mt(other_);
    }
    static size_t Purge(hak_heap_t *mine) {
        hak_purge_order_t order = {hak_os_now_ms() + 1000000, 0, UINT32_MAX, 0};
        return slabs.purge(mine, &order);
    }
    /* As malloc does it; the mark stays. */
    static hak_block_t *Take(hak_heap_t *mine, unsigned sc) {
        hak_block_t *block = hak_tls_sll_pop_class(sc);
        return block != nullptr ? block : slabs.refill(mine, sc);
    }
    static void Give(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
        if (!hak_tls_sll_push_class(sc, block)) {
            slabs.take_back(mine, block, sc);
        }
    }
    hak_heap_t *other_;
};

TEST_F(Slabs, EveryClassGoesThereAndBack) {
    hak_testing::OwnHeap own;
    std::vector<std::pair<hak_block_t *, unsigned>> blocks;
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        for (int i = 0; i < 20; i++) {
            blocks.push_back({Take(own.get(), sc), sc});
            ASSERT_NE(blocks.back().first, nullptr);
        }
    }
    EXPECT_EQ(Check(), 0u);
    for (const auto &each : blocks) {
        Give(own.get(), each.first, each.second);
    }
    slabs.thread_flush(own.get());
    EXPECT_EQ(Stats().blocks, 0u);
    slabs.thread_exit(own.get());
    EXPECT_EQ(Stats().slabs, 0u) << "a thread that leaves keeps no empty slab";
}

/* A thread that only frees what others allocate sends it home, but not one by one. */
TEST_F(Slabs, FreesOfManySlabsStayWithTheThread) {
    hak_testing::OwnHeap own;
    uint32_t shared = HAK_TAG_SHARED | kClass << HAK_BIN_SHIFT;
    own.get()->shares[0] = own.get()->shares[1] = 0;
    hak_tls.bin[kClass].tag = own.get()->tag | kClass << HAK_BIN_SHIFT;
    std::vector<std::vector<hak_block_t *>> blocks;
    for (int i = 0; i < 3 * HAK_BATCH_SLOTS; i++) {
        blocks.push_back(hak_testing::CarveAll(other_, NewSlab(other_, kClass)));
    }
    for (hak_block_t *block : blocks[0]) {
        ASSERT_TRUE(slabs.take_back_remote(own.get(), block, kClass));
        ASSERT_NE(hak_tls.bin[kClass].tag, shared) << "full batches cost little";
    }
    size_t frees = 0;
    for (size_t i = 0; i < blocks[1].size(); i++) {
        for (size_t slab = 1; slab < blocks.size(); slab++) {
            if (hak_tls.bin[kClass].tag != shared) {
                ASSERT_TRUE(slabs.take_back_remote(own.get(), blocks[slab][i], kClass));
                frees++;
            } else {
                Give(own.get(), blocks[slab][i], kClass);
            }
        }
    }
    EXPECT_LT(frees, 2500u);
    EXPECT_NE(hak_transfer_count(kClass), 0u) << "what there is no room for is passed on";
    EXPECT_EQ(Check(), 0u);
    hak_purge_order_t order = {hak_os_now_ms(), 0, UINT32_MAX, 0};
    (void)slabs.purge(own.get(), &order);
    EXPECT_EQ(hak_transfer_count(kClass), 0u) << "a trim sends it home";
}

/* A slab in slots that were not purged: what it has not carved is resident all the same. */
TEST_F(Slabs, WhatAFormerLifeLeftIsFreeMemoryNotUntouched) {
    constexpr unsigned kNext = kClass + 1;
    auto put_all_home = [&](hak_slab_t *slab, const std::vector<hak_block_t *> &blocks) {
        for (hak_block_t *block : blocks) {
            hak_free_remote_push_mt(slab, block, block, 1);
        }
        hak_testing::Settle(other_);
    };
    (void)Purge(nullptr);
    hak_backend_stats_t before = Stats();
    hak_slab_t *slab = NewSlab(other_, kClass);
    EXPECT_EQ(Stats().uncarved_bytes - before.uncarved_bytes, (uint64_t)HAK_UNIT_BYTES);
    put_all_home(slab, hak_testing::CarveAll(other_, slab));
    EXPECT_EQ(Stats().slabs, before.slabs);
    slab = NewSlab(other_, kNext);
    EXPECT_EQ(Stats().uncarved_bytes, before.uncarved_bytes);
    EXPECT_EQ(Stats().free_bytes - before.free_bytes, (uint64_t)HAK_UNIT_BYTES);
    put_all_home(slab, hak_testing::Carve(other_, slab, 1));
    (void)Purge(nullptr);
    slab = NewSlab(other_, kNext);
    EXPECT_EQ(Stats().uncarved_bytes - before.uncarved_bytes, (uint64_t)HAK_UNIT_BYTES)
        << "it was purged";
    put_all_home(slab, hak_testing::Carve(other_, slab, 1));
}

TEST_F(Slabs, DescribesEveryAddressOfASlab) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = hak_testing::Carve(other_, slab, 3);
    uint32_t bytes = hak_sc_bytes[kClass];
    uintptr_t base = hak_slab_base(slab);
    for (uintptr_t offset = 0; offset < HAK_UNIT_BYTES; offset += 7) {
        hak_block_info_t info = {};
        uint32_t index = (uint32_t)(offset / bytes);
        ASSERT_EQ(slabs.describe(base + offset, &info), index < slab->cap) << offset;
        if (index < slab->cap) {
            ASSERT_EQ(info.block, base + index * bytes);
            ASSERT_EQ(info.bytes, bytes);
            ASSERT_EQ(info.handed_out, index < 3);
        }
    }
    hak_block_info_t info;
    int local;
    EXPECT_FALSE(slabs.describe((uintptr_t)&local, &info));
    EXPECT_FALSE(slabs.describe(0, &info));
    EXPECT_FALSE(slabs.describe(UINTPTR_MAX, &info));
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(slabs.take_back_remote(nullptr, block, kClass));
    }
}

/* A slab of one unit for a class of two, where a slab of two was and cannot be: the slot behind it
 * holds no memory. */
TEST_F(Slabs, ShorterSlabHasItsOwnBlocks) {
    const unsigned sc = hak_sc_of(20000);
    ASSERT_EQ(hak_sc_units(sc), 2u);
    auto purge = [] { (void)hak_slot_pool_purge_mt(1ull << 40, 0, UINT32_MAX, 0); };
    purge(); /* no EMPTY slot but ours */
    hak_slab_t *pin = hak_testing::TakeUnits(2), *pair = hak_testing::TakeUnits(2);
    hak_slot_pool_give_mt(pair);
    hak_slab_t *first = hak_testing::TakeUnits(1);
    ASSERT_EQ(first, pair);
    purge();
    hak_slot_pool_give_mt(first);
    hak_backend_stats_t before = Stats();
    hak_slab_t *slab = NewSlab(other_, sc);
    ASSERT_EQ(slab, first);
    ASSERT_EQ(slab->units, 1u);
    uint32_t bytes = hak_sc_bytes[sc];
    ASSERT_EQ(slab->cap, HAK_UNIT_BYTES / bytes);
    std::vector<hak_block_t *> blocks = hak_testing::Carve(other_, slab, slab->cap);
    EXPECT_EQ(Stats().uncarved_bytes, before.uncarved_bytes) << "the slot was EMPTY";
    EXPECT_EQ(Stats().free_bytes, before.free_bytes + HAK_UNIT_BYTES - slab->cap * bytes);
    uintptr_t base = hak_slab_base(slab);
    for (uintptr_t offset = 0; offset < HAK_UNIT_BYTES; offset += 16) {
        bool starts = offset % bytes == 0 && offset / bytes < slab->cap;
        ASSERT_EQ(slabs.starts(base + offset, sc), starts) << offset;
        hak_block_info_t info = {};
        ASSERT_EQ(slabs.describe(base + offset, &info), offset / bytes < slab->cap) << offset;
    }
    EXPECT_EQ(Check(), 0u);
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(slabs.take_back_remote(nullptr, block, sc));
    }
    hak_testing::Settle(other_);
    hak_slot_pool_give_mt(pin);
    EXPECT_EQ(Check(), 0u);
}

TEST_F(Slabs, FiguresAddUp) {
    (void)Purge(nullptr);
    hak_backend_stats_t before = Stats();
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = hak_testing::Carve(other_, slab, 5);
    EXPECT_TRUE(slabs.take_back_remote(nullptr, blocks[0], kClass));
    hak_testing::Settle(other_);
    hak_backend_stats_t after = Stats();
    uint64_t bytes = hak_sc_bytes[kClass];
    EXPECT_EQ(after.slabs, before.slabs + 1);
    EXPECT_EQ(after.blocks, before.blocks + 4);
    EXPECT_EQ(after.bytes, before.bytes + 4 * bytes);
    uint64_t touched = (5 * bytes + hak_os_page_bytes() - 1) & -hak_os_page_bytes();
    EXPECT_EQ(after.free_bytes, before.free_bytes + touched - 4 * bytes);
    EXPECT_EQ(after.uncarved_bytes, before.uncarved_bytes + HAK_UNIT_BYTES - touched);
    for (size_t i = 1; i < 5; i++) {
        EXPECT_TRUE(slabs.take_back_remote(nullptr, blocks[i], kClass));
    }
}

/* Also before the owner takes it in, and after it has counted it and left it where it is. */
TEST_F(Slabs, WhatAnotherThreadFreedIsNotLive) {
    (void)Purge(nullptr);
    hak_backend_stats_t before = Stats();
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = hak_testing::Carve(other_, slab, 4);
    hak_backend_stats_t full = Stats();
    EXPECT_EQ(full.blocks, before.blocks + 4);
    for (uint64_t i = 1; i <= 4; i++) {
        EXPECT_TRUE(slabs.take_back_remote(nullptr, blocks[i - 1], kClass));
        hak_backend_stats_t after = Stats();
        EXPECT_EQ(after.blocks, full.blocks - i);
        EXPECT_EQ(after.bytes + after.free_bytes, full.bytes + full.free_bytes);
        if (i < 4) {
            hak_testing::Settle(other_);
            EXPECT_EQ(hak_load_rlx(&slab->left), i - 1) << "the first one made a list";
            EXPECT_EQ(Stats().blocks, full.blocks - i);
        }
    }
}

TEST_F(Slabs, RemoteBlockIsSentWithAndWithoutAHeap) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = hak_testing::Carve(other_, slab, 2);
    auto *beyond = reinterpret_cast<hak_block_t *>((uintptr_t)blocks[1] + hak_sc_bytes[kClass]);
    EXPECT_FALSE(slabs.take_back_remote(nullptr, beyond, kClass));
    EXPECT_TRUE(slabs.take_back_remote(nullptr, blocks[0], kClass));
    EXPECT_EQ(hak_load_rlx(&slab->remote) >> 48, 1u) << "at once";
    hak_testing::OwnHeap own;
    EXPECT_FALSE(slabs.take_back_remote(own.get(), beyond, kClass));
    EXPECT_TRUE(slabs.take_back_remote(own.get(), blocks[1], kClass));
    EXPECT_EQ(hak_load_rlx(&slab->remote) >> 48, 1u) << "collected in a batch";
    slabs.thread_flush(own.get());
    EXPECT_EQ(hak_load_rlx(&slab->remote) >> 48, 2u);
}

TEST_F(Slabs, TrimReachesTheOwnHeapAndOthersAndThePool) {
    hak_testing::OwnHeap own;
    Give(own.get(), Take(own.get(), kClass), kClass);
    slabs.thread_flush(own.get());
    hak_slab_t *slab = NewSlab(other_, kClass);
    EXPECT_TRUE(slabs.take_back_remote(nullptr, hak_testing::Carve(other_, slab, 1)[0], kClass));
    EXPECT_EQ(SlabsOf(own.get(), kClass) + SlabsOf(other_, kClass), 2u);
    EXPECT_GE(Purge(own.get()), 2u * HAK_UNIT_BYTES);
    EXPECT_EQ(SlabsOf(own.get(), kClass) + SlabsOf(other_, kClass), 0u);
    EXPECT_FALSE(slabs.has_garbage());
}

TEST_F(Slabs, CheckFindsWhatIsWrong) {
    hak_slab_t *slab = NewSlab(other_, kClass);
    std::vector<hak_block_t *> blocks = hak_testing::Carve(other_, slab, 4);
    slab->free = blocks[0];
    hak_block_link(blocks[0], nullptr);
    hak_store_rlx(&slab->used, 3u);
    EXPECT_EQ(Check(), 0u);
    hak_store_rlx(&slab->used, 2u);
    EXPECT_NE(Check(), 0u) << "a block is missing";
    hak_store_rlx(&slab->used, 3u);
    slab->free = reinterpret_cast<hak_block_t *>((uintptr_t)blocks[0] + 16);
    hak_block_link(slab->free, nullptr);
    EXPECT_NE(Check(), 0u) << "no block begins there";
    slab->free = blocks[0];
    slab->listed = 0;
    EXPECT_NE(Check(), 0u) << "nobody would ever find its free block";
    slab->listed = 1;
    hak_registry_set_tags(hak_slab_base(slab), 1, HAK_TAG_EXTENT);
    EXPECT_NE(Check(), 0u) << "wrong tag";
    hak_registry_set_tags(hak_slab_base(slab), 1, hak_heap_slab_tag(other_, kClass));
    hak_superslab_t *ss = hak_slab_superslab(slab);
    ss->free_mask |= 1u << slab->slot;
    EXPECT_NE(Check(), 0u) << "in use and free";
    ss->free_mask &= ~(1u << slab->slot);
    EXPECT_EQ(Check(), 0u);
    for (size_t i = 1; i < 4; i++) {
        EXPECT_TRUE(slabs.take_back_remote(nullptr, blocks[i], kClass));
    }
}

/* A thread that a fork left behind may have set `queued` and not yet pushed the slab. In the child
 * nobody would push it any more, and every later remote free to the slab would be lost. */
TEST_F(Slabs, ForksChildFindsSlabsThatWereAboutToBeQueued) {
    hak_slab_t *caught = NewSlab(other_, kClass), *queued = NewSlab(other_, kClass);
    std::vector<hak_block_t *> one = hak_testing::CarveAll(other_, caught);
    std::vector<hak_block_t *> two = hak_testing::CarveAll(other_, queued);
    hak_block_link(one[0], nullptr);
    hak_store_rlx(&caught->remote, 1ull << 48 | (uintptr_t)one[0] | 1);
    hak_free_remote_push_mt(queued, two[0], two[0], 1);
    slabs.fork_take();
    int end = hak_testing::InChild([&] {
        slabs.fork_drop(true);
        for (size_t i = 1; i < one.size(); i++) {
            hak_free_remote_push_mt(caught, one[i], one[i], 1);
        }
        for (size_t i = 1; i < two.size(); i++) {
            hak_free_remote_push_mt(queued, two[i], two[i], 1);
        }
        hak_testing::Settle(other_);
        return SlabsOf(other_, kClass) == 0 && Check() == 0 ? 0 : 1;
    });
    EXPECT_EQ(end, 0);
    slabs.fork_drop(false);
    hak_pending_push_mt(other_, caught);
    for (size_t i = 1; i < one.size(); i++) {
        hak_free_remote_push_mt(caught, one[i], one[i], 1);
        hak_free_remote_push_mt(queued, two[i], two[i], 1);
    }
}

/* Threads come and go, take, free and hand blocks on; then everything is back. */
TEST_F(Slabs, NothingIsLostInACrowd) {
    enum { THREADS = 4, LIVES = 4, ROUNDS = 600, CLASSES = 11, PLACES = 9 * CLASSES };
    static hak_aptr_t places[PLACES]; /* each for blocks of one class */
    hak_testing::RunThreads(THREADS, [&](int self) {
        for (int life = 0; life < LIVES; life++) {
            hak_testing::OwnHeap own;
            hak_testing::Random random((uint64_t)(100 * self + life));
            for (int i = 0; i < ROUNDS; i++) {
                unsigned sc = 1 + 7 * (unsigned)random.Below(CLASSES);
                hak_block_t *block = Take(own.get(), sc);
                ASSERT_NE(block, nullptr);
                hak_block_set_mark(block, 0); /* as malloc writes to it */
                hak_aptr_t *place = &places[random.Below(9) * CLASSES + sc / 7];
                auto *other = reinterpret_cast<hak_block_t *>(
                    hak_swap_acq_rel(place, reinterpret_cast<uintptr_t>(block)));
                if (other == nullptr) {
                    continue;
                }
                uint32_t tag = hak_registry_tag((uintptr_t)other);
                if (tag == hak_tls.bin[sc].tag) {
                    Give(own.get(), other, sc);
                } else {
                    ASSERT_TRUE(slabs.take_back_remote(own.get(), other, sc));
                }
                if (i % 100 == 0) {
                    hak_purge_order_t order = {hak_os_now_ms(), 0, 16, 0};
                    (void)slabs.purge(own.get(), &order);
                }
            }
        }
    });
    for (unsigned i = 0; i < PLACES; i++) {
        auto *block = reinterpret_cast<hak_block_t *>(hak_swap_acq_rel(&places[i], (uintptr_t)0));
        if (block != nullptr) {
            EXPECT_TRUE(slabs.take_back_remote(nullptr, block, 1 + 7 * (i % CLASSES)));
        }
    }
}

} // namespace
