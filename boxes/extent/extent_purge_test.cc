/* Passes with a delay: what one of them looks at, where the next one goes on, and what a refusal
 * stops. */
#include <algorithm>
#include <chrono>

#include "boxes/extent/extent_fixture.h"

namespace hak_testing {

constexpr size_t kUnit = HAK_UNIT_BYTES;
constexpr size_t kBound = kCalls; /* system calls of a pass */
constexpr uint64_t kDelayMs = 1000;

class ExtentPurge : public Extent {
  protected:
    void SetUp() override {
        Extent::SetUp();
        hak_os_fake_advance_ms(60000); /* beyond what earlier tests left */
        now_ms_ = hak_os_now_ms();
    }
    void TearDown() override {
        hak_os_fake_reset();
        for (char *block : walls_) {
            EXPECT_TRUE(Free(block));
        }
        Extent::TearDown();
    }
    /* A pass, `ms` after the last one. */
    size_t PassAfter(uint64_t ms) {
        hak_os_fake_advance_ms(ms);
        now_ms_ += ms;
        return hak_extent_purge_mt(now_ms_, kDelayMs, kBound, 0);
    }
    void Wall(size_t units) { walls_.push_back(Alloc(units * kUnit)); }
    /* A block that is to become a hole: no neighbour of it will be free. */
    char *Hole(size_t units) {
        char *block = Alloc(units * kUnit);
        memset(block, 1, 1);
        Wall(1);
        return block;
    }
    /* Blocks until the tract that began with `block` is full. */
    void FillTract(const char *block, size_t units) {
        for (size_t left = HAK_TRACT_UNITS - Taken(block); left != 0;) {
            size_t next = std::min(left, units);
            Wall(next);
            left -= next;
        }
    }
    static size_t Taken(const char *first) {
        hak_extent_t *all = hak_extent_entry((uintptr_t)first);
        size_t units = 0;
        while (units < HAK_TRACT_UNITS && all[units].in_bin == 0) {
            units += hak_extent_units(&all[units]);
        }
        return units;
    }
    static void FreeAll(const std::vector<char *> &blocks) {
        for (char *block : blocks) {
            ASSERT_TRUE(Free(block));
        }
    }
    static uint64_t Calls() { return hak_os_fake_calls(HAK_OS_CALL_PURGE); }

    std::vector<char *> walls_;
    uint64_t now_ms_ = 0;
};

/* Time of a pass that ages one hole in each of some tracts, which are full of blocks of `units`. */
class ExtentPurgeTime : public ExtentPurge {
  protected:
    double MicrosecondsOfPass(size_t units) {
        std::vector<char *> holes;
        for (int i = 0; i < 24; i++) {
            holes.push_back(Hole(2));
            FillTract(holes.back(), units);
        }
        double least = 1e9;
        for (int round = 0; round < 7; round++) {
            FreeAll(holes);
            auto start = std::chrono::steady_clock::now();
            EXPECT_EQ(PassAfter(2 * kDelayMs), 0u);
            std::chrono::duration<double, std::micro> time =
                std::chrono::steady_clock::now() - start;
            least = std::min(least, time.count());
            for (char *&hole : holes) {
                hole = Alloc(2 * kUnit);
            }
        }
        FreeAll(holes);
        FreeAll(walls_);
        walls_.clear();
        Drop();
        EXPECT_EQ(Stats().tracts, 0u);
        return least;
    }
};

TEST_F(ExtentPurgeTime, DoesNotGrowWithTheNumberOfBlocks) {
    double few = MicrosecondsOfPass(512), many = MicrosecondsOfPass(2);
    EXPECT_LT(many, 8 * few) << "300 blocks in each tract, and 6";
}

/* With more tracts than one pass may look at, several passes look at all. */
TEST_F(ExtentPurge, TractsBeyondTheBoundOfStepsHaveTheirTurnToo) {
    std::vector<char *> holes;
    for (int i = 0; i < 200; i++) {
        holes.push_back(Hole(1));
        FillTract(holes.back(), 512);
    }
    FreeAll(holes);
    EXPECT_EQ(PassAfter(100), 0u);
    size_t aged = 0;
    for (char *hole : holes) {
        aged += hak_extent_bits_count(hak_extent_tract(hak_extent_entry((uintptr_t)hole))->aged, 0,
                                      HAK_TRACT_UNITS);
    }
    EXPECT_GT(aged, 0u);
    EXPECT_LT(aged, holes.size()) << "one pass looked at all";
    size_t bytes = 0;
    int passes = 0;
    for (; bytes < holes.size() * kUnit && passes < 40; passes++) {
        bytes += PassAfter(100);
        ASSERT_EQ(ExtentFaults(), 0u);
    }
    EXPECT_EQ(bytes, holes.size() * kUnit);
    EXPECT_LT(passes, 2 * (int)kDelayMs / 100);
}

/* The first tract, which a pass that starts over would see first, has young holes; the second one
 * has more old ones than a pass takes. */
TEST_F(ExtentPurge, PassThatWasCutGoesOnWhereItStopped) {
    std::vector<char *> old;
    for (size_t i = 0; i < 2 * kBound + 4; i++) {
        old.push_back(Hole(1));
    }
    FillTract(old[0], 512);
    char *young = Hole(1);
    EXPECT_EQ(Stats().tracts, 2u);
    FreeAll(old);
    EXPECT_EQ(PassAfter(10), 0u);
    EXPECT_EQ(PassAfter(kDelayMs / 2 + 1), kBound * kUnit);
    EXPECT_TRUE(Free(young));
    EXPECT_EQ(PassAfter(10), kBound * kUnit);
    EXPECT_EQ(PassAfter(10), 4 * kUnit);
    EXPECT_EQ(young[0], 1) << "free for 20 ms";
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(PassAfter(100), 0u) << "not yet free for half a delay";
    }
    (void)PassAfter(kDelayMs / 2 + 1);
    (void)PassAfter(kDelayMs / 2 + 1);
    EXPECT_EQ(young[0], 0);
    EXPECT_EQ(Stats().cached_bytes, 0u);
}

/* Runs of one extent count each: an extent with many of them is no way around the bound. */
TEST_F(ExtentPurge, CallsAreBoundedAlsoInOneExtent) {
    std::vector<char *> blocks;
    for (size_t i = 0; i < 4 * kBound; i++) {
        blocks.push_back(Alloc(kUnit));
    }
    Wall(1);
    for (size_t i = 0; i < blocks.size(); i += 2) {
        EXPECT_TRUE(Free(blocks[i]));
    }
    EXPECT_EQ(PassAfter(10), 0u);
    for (size_t i = 1; i < blocks.size(); i += 2) {
        EXPECT_TRUE(Free(blocks[i]));
    }
    uint64_t calls = Calls();
    EXPECT_EQ(PassAfter(kDelayMs / 2 + 1), kBound * kUnit);
    EXPECT_EQ(Calls(), calls + kBound);
    EXPECT_EQ(PassAfter(10), kBound * kUnit);
    EXPECT_EQ(PassAfter(10), 0u);
    EXPECT_EQ(Stats().cached_bytes, 2 * kBound * kUnit) << "the younger half";
    EXPECT_EQ(ExtentFaults(), 0u);
}

/* One call may take a tract away, but the thread that makes it would wait. */
TEST_F(ExtentPurge, BytesAreBoundedAlsoInOneCall) {
    constexpr size_t kMost = kBound * HAK_WINDOW_BYTES;
    std::vector<char *> blocks;
    for (int i = 0; i < 7; i++) {
        blocks.push_back(Alloc(32 * kMiB));
        memset(blocks.back(), 1, 1);
    }
    Wall(1);
    FreeAll(blocks);
    EXPECT_EQ(PassAfter(10), 0u);
    uint64_t calls = Calls();
    EXPECT_EQ(PassAfter(kDelayMs / 2 + 1), kMost);
    EXPECT_EQ(Calls(), calls + 1);
    EXPECT_EQ(ExtentFaults(), 0u);
    EXPECT_EQ(blocks[0][0], 1) << "the end of the hole goes first";
    EXPECT_EQ(PassAfter(10), kMost);
    EXPECT_EQ(PassAfter(10), 32 * kMiB);
    EXPECT_EQ(blocks[0][0], 0);
    EXPECT_EQ(PassAfter(10), 0u);
    EXPECT_EQ(Stats().cached_bytes, 0u);
}

TEST_F(ExtentPurge, ASecondHoleGetsWhatTheFirstOneLeaves) {
    constexpr size_t kMost = kBound * HAK_WINDOW_BYTES;
    char *first = Alloc(20 * kMiB);
    Wall(1);
    std::vector<char *> second;
    for (int i = 0; i < 3; i++) {
        second.push_back(Alloc(32 * kMiB));
    }
    Wall(1);
    FreeAll(second);
    EXPECT_TRUE(Free(first));
    EXPECT_EQ(PassAfter(10), 0u);
    EXPECT_EQ(PassAfter(kDelayMs / 2 + 1), kMost);
    EXPECT_EQ(Stats().cached_bytes, 20 * kMiB);
    EXPECT_EQ(PassAfter(10), 20 * kMiB);
    EXPECT_EQ(ExtentFaults(), 0u);
}

TEST_F(ExtentPurge, OneRefusalStopsNothingElseAndIsNotRepeatedSoon) {
    char *locked = Hole(4), *other = Hole(2), *later = Hole(3);
    EXPECT_TRUE(Free(locked));
    EXPECT_TRUE(Free(other));
    EXPECT_EQ(PassAfter(10), 0u);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, 1);
    uint64_t calls = Calls();
    EXPECT_EQ(PassAfter(kDelayMs / 2 + 1), 2 * kUnit);
    EXPECT_EQ(Calls(), calls + 2);
    EXPECT_TRUE(Free(later));
    EXPECT_EQ(PassAfter(kDelayMs / 2 + 1), 0u);
    EXPECT_EQ(PassAfter(kDelayMs / 2 + 1), 3 * kUnit) << "nothing of it was refused";
    EXPECT_EQ(Calls(), calls + 3);
    EXPECT_EQ(Stats().cached_bytes, 4 * kUnit);
    EXPECT_EQ(ExtentFaults(), 0u);
    size_t bytes = 0;
    for (int i = 0; i < 22; i++) {
        bytes += PassAfter(kDelayMs / 2 + 1);
    }
    EXPECT_EQ(bytes, 4 * kUnit) << "tried again after a while";
    EXPECT_EQ(Calls(), calls + 4);
}

TEST_F(ExtentPurge, APassThatMetRefusalsOnlyIsFollowedByARestAndThenByOthers) {
    std::vector<char *> holes;
    for (size_t i = 0; i < kBound + 5; i++) {
        holes.push_back(Hole(1));
    }
    FreeAll(holes);
    EXPECT_EQ(PassAfter(10), 0u);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, kBound);
    uint64_t calls = Calls();
    EXPECT_EQ(PassAfter(kDelayMs), 0u);
    EXPECT_EQ(PassAfter(kDelayMs), 0u);
    EXPECT_EQ(Calls(), calls + kBound);
    EXPECT_EQ(PassAfter(10000), 5 * kUnit) << "those that had no turn";
    EXPECT_EQ(Calls(), calls + kBound + 5);
    EXPECT_EQ(PassAfter(kDelayMs), kBound * kUnit);
}

/* The bound on what is resident: the longest hole cannot go back, the next ones can. */
TEST_F(ExtentPurge, ARefusedHoleDoesNotLiftTheBoundOnResidentMemory) {
    char *locked = Hole(200), *other = Hole(100);
    EXPECT_TRUE(Free(locked));
    EXPECT_TRUE(Free(other));
    constexpr uint64_t kRefusals = 1 + 3 * 2; /* 170 units, and halves down to 21 of them */
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, kRefusals);
    uint64_t calls = Calls();
    Wall(298);
    EXPECT_EQ(Calls(), calls + kRefusals + 1);
    /* 302 units were the peak, 128 more may be resident, 300 are in use. */
    EXPECT_EQ(Stats().cached_bytes, 200 * kUnit) << "more would have had to go";
    Wall(220);
    EXPECT_EQ(Calls(), calls + kRefusals + 2)
        << "the start of the hole, which had not been asked for";
    EXPECT_EQ(Stats().cached_bytes, 170 * kUnit);
    Wall(230);
    EXPECT_EQ(Calls(), calls + kRefusals + 2) << "known to be refused";
    EXPECT_EQ(ExtentFaults(), 0u);
}

} // namespace hak_testing
