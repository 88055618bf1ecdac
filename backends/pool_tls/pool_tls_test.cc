/* Blocks out of chunks and back: supply, growth, refills, failures. */
#include "backends/pool_tls/pool_tls.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include <map>
#include <set>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "backends/pool_tls/testing.h"
#include "base/poison.h"
#include "boxes/pool_heap/pool_heap.h"
#include "core/options/options.h"

namespace {

using namespace hak_pool_testing;

class PoolTls : public PoolTest {};

TEST_F(PoolTls, EveryClassGoesThereAndBack) {
    Own own;
    std::set<hak_block_t *> all;
    std::vector<std::pair<hak_block_t *, unsigned>> blocks;
    for (unsigned sc : kClasses) {
        for (int i = 0; i < 150; i++) {
            hak_block_t *block = own.Take(sc);
            ASSERT_NE(block, nullptr);
            ASSERT_TRUE(all.insert(block).second) << "handed out twice";
            ASSERT_EQ(hak_registry_tag((uintptr_t)block), own.get()->tag | sc << HAK_BIN_SHIFT);
            hak_unpoison(block, hak_sc_bytes[sc]);
            memset((void *)block, 0x5a, hak_sc_bytes[sc]);
            hak_block_info_t info;
            ASSERT_TRUE(backend.describe((uintptr_t)block + hak_sc_bytes[sc] - 1, &info));
            ASSERT_EQ(info.block, (uintptr_t)block);
            ASSERT_EQ(info.bytes, hak_sc_bytes[sc]);
            ASSERT_TRUE(info.handed_out);
            blocks.push_back({block, sc});
        }
    }
    EXPECT_EQ(Check(), 0u);
    for (const auto &each : blocks) {
        own.Give(each.first, each.second);
    }
    EXPECT_EQ(Check(), 0u);
    backend.thread_flush(own.get());
    EXPECT_EQ(Stats().blocks, 0u);
    EXPECT_LE(Stats().slabs, 5u) << "empty units went back to their chunks";
}

/* T-15, G3: 1, 2, 4, 8, 8 MiB. */
TEST_F(PoolTls, ChunksGrowWithTheHeap) {
    Own own;
    std::vector<uint64_t> sizes;
    uint64_t before = Chunks().mapped_bytes;
    ASSERT_EQ(before, 0u);
    for (size_t taken = 0; taken < (23u << 20); taken += 32768) {
        own.TakeOne(72);
        if (Chunks().mapped_bytes != before) {
            sizes.push_back((Chunks().mapped_bytes - before) >> 20);
            before = Chunks().mapped_bytes;
        }
    }
    EXPECT_EQ(sizes, (std::vector<uint64_t>{1, 2, 4, 8, 8}));
    own.GiveAll();
}

/* A first chunk is the lower half of its window: what lies above it is nobody's. */
TEST_F(PoolTls, AddressesBehindASmallChunkAreUnknown) {
    Own own;
    uintptr_t base = (uintptr_t)own.TakeOne(40) & ~(uintptr_t)(HAK_WINDOW_BYTES - 1);
    hak_block_info_t info;
    EXPECT_TRUE(backend.describe(base, &info));
    EXPECT_FALSE(backend.describe(base + HAK_POOL_LEAST_BYTES, &info));
    EXPECT_FALSE(backend.describe(base + HAK_WINDOW_BYTES - 1, &info));
    EXPECT_FALSE(backend.describe(base + HAK_POOL_LEAST_BYTES - 1, &info)) << "a free unit";
    own.GiveAll();
}

TEST_F(PoolTls, RefillsTakeTheNotesNumbers) {
    Own own;
    std::map<unsigned, uint32_t> expected = {{40, 64}, {48, 48}, {56, 32}, {64, 24}, {72, 16}};
    for (unsigned sc : kClasses) {
        EXPECT_EQ(hak_pool_tls_refill_blocks(sc), expected[sc]);
        uint64_t before = hak_load_rlx(&own.get()->counters.refill_blocks);
        own.Keep(backend.refill(own.get(), sc), sc);
        EXPECT_EQ(hak_load_rlx(&own.get()->counters.refill_blocks) - before, expected[sc]);
        EXPECT_EQ(own.InBin(sc), expected[sc] - 1);
        own.GiveAll(); /* a refill takes fewer if there would have to be a second chunk */
        backend.thread_flush(own.get());
    }
    hak_store_rlx(&hak_option_values[HAK_OPTION_POOL_REFILL], 8);
    EXPECT_EQ(hak_pool_tls_refill_blocks(40), 8u);
    EXPECT_EQ(hak_pool_tls_refill_blocks(72), 2u);
    hak_store_rlx(&hak_option_values[HAK_OPTION_POOL_REFILL], 64);
}

TEST_F(PoolTls, RefillOfOneLeavesTheBinsAlone) {
    Own own;
    for (int i = 0; i < 100; i++) {
        own.TakeOne(40);
        EXPECT_EQ(own.InBin(40), 0u);
    }
    EXPECT_EQ(Stats().blocks, 100u);
    own.GiveAll();
}

/* T-06 for these classes: what is freed is used before anything new is. */
TEST_F(PoolTls, OwnFreesAreReusedBeforeNewMemory) {
    Own own;
    for (int i = 0; i < 400; i++) {
        own.TakeOne(56);
    }
    uint64_t mapped = Chunks().mapped_bytes;
    for (int round = 0; round < 20; round++) {
        own.GiveAll();
        for (int i = 0; i < 400; i++) {
            own.TakeOne(56);
        }
        EXPECT_EQ(Chunks().mapped_bytes, mapped);
    }
    own.GiveAll();
}

TEST_F(PoolTls, WithoutMemoryRefillsFailAndWorkAgain) {
    Own own;
    uint64_t failed = Chunks().failed;
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    errno = 0;
    int count = 0;
    while (own.TakeOne(72) != nullptr) {
        ASSERT_LT(++count, 10000);
    }
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(backend.refill(own.get(), 72), nullptr);
    EXPECT_GE(Chunks().failed, failed + 2) << "both refusals were counted";
    EXPECT_GE(hak_load_rlx(&hak_pool_heap_of(own.get())->refill_failures), 2u);
    EXPECT_EQ(Check(), 0u);
    hak_os_fake_reset();
    EXPECT_NE(own.TakeOne(72), nullptr);
    own.GiveAll();
}

/* A chunk of 8 MiB is refused: 4 MiB do as well, and nobody notices. */
TEST_F(PoolTls, SmallerChunksServeWhereLargeOnesAreRefused) {
    Own own;
    while (Chunks().mapped_bytes < (7u << 20)) {
        ASSERT_NE(own.TakeOne(72), nullptr);
    }
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, 1);
    while (Chunks().mapped_bytes < (8u << 20)) {
        ASSERT_NE(own.TakeOne(72), nullptr);
    }
    EXPECT_EQ(Chunks().mapped_bytes, 11u << 20);
    own.GiveAll();
}

TEST_F(PoolTls, FaultsAreFound) {
    Own own;
    hak_block_t *block = own.TakeOne(48);
    hak_pool_unit_t *unit = hak_pool_unit_of((uintptr_t)block);
    hak_pool_chunk_t *chunk = hak_pool_unit_chunk(unit);
    hak_pool_heap_t *pool = hak_pool_heap_of(own.get());
    auto expect_fault = [&](hak_a32_t *word) {
        uint32_t right = hak_load_rlx(word);
        hak_store_rlx(word, right + 1);
        EXPECT_NE(Check(), 0u);
        hak_store_rlx(word, right);
        EXPECT_EQ(Check(), 0u);
    };
    expect_fault(&unit->used);
    expect_fault(&unit->carved);
    expect_fault(&pool->dirty_units);
    hak_registry_set_tags(hak_pool_unit_base(unit), 1, own.get()->tag);
    EXPECT_NE(Check(), 0u) << "a wrong tag";
    hak_registry_set_tags(hak_pool_unit_base(unit), 1, own.get()->tag | 48u << HAK_BIN_SHIFT);
    uint64_t mask = hak_load_rlx(&chunk->free_mask[0]);
    hak_store_rlx(&chunk->free_mask[0], mask | 1ull << unit->index);
    EXPECT_NE(Check(), 0u) << "a unit in use that counts as free";
    hak_store_rlx(&chunk->free_mask[0], mask);
    hak_pool_remote_push_mt(&pool->remote, (hak_block_t *)((char *)block + 16));
    EXPECT_NE(Check(), 0u) << "no block on the queue";
    (void)hak_pool_remote_take_owner(&pool->remote);
    own.GiveAll();
}

} // namespace
