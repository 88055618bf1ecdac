#include "backends/mid_mt/mid_mt.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/mid_heap/mid_heap.h"
#include "boxes/mid_registry/mid_registry.h"
#include "boxes/mid_supply/mid_supply.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "include/hakmem.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

const hak_backend_t &mid = hak_backend_mid_mt;
constexpr unsigned k8 = 56, k16 = 64, k32 = 72;

hak_backend_stats_t Stats() {
    hak_backend_stats_t stats = {};
    mid.stats(&stats);
    return stats;
}

hak_stats_t Counters() {
    hak_stats_t stats = {};
    mid.counters(&stats);
    EXPECT_EQ(stats.mid_mt_frees, stats.mid_mt_local_frees + stats.mid_mt_remote_frees);
    EXPECT_EQ(stats.mid_mt_allocs - stats.mid_mt_frees,
              stats.mid_mt_8k_used + stats.mid_mt_16k_used + stats.mid_mt_32k_used);
    return stats;
}

size_t Check() {
    mid.fork_take();
    size_t faults = mid.check();
    mid.fork_drop(false);
    return faults;
}

size_t Purge(hak_heap_t *mine, uint64_t after_ms = 0, uint64_t delay_ms = 0) {
    hak_os_fake_advance_ms(after_ms);
    hak_purge_order_t order = {hak_os_now_ms(), delay_ms, UINT32_MAX, 0};
    return mid.purge(mine, &order);
}

/* As malloc and free do it; the mark stays. */
hak_block_t *Take(hak_heap_t *mine, unsigned sc) {
    hak_block_t *block = hak_tls_sll_pop_class(sc);
    return block != nullptr ? block : mid.refill(mine, sc);
}
void Put(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    uint32_t tag = hak_registry_tag((uintptr_t)block);
    if (tag == (mine->tag | sc << HAK_BIN_SHIFT)) {
        if (!hak_tls_sll_push_class(sc, block)) {
            mid.take_back(mine, block, sc);
        }
    } else {
        EXPECT_TRUE(mid.take_back_remote(mine, block, sc));
    }
}

/* A heap with bins, as a thread has it while this lives. */
class Own {
  public:
    Own() : engine_(new hak_testing::OwnHeap) {}
    ~Own() { Leave(); }
    /* The thread ends: its heap becomes idle. */
    void Leave() {
        if (engine_ != nullptr) {
            mid.thread_flush(engine_->get());
            mid.thread_exit(engine_->get());
            delete engine_;
            engine_ = nullptr;
        }
    }
    hak_heap_t *get() const { return engine_->get(); }

  private:
    hak_testing::OwnHeap *engine_;
};

class MidMt : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        hak_os_fake_advance_ms(1000000); /* all that earlier tests left is due */
    }
    void TearDown() override {
        hak_os_fake_reset();
        Purge(nullptr);
        EXPECT_EQ(Check(), 0u);
        EXPECT_EQ(Stats().blocks, 0u) << "a block got lost";
        EXPECT_EQ(Stats().mapped_bytes, 0u) << "a chunk is stranded";
        Counters();
    }
};

/* T-30 and E1: a segment serves 512, 256 and 128 blocks before it needs another chunk. */
TEST_F(MidMt, BlocksForEachRefill) {
    for (unsigned sc : {k8, k16, k32}) {
        Own own;
        uint64_t before = Counters().mid_mt_refills;
        size_t fit = (4u << 20) / hak_sc_bytes[sc];
        std::vector<hak_block_t *> blocks;
        for (size_t i = 0; i < fit; i++) {
            blocks.push_back(Take(own.get(), sc));
        }
        EXPECT_EQ(Counters().mid_mt_refills, before + 1) << "only one class is in use";
        blocks.push_back(Take(own.get(), sc));
        EXPECT_EQ(Counters().mid_mt_refills, before + 2);
        std::set<hak_block_t *> places(blocks.begin(), blocks.end());
        EXPECT_EQ(places.size(), fit + 1);
        for (hak_block_t *block : blocks) {
            EXPECT_EQ((uintptr_t)block % hak_sc_bytes[sc], 0u);
            Put(own.get(), block, sc);
        }
    }
}

/* T-31: blocks of an older chunk come back in any order: all are local and all are used again. */
TEST_F(MidMt, FreesIntoOlderChunksAreLocal) {
    Own own;
    hak_testing::Random random(31);
    std::vector<hak_block_t *> blocks(3 * 128);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k32);
    }
    hak_stats_t full = Counters();
    EXPECT_EQ(full.mid_mt_chunks, 3u);
    for (unsigned round = 0; round < 4; round++) {
        for (size_t i = blocks.size(); i-- > 1;) {
            std::swap(blocks[i], blocks[random.Below(i + 1)]);
        }
        for (size_t i = 0; i < blocks.size() / 2; i++) {
            Put(own.get(), blocks[i], k32);
        }
        for (size_t i = 0; i < blocks.size() / 2; i++) {
            blocks[i] = Take(own.get(), k32);
        }
        EXPECT_EQ(Check(), 0u);
    }
    hak_stats_t after = Counters();
    EXPECT_EQ(after.mid_mt_remote_frees, full.mid_mt_remote_frees);
    EXPECT_GT(after.mid_mt_local_frees, full.mid_mt_local_frees);
    EXPECT_EQ(after.mid_mt_refills, full.mid_mt_refills) << "what came back was not used";
    for (hak_block_t *block : blocks) {
        Put(own.get(), block, k32);
    }
}

/* E7: another thread's frees reach the owner's next refill. */
TEST_F(MidMt, RemoteFreesComeBack) {
    Own own;
    hak_heap_t *other = hak_heap_acquire_mt();
    std::vector<hak_block_t *> blocks(128);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k32);
    }
    hak_stats_t full = Counters();
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(mid.take_back_remote(other, block, k32));
    }
    EXPECT_EQ(Counters().mid_mt_remote_frees, full.mid_mt_remote_frees + 128);
    EXPECT_EQ(Counters().mid_mt_32k_used, 0u);
    std::set<hak_block_t *> again;
    for (unsigned i = 0; i < 128; i++) {
        again.insert(Take(own.get(), k32));
    }
    EXPECT_EQ(again, std::set<hak_block_t *>(blocks.begin(), blocks.end()));
    EXPECT_EQ(Counters().mid_mt_refills, full.mid_mt_refills);
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(mid.take_back_remote(nullptr, block, k32)) << "a thread without a heap";
    }
    hak_heap_release_mt(other);
}

TEST_F(MidMt, RemoteFreeOfWhatNobodyHasIsRefused) {
    Own own;
    hak_block_t *block = Take(own.get(), k32);
    EXPECT_FALSE(mid.take_back_remote(nullptr, block + (32768 / sizeof *block), k32));
    hak_block_info_t info;
    ASSERT_TRUE(mid.describe((uintptr_t)block + 32768 + 5, &info));
    EXPECT_FALSE(info.handed_out);
    ASSERT_TRUE(mid.describe((uintptr_t)block + 5, &info));
    EXPECT_EQ(info.block, (uintptr_t)block);
    EXPECT_EQ(info.bytes, 32768u);
    EXPECT_TRUE(info.handed_out);
    EXPECT_FALSE(mid.describe((uintptr_t)&own, &info));
    Put(own.get(), block, k32);
}

/* E8: a thread ends. Its empty chunks go to the pool, partly live ones to whoever needs one. */
TEST_F(MidMt, ChunksOfAnEndedThread) {
    Own leaver;
    std::vector<hak_block_t *> blocks(2 * 256);
    for (hak_block_t *&block : blocks) {
        block = Take(leaver.get(), k16);
    }
    uintptr_t second = (uintptr_t)blocks.back() & ~(uintptr_t{4u << 20} - 1);
    hak_block_t *live = nullptr;
    for (hak_block_t *block : blocks) {
        if (live == nullptr && ((uintptr_t)block ^ (uintptr_t)blocks[0]) < (2u << 20)) {
            live = block; /* one block of the first chunk survives */
        } else {
            Put(leaver.get(), block, k16);
        }
    }
    (void)second;
    leaver.Leave();
    EXPECT_EQ(Counters().mid_mt_chunks, 1u);
    EXPECT_EQ(Counters().mid_mt_chunks_spare, 1u);
    hak_heap_t *blocker = hak_heap_acquire_mt(); /* takes the idle heap, so that ours is another */
    hak_heap_t *mine_heap;
    {
        hak_heap_t *extra = hak_heap_acquire_mt();
        hak_heap_release_mt(blocker);
        mine_heap = extra;
    }
    uint64_t adopted = Counters().mid_mt_chunks_adopted;
    hak_block_t *block = nullptr;
    for (unsigned i = 0; block == nullptr && i < 4; i++) {
        block = mid.refill_one(mine_heap, k16);
    }
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(Counters().mid_mt_chunks_adopted, adopted + 1);
    EXPECT_EQ(hak_registry_tag((uintptr_t)live), mine_heap->tag | k16 << HAK_BIN_SHIFT)
        << "its units are the adopter's";
    EXPECT_EQ(Check(), 0u);
    EXPECT_TRUE(mid.take_back_remote(nullptr, live, k16));
    EXPECT_TRUE(mid.take_back_remote(nullptr, block, k16));
    mid.thread_exit(mine_heap);
    hak_heap_release_mt(mine_heap);
}

/* An owner that does nothing any more: purge takes its remote frees in and gives memory back. */
TEST_F(MidMt, AnIdleOwnerStrandsNothing) {
    Own own;
    std::vector<hak_block_t *> blocks(128);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k32);
    }
    mid.thread_flush(own.get());
    for (size_t i = 0; i + 1 < blocks.size(); i++) {
        EXPECT_TRUE(mid.take_back_remote(nullptr, blocks[i], k32));
    }
    hak_store_rlx(&own.get()->active_ms, hak_os_now_ms());
    EXPECT_EQ(Purge(nullptr, 1000, 100000), 0u) << "too early, its owner was seen just now";
    EXPECT_EQ(Purge(nullptr, 109000, 100000), 0u) << "taken in; the first visit only looks";
    EXPECT_EQ(Purge(nullptr, 60000, 100000), 63u << HAK_UNIT_SHIFT);
    EXPECT_EQ(Stats().free_bytes, 32768u) << "the other half of the unit that is in use";
    EXPECT_EQ(Check(), 0u);
    EXPECT_TRUE(mid.take_back_remote(nullptr, blocks.back(), k32));
}

/* Memory comes back while the chunk lives, and double frees of what was given back are seen. */
TEST_F(MidMt, PurgedUnitsHaveNoBlocks) {
    Own own;
    std::vector<hak_block_t *> blocks(512);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k8);
    }
    for (size_t i = 8; i < blocks.size(); i++) {
        Put(own.get(), blocks[i], k8);
    }
    mid.thread_flush(own.get());
    EXPECT_EQ(Purge(own.get()), 63u << HAK_UNIT_SHIFT);
    EXPECT_EQ(hak_registry_tag((uintptr_t)blocks[100]), HAK_TAG_NONE);
    EXPECT_EQ(Check(), 0u);
    EXPECT_EQ(Stats().uncarved_bytes, (4u << 20) - HAK_UNIT_BYTES);
    std::vector<hak_block_t *> again(504);
    for (hak_block_t *&block : again) {
        block = Take(own.get(), k8);
    }
    EXPECT_EQ(Counters().mid_mt_chunks, 1u) << "all fits into what was given back";
    for (hak_block_t *block : again) {
        Put(own.get(), block, k8);
    }
    for (size_t i = 0; i < 8; i++) {
        Put(own.get(), blocks[i], k8);
    }
}

TEST_F(MidMt, EmptyChunksArePooledThenUnmapped) {
    Own own;
    std::vector<hak_block_t *> blocks(3 * 128);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k32);
    }
    for (hak_block_t *block : blocks) {
        Put(own.get(), block, k32);
    }
    mid.thread_flush(own.get());
    EXPECT_EQ(Counters().mid_mt_chunks, 1u) << "the last of a class stays";
    EXPECT_EQ(Counters().mid_mt_chunks_spare, 2u);
    EXPECT_TRUE(mid.has_garbage());
    uint64_t made = Counters().mid_mt_chunks_made;
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k8); /* another class */
    }
    EXPECT_EQ(Counters().mid_mt_chunks_made, made);
    EXPECT_EQ(Counters().mid_mt_chunks_spare, 1u);
    for (hak_block_t *block : blocks) {
        Put(own.get(), block, k8);
    }
    mid.thread_flush(own.get());
    EXPECT_EQ(Purge(own.get(), 0, 100000), 0u);
    EXPECT_EQ(Counters().mid_mt_chunks, 0u) << "purge closes the last ones too";
    hak_os_fake_advance_ms(200000);
    EXPECT_NE(Purge(own.get(), 0, 100000), 0u);
    EXPECT_EQ(Stats().mapped_bytes, 0u);
    EXPECT_FALSE(mid.has_garbage());
}

/* What a bin keeps of a class that the thread does not use any more goes back too. */
TEST_F(MidMt, IdleBinsAreFlushed) {
    Own own;
    hak_block_t *idle = Take(own.get(), k32);
    hak_block_t *busy = Take(own.get(), k16);
    Put(own.get(), idle, k32);
    Put(own.get(), busy, k16);
    Purge(own.get(), 200000, 100000);
    EXPECT_EQ(Counters().mid_mt_32k_used, 1u) << "the first visit only looks";
    EXPECT_EQ(Take(own.get(), k16), busy);
    Purge(own.get(), 50000, 100000);
    EXPECT_EQ(Counters().mid_mt_32k_used, 1u) << "too early";
    Purge(own.get(), 60000, 100000);
    EXPECT_EQ(Counters().mid_mt_32k_used, 0u);
    EXPECT_EQ(Counters().mid_mt_16k_used, 1u);
    Put(own.get(), busy, k16);
}

/* A chunk with purged units is adopted while it is pending at its old owner. */
TEST_F(MidMt, AdoptionOfAPendingChunk) {
    Own own;
    std::vector<hak_block_t *> blocks(256);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k16);
    }
    for (size_t i = 8; i < blocks.size(); i++) {
        Put(own.get(), blocks[i], k16);
    }
    mid.thread_flush(own.get());
    EXPECT_NE(Purge(own.get()), 0u);
    hak_heap_t *other = hak_heap_acquire_mt();
    hak_mid_heap_t *from = hak_mid_heap_of(own.get());
    hak_mid_heap_t *to = hak_mid_heap_make(other);
    hak_mid_chunk_t *chunk = from->partial[hak_mid_index(k16)];
    hak_mid_heap_unlist_owner(from, chunk);
    hak_mid_chunk_set_owner(chunk, to, other->tag);
    hak_mid_heap_list_owner(to, chunk, true);
    EXPECT_EQ(Check(), 0u) << "a purged unit got a tag";
    hak_mid_chunk_set_owner(chunk, from, own.get()->tag);
    EXPECT_TRUE(mid.take_back_remote(other, blocks[0], k16)); /* pending at `from` */
    hak_mid_chunk_set_owner(chunk, to, other->tag);
    mid.thread_exit(own.get()); /* drains: forwards it */
    EXPECT_EQ(hak_load_rlx(&chunk->segment.used_count), 8u) << "taken in without the lock";
    mid.thread_exit(other);
    EXPECT_EQ(hak_load_rlx(&chunk->segment.used_count), 7u) << "lost on the way";
    EXPECT_EQ(Check(), 0u);
    for (size_t i = 1; i < 8; i++) {
        EXPECT_TRUE(mid.take_back_remote(nullptr, blocks[i], k16));
    }
    mid.thread_exit(other);
    hak_heap_release_mt(other);
}

/* The registry cannot grow: the chunk that was mapped for it is kept for the next. */
TEST_F(MidMt, NoMemoryForTheRegistry) {
    Own own;
    uintptr_t dummies = 0;
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    for (;; dummies++) {
        hak_mid_entry_t entry = {dummies + 1, 1, k8, nullptr};
        if (!hak_mid_registry_add_mt(&entry)) {
            break;
        }
    }
    hak_os_fake_fail(HAK_OS_CALL_MAP, 1, UINT64_MAX);
    ASSERT_NE(hak_mid_heap_make(own.get()), nullptr);
    EXPECT_EQ(Take(own.get(), k8), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(Counters().mid_mt_chunks_spare, 1u);
    hak_os_fake_reset();
    hak_block_t *block = Take(own.get(), k8);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(Counters().mid_mt_chunks_spare, 0u);
    for (; dummies != 0; dummies--) {
        hak_mid_registry_remove_mt(dummies);
    }
    EXPECT_EQ(Check(), 0u);
    Put(own.get(), block, k8);
}

/* T-15: no memory at any point of the first allocation, of a further chunk, of the registry. */
TEST_F(MidMt, NoMemory) {
    for (uint64_t successes = 0; successes < 6; successes++) {
        Own own;
        hak_os_fake_fail(HAK_OS_CALL_MAP, successes, UINT64_MAX);
        std::vector<hak_block_t *> blocks;
        errno = 0;
        while (hak_block_t *block = Take(own.get(), k32)) {
            blocks.push_back(block);
            ASSERT_LT(blocks.size(), 10000u);
        }
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_EQ(Check(), 0u);
        hak_os_fake_reset();
        blocks.push_back(Take(own.get(), k32));
        ASSERT_NE(blocks.back(), nullptr) << "it must recover";
        for (hak_block_t *block : blocks) {
            Put(own.get(), block, k32);
        }
    }
}

TEST_F(MidMt, ChunkSizes) {
    hak_a64_t *size = &hak_option_values[HAK_OPTION_MID_CHUNK_MB];
    hak_a64_t *adaptive = &hak_option_values[HAK_OPTION_MID_CHUNK_ADAPTIVE];
    hak_store_rlx(size, 2);
    {
        Own own;
        Put(own.get(), Take(own.get(), k16), k16);
        EXPECT_EQ(Stats().mapped_bytes, 2u << 20);
    }
    Purge(nullptr);
    hak_store_rlx(size, 4);
    hak_store_rlx(adaptive, 1);
    {
        Own own;
        std::vector<hak_block_t *> blocks;
        std::vector<uint64_t> mapped;
        while (mapped.size() < 5) {
            uint64_t before = Stats().mapped_bytes;
            blocks.push_back(Take(own.get(), k32));
            if (Stats().mapped_bytes != before) {
                mapped.push_back(Stats().mapped_bytes - before);
            }
        }
        std::vector<uint64_t> expected = {512u << 10, 1u << 20, 2u << 20, 4u << 20, 4u << 20};
        EXPECT_EQ(mapped, expected);
        for (hak_block_t *block : blocks) {
            Put(own.get(), block, k32);
        }
    }
    hak_store_rlx(adaptive, 0);
}

/* The sorted registry answers in place of the page registry, and is counted. */
TEST_F(MidMt, SortedRegistry) {
    hak_a64_t *option = &hak_option_values[HAK_OPTION_MID_REGISTRY];
    Own own;
    hak_block_t *a = Take(own.get(), k8);
    hak_block_t *b = Take(own.get(), k32);
    uint64_t before = hak_mid_registry_lookups();
    EXPECT_TRUE(mid.take_back_remote(nullptr, a, k8));
    EXPECT_EQ(hak_mid_registry_lookups(), before) << "the page registry needs no search";
    hak_store_rlx(option, HAK_MID_REGISTRY_SORTED);
    EXPECT_TRUE(mid.take_back_remote(nullptr, b, k32));
    hak_block_info_t info;
    EXPECT_TRUE(mid.describe((uintptr_t)b + 1, &info));
    EXPECT_EQ(info.block, (uintptr_t)b);
    EXPECT_FALSE(mid.describe((uintptr_t)&info, &info));
    EXPECT_EQ(hak_mid_registry_lookups(), before + 3);
    hak_store_rlx(option, HAK_MID_REGISTRY_PAGE);
}

/* A chunk is adopted while blocks of it are in the old owner's bin: they come back all the same. */
TEST_F(MidMt, BinsOutliveAdoption) {
    Own own;
    std::vector<hak_block_t *> blocks(8);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k32);
    }
    hak_tls_sll_push_class(k32, blocks[0]);
    hak_heap_t *other = hak_heap_acquire_mt();
    EXPECT_TRUE(mid.take_back_remote(other, blocks[1], k32));
    hak_store_rlx(&own.get()->active_ms, 0); /* asleep for long */
    hak_block_t *block = nullptr;
    for (unsigned i = 0; i < 4 && block == nullptr; i++) {
        block = mid.refill_one(other, k32);
    }
    EXPECT_EQ(hak_registry_tag((uintptr_t)blocks[0]), other->tag | k32 << HAK_BIN_SHIFT);
    uint64_t remote = Counters().mid_mt_remote_frees;
    mid.thread_flush(own.get());
    EXPECT_GT(Counters().mid_mt_remote_frees, remote) << "put on the list of another's chunk";
    EXPECT_EQ(Check(), 0u);
    EXPECT_TRUE(mid.take_back_remote(own.get(), block, k32));
    for (size_t i = 2; i < blocks.size(); i++) {
        EXPECT_TRUE(mid.take_back_remote(own.get(), blocks[i], k32));
    }
    mid.thread_exit(other);
    EXPECT_EQ(Counters().mid_mt_32k_used, 0u);
    hak_heap_release_mt(other);
}

/* T-20: threads allocate, free each other's blocks, end and purge, all at once. */
TEST_F(MidMt, ManyThreads) {
    constexpr size_t kSlots = 256;
    static hak_aptr_t slot[kSlots];
    hak_testing::RunThreads(4, [](int index) {
        hak_testing::Random random(index);
        for (unsigned life = 0; life < 8; life++) {
            Own own;
            for (unsigned step = 0; step < 3000; step++) {
                unsigned sc = k8 + 8 * (unsigned)random.Below(3);
                hak_block_t *block = Take(own.get(), sc);
                ASSERT_NE(block, nullptr);
                uintptr_t word = (uintptr_t)block | (sc - k8) >> 3;
                word = hak_swap_acq_rel(&slot[random.Below(kSlots)], word);
                if (word != 0) {
                    Put(own.get(), (hak_block_t *)(word & ~uintptr_t{15}),
                        k8 + 8 * (unsigned)(word & 15));
                }
                if (random.Below(500) == 0) {
                    Purge(own.get(), 0, random.Below(2) * 10);
                }
            }
        }
    });
    Own own;
    for (hak_aptr_t &each : slot) {
        uintptr_t word = hak_swap_acq_rel(&each, 0);
        if (word != 0) {
            Put(own.get(), (hak_block_t *)(word & ~uintptr_t{15}), k8 + 8 * (unsigned)(word & 15));
        }
    }
}

} // namespace
