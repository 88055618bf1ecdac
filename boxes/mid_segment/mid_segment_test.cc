#include "boxes/mid_segment/mid_segment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/mid_supply/mid_supply.h"
#include "boxes/testing/engine.h"

namespace {

constexpr uint32_t kTag = 77u << HAK_TAG_OWNER_SHIFT;

/* A chunk of the class from the supply; goes back there at the end. */
class Chunk {
  public:
    explicit Chunk(unsigned sc, size_t bytes = 4u << 20) : chunk_(hak_mid_supply_take_mt(bytes)) {
        hak_mid_chunk_open(chunk_, sc);
        hak_mid_chunk_set_owner(chunk_, nullptr, kTag);
    }
    ~Chunk() {
        hak_mid_chunk_close(chunk_);
        hak_mid_supply_give_mt(chunk_, 0);
        hak_mid_supply_purge_mt(1, 0, UINT32_MAX, 0);
    }
    hak_mid_chunk_t *operator->() const { return chunk_; }
    hak_mid_chunk_t *get() const { return chunk_; }

    std::vector<hak_block_t *> Take(uint32_t want) {
        hak_block_t *list = nullptr;
        uint32_t count = hak_mid_segment_take_owner(chunk_, want, &list);
        std::vector<hak_block_t *> blocks;
        for (; count != 0; count--, list = hak_block_next(list)) {
            blocks.push_back(list);
        }
        EXPECT_EQ(list, nullptr) << "the list is longer than it says";
        return blocks;
    }
    std::vector<hak_block_t *> TakeAll() {
        std::vector<hak_block_t *> all;
        for (std::vector<hak_block_t *> some = Take(1); !some.empty(); some = Take(1)) {
            all.push_back(some[0]);
        }
        return all;
    }
    void Put(hak_block_t *block) { hak_mid_segment_put_owner(chunk_, block); }
    size_t Purge(bool all, unsigned max_calls = 1000) {
        last_ = {all, max_calls, false, false};
        return hak_mid_segment_purge_owner(chunk_, &last_);
    }
    uint32_t used() const { return hak_load_rlx(&chunk_->segment.used_count); }
    uintptr_t base() const { return chunk_->segment.chunk_base; }
    const hak_mid_purge_t &last() const { return last_; }

  private:
    hak_mid_chunk_t *chunk_;
    hak_mid_purge_t last_ = {};
};

class MidSegment : public ::testing::TestWithParam<unsigned> {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
};

/* E1: exactly 512, 256 and 128 blocks, in address order, each aligned to its size. */
TEST_P(MidSegment, HoldsJustAsManyAsFit) {
    unsigned sc = GetParam();
    Chunk chunk(sc);
    std::vector<hak_block_t *> blocks = chunk.TakeAll();
    EXPECT_EQ(blocks.size(), (4u << 20) / hak_sc_bytes[sc]);
    for (size_t i = 0; i < blocks.size(); i++) {
        EXPECT_EQ((uintptr_t)blocks[i], chunk.base() + i * hak_sc_bytes[sc]);
    }
    EXPECT_EQ(chunk.used(), blocks.size());
    EXPECT_FALSE(hak_mid_segment_has_any_owner(chunk.get()));
    for (hak_block_t *block : blocks) {
        chunk.Put(block);
    }
    EXPECT_EQ(chunk.used(), 0u);
}

TEST_P(MidSegment, FreeListComesBeforeBump) {
    Chunk chunk(GetParam());
    hak_block_t *a = chunk.Take(8).at(0);
    hak_block_t *b = chunk.Take(8).at(0);
    EXPECT_EQ(chunk.used(), 2u) << "the bump gives one at a time";
    chunk.Put(a);
    chunk.Put(b);
    EXPECT_EQ(chunk.Take(1), std::vector<hak_block_t *>({b})) << "last in, first out";
    chunk.Put(b);
    EXPECT_EQ(chunk.Take(8), std::vector<hak_block_t *>({b, a}));
    chunk.Put(a);
    chunk.Put(b);
}

/* Blocks of a purged unit are on no list, their unit has no tag, and they come back last. */
TEST_P(MidSegment, PurgeRebuildsTheList) {
    Chunk chunk(GetParam());
    std::vector<hak_block_t *> blocks = chunk.TakeAll();
    uint32_t per_unit = chunk->segment.unit_blocks;
    /* Units 2 and 3 free, of unit 5 all but one, of unit 0 one. */
    std::set<hak_block_t *> kept;
    auto put_unit = [&](unsigned unit, uint32_t count) {
        for (uint32_t i = 0; i < count; i++) {
            chunk.Put(blocks[unit * per_unit + i]);
        }
    };
    put_unit(2, per_unit);
    put_unit(5, per_unit - 1);
    put_unit(0, 1);
    put_unit(3, per_unit);
    EXPECT_NE(hak_block_mark(blocks[2 * per_unit]), 0u);
    EXPECT_EQ(chunk.Purge(false), 0u) << "the first visit only looks";
    EXPECT_TRUE(chunk.last().more);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_PURGE);
    EXPECT_EQ(chunk.Purge(false), 2u << HAK_UNIT_SHIFT);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_PURGE), calls + 1) << "neighbours in one call";
    EXPECT_FALSE(chunk.last().more);
    EXPECT_EQ(hak_block_mark(blocks[2 * per_unit]), 0u) << "it was not given back";
    EXPECT_EQ(hak_registry_tag((uintptr_t)blocks[2 * per_unit]), HAK_TAG_NONE);
    EXPECT_EQ(hak_registry_tag((uintptr_t)blocks[5 * per_unit]), kTag | GetParam()
                                                                            << HAK_BIN_SHIFT);
    EXPECT_TRUE(hak_mid_segment_has_any_owner(chunk.get()));

    std::vector<hak_block_t *> first = chunk.Take(1000);
    EXPECT_EQ(first.size(), per_unit) << "one of unit 0 and all but one of unit 5";
    std::vector<hak_block_t *> second = chunk.Take(1000);
    ASSERT_EQ(second.size(), per_unit) << "a unit at a time";
    EXPECT_EQ(second[0], blocks[2 * per_unit]);
    EXPECT_EQ(hak_registry_tag((uintptr_t)second[0]), kTag | GetParam() << HAK_BIN_SHIFT);
    EXPECT_EQ(chunk.Take(1000).size(), per_unit);
    EXPECT_TRUE(chunk.Take(1).empty());
    EXPECT_EQ(chunk.used(), blocks.size());
    for (hak_block_t *block : blocks) {
        chunk.Put(block);
    }
    EXPECT_EQ(chunk.Purge(true), 4u << 20);
    EXPECT_EQ(chunk.used(), 0u);
}

/* A unit from which something was taken since the last visit is not idle. */
TEST_P(MidSegment, UseKeepsAUnitFromPurge) {
    Chunk chunk(GetParam());
    std::vector<hak_block_t *> blocks = chunk.TakeAll();
    for (uint32_t i = 0; i < chunk->segment.unit_blocks; i++) {
        chunk.Put(blocks[i]);
    }
    EXPECT_EQ(chunk.Purge(false), 0u);
    hak_block_t *taken = chunk.Take(1).at(0);
    chunk.Put(taken);
    EXPECT_EQ(chunk.Purge(false), 0u) << "it was in use in between";
    EXPECT_EQ(chunk.Purge(false), 1u << HAK_UNIT_SHIFT);
    for (size_t i = chunk->segment.unit_blocks; i < blocks.size(); i++) {
        chunk.Put(blocks[i]);
    }
}

TEST_P(MidSegment, RefusedMemoryIsUsedAgain) {
    Chunk chunk(GetParam());
    std::vector<hak_block_t *> blocks = chunk.TakeAll();
    for (uint32_t i = 0; i < chunk->segment.unit_blocks; i++) {
        chunk.Put(blocks[i]);
    }
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
    EXPECT_EQ(chunk.Purge(true), 0u);
    EXPECT_TRUE(chunk.last().refused);
    EXPECT_EQ(hak_registry_tag((uintptr_t)blocks[0]), kTag | GetParam() << HAK_BIN_SHIFT);
    EXPECT_EQ(chunk.Take(1000).size(), chunk->segment.unit_blocks);
    for (hak_block_t *block : blocks) {
        chunk.Put(block);
    }
}

TEST_P(MidSegment, PurgeKeepsToItsCalls) {
    Chunk chunk(GetParam());
    std::vector<hak_block_t *> blocks = chunk.TakeAll();
    uint32_t per_unit = chunk->segment.unit_blocks;
    for (size_t i = 0; i < blocks.size(); i++) {
        if (i / per_unit % 2 == 0) {
            chunk.Put(blocks[i]);
        }
    }
    EXPECT_EQ(chunk.Purge(true, 5), 5u << HAK_UNIT_SHIFT);
    EXPECT_TRUE(chunk.last().more);
    EXPECT_EQ(chunk.last().max_calls, 0u);
    EXPECT_EQ(chunk.Purge(true), 27u << HAK_UNIT_SHIFT);
    for (size_t i = 0; i < blocks.size(); i++) {
        if (i / per_unit % 2 != 0) {
            chunk.Put(blocks[i]);
        }
    }
}

/* Memory that an earlier use touched above `current` goes back too. */
TEST_P(MidSegment, PurgeReachesAboveTheBump) {
    Chunk chunk(GetParam());
    for (hak_block_t *block : chunk.TakeAll()) {
        chunk.Put(block);
    }
    hak_mid_chunk_close(chunk.get());
    hak_mid_chunk_open(chunk.get(), GetParam());
    hak_mid_chunk_set_owner(chunk.get(), nullptr, kTag);
    hak_block_t *block = chunk.Take(1).at(0);
    EXPECT_EQ(chunk.Purge(true), 63u << HAK_UNIT_SHIFT);
    hak_block_t *next = chunk.Take(1).at(0);
    EXPECT_EQ((uintptr_t)next, (uintptr_t)block + hak_sc_bytes[GetParam()]) << "still the bump";
    chunk.Put(block);
    chunk.Put(next);
}

TEST_P(MidSegment, RandomUseAgainstAReference) {
    Chunk chunk(GetParam(), 1u << 20);
    size_t cap = (1u << 20) / hak_sc_bytes[GetParam()];
    std::vector<hak_block_t *> live;
    std::set<hak_block_t *> out;
    hak_testing::Random random(9);
    for (unsigned step = 0; step < 30000; step++) {
        uint64_t what = random.Below(100);
        if (what < 48) {
            for (hak_block_t *block : chunk.Take(1 + (uint32_t)random.Below(4))) {
                ASSERT_TRUE(out.insert(block).second) << "handed out twice";
                ASSERT_EQ(hak_registry_tag((uintptr_t)block), kTag | GetParam() << HAK_BIN_SHIFT);
                live.push_back(block);
            }
        } else if (what < 98 && !live.empty()) {
            std::swap(live[random.Below(live.size())], live.back());
            chunk.Put(live.back());
            out.erase(live.back());
            live.pop_back();
        } else if (what == 98) {
            chunk.Purge(random.Below(2) == 0);
        } else if (random.Below(20) == 0) {
            for (hak_block_t *block : live) {
                chunk.Put(block);
            }
            live.clear();
            out.clear();
        }
        ASSERT_EQ(chunk.used(), live.size());
        ASSERT_EQ(hak_mid_segment_has_any_owner(chunk.get()), live.size() < cap);
    }
    for (hak_block_t *block : live) {
        chunk.Put(block);
    }
}

INSTANTIATE_TEST_SUITE_P(Classes, MidSegment, ::testing::Values(56u, 64u, 72u));

} // namespace
