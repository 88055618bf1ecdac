#include "boxes/free_remote/free_remote.h"

#include <gtest/gtest.h>
#include <string.h>

#include <map>

#include "base/poison.h"
#include "base/testing/testing.h"
#include "boxes/drain/drain.h"
#include "boxes/free_local/free_local.h"
#include "boxes/pending/pending.h"
#include "boxes/testing/engine.h"
extern "C" {
#include "boxes/free_remote/free_remote_inl.h"
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

using hak_testing::Blocks;
using hak_testing::Carve;
using hak_testing::CarveAll;
using hak_testing::NewSlab;

constexpr unsigned kClass = 4;
constexpr uint32_t kBytes = 64;

class FreeRemote : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        owner_ = hak_heap_acquire_mt();
        mine_ = hak_heap_acquire_mt();
        slab_ = NewSlab(owner_, kClass);
        mine_->batch_lack = 0;
    }
    void TearDown() override {
        hak_free_remote_flush(mine_);
        hak_testing::Settle(owner_);
        EXPECT_EQ(hak_load_rlx(&mine_->batched_bytes), 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        EXPECT_EQ(hak_testing::SlabsOf(owner_, kClass), 0u) << "a block got lost";
        hak_heap_release_mt(mine_);
        hak_heap_release_mt(owner_);
    }
    bool Add(hak_block_t *block) {
        return hak_free_remote_add(mine_, hak_slab_of((uintptr_t)block), block, kClass);
    }
    uint64_t Sent() const { return hak_load_rlx(&mine_->counters.remote_batches); }
    static uint64_t OnList(const hak_slab_t *slab) { return hak_load_rlx(&slab->remote) >> 48; }
    hak_heap_t *owner_, *mine_;
    hak_slab_t *slab_;
};

TEST_F(FreeRemote, FirstPushQueuesTheSlabAndLaterOnesDoNot) {
    std::vector<hak_block_t *> blocks = Carve(owner_, slab_, 3);
    EXPECT_TRUE(hak_free_remote_is_empty(slab_));
    for (hak_block_t *block : blocks) {
        hak_free_remote_push_mt(slab_, block, block, 1);
        EXPECT_TRUE(hak_free_remote_is_queued(slab_));
        EXPECT_FALSE(hak_free_remote_is_empty(slab_));
    }
    EXPECT_EQ(OnList(slab_), 3u);
    EXPECT_EQ(hak_load_rlx(&slab_->used), 3u) << "remote blocks count as used";
    EXPECT_EQ(hak_pending_next_owner(owner_), slab_);
    EXPECT_EQ(hak_pending_next_owner(owner_), nullptr) << "once on the stack";
    hak_pending_push_mt(owner_, slab_);
}

TEST_F(FreeRemote, TakeGivesAllNewestFirstAndLeavesTheSlabQueued) {
    std::vector<hak_block_t *> b = Carve(owner_, slab_, 4);
    hak_block_link(b[2], b[1]);
    hak_free_remote_push_mt(slab_, b[0], b[0], 1);
    hak_free_remote_push_mt(slab_, b[2], b[1], 2);
    hak_free_remote_push_mt(slab_, b[3], b[3], 1);
    uint32_t count = 0;
    hak_block_t *list = hak_free_remote_take_owner(slab_, &count);
    EXPECT_EQ(count, 4u);
    EXPECT_EQ(Blocks(list), (std::vector<hak_block_t *>{b[3], b[2], b[1], b[0]}));
    EXPECT_TRUE(hak_free_remote_is_queued(slab_));
    EXPECT_TRUE(hak_free_remote_is_empty(slab_));
    EXPECT_EQ(hak_free_remote_take_owner(slab_, &count), nullptr);
    EXPECT_EQ(count, 0u);
    hak_free_remote_push_mt(slab_, list, b[0], 4);
    EXPECT_EQ(hak_pending_next_owner(owner_), slab_);
    EXPECT_EQ(hak_pending_next_owner(owner_), nullptr) << "it was queued all the time";
    list = hak_free_remote_take_unqueue_owner(slab_, &count);
    EXPECT_EQ(Blocks(list).size(), 4u);
    EXPECT_EQ(count, 4u);
    EXPECT_FALSE(hak_free_remote_is_queued(slab_));
    hak_free_remote_push_mt(slab_, list, b[0], 4);
    EXPECT_TRUE(hak_pending_has_any(owner_)) << "queued anew";
}

TEST_F(FreeRemote, BatchIsSentWhenItIsFull) {
    std::vector<hak_block_t *> blocks = Carve(owner_, slab_, HAK_BATCH_MAX_BLOCKS + 1);
    uint64_t sent = Sent();
    for (int i = 0; i < HAK_BATCH_MAX_BLOCKS - 1; i++) {
        ASSERT_TRUE(Add(blocks[(size_t)i]));
    }
    EXPECT_EQ(Sent(), sent);
    EXPECT_EQ(hak_load_rlx(&mine_->batched_bytes), (HAK_BATCH_MAX_BLOCKS - 1) * kBytes);
    EXPECT_TRUE(hak_free_remote_is_empty(slab_));
    ASSERT_TRUE(Add(blocks[HAK_BATCH_MAX_BLOCKS - 1]));
    EXPECT_EQ(Sent(), sent + 1) << "one compare-and-swap for 64 blocks";
    EXPECT_EQ(OnList(slab_), (uint64_t)HAK_BATCH_MAX_BLOCKS);
    EXPECT_EQ(hak_load_rlx(&mine_->batched_bytes), 0u);
    ASSERT_TRUE(Add(blocks.back()));
}

TEST_F(FreeRemote, FlushSendsEveryOpenBatch) {
    std::vector<hak_slab_t *> slabs = {slab_};
    for (int i = 0; i < 7; i++) {
        slabs.push_back(NewSlab(owner_, kClass));
    }
    for (hak_slab_t *slab : slabs) {
        std::vector<hak_block_t *> blocks = Carve(owner_, slab, 2);
        ASSERT_TRUE(Add(blocks[0]) && Add(blocks[1]));
    }
    hak_free_remote_flush(mine_);
    EXPECT_EQ(hak_load_rlx(&mine_->batched_bytes), 0u);
    for (hak_slab_t *slab : slabs) {
        EXPECT_EQ(OnList(slab), 2u);
    }
    uint64_t sent = Sent();
    hak_free_remote_flush(mine_);
    EXPECT_EQ(Sent(), sent) << "nothing to send twice";
}

TEST_F(FreeRemote, RunIsSentBesideTheOpenBatch) {
    std::vector<hak_block_t *> blocks = Carve(owner_, slab_, 4);
    ASSERT_TRUE(Add(blocks[0]));
    uint64_t batches = Sent(), sent = hak_load_rlx(&mine_->counters.remote_blocks);
    for (int i : {1, 2}) {
        hak_block_link(blocks[i], blocks[i + 1]);
    }
    hak_free_remote_send_run(mine_, slab_, blocks[1], blocks[3], 3);
    EXPECT_EQ(Sent(), batches + 1);
    EXPECT_EQ(hak_load_rlx(&mine_->counters.remote_blocks), sent + 3);
    EXPECT_EQ(OnList(slab_), 3u);
    EXPECT_EQ(hak_load_rlx(&mine_->batched_bytes), kBytes) << "the batch stays open";
    hak_free_remote_flush(mine_);
    EXPECT_EQ(OnList(slab_), 4u);
}

TEST_F(FreeRemote, MoreSlabsThanBatchesPushEachOtherOutAndLoseNothing) {
    std::vector<hak_slab_t *> slabs = {slab_};
    for (int i = 0; i < 3 * HAK_BATCH_SLOTS; i++) {
        slabs.push_back(NewSlab(owner_, kClass));
    }
    std::vector<std::vector<hak_block_t *>> blocks;
    for (hak_slab_t *slab : slabs) {
        blocks.push_back(Carve(owner_, slab, 20));
    }
    for (size_t i = 0; i < 20; i++) {
        for (std::vector<hak_block_t *> &own : blocks) {
            ASSERT_TRUE(Add(own[i]));
        }
    }
    hak_free_remote_flush(mine_);
    for (hak_slab_t *slab : slabs) {
        EXPECT_EQ(OnList(slab), 20u);
    }
}

/* Blocks of several threads come by turns, and the slabs that those allocate from are anywhere. */
TEST_F(FreeRemote, SlabsThatMeetInOnePlaceHaveOpenBatchesBesideEachOther) {
    auto place = [](const hak_slab_t *slab) {
        return (hak_slab_base(slab) >> HAK_UNIT_SHIFT) % HAK_BATCH_SLOTS;
    };
    std::vector<hak_slab_t *> meet = {slab_}, others;
    while (meet.size() < HAK_BATCH_WAYS) {
        hak_slab_t *slab = NewSlab(owner_, kClass);
        (place(slab) == place(slab_) ? meet : others).push_back(slab);
    }
    std::vector<std::vector<hak_block_t *>> blocks;
    for (hak_slab_t *slab : meet) {
        blocks.push_back(Carve(owner_, slab, HAK_BATCH_MAX_BLOCKS));
        for (hak_block_t *block : blocks.back()) {
            hak_block_set_mark(block, 0); /* as malloc leaves it */
        }
    }
    uint64_t sent = Sent();
    for (size_t i = 0; i < HAK_BATCH_MAX_BLOCKS; i++) {
        bool ends = i == 0 || i == HAK_BATCH_MAX_BLOCKS - 1; /* of the batches */
        for (std::vector<hak_block_t *> &own : blocks) {
            EXPECT_EQ(hak_free_remote_extend(mine_, own[i]), !ends) << "the short way, " << i;
            ASSERT_TRUE(!ends || Add(own[i]));
        }
    }
    EXPECT_EQ(Sent(), sent + HAK_BATCH_WAYS) << "all batches were full";
    for (hak_slab_t *slab : others) { /* they get a block, so that they end as others do */
        ASSERT_TRUE(Add(Carve(owner_, slab, 1)[0]));
    }
}

/* The short way, which looks at nothing but the batch and the block. */
TEST_F(FreeRemote, OpenBatchTakesMoreBlocksOfItsSlab) {
    std::vector<hak_block_t *> blocks = Carve(owner_, slab_, HAK_BATCH_MAX_BLOCKS + 2);
    for (hak_block_t *block : blocks) {
        hak_block_set_mark(block, 0); /* as malloc leaves it */
    }
    EXPECT_FALSE(hak_free_remote_extend(mine_, blocks[0])) << "no batch is open";
    ASSERT_TRUE(Add(blocks[0]));
    EXPECT_FALSE(hak_free_remote_extend(mine_, nullptr));
    EXPECT_FALSE(hak_free_remote_extend(mine_, reinterpret_cast<char *>(blocks[1]) + 16));
    EXPECT_TRUE(hak_free_remote_extend(mine_, blocks[1]));
    EXPECT_EQ(hak_load_rlx(&mine_->batched_bytes), 2 * kBytes);
    EXPECT_EQ(hak_block_has_mark(blocks[1], hak_registry_mark((uintptr_t)blocks[1])),
              hak_cfg_check_double_free != 0);
    EXPECT_EQ(hak_free_remote_extend(mine_, blocks[1]), !hak_cfg_check_double_free) << "twice";
    for (size_t i = 2; i < HAK_BATCH_MAX_BLOCKS - 1; i++) {
        ASSERT_TRUE(hak_free_remote_extend(mine_, blocks[i]));
    }
    EXPECT_FALSE(hak_free_remote_extend(mine_, blocks[HAK_BATCH_MAX_BLOCKS - 1]))
        << "the last one sends the batch";
    uint64_t before = Sent();
    ASSERT_TRUE(Add(blocks[HAK_BATCH_MAX_BLOCKS - 1]));
    EXPECT_EQ(Sent(), before + 1);
    EXPECT_EQ(OnList(slab_), (uint64_t)HAK_BATCH_MAX_BLOCKS);
    for (const hak_batch_t &batch : mine_->batch) {
        EXPECT_TRUE(batch.slab != nullptr || batch.limit == 0) << "free(NULL) would find it open";
    }
    EXPECT_FALSE(hak_free_remote_extend(mine_, blocks[HAK_BATCH_MAX_BLOCKS])) << "it is gone";
    EXPECT_FALSE(hak_free_remote_extend(mine_, nullptr));
    ASSERT_TRUE(Add(blocks[HAK_BATCH_MAX_BLOCKS]));
    ASSERT_TRUE(hak_free_remote_extend(mine_, blocks[HAK_BATCH_MAX_BLOCKS + 1]));
}

TEST_F(FreeRemote, OpenBatchTakesNothingBeyondItsBounds) {
    std::vector<hak_block_t *> blocks = Carve(owner_, slab_, 3);
    hak_unpoison(blocks[0], 4 * kBytes);
    memset(static_cast<void *>(blocks[0]), 0, 4 * kBytes); /* no mark of a life before */
    ASSERT_TRUE(Add(blocks[0]));
    hak_block_t *uncarved = reinterpret_cast<hak_block_t *>((uintptr_t)blocks[2] + kBytes);
    EXPECT_FALSE(hak_free_remote_extend(mine_, uncarved));
    uint64_t bytes = hak_load_rlx(&mine_->batched_bytes);
    hak_store_rlx(&mine_->batched_bytes, (uint64_t)HAK_BATCH_MAX_BYTES - kBytes);
    EXPECT_FALSE(hak_free_remote_extend(mine_, blocks[1])) << "all batches are to be sent";
    hak_store_rlx(&mine_->batched_bytes, bytes);
    hak_slab_t *other = NewSlab(owner_, kClass);
    std::vector<hak_block_t *> others = Carve(owner_, other, 1);
    EXPECT_FALSE(hak_free_remote_extend(mine_, others[0])) << "of another slab";
    ASSERT_TRUE(Add(others[0]));
    constexpr unsigned kTwoUnits = 65;
    ASSERT_EQ(hak_sc_units(kTwoUnits), 2u);
    std::vector<hak_block_t *> large = Carve(owner_, NewSlab(owner_, kTwoUnits), 2);
    ASSERT_TRUE(hak_free_remote_add(mine_, hak_slab_of((uintptr_t)large[0]), large[0], kTwoUnits));
    EXPECT_FALSE(hak_free_remote_extend(mine_, large[1])) << "the slow side knows more";
    ASSERT_TRUE(hak_free_remote_add(mine_, hak_slab_of((uintptr_t)large[1]), large[1], kTwoUnits));
    ASSERT_TRUE(Add(blocks[1]));
    ASSERT_TRUE(Add(blocks[2]));
}

/* Asked after each free, as the backend does. */
TEST_F(FreeRemote, ManyShortBatchesAreNoticed) {
    std::vector<std::vector<hak_block_t *>> blocks = {CarveAll(owner_, slab_)};
    for (int i = 0; i < 2 * HAK_BATCH_SLOTS; i++) {
        blocks.push_back(CarveAll(owner_, NewSlab(owner_, kClass)));
    }
    for (hak_block_t *block : blocks[0]) { /* one slab: batches are full */
        ASSERT_TRUE(Add(block));
        EXPECT_FALSE(hak_free_remote_was_crowded(mine_));
    }
    uint64_t before = Sent(), first = 0;
    int noticed = 0;
    for (size_t i = 0; i < blocks[1].size(); i++) {
        for (size_t slab = 1; slab < blocks.size(); slab++) {
            ASSERT_TRUE(Add(blocks[slab][i]));
            noticed += hak_free_remote_was_crowded(mine_);
            first = noticed == 1 && first == 0 ? Sent() - before : first;
        }
    }
    EXPECT_NEAR((double)first, 2048, 2048.0 / 10) << "slabs are in each other's way";
    uint64_t sent = Sent() - before;
    EXPECT_GT(sent, 10 * first);
    /* a place may keep its batch for long by chance, which makes up for others */
    EXPECT_NEAR(noticed, (double)(sent - first) / 64, (double)sent / 64 / 10);
    EXPECT_FALSE(hak_free_remote_was_crowded(mine_)) << "once";
}

/* What a slab leaves when its owner goes on to another one. */
TEST_F(FreeRemote, ShortBatchesBetweenLongOnesAreNotNoticed) {
    constexpr size_t kRounds = 50;
    constexpr size_t kShort = 1, kLong = 17;
    std::vector<std::vector<hak_block_t *>> blocks = {
        Carve(owner_, slab_, kRounds * (kShort + kLong))};
    while (blocks.size() < size_t{4} * HAK_BATCH_SLOTS) {
        blocks.push_back(Carve(owner_, NewSlab(owner_, kClass), kRounds * (kShort + kLong)));
    }
    uint64_t before = Sent();
    for (size_t round = 0; round < 2 * kRounds; round++) {
        for (std::vector<hak_block_t *> &own : blocks) {
            for (size_t left = round % 2 == 0 ? kShort : kLong; left != 0; left--) {
                ASSERT_TRUE(Add(own.back()));
                own.pop_back();
                ASSERT_FALSE(hak_free_remote_was_crowded(mine_));
            }
        }
    }
    EXPECT_GT((Sent() - before) / 2, 2500u) << "enough, if they had come one after the other";
}

TEST_F(FreeRemote, OpenBatchesHoldABoundedNumberOfBytes) {
    constexpr unsigned kLarge = 72; /* 32 KiB */
    hak_slab_t *slab = NewSlab(owner_, kLarge);
    for (hak_block_t *block : Carve(owner_, slab, hak_sc_slab_blocks(kLarge))) {
        ASSERT_TRUE(hak_free_remote_add(mine_, slab, block, kLarge));
        EXPECT_LT(hak_load_rlx(&mine_->batched_bytes), (uint64_t)HAK_BATCH_MAX_BYTES);
    }
}

TEST_F(FreeRemote, PlaceThatWasNeverCarvedIsRefused) {
    std::vector<hak_block_t *> blocks = Carve(owner_, slab_, 2);
    auto *beyond = reinterpret_cast<hak_block_t *>((uintptr_t)blocks[1] + kBytes);
    EXPECT_FALSE(Add(beyond)) << "with no batch open";
    ASSERT_TRUE(Add(blocks[0]));
    EXPECT_FALSE(Add(beyond)) << "with a batch of the slab open";
    std::vector<hak_block_t *> more = Carve(owner_, slab_, 1);
    ASSERT_EQ(more[0], beyond);
    EXPECT_TRUE(Add(beyond)) << "now it is a block";
    EXPECT_EQ(hak_load_rlx(&mine_->batched_bytes), 2 * kBytes);
    ASSERT_TRUE(Add(blocks[1]));
}

/* T-05: eight producers hand blocks to one owner; each arrives exactly once. */
TEST_F(FreeRemote, EightProducersOneConsumer) {
    enum { PRODUCERS = 8, ROUNDS = 12 };
    std::map<hak_slab_t *, std::vector<hak_block_t *>> all;
    std::vector<std::vector<hak_block_t *>> share(PRODUCERS);
    for (int i = 0; i < ROUNDS; i++) {
        hak_slab_t *slab = i == 0 ? slab_ : NewSlab(owner_, kClass);
        all[slab] = CarveAll(owner_, slab);
        size_t next = 0;
        for (hak_block_t *block : all[slab]) {
            share[next++ % PRODUCERS].push_back(block);
        }
    }
    uint64_t drained_before = hak_load_rlx(&owner_->counters.drained_blocks);
    std::atomic<int> running(PRODUCERS);
    hak_testing::RunThreads(PRODUCERS + 1, [&](int self) {
        if (self == PRODUCERS) {
            bool last;
            do {
                last = running == 0;
                hak_owner_lock_take_owner(&owner_->lock);
                hak_drain_pending_owner(owner_, 3);
                hak_owner_lock_drop_owner(&owner_->lock);
            } while (!last || hak_pending_has_any(owner_));
            return;
        }
        hak_heap_t *heap = hak_heap_acquire_mt();
        hak_testing::Random random((uint64_t)self);
        std::vector<hak_block_t *> &own = share[(size_t)self];
        while (!own.empty()) {
            size_t i = random.Below(own.size());
            ASSERT_TRUE(hak_free_remote_add(heap, hak_slab_of((uintptr_t)own[i]), own[i], kClass));
            own[i] = own.back();
            own.pop_back();
        }
        hak_free_remote_flush(heap);
        hak_heap_release_mt(heap);
        running--;
    });
    uint64_t total = 0;
    for (const auto &each : all) {
        total += each.second.size();
    }
    EXPECT_EQ(hak_load_rlx(&owner_->counters.drained_blocks) - drained_before, total);
    /* The fault check finds a block that is twice on a free list. */
    EXPECT_EQ(hak_testing::Faults(), 0u);
}

} // namespace
