#include <set>
#include <vector>

#include "backends/mid_mt/mid_mt_fixture.h"

namespace {

using hak_testing::Check;
using hak_testing::Counters;
using hak_testing::k16;
using hak_testing::k32;
using hak_testing::k8;
using hak_testing::mid;
using hak_testing::MidMt;
using hak_testing::Own;
using hak_testing::Put;
using hak_testing::Take;

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
    EXPECT_EQ(hak_testing::Stats().blocks, full.mid_mt_32k_used);
    for (hak_block_t *block : blocks) {
        EXPECT_TRUE(mid.take_back_remote(other, block, k32));
    }
    EXPECT_EQ(hak_testing::Stats().blocks, 0u) << "before the owner takes them in";
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

} // namespace
