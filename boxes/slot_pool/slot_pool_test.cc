#include "boxes/slot_pool/slot_pool.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <map>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"

namespace {

using hak_testing::Faults;
using hak_testing::TakeUnits;

hak_slot_pool_stats_t Stats() {
    hak_slot_pool_stats_t stats;
    hak_slot_pool_stats_mt(&stats);
    return stats;
}

/* Everything that is free goes back to the kernel, so that each test begins with a pool whose only
 * memory is UNUSED. */
void PurgeAll() { (void)hak_slot_pool_purge_mt(1ull << 40, 0, UINT32_MAX, 0); }

class SlotPool : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        PurgeAll();
        ASSERT_EQ(Stats().active_slots, 0u);
    }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Stats().active_slots, 0u);
        EXPECT_EQ(Faults(), 0u);
    }

    static char *Base(const hak_slab_t *slab) {
        return reinterpret_cast<char *>(hak_slab_base(slab));
    }
    static size_t Bytes(const hak_slab_t *slab) { return (size_t)slab->units << HAK_UNIT_SHIFT; }
    static bool IsZero(const hak_slab_t *slab) {
        const char *p = Base(slab);
        return *p == 0 && memcmp(p, p + 1, Bytes(slab) - 1) == 0;
    }
};

TEST_F(SlotPool, SlabsAreAlignedToTheirSizeAndDisjoint) {
    std::map<uintptr_t, size_t> taken;
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < 90; i++) {
        unsigned units = i % 3 == 0 ? 1 : i % 3 == 1 ? 2 : 16;
        hak_slab_t *slab = TakeUnits(units);
        ASSERT_NE(slab, nullptr);
        ASSERT_EQ(slab->units, units);
        uintptr_t base = hak_slab_base(slab);
        EXPECT_EQ(base % Bytes(slab), 0u);
        EXPECT_EQ(hak_slab_of(base), slab);
        EXPECT_EQ(hak_slab_of(base + Bytes(slab) - 1), slab);
        EXPECT_EQ(hak_registry_tag(base), HAK_TAG_NONE);
        memset(Base(slab), 1, Bytes(slab));
        taken[base] = Bytes(slab);
        slabs.push_back(slab);
    }
    uintptr_t end = 0;
    for (const auto &piece : taken) {
        EXPECT_GE(piece.first, end);
        end = piece.first + piece.second;
    }
    EXPECT_EQ(Stats().active_slots, 30u * (1 + 2 + 16));
    for (hak_slab_t *slab : slabs) {
        hak_slot_pool_give_mt(slab);
    }
}

/* T-40: no table of a fixed size runs full. Nothing is touched, so this costs address space. */
TEST_F(SlotPool, ThereIsNoBoundOnTheNumberOfSuperslabs) {
    enum { SUPERSLABS = 3000 };
    std::vector<hak_slab_t *> slabs;
    uint64_t before = Stats().superslabs;
    for (int i = 0; i < 2 * SUPERSLABS; i++) {
        slabs.push_back(TakeUnits(16));
        ASSERT_NE(slabs.back(), nullptr) << i;
    }
    EXPECT_GE(Stats().superslabs, (uint64_t)SUPERSLABS);
    EXPECT_GE(Stats().mapped_superslabs_peak, (uint64_t)SUPERSLABS);
    EXPECT_EQ(Faults(), 0u);
    std::vector<hak_slab_t *> sorted = slabs;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end());
    for (hak_slab_t *slab : slabs) {
        hak_slot_pool_give_mt(slab);
    }
    PurgeAll();
    EXPECT_LE(Stats().superslabs, before + 4) << "all but a few go back";
    /* Descriptors are used again. */
    uint64_t made = Stats().superslabs_made;
    hak_slab_t *again = TakeUnits(1);
    EXPECT_LE(Stats().superslabs_made, made + 1);
    hak_slot_pool_give_mt(again);
}

TEST_F(SlotPool, EmptySlotsAreTakenBeforeUnusedOnes) {
    hak_slab_t *first = TakeUnits(1);
    hak_slab_t *second = TakeUnits(1);
    hak_slab_t *third = TakeUnits(1);
    hak_slot_pool_give_mt(second);
    hak_slot_pool_stats_t before = Stats();
    EXPECT_EQ(before.dirty_slots, 1u);
    hak_slab_t *again = TakeUnits(1);
    EXPECT_EQ(again, second);
    EXPECT_EQ(Stats().from_empty, before.from_empty + 1);
    EXPECT_EQ(Stats().dirty_slots, 0u);
    hak_slab_t *fresh = TakeUnits(1);
    EXPECT_EQ(Stats().from_unused, before.from_unused + 1);
    for (hak_slab_t *slab : {first, again, third, fresh}) {
        hak_slot_pool_give_mt(slab);
    }
}

TEST_F(SlotPool, FullestSuperslabServesFirstSoThatOthersDrain) {
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < 64; i++) {
        slabs.push_back(TakeUnits(1));
    }
    hak_superslab_t *full = hak_slab_superslab(slabs[0]);
    std::vector<hak_slab_t *> kept;
    size_t left_in_full = 0, left_in_other = 0;
    for (hak_slab_t *slab : slabs) {
        bool in_full = hak_slab_superslab(slab) == full;
        size_t &left = in_full ? left_in_full : left_in_other;
        if (left < (in_full ? 28u : 4u)) {
            left++;
            kept.push_back(slab);
        } else {
            hak_slot_pool_give_mt(slab);
        }
    }
    ASSERT_EQ(left_in_full, 28u);
    for (int i = 0; i < 4; i++) {
        kept.push_back(TakeUnits(1));
        EXPECT_EQ(hak_slab_superslab(kept.back()), full);
    }
    kept.push_back(TakeUnits(1));
    EXPECT_NE(hak_slab_superslab(kept.back()), full);
    for (hak_slab_t *slab : kept) {
        hak_slot_pool_give_mt(slab);
    }
}

TEST_F(SlotPool, WhollyFreeSuperslabMayBecomeAnyKind) {
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < 32; i++) {
        slabs.push_back(TakeUnits(1));
    }
    for (hak_slab_t *slab : slabs) {
        hak_slot_pool_give_mt(slab);
    }
    uint64_t made = Stats().superslabs_made;
    for (unsigned units : {16u, 2u, 1u}) {
        hak_slab_t *slab = TakeUnits(units);
        hak_slot_pool_give_mt(slab);
    }
    EXPECT_EQ(Stats().superslabs_made, made);
}

/* T-10: after a purge nothing of the old content may be relied on. */
TEST_F(SlotPool, EmptySlotsKeepTheirContentUntilTheyArePurged) {
    hak_slab_t *slab = TakeUnits(2);
    EXPECT_TRUE(IsZero(slab));
    memset(Base(slab), 1, Bytes(slab));
    hak_slot_pool_give_mt(slab);
    ASSERT_EQ(TakeUnits(2), slab) << "EMPTY ones come first";
    EXPECT_EQ(Base(slab)[Bytes(slab) - 1], 1);
    hak_slot_pool_give_mt(slab);
    PurgeAll();
    slab = TakeUnits(2);
    EXPECT_TRUE(IsZero(slab));
    hak_slot_pool_give_mt(slab);
}

TEST_F(SlotPool, FailureGivesNullAndChangesNothing) {
    std::vector<hak_slab_t *> slabs;
    while (Stats().superslabs * 2 > slabs.size() || Stats().stock_superslabs != 0) {
        slabs.push_back(TakeUnits(16)); /* nothing is left */
    }
    hak_slot_pool_stats_t before = Stats();
    for (uint64_t k = 0; k < 3; k++) {
        hak_os_fake_fail(HAK_OS_CALL_MAP, k, UINT64_MAX);
        hak_os_fake_fail(HAK_OS_CALL_COMMIT, 0, UINT64_MAX);
        errno = 0;
        hak_slab_t *slab = TakeUnits(2);
        if (slab == nullptr) {
            EXPECT_EQ(errno, ENOMEM);
            EXPECT_EQ(TakeUnits(16), nullptr);
            EXPECT_EQ(Stats().superslabs, before.superslabs);
            EXPECT_EQ(Stats().active_slots, before.active_slots);
        } else {
            hak_slot_pool_give_mt(slab);
        }
    }
    hak_os_fake_reset();
    slabs.push_back(TakeUnits(2));
    EXPECT_NE(slabs.back(), nullptr);
    for (hak_slab_t *slab : slabs) {
        hak_slot_pool_give_mt(slab);
    }
}

/* Random takes, gifts and purges against a model that knows who owns each slot. */
TEST_F(SlotPool, AgreesWithAModel) {
    struct Piece {
        hak_slab_t *slab;
        char pattern;
        size_t bytes;
    };
    /* What each slab held when it was given back last. */
    std::map<hak_slab_t *, Piece> left;
    int kept = 0, shorter = 0;
    std::vector<Piece> pieces;
    hak_testing::Random random(11);
    const unsigned kUnits[] = {1, 2, 16};
    uint64_t now_ms = 1000;
    for (int step = 0; step < 1500; step++) {
        uint64_t what = random.Below(10);
        char pattern = (char)(1 + step % 120);
        if (what < 5) {
            unsigned units = kUnits[random.Below(3)];
            uint64_t from_unused = Stats().from_unused;
            hak_slab_t *slab = TakeUnits(units);
            ASSERT_NE(slab, nullptr);
            ASSERT_EQ(slab->units, hak_load_rlx(&slab->last_units));
            if (slab->units != units) {
                ASSERT_EQ(slab->units, units == 16 ? 2u : 1u) << "of a class of " << units;
                ASSERT_EQ(Stats().from_unused, from_unused) << "short and not resident";
                shorter++;
            }
            ASSERT_TRUE(Stats().from_unused == from_unused || IsZero(slab)) << "said to be zero";
            if (slab->kept) {
                const char *base = Base(slab);
                ASSERT_LE(left.at(slab).bytes, Bytes(slab));
                ASSERT_EQ(base[0], left.at(slab).pattern);
                ASSERT_EQ(memcmp(base, base + 1, left.at(slab).bytes - 1), 0) << "not as left";
                kept++;
            }
            memset(Base(slab), pattern, Bytes(slab));
            pieces.push_back({slab, pattern, Bytes(slab)});
            continue;
        }
        if (what == 9) {
            now_ms += random.Below(60);
            hak_slot_pool_purge_mt(now_ms, random.Below(4) == 0 ? 0 : 50, 8, 0);
            continue;
        }
        if (pieces.empty()) {
            continue;
        }
        size_t i = random.Below(pieces.size());
        Piece &piece = pieces[i];
        char *base = Base(piece.slab);
        ASSERT_EQ(base[0], piece.pattern);
        ASSERT_EQ(memcmp(base, base + 1, Bytes(piece.slab) - 1), 0) << "someone wrote into it";
        hak_slot_pool_give_mt(piece.slab);
        left[piece.slab] = piece;
        piece = pieces.back();
        pieces.pop_back();
        ASSERT_TRUE(step % 500 != 0 || Faults() == 0) << step;
    }
    EXPECT_GT(kept, 50);
    EXPECT_GT(shorter, 10);
    for (const Piece &piece : pieces) {
        hak_slot_pool_give_mt(piece.slab);
    }
}

} // namespace
