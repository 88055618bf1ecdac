/* The scheduler itself: it must find what is wrong with small programs of known faults, and find
 * nothing in the same programs done right.
 */
#include <gtest/gtest.h>

#include "backends/os/os.h"
#include "base/atomic.h"
#include "tests/sched/sched.h"

namespace {

using hak_sched::Bounds;
using hak_sched::Explore;
using hak_sched::Result;
using hak_sched::Scenario;

hak_a32_t a, b, seen_a, seen_b;
hak_aptr_t top;
uint64_t plain, other_plain;

void NoSetup() {}

Result RunToy(int threads, void (*thread)(int), void (*after)(), Bounds bounds = {2, 2}) {
    Scenario scenario = {"toy", threads, bounds, 0, NoSetup, thread, after};
    Result result = Explore(scenario, bounds);
    if (result.failed) {
        printf("%llu schedules, then: %s (%s)\n", (unsigned long long)result.schedules,
               result.failure.c_str(), result.schedule.c_str());
    } else {
        printf("%llu schedules\n", (unsigned long long)result.schedules);
    }
    return result;
}

void ExpectFound(const Result &result, const char *what) {
    EXPECT_TRUE(result.failed);
    EXPECT_NE(result.failure.find(what), std::string::npos) << result.failure;
}

void ExpectNone(const Result &result, uint64_t at_least) {
    EXPECT_FALSE(result.failed) << result.failure;
    EXPECT_TRUE(result.exhausted);
    EXPECT_GE(result.schedules, at_least);
}

/* Message passing. */
template <bool RELEASE, bool ACQUIRE> void PassMessage(int self) {
    if (self == 0) {
        plain = 1;
        if (RELEASE) {
            hak_store_rel(&a, 1);
        } else {
            hak_store_rlx(&a, 1);
        }
    } else if ((ACQUIRE ? hak_load_acq(&a) : hak_load_rlx(&a)) != 0) {
        HAK_SCHED_CHECK(plain == 1);
    }
}
TEST(Toys, MessageNeedsReleaseAndAcquire) {
    ExpectNone(RunToy(2, PassMessage<true, true>, nullptr), 3);
    ExpectFound(RunToy(2, PassMessage<false, true>, nullptr), "race");
    ExpectFound(RunToy(2, PassMessage<true, false>, nullptr), "race");
}

/* The same with atomic data: no race, but the values give it away. */
template <bool RELEASE> void PassAtomicMessage(int self) {
    if (self == 0) {
        hak_store_rlx(&b, 1);
        if (RELEASE) {
            hak_store_rel(&a, 1);
        } else {
            hak_store_rlx(&a, 1);
        }
    } else if (hak_load_acq(&a) != 0) {
        HAK_SCHED_CHECK(hak_load_rlx(&b) == 1);
    }
}
TEST(Toys, AtomicMessageNeedsRelease) {
    ExpectNone(RunToy(2, PassAtomicMessage<true>, nullptr), 4);
    ExpectFound(RunToy(2, PassAtomicMessage<false>, nullptr), "hak_load_rlx");
}

/* Dekker: both must not miss each other. */
template <bool SEQ> void Dekker(int self) {
    hak_a32_t *mine = self == 0 ? &a : &b, *others = self == 0 ? &b : &a;
    if (SEQ) {
        hak_store_seq(mine, 1);
    } else {
        (void)hak_swap_acq_rel(mine, 1);
    }
    uint32_t saw = SEQ ? hak_load_seq(others) : hak_load_acq(others);
    hak_store_rlx(self == 0 ? &seen_a : &seen_b, saw);
}
void NotBothMissed() { HAK_SCHED_CHECK(hak_load_rlx(&seen_a) == 1 || hak_load_rlx(&seen_b) == 1); }
TEST(Toys, DekkerNeedsSequentialConsistency) {
    ExpectNone(RunToy(2, Dekker<true>, NotBothMissed), 4);
    ExpectFound(RunToy(2, Dekker<false>, NotBothMissed), "seen_a");
}

/* A look back at the own store does not help: the processor may forward a store that others do not
 * see yet, as x86 and ARM do. */
template <bool SEQ> void DekkerLooksBack(int self) {
    hak_a32_t *mine = self == 0 ? &a : &b, *others = self == 0 ? &b : &a;
    if (SEQ) {
        hak_store_seq(mine, 1);
    } else {
        hak_store_rel(mine, 1);
    }
    HAK_SCHED_CHECK(hak_load_seq(mine) == 1);
    hak_store_rlx(self == 0 ? &seen_a : &seen_b, hak_load_seq(others));
}
TEST(Toys, DekkerNeedsMoreThanALookBack) {
    ExpectNone(RunToy(2, DekkerLooksBack<true>, NotBothMissed), 4);
    ExpectFound(RunToy(2, DekkerLooksBack<false>, NotBothMissed), "seen_a");
}

/* Dekker with the fence on one side. */
template <bool BARRIER> void DekkerWithBarrier(int self) {
    if (self == 0) {
        hak_store_rlx(&a, 1);
        hak_store_rlx(&seen_a, hak_load_rlx(&b));
    } else {
        hak_store_rlx(&b, 1);
        if (BARRIER) {
            hak_os_barrier();
        }
        hak_store_rlx(&seen_b, hak_load_rlx(&a));
    }
}
TEST(Toys, OneBarrierIsEnough) {
    ExpectNone(RunToy(2, DekkerWithBarrier<true>, NotBothMissed), 4);
    ExpectFound(RunToy(2, DekkerWithBarrier<false>, NotBothMissed), "seen_a");
}

/* Two delayed stores (2+2W): each thread's first store may end up the last of its word. */
void WriteBoth(int self) {
    hak_store_rlx(self == 0 ? &a : &b, 1);
    hak_store_rlx(self == 0 ? &b : &a, 2);
}
void NotBothOnes() { HAK_SCHED_CHECK(!(hak_load_rlx(&a) == 1 && hak_load_rlx(&b) == 1)); }
TEST(Toys, StoresAreDelayed) {
    ExpectFound(RunToy(2, WriteBoth, NotBothOnes), "hak_load_rlx");
    ExpectNone(RunToy(2, WriteBoth, NotBothOnes, {3, 0}), 4);
}

/* Coherence: one word does not go back, however weak the order. */
void ReadTwice(int self) {
    if (self == 0) {
        hak_store_rlx(&a, 1);
        hak_store_rlx(&a, 2);
    } else {
        uint32_t first = hak_load_rlx(&a);
        HAK_SCHED_CHECK(hak_load_rlx(&a) >= first);
    }
}
TEST(Toys, OneWordIsCoherent) { ExpectNone(RunToy(2, ReadTwice, nullptr, {3, 3}), 10); }

/* A lost update: addition in two steps. */
template <bool ATOMIC> void Add(int) {
    if (ATOMIC) {
        hak_add_rlx(&a, 1);
    } else {
        hak_count_add(&a, 1);
    }
}
void IsThree() { HAK_SCHED_CHECK(hak_load_rlx(&a) == 3); }
TEST(Toys, CounterNeedsOneStep) {
    ExpectNone(RunToy(3, Add<true>, IsThree), 6);
    ExpectFound(RunToy(3, Add<false>, IsThree), "== 3");
}

/* A stack whose pop is a compare and swap: ABA. */
struct Node {
    hak_aptr_t next;
    bool taken;
} nodes[2];
Node *Pop() {
    uintptr_t old = hak_load_acq(&top);
    while (old != 0) {
        uintptr_t next = hak_load_rlx(&((Node *)old)->next);
        if (hak_cas_acq(&top, &old, next)) {
            return (Node *)old;
        }
    }
    return nullptr;
}
void Push(Node *node) {
    uintptr_t old = hak_load_rlx(&top);
    do {
        hak_store_rlx(&node->next, old);
    } while (!hak_cas_weak_acq_rel(&top, &old, (uintptr_t)node));
}
hak_a32_t holds[2];
void Hold(Node *node) { HAK_SCHED_CHECK(hak_add_rlx(&holds[node - nodes], 1) == 0); }
void PopAndPush(int self) {
    Node *first = Pop();
    if (first == nullptr) {
        return;
    }
    Hold(first);
    if (self == 0) {
        return;
    }
    Node *second = Pop();
    if (second != nullptr) {
        Hold(second); /* and keeps it */
    }
    hak_sub_rlx(&holds[first - nodes], 1);
    Push(first);
}
void PushBoth() {
    nodes[0].next.v = 0;
    nodes[1].next.v = (uintptr_t)&nodes[0];
    top.v = (uintptr_t)&nodes[1];
    hak_store_rlx(&holds[0], 0);
}
void PopRest() {
    for (Node *node = Pop(); node != nullptr; node = Pop()) {
        Hold(node);
    }
}
TEST(Toys, StackWithAba) {
    Scenario scenario = {"aba", 2, {2, 0}, 0, PushBoth, PopAndPush, PopRest};
    ExpectFound(Explore(scenario, scenario.bounds), "holds");
}

/* A waiter that sleeps without comparing. */
template <bool COMPARES> void WaitForFlag(int self) {
    if (self == 0) {
        while (hak_load_acq(&a) == 0) {
            hak_os_wait(COMPARES ? &a.v : &b.v, 0, -1);
        }
    } else {
        hak_store_rel(&a, 1);
        hak_os_wake(COMPARES ? &a.v : &b.v, 1);
    }
}
TEST(Toys, LostWakeUp) {
    ExpectNone(RunToy(2, WaitForFlag<true>, nullptr), 4);
    ExpectFound(RunToy(2, WaitForFlag<false>, nullptr), "deadlock");
}

void TakeInTurns(int self) {
    hak_a32_t *first = self == 0 ? &a : &b, *second = self == 0 ? &b : &a;
    while (hak_swap_acq(first, 1) != 0) {
        hak_os_yield();
    }
    while (hak_swap_acq(second, 1) != 0) {
        hak_os_yield();
    }
    (void)hak_swap_rel(second, 0);
    (void)hak_swap_rel(first, 0);
}
TEST(Toys, SpinningForEverIsFound) { ExpectFound(RunToy(2, TakeInTurns, nullptr), "livelock"); }

void RaceOnBytes(int self) {
    (self == 0 ? (uint8_t *)&plain : (uint8_t *)&plain + 1)[0] = 1; /* neighbours: no race */
    if (self == 1) {
        hak_store_rel(&a, 1);
    } else if (hak_load_acq(&a) == 0) {
        ((uint8_t *)&plain)[1] = 2; /* before or beside the other's write */
    }
}
TEST(Toys, RacesAreFoundByTheByte) {
    ExpectFound(RunToy(2, RaceOnBytes, nullptr), "race");
    ExpectNone(RunToy(
                   2, [](int self) { ((uint8_t *)&plain)[self] = 1; }, nullptr),
               1);
}

void Crash(int self) {
    if (self == 1 && hak_load_rlx(&a) == 1) {
        abort();
    }
    hak_store_rlx(&a, self == 0);
}
TEST(Toys, CrashIsAResult) { ExpectFound(RunToy(2, Crash, nullptr), "signal 6"); }

/* What a schedule wrote is put back, or the second schedule would begin with a 1. */
void ExpectFresh(int) {
    HAK_SCHED_CHECK(other_plain <= 1);
    hak_add_rlx(&a, 1);
    (void)hak_load_acq(&a);
}
void Spoil() {
    other_plain++;
    HAK_SCHED_CHECK(other_plain == 1 && hak_load_rlx(&a) == 2);
}
TEST(Toys, EveryScheduleBeginsAfresh) { ExpectNone(RunToy(2, ExpectFresh, Spoil), 4); }

/* The text of a failing schedule leads to the same failure. */
TEST(Toys, FailureCanBeReplayed) {
    Scenario scenario = {"toy", 3, {2, 2}, 0, NoSetup, Add<false>, IsThree};
    Result result = Explore(scenario, scenario.bounds);
    ASSERT_TRUE(result.failed);
    testing::internal::CaptureStderr();
    hak_sched::Replay(scenario, result.schedule);
    std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("not true: hak_load_rlx(&a) == 3"), std::string::npos) << said;
    EXPECT_NE(said.find("store (&a)"), std::string::npos) << said;
}

} // namespace
