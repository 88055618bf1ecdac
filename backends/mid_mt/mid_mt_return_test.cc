#include <errno.h>

#include <vector>

#include "backends/mid_mt/mid_mt_fixture.h"
extern "C" {
#include "boxes/tls_sll/tls_sll_inl.h"
}

namespace {

using hak_testing::Check;
using hak_testing::Counters;
using hak_testing::k16;
using hak_testing::k32;
using hak_testing::k8;
using hak_testing::mid;
using hak_testing::MidMt;
using hak_testing::Own;
using hak_testing::Purge;
using hak_testing::Put;
using hak_testing::Stats;
using hak_testing::Take;

/* An owner that does nothing any more: purge takes its remote frees in and gives memory back. */
TEST_F(MidMt, AnIdleOwnerStrandsNothing) {
    Own own;
    std::vector<hak_block_t *> blocks(128);
    for (hak_block_t *&block : blocks) {
        block = Take(own.get(), k32);
    }
    mid.thread_flush(own.get());
    EXPECT_TRUE(mid.take_back_remote(nullptr, blocks[0], k32));
    blocks[0] = mid.refill_one(own.get(), k32);
    for (size_t i = 0; i + 1 < blocks.size(); i++) {
        EXPECT_TRUE(mid.take_back_remote(nullptr, blocks[i], k32));
    }
    hak_store_rlx(&own.get()->active_ms, hak_os_now_ms());
    EXPECT_EQ(Purge(nullptr, 1000, 100000), 0u) << "too early, its owner took one in just now";
    EXPECT_EQ(Purge(nullptr, 109000, 100000), 0u) << "taken in; the first visit only looks";
    EXPECT_EQ(Purge(nullptr, 60000, 100000), 63u << HAK_UNIT_SHIFT);
    EXPECT_EQ(Stats().free_bytes, 32768u) << "the other half of the unit that is in use";
    EXPECT_EQ(Check(), 0u);
    EXPECT_TRUE(mid.take_back_remote(nullptr, blocks.back(), k32));
}

/* One that works with other sizes alone does not take them in. */
TEST_F(MidMt, AnOwnerAtWorkElsewhereStrandsNothing) {
    Own own;
    hak_block_t *one = mid.refill_one(own.get(), k32);
    hak_block_t *other = mid.refill_one(own.get(), k32);
    EXPECT_TRUE(mid.take_back_remote(nullptr, one, k32));
    for (unsigned i = 0; i < 3; i++) {
        hak_os_fake_advance_ms(100);
        hak_store_rlx(&own.get()->active_ms, hak_os_now_ms());
        (void)Purge(nullptr, 0, 1000);
    }
    EXPECT_EQ(Stats().blocks, 1u) << "taken in";
    EXPECT_TRUE(mid.take_back_remote(nullptr, other, k32));
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

/* A sleeping owner's chunk that has room, with no remote frees there: taken over all the same. */
TEST_F(MidMt, AdoptionFromASleeper) {
    Own own;
    hak_block_t *mine = Take(own.get(), k32);
    hak_heap_t *other = hak_heap_acquire_mt();
    hak_store_rlx(&own.get()->active_ms, 0);
    uint64_t made = Counters().mid_mt_chunks_made;
    hak_block_t *block = nullptr;
    for (unsigned i = 0; i < 4 && block == nullptr; i++) {
        block = mid.refill_one(other, k32);
    }
    EXPECT_EQ(Counters().mid_mt_chunks_made, made);
    EXPECT_EQ(Counters().mid_mt_chunks, 1u);
    EXPECT_TRUE(mid.take_back_remote(nullptr, mine, k32));
    EXPECT_TRUE(mid.take_back_remote(nullptr, block, k32));
    mid.thread_exit(other);
    hak_heap_release_mt(other);
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
