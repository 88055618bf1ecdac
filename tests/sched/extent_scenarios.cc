/* boxes/extent: the places in which a heap keeps the blocks that its thread freed last. The thread
 * fills and empties them without a lock, while purges of other threads empty them; what they get
 * must have one holder, and come with all that the last one did to it.
 */
#include "base/testing/testing.h"
#include "boxes/extent/extent.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"

namespace {

constexpr size_t kBytes = 100000; /* two units */

struct {
    hak_aptr_t parked[2][HAK_EXTENT_PARKED]; /* of the heaps of threads 0 and 1 */
    void *held[2];                           /* since `setup` */
    uint64_t live;                           /* blocks that are not freed by then */
    bool freed[2];
} world;

/* A block that its holder writes: two holders would race, and so would one that did not see the
 * end of the other. */
void *Take(int self, size_t bytes = kBytes) {
    bool zeroed;
    void *block = hak_extent_alloc_mt(bytes, world.parked[self], &zeroed);
    HAK_SCHED_CHECK(block != nullptr);
    *(uint64_t *)block = bytes;
    return block;
}
void Give(int self, void *block) {
    HAK_SCHED_CHECK(*(uint64_t *)block != 0);
    *(uint64_t *)block = 0;
    HAK_SCHED_CHECK(hak_extent_free_mt(block, world.parked[self]));
}
/* What a purge does with the places of all heaps. */
void Purge() {
    hak_extent_unpark_mt(world.parked[0]);
    hak_extent_unpark_mt(world.parked[1]);
}

/* A tract, and two blocks in use. */
void TwoHeld() {
    hak_testing::StartEngine();
    world.live = 2;
    for (void *&block : world.held) {
        block = Take(0);
    }
}
/* One of them, and the other one parked. */
void OneParked() {
    TwoHeld();
    Give(0, world.held[1]);
    world.live = 1;
}

/* Nothing is left parked, no block is lost, and the box's books are right. */
void Check() {
    Purge();
    hak_extent_stats_t stats;
    hak_extent_stats_mt(&stats);
    for (hak_aptr_t *places : world.parked) {
        for (unsigned i = 0; i < HAK_EXTENT_PARKED; i++) {
            HAK_SCHED_CHECK(hak_load_rlx(&places[i]) == 0);
        }
    }
    HAK_SCHED_CHECK(stats.blocks == world.live);
    HAK_SCHED_CHECK(hak_extent_check_locked() == 0); /* all threads have ended: no lock */
}

/* The thread takes what it parked, or another place if the purge was first. */
void TakeAndPurge(int self) {
    if (self == 0) {
        Give(0, Take(0));
    } else {
        Purge();
    }
}
hak_sched::Add
    extent_take_purge({"extent_take_purge", 2, {4, 1}, 100, OneParked, TakeAndPurge, Check});
hak_sched::Add
    extent_two_purges({"extent_two_purges", 3, {2, 1}, 500, OneParked, TakeAndPurge, Check});

/* A block that the thread made itself, of a length that no other has. Who purges takes the place
 * at once. */
void ParkAndPurge(int self) {
    if (self == 0) {
        Give(0, Take(0, 2 * kBytes));
    } else {
        Purge();
        Give(1, Take(1, 2 * kBytes));
    }
}
hak_sched::Add
    extent_park_purge({"extent_park_purge", 2, {4, 1}, 500, TwoHeld, ParkAndPurge, Check});

/* The first place is taken already: the block in it goes on to the next, and from there goes back,
 * unless a purge was first. */
void ReplaceAndPurge(int self) {
    if (self == 0) {
        Give(0, world.held[0]);
        Give(0, Take(0, 2 * kBytes));
    } else {
        Purge();
        Give(1, Take(1));
    }
}
void NoneLive() {
    world.live = 0;
    Check();
}
hak_sched::Add
    extent_replace({"extent_replace", 2, {2, 1}, 500, OneParked, ReplaceAndPurge, NoneLive});

/* A misuse: two threads free one block, and one of them takes a block meanwhile, maybe in the same
 * place, which was part of a longer extent in between. Each free that is not refused ends one
 * block, and all is in order. */
void OneHeld() {
    TwoHeld();
    HAK_SCHED_CHECK(hak_extent_free_mt(world.held[1], nullptr));
    world.live = 1;
}
void FreeTwice(int self) {
    if (self == 0) {
        world.freed[0] = hak_extent_free_mt(world.held[0], nullptr);
        bool zeroed;
        HAK_SCHED_CHECK(hak_extent_alloc_mt(kBytes, nullptr, &zeroed) != nullptr);
    } else {
        world.freed[1] = hak_extent_free_mt(world.held[0], world.parked[1]);
    }
}
void EachFreeEndsOne() {
    HAK_SCHED_CHECK(world.freed[0] || world.freed[1]);
    world.live = 1 + 1 - world.freed[0] - world.freed[1];
    Check();
}
hak_sched::Add
    extent_free_twice({"extent_free_twice", 2, {4, 1}, 100, OneHeld, FreeTwice, EachFreeEndsOne});

} // namespace
