/* Each illegal transition of a slot, tried by a thread beside others that take, give and purge:
 * debug builds abort at it, and once it is allowed the pool's check or the scheduler finds what it
 * broke. */
#include <gtest/gtest.h>

#include "boxes/slot_pool/slot_pool.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"

namespace {

constexpr unsigned kTiny = 4;

hak_slot_state_t from, to;
bool allowed;
hak_superslab_t *ss;
uint64_t done;

void SetUpSlots() {
    hak_testing::StartEngine();
    hak_slab_t *other = hak_slot_pool_take_mt(kTiny);
    ss = hak_slab_superslab(hak_slot_pool_take_mt(kTiny));
    *(uint64_t *)hak_slab_base(other) = 1;
    hak_slot_pool_give_mt(other);
    if (allowed) {
        hak_slot_state_legal[from] |= (uint8_t)(1u << to);
    }
}

/* The fault, with counts and lists kept in step as a wrong line in the pool would. */
void Transgress() {
    hak_pool_lock_take();
    uint32_t slots = hak_slot_state_mask(ss, from);
    if (slots != 0) {
        hak_pool_move_locked(ss, slots & -slots, from, to);
        done++;
    }
    hak_lock_drop(&hak_pool.lock);
}

void BesideOthers(int self) {
    if (self == 0) {
        Transgress();
    } else if (self == 1) {
        (void)hak_slot_pool_purge_mt(2000000, 0, 8, 0);
    } else {
        hak_slab_t *slab = hak_slot_pool_take_mt(kTiny);
        *(uint64_t *)hak_slab_base(slab) = 1;
        hak_slot_pool_give_mt(slab);
    }
}

/* What the states promise. A transition that found no slot in its state broke nothing. */
void CheckBooks() {
    HAK_SCHED_CHECK(hak_slot_pool_check_locked() == 0);
    HAK_SCHED_CHECK(ss->purge_mask == 0); /* no purge is at work any more */
    uint32_t unused = hak_slot_state_mask(ss, HAK_SLOT_UNUSED);
    for (uintptr_t i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        const uint64_t *slot =
            (const uint64_t *)(hak_region_base(&ss->region) + (i << HAK_UNIT_SHIFT));
        HAK_SCHED_CHECK((unused >> i & 1) == 0 || *slot == 0);
    }
}

const hak_sched::Scenario scenario = {"transition", 3,         {2, 0}, 1, SetUpSlots,
                                      BesideOthers, CheckBooks};

hak_sched::Result Try(bool allow) {
    allowed = allow;
    return hak_sched::Explore(scenario, scenario.bounds);
}

const char *const names[] = {"UNUSED", "ACTIVE", "EMPTY", "PURGING"};

TEST(Transitions, IllegalOnesAreFound) {
    unsigned tried = 0;
    for (int i = 0; i < HAK_SLOT_STATES * HAK_SLOT_STATES; i++) {
        from = (hak_slot_state_t)(i / HAK_SLOT_STATES);
        to = (hak_slot_state_t)(i % HAK_SLOT_STATES);
        if (from == to || (hak_slot_state_legal[from] >> to & 1) != 0) {
            continue; /* from a state to itself nothing changes */
        }
        hak_sched::Result aborted = Try(false), found = Try(true);
        EXPECT_TRUE(aborted.failed) << names[from] << " to " << names[to];
        EXPECT_EQ(aborted.failure, "ended with signal 6");
        EXPECT_TRUE(found.failed) << names[from] << " to " << names[to];
        printf("%s to %s, schedule %llu: %s\n", names[from], names[to],
               (unsigned long long)found.schedules, found.failure.c_str());
        tried++;
    }
    EXPECT_EQ(tried, 5u);
}

/* The scenario itself breaks nothing: with a thread that does nothing wrong all schedules pass. */
void OnlyOthers(int self) {
    if (self != 0) {
        BesideOthers(self);
    }
}
TEST(Transitions, NothingIsFoundWithoutOne) {
    hak_sched::Scenario innocent = scenario;
    innocent.thread = OnlyOthers;
    allowed = false;
    hak_sched::Result result = hak_sched::Explore(innocent, innocent.bounds);
    EXPECT_FALSE(result.failed) << result.failure;
    EXPECT_TRUE(result.exhausted);
}

} // namespace
