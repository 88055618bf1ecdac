/* Which slot a slab gets, under each policy. The test is built once per policy. */
#include "boxes/slot_policy/slot_policy.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "boxes/slot_policy/pool_fixture.h"

namespace {

class SlotPolicy : public PoolFixture {
  protected:
    /* Resident OS pages of a slab. */
    static size_t Resident(const hak_slab_t *slab) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;
        std::vector<unsigned char> state(HAK_UNIT_BYTES / page);
        EXPECT_EQ(mincore(Base(slab), HAK_UNIT_BYTES, state.data()), 0);
        for (unsigned char byte : state) {
            count += byte & 1;
        }
        return count;
    }
    struct Stages {
        uint64_t empty, cross, unused, fresh;
        bool operator==(const Stages &o) const {
            return empty == o.empty && cross == o.cross && unused == o.unused && fresh == o.fresh;
        }
    };
    /* What the takes since the last call counted. */
    Stages Counted() {
        hak_slot_pool_stats_t now = Stats();
        Stages out = {now.tiny_from_empty - last_.tiny_from_empty,
                      now.tiny_from_cross - last_.tiny_from_cross,
                      now.tiny_from_unused - last_.tiny_from_unused,
                      now.tiny_from_new - last_.tiny_from_new};
        last_ = now;
        return out;
    }
    void SetUp() override {
        PoolFixture::SetUp();
        last_ = Stats();
    }
    hak_slot_pool_stats_t last_;
};

TEST_F(SlotPolicy, NameAndOptionAgree) {
    char text[32];
    ASSERT_GT(hak_options_get_text("ss_policy", text, sizeof text), 0);
    EXPECT_STREQ(text, hak_slot_policy_name);
    EXPECT_EQ(hak_options_set_text("ss_policy", "any"), -1);
}

TEST_F(SlotPolicy, ServesTinyClassesAlone) {
    for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
        bool is_tiny = sc != 0 && hak_sc_bytes[sc] <= HAK_SC_SMALL_MAX_BYTES; // also the spare ones
        EXPECT_EQ(hak_sc_is_tiny(sc), is_tiny) << sc;
        EXPECT_EQ(hak_slot_policy_serves(sc), is_tiny && !Is("any")) << sc;
    }
}

/* Every stage in turn, by the design of each policy. */
TEST_F(SlotPolicy, StagesInTheirOrder) {
    hak_slab_t *first = Take(a_);
    EXPECT_EQ(Counted(), (Stages{0, 0, 0, 1}));
    hak_slab_t *second = Take(a_);
    EXPECT_EQ(Counted(), (Stages{0, 0, 1, 0}));
    Give(second);
    EXPECT_EQ(Take(a_), second);
    EXPECT_EQ(Counted(), (Stages{1, 0, 0, 0}));
    Give(second);
    hak_slab_t *other = Take(b_);
    if (Is("sp_slot")) { /* an UNUSED slot goes before another class's EMPTY one */
        EXPECT_EQ(Counted(), (Stages{0, 0, 1, 0}));
        EXPECT_NE(other, second);
        EXPECT_EQ(hak_slab_superslab(other), hak_slab_superslab(first));
    } else if (Is("per_class")) {
        EXPECT_EQ(Counted(), (Stages{0, 0, 0, 1}));
        EXPECT_NE(hak_slab_superslab(other), hak_slab_superslab(first));
    } else { /* any class takes any slot */
        EXPECT_EQ(Counted(), (Stages{1, 0, 0, 0}));
        EXPECT_EQ(other, second);
    }
    Give({first, other});
}

TEST_F(SlotPolicy, CrossClassIsTheLastThingBeforeANewSuperslab) {
    if (!Is("sp_slot")) {
        GTEST_SKIP() << "a stage of sp_slot";
    }
    std::vector<hak_slab_t *> slabs = Take(a_, 31);
    hak_slab_t *empty = slabs[7];
    Give(empty);
    slabs.erase(slabs.begin() + 7);
    slabs.push_back(Take(b_));
    EXPECT_NE(slabs.back(), empty) << "one UNUSED slot is left";
    (void)Counted();
    slabs.push_back(Take(b_));
    EXPECT_EQ(slabs.back(), empty);
    EXPECT_EQ(Counted(), (Stages{0, 1, 0, 0}));
    /* It is the other class's now. */
    Give(slabs.back());
    slabs.pop_back();
    EXPECT_EQ(Take(b_), empty);
    EXPECT_EQ(Counted(), (Stages{1, 0, 0, 0}));
    Give(empty);
    Set(HAK_OPTION_TINY_CROSS_CLASS_EMPTY, 0);
    slabs.push_back(Take(c_));
    EXPECT_EQ(Counted(), (Stages{0, 0, 0, 1}));
    EXPECT_NE(hak_slab_superslab(slabs.back()), hak_slab_superslab(empty));
    Give(slabs);
}

TEST_F(SlotPolicy, EmptySlotOfTheFullestSuperslabComesFirst) {
    if (!Is("sp_slot")) {
        GTEST_SKIP() << "lists of EMPTY slots are sp_slot's";
    }
    std::vector<hak_slab_t *> slabs = Take(a_, 64);
    const hak_superslab_t *full = hak_slab_superslab(slabs[0]);
    Give({slabs[0], slabs[40], slabs[50], slabs[60]});
    EXPECT_EQ(hak_slab_superslab(Take(a_)), full);
    std::vector<hak_slab_t *> rest = Take(a_, 3);
    for (hak_slab_t *slab : rest) {
        EXPECT_NE(hak_slab_superslab(slab), full);
    }
    Give(slabs);
}

TEST_F(SlotPolicy, ClassesStayApartInPerClassAndMixElsewhere) {
    std::vector<hak_slab_t *> a = Take(a_, 20), b = Take(b_, 20), c = Take(c_, 20);
    EXPECT_EQ(Stats().superslabs, Is("per_class") ? 3u : 2u);
    Give({a[3], a[4], b[3]});
    std::vector<hak_slab_t *> more = Take(c_, 12);
    for (hak_slab_t *slab : more) {
        for (hak_slab_t *of_a : a) {
            EXPECT_TRUE(!Is("per_class") || hak_slab_superslab(slab) != hak_slab_superslab(of_a));
        }
    }
    (void)Counted();
    hak_slab_t *last = Take(c_); /* the 33rd of its class */
    EXPECT_EQ(Counted().fresh, Is("per_class") ? 1u : 0u);
    EXPECT_GE(Stats().tiny_classes_used, 3u);
    Give(last);
    Give(more);
    Give(c);
    a.erase(a.begin() + 3, a.begin() + 5);
    b.erase(b.begin() + 3);
    Give(a);
    Give(b);
}

TEST_F(SlotPolicy, TinySlabsKeepOutOfOtherSuperslabsUnderAPolicy) {
    hak_slab_t *mid = Take(mid_), *tiny = Take(a_);
    EXPECT_EQ(hak_slab_superslab(mid) == hak_slab_superslab(tiny), Is("any"));
    EXPECT_EQ(Stats().tiny_superslabs_made - last_.tiny_superslabs_made, Is("any") ? 0u : 1u);
    EXPECT_EQ(Counted(), Is("any") ? (Stages{0, 0, 1, 0}) : (Stages{0, 0, 0, 1}));
    EXPECT_EQ(Stats().tiny_slabs_active, 1u);
    EXPECT_GE(Stats().tiny_slabs_peak, 1u);
    Give({mid, tiny});
}

/* F10, F13: it leaves when, and only when, no slot is in use. */
TEST_F(SlotPolicy, SuperslabLeavesWithItsLastSlab) {
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < 8; i++) {
        slabs.push_back(Take(a_));
        if (!Is("per_class")) {
            slabs.push_back(Take(b_));
        }
    }
    ASSERT_EQ(Stats().superslabs, 1u);
    while (slabs.size() > 1) {
        Give(slabs.back());
        slabs.pop_back();
        ASSERT_EQ(Stats().lru_superslabs, 0u);
    }
    Give(slabs);
    EXPECT_EQ(Stats().lru_superslabs, 1u);
    EXPECT_EQ(Stats().superslabs, 1u) << "it stays mapped";
}

/* T-39: no list remembers a slot of a superslab that is gone. */
TEST_F(SlotPolicy, T39_NoEntryOfAReleasedSuperslabSurvives) {
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 0);
    hak_testing::Random random(39);
    for (int round = 0; round < 20; round++) {
        std::vector<hak_slab_t *> slabs;
        for (int i = 0; i < 200; i++) {
            slabs.push_back(Take(1 + (unsigned)random.Below(HAK_TINY_FIXED)));
            Base(slabs.back())[0] = 1;
        }
        /* Whole superslabs go while others keep slabs of the same classes. */
        std::sort(slabs.begin(), slabs.end());
        size_t kept = random.Below(40);
        while (slabs.size() > kept) {
            Give(slabs.back());
            slabs.pop_back();
        }
        ASSERT_EQ(hak_testing::Faults(), 0u) << round;
        for (unsigned sc = 1; sc <= HAK_TINY_FIXED; sc++) {
            slabs.push_back(Take(sc)); /* looks whether it is mapped */
            Base(slabs.back())[HAK_UNIT_BYTES - 1] = 1;
        }
        std::vector<hak_slab_t *> sorted = slabs;
        std::sort(sorted.begin(), sorted.end());
        ASSERT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end()) << round;
        Give(slabs);
        ASSERT_EQ(Stats().superslabs, 0u) << round;
    }
}

/* A superslab that comes out of the LRU with old content in it belongs to no class. */
TEST_F(SlotPolicy, SlotsOfACachedSuperslabAreNobodys) {
    std::vector<hak_slab_t *> slabs = Take(a_, 3);
    std::vector<hak_slab_t *> bases = slabs;
    Give(slabs);
    EXPECT_EQ(Stats().dirty_slots, 3u);
    (void)Counted();
    hak_slab_t *b = Take(b_);
    EXPECT_EQ(Counted(), (Stages{0, 0, 0, 1}));
    EXPECT_EQ(Stats().superslabs_made, last_.superslabs_made) << "from the LRU";
    EXPECT_EQ(Base(b)[0], 1) << "warm memory goes first, and is not cleared";
    if (Is("sp_slot")) {
        hak_slab_t *a = Take(a_);
        EXPECT_EQ(Counted(), (Stages{0, 0, 1, 0}));
        EXPECT_EQ(Base(a)[0], 1);
        Give(a);
    }
    Give(b);
}

/* What the kernel refuses to take stays EMPTY, and stays its class's. */
TEST_F(SlotPolicy, RefusedPurgePutsTheSlotBack) {
    hak_slab_t *keep = Take(a_), *slab = Take(a_);
    Base(slab)[0] = 1;
    Give(slab);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    EXPECT_EQ(Purge(0), 0u);
    EXPECT_EQ(hak_testing::Faults(), 0u);
    (void)Counted();
    EXPECT_EQ(Take(a_), slab);
    EXPECT_EQ(Counted(), (Stages{1, 0, 0, 0}));
    EXPECT_EQ(Base(slab)[0], 1);
    Give(slab);
    hak_os_fake_reset();
    EXPECT_EQ(Purge(0), (size_t)HAK_UNIT_BYTES);
    EXPECT_EQ(Take(a_), slab) << "the lowest UNUSED slot";
    EXPECT_EQ(Counted(), (Stages{0, 0, 1, 0}));
    Give({keep, slab});
}

/* T-28: nobody clears memory that is zero, or content that nobody may read. */
TEST_F(SlotPolicy, T28_TakingASlabTouchesNoMemory) {
    hak_slab_t *fresh = Take(a_), *next = Take(a_);
    EXPECT_EQ(Resident(fresh), 0u);
    EXPECT_EQ(Resident(next), 0u);
    memset(Base(next), 7, HAK_UNIT_BYTES);
    Give(next);
    ASSERT_EQ(Take(a_), next);
    EXPECT_EQ(Base(next)[0], 7);
    EXPECT_EQ(memcmp(Base(next), Base(next) + 1, HAK_UNIT_BYTES - 1), 0);
    Give({fresh, next});
    (void)Purge(0);
    ASSERT_EQ(Stats().lru_superslabs, 1u);
    hak_slab_t *again = Take(a_); /* from the LRU, purged */
    EXPECT_EQ(Resident(again), 0u);
    Give(again);
}

TEST_F(SlotPolicy, NoMemoryGivesNullAndChangesNothing) {
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    EXPECT_EQ(hak_slot_pool_take_mt(a_), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(Counted(), (Stages{0, 0, 0, 0}));
    EXPECT_EQ(hak_testing::Faults(), 0u);
    hak_os_fake_reset();
    Give(Take(a_));
}

} // namespace
