/* Long and random sequences and many threads, under each policy. The test is built once per
 * policy. */
#include <string.h>

#include <algorithm>
#include <map>
#include <set>

#include "boxes/slot_policy/pool_fixture.h"

namespace {

class SlotPolicyFuzz : public PoolFixture {
  protected:
    struct Piece {
        hak_slab_t *slab;
        unsigned sc;
        char pattern;
    };
    static void Fill(const Piece &piece) {
        Base(piece.slab)[0] = Base(piece.slab)[HAK_UNIT_BYTES - 1] = piece.pattern;
    }
    static bool Holds(const Piece &piece) {
        return Base(piece.slab)[0] == piece.pattern &&
               Base(piece.slab)[HAK_UNIT_BYTES - 1] == piece.pattern;
    }
    /* Free slots in superslabs in use, as far as a slab of the tiny class `sc` may take them. */
    static size_t Room(const std::vector<Piece> &pieces, unsigned sc) {
        std::map<const hak_superslab_t *, size_t> used;
        std::set<const hak_superslab_t *> usable;
        for (const Piece &piece : pieces) {
            const hak_superslab_t *ss = hak_slab_superslab(piece.slab);
            used[ss]++;
            if (Is("any") || (hak_sc_is_tiny(piece.sc) && (!Is("per_class") || piece.sc == sc))) {
                usable.insert(ss);
            }
        }
        size_t room = 0;
        for (const hak_superslab_t *ss : usable) {
            room += HAK_SUPERSLAB_SLOTS - used[ss];
        }
        return room;
    }
    static void ChangeAnOption(hak_testing::Random *random) {
        static const uint64_t counts[] = {0, 1, 4, 256};
        switch (random->Below(3)) {
        case 0:
            Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, counts[random->Below(4)]);
            break;
        case 1:
            Set(HAK_OPTION_SUPERSLAB_TTL_SEC, random->Below(3));
            break;
        default:
            Set(HAK_OPTION_TINY_CROSS_CLASS_EMPTY, random->Below(2));
        }
    }
    static unsigned TinyClass(size_t i) {
        auto sc = (unsigned)(i + 1);
        return sc <= HAK_TINY_FIXED ? sc : sc - HAK_TINY_FIXED + HAK_SC_FIXED;
    }
    static void TakeOne(std::vector<Piece> *pieces, unsigned sc, char pattern) {
        hak_slot_pool_stats_t before = Stats();
        size_t room = Room(*pieces, sc);
        Piece piece = {Take(sc), sc, pattern};
        hak_slot_pool_stats_t after = Stats();
        bool added = after.lru_hits + after.from_new != before.lru_hits + before.from_new;
        bool may_cross = !Is("sp_slot") || hak_option(HAK_OPTION_TINY_CROSS_CLASS_EMPTY) != 0;
        if (hak_sc_is_tiny(sc) && may_cross) {
            ASSERT_EQ(added, room == 0) << "a superslab more though a slot was free, or no slot";
        }
        Fill(piece);
        pieces->push_back(piece);
    }
    static void Run(uint64_t seed, int steps) {
        hak_testing::Random random(seed);
        std::vector<Piece> pieces;
        size_t goal = 100;
        for (int step = 0; step < steps && !HasFatalFailure(); step++) {
            goal = random.Below(200) == 0 ? random.Below(400) : goal;
            if (random.Below(30) == 0) {
                hak_os_fake_advance_ms(random.Below(1500));
                (void)Purge(random.Below(4) == 0 ? 0 : 1000);
            } else if (random.Below(100) == 0) {
                ChangeAnOption(&random);
            } else if (pieces.size() < goal) {
                unsigned sc = random.Below(8) == 0
                                  ? hak_sc_of(2048)
                                  : TinyClass(random.Below(2) == 0 ? random.Below(HAK_TINY_CLASSES)
                                                                   : random.Below(3));
                TakeOne(&pieces, sc, (char)(1 + step % 120));
            } else if (!pieces.empty()) {
                size_t i = random.Below(pieces.size());
                ASSERT_TRUE(Holds(pieces[i])) << "somebody wrote into it";
                Give(pieces[i].slab);
                pieces[i] = pieces.back();
                pieces.pop_back();
            }
            size_t tiny = 0;
            for (const Piece &piece : pieces) {
                tiny += hak_sc_is_tiny(piece.sc);
            }
            ASSERT_EQ(Stats().tiny_slabs_active, tiny);
            ASSERT_EQ(Stats().active_slots, pieces.size());
            ASSERT_TRUE(step % 200 != 0 || hak_testing::Faults() == 0) << step;
        }
        for (const Piece &piece : pieces) {
            Give(piece.slab);
        }
    }
};

TEST_F(SlotPolicyFuzz, AgreesWithAModel) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        SCOPED_TRACE(seed);
        DropAll();
        Run(seed, 3000);
    }
}

/* T-40: no table of a fixed size runs full. Nothing is touched, so this costs address space. */
TEST_F(SlotPolicyFuzz, T40_ThereIsNoBoundOnTheNumberOfSuperslabs) {
    enum { SUPERSLABS = 3000 };
    std::vector<hak_slab_t *> slabs;
    for (int i = 0; i < SUPERSLABS * HAK_SUPERSLAB_SLOTS; i++) {
        slabs.push_back(Take(i % 2 == 0 ? a_ : b_));
    }
    EXPECT_EQ(Stats().superslabs, (uint64_t)SUPERSLABS);
    std::vector<hak_slab_t *> sorted = slabs;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end());
    hak_testing::Random random(40);
    for (size_t i = slabs.size() - 1; i > 0; i--) {
        std::swap(slabs[i], slabs[random.Below(i + 1)]);
    }
    for (size_t i = 0; i < slabs.size() / 2; i++) {
        Give(slabs[i]);
    }
    EXPECT_EQ(hak_testing::Faults(), 0u);
    for (size_t i = 0; i < slabs.size() / 2; i++) {
        slabs[i] = Take(c_);
    }
    EXPECT_EQ(Stats().superslabs, (uint64_t)SUPERSLABS + (Is("per_class") ? SUPERSLABS / 2 : 0));
    Give(slabs);
    EXPECT_EQ(Stats().lru_superslabs, 256u);
    EXPECT_EQ(Stats().superslabs, 256u) << "the rest went back";
}

/* Takers write to their slabs and read back while others purge, and superslabs come and go. */
TEST_F(SlotPolicyFuzz, ThreadsDoNotMeet) {
    enum { TAKERS = 3, ROUNDS = 1500 };
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 1);
    std::atomic<int> running(TAKERS);
    hak_testing::RunThreads(TAKERS + 1, [&](int self) {
        if (self == TAKERS) {
            while (running != 0) {
                (void)Purge(0);
                std::this_thread::yield();
            }
            return;
        }
        hak_testing::Random random((uint64_t)self);
        std::vector<Piece> mine;
        for (int i = 0; i < ROUNDS; i++) {
            unsigned sc = TinyClass(random.Below(HAK_TINY_CLASSES));
            mine.push_back({Take(sc), sc, (char)(self + 1)});
            Fill(mine.back());
            size_t most = i / 100 % 2 == 0 ? 40 : 0; /* fill, then leave all */
            while (mine.size() > most) {
                size_t victim = random.Below(mine.size());
                ASSERT_TRUE(Holds(mine[victim]));
                Give(mine[victim].slab);
                mine[victim] = mine.back();
                mine.pop_back();
            }
        }
        for (const Piece &piece : mine) {
            Give(piece.slab);
        }
        running--;
    });
    hak_slot_pool_stats_t stats = Stats();
    EXPECT_GE(stats.locks, 2u * TAKERS * ROUNDS);
    EXPECT_LE(stats.lock_waits, stats.locks);
}

} // namespace
