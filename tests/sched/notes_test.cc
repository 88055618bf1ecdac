/* T-07, T-17, T-20: what the source notes' own algorithms do under all orders of events, and what
 * the shipped ones do in the same scenarios. The notes' must fail, or the scenarios show nothing.
 */
#include <gtest/gtest.h>

#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "boxes/tagged_stack/tagged_stack.h"
#include "tests/sched/mf2_world.h"
#include "tests/sched/notes_fixture.h"
#include "tests/sched/sched.h"

namespace {

using hak_sched::BuildActiveMf2;
using hak_sched::BuildMf2;
using hak_sched::CheckMf2;
using hak_sched::FreeMf2;
using hak_sched::kMf2Index;
using hak_sched::kMf2Later;
using hak_sched::kMf2Now;
using hak_sched::mf2;
using hak_sched::RefillMf2;
using hak_sched::Scenario;
using notes::As;

Scenario Make(void (*setup)(), void (*thread)(int), void (*after)()) {
    return {"notes", 2, {2, 1}, 0, setup, thread, after};
}
/* The same on a machine without weak memory: what fails is not for want of an order. */
Scenario Strong(Scenario scenario) {
    scenario.bounds.weak = 0;
    return scenario;
}

/* The fixture fails, with `what`, and the schedule is printed step by step. */
void ExpectLoss(const Scenario &scenario, const char *what) {
    hak_sched::Result result = hak_sched::Explore(scenario, scenario.bounds);
    ASSERT_TRUE(result.failed);
    EXPECT_NE(result.failure.find(what), std::string::npos) << result.failure;
    printf("%llu schedules, then %s: %s\n", (unsigned long long)result.schedules,
           result.schedule.c_str(), result.failure.c_str());
    hak_sched::Replay(scenario, result.schedule);
}

/* What is shipped does not, in any schedule. */
void ExpectNone(const Scenario &scenario, uint64_t at_least) {
    hak_sched::Result result = hak_sched::Explore(scenario, scenario.bounds);
    EXPECT_FALSE(result.failed) << result.failure << "\n" << result.schedule;
    EXPECT_TRUE(result.exhausted);
    EXPECT_GE(result.schedules, at_least);
    printf("%llu schedules\n", (unsigned long long)result.schedules);
}

/* T-17. Two elements on a list. Thread 0 takes one and puts it back; thread 1 takes both, puts the
 * first back and keeps the other. Who has an element writes to it. */

hak_a32_t holders[2];
uint32_t kept; /* by thread 1 */

void Hold(int element) { HAK_SCHED_CHECK(hak_add_rlx(&holders[element], 1) == 0); }

template <typename List> void PopAndPush(int self) {
    int first = List::Pop();
    if (first < 0) {
        return;
    }
    Hold(first);
    List::Use(first);
    int second = self == 1 ? List::Pop() : -1;
    if (second >= 0) {
        Hold(second);
        List::Use(second);
        kept++;
    }
    hak_sub_rlx(&holders[first], 1);
    List::Push(first);
}
template <typename List> void PopRest() {
    uint32_t left = 0;
    for (int element = List::Pop(); element >= 0; element = List::Pop()) {
        Hold(element);
        left++;
    }
    HAK_SCHED_CHECK(left + kept == 2);
}
template <typename List> Scenario Aba() {
    return Make(List::Build, PopAndPush<List>, PopRest<List>);
}

template <As AS> struct OfNotes {
    static notes::NotesList<AS> list;
    static notes::Block block[2], no_block;

    static void Build() {
        list.Push(&block[0]);
        list.Push(&block[1]);
    }
    static int Pop() {
        notes::Block *popped = list.Pop();
        HAK_SCHED_CHECK(popped != &no_block);
        return popped == nullptr ? -1 : popped == &block[1];
    }
    static void Push(int element) { list.Push(&block[element]); }
    /* What its user writes looks like a pointer, as it well may. */
    static void Use(int element) { notes::Set<AS>(&block[element].next, (uintptr_t)&no_block); }
};
template <As AS> notes::NotesList<AS> OfNotes<AS>::list;
template <As AS> notes::Block OfNotes<AS>::block[2];
template <As AS> notes::Block OfNotes<AS>::no_block;

/* Of the mid pool: ids, with links that stand apart. */
struct Tagged {
    static hak_tagged_stack_t stack;
    static hak_a32_t link[3];
    static uint64_t content[2];

    static hak_a32_t *LinkOf(uint32_t id) { return &link[id]; }
    static void Build() {
        Push(0);
        Push(1);
    }
    static int Pop() {
        uint64_t seen = hak_tagged_stack_look(&stack);
        uint32_t id;
        while (hak_tagged_stack_top(seen) != 0) {
            if (hak_tagged_stack_try_take_mt(&stack, &seen, LinkOf, 1, &id) == 1) {
                return (int)id - 1;
            }
        }
        return -1;
    }
    static void Push(int element) {
        uint32_t id = (uint32_t)element + 1;
        uint64_t seen = hak_tagged_stack_look(&stack);
        while (!hak_tagged_stack_try_push_mt(&stack, &seen, id, LinkOf(id))) {
        }
    }
    static void Use(int element) { content[element] = (uintptr_t)content; }
};
hak_tagged_stack_t Tagged::stack;
hak_a32_t Tagged::link[3];
uint64_t Tagged::content[2];

/* Of MF2: pages with a tagged head. */
struct Pending {
    static void Build() {
        BuildMf2();
        FreeMf2(0, 0);
        FreeMf2(1, 0);
    }
    static int Pop() {
        hak_mf2_page_t *page = hak_mf2_pending_pop_mt(mf2.heap[0], kMf2Index);
        return page == nullptr ? -1 : page == mf2.page[1];
    }
    static void Push(int element) { hak_mf2_pending_push_mt(mf2.page[element]); }
    static void Use(int element) { mf2.page[element]->free = nullptr; }
};

TEST(Notes, T17_TheListAsWrittenRaces) { ExpectLoss(Aba<OfNotes<As::PLAIN>>(), "race"); }
TEST(Notes, T17_TheListHandsOutWhatIsInUse) {
    ExpectLoss(Strong(Aba<OfNotes<As::ATOMIC>>()), "not true");
}
TEST(Notes, T17_TheTaggedStackDoesNot) { ExpectNone(Aba<Tagged>(), 100); }
TEST(Notes, T17_ThePendingStackDoesNot) { ExpectNone(Aba<Pending>(), 100); }

/* A page of the notes with four blocks, active at thread 0; block 0 is free and block 1 pending,
 * the others are at users. */

constexpr uint64_t kNow = 1000, kLater = 2000;

notes::NotesThread threads[2];
notes::NotesPage page;
notes::Block block[4];

template <As AS> void BuildPage() {
    threads[0].tid = 1;
    threads[1].tid = 2;
    threads[0].active = &page;
    hak_store_rlx(&page.owner_tid, 1);
    hak_store_rlx(&page.owner_tp, (uintptr_t)&threads[0]);
    notes::Set<AS>(&page.free_list, (uintptr_t)&block[0]);
    notes::FreeSlow<AS>(&page, &block[1]);
}
template <As AS> bool Adopt(int self, uint64_t now) {
    return notes::TryAdoptPending<AS>(&threads[self], threads, 2, now);
}
/* Whoever still needs a page takes what is on a queue. Then no block may wait where none is looked
 * for, and as many as were freed are there to be allocated. */
template <As AS, uint32_t FREED> void AllAreThere() {
    (void)Adopt<AS>(0, kLater);
    (void)Adopt<AS>(1, 2 * kLater);
    HAK_SCHED_CHECK(hak_load_rlx(&page.remote_head) == 0);
    uint32_t on_list = 0;
    uintptr_t next = notes::Get<AS>(&page.free_list);
    while (next != 0 && on_list < 5) {
        on_list++;
        next = notes::Get<AS>(&((notes::Block *)next)->next);
    }
    HAK_SCHED_CHECK(on_list == FREED);
}

/* T-20. The owner wakes up and frees a block while another thread adopts the page. */

template <As AS> void FreeAndAdopt(int self) {
    if (self == 0) {
        notes::FreeFast<AS>(&threads[0], &page, &block[2]);
    } else {
        (void)Adopt<AS>(1, kNow);
    }
}
template <As AS> Scenario OldOwner() {
    return Make(BuildPage<AS>, FreeAndAdopt<AS>, AllAreThere<AS, 3>);
}
TEST(Notes, T20_TheFreeListAsWrittenRaces) { ExpectLoss(OldOwner<As::PLAIN>(), "race"); }
TEST(Notes, T20_TheOldOwnerLosesBlocks) {
    ExpectLoss(Strong(OldOwner<As::ATOMIC>()), "on_list == FREED");
}

void BuildActivePending() {
    BuildActiveMf2();
    FreeMf2(0, 1);
}
void ShippedFreeAndAdopt(int self) {
    if (self == 0) {
        hak_sched::FreeAsOwnerMf2(mf2.heap[0], mf2.page[0], mf2.block[0][2]);
    } else {
        (void)RefillMf2(mf2.heap[1], kMf2Later); /* heap 0 counts as asleep */
    }
}
void FiveOut() { CheckMf2(5); }
TEST(Notes, T20_AnOldOwnerOfMf2DoesNot) {
    ExpectNone(Make(BuildActivePending, ShippedFreeAndAdopt, FiveOut), 50);
}

/* T-07. Adoption comes to nothing while block 2 comes back: because of the lease, because the
 * exchange fails (this one may without cause), or because there is nothing to drain. */

void FreeWhileAdopting(int self) {
    if (self == 0) {
        (void)Adopt<As::ATOMIC>(1, kNow);
    } else {
        notes::FreeSlow<As::ATOMIC>(&page, &block[2]);
    }
}
void BuildLeased() {
    BuildPage<As::ATOMIC>();
    hak_store_rlx(&page.last_transfer_time, kNow - 1);
}
/* Its owner had taken what came back, and then all there was. */
void BuildDrained() {
    BuildPage<As::ATOMIC>();
    hak_store_rlx(&page.remote_head, 0);
    hak_store_rlx(&page.free_list, 0);
}
TEST(Notes, T07_ALeaseLosesThePage) {
    ExpectLoss(Make(BuildLeased, FreeWhileAdopting, AllAreThere<As::ATOMIC, 3>),
               "page.remote_head");
}
TEST(Notes, T07_AFailedExchangeLosesThePage) {
    ExpectLoss(Make(BuildPage<As::ATOMIC>, FreeWhileAdopting, AllAreThere<As::ATOMIC, 3>),
               "page.remote_head");
}
TEST(Notes, T07_AnEmptyDrainLosesThePage) {
    ExpectLoss(Make(BuildDrained, FreeWhileAdopting, AllAreThere<As::ATOMIC, 1>),
               "page.remote_head");
}

/* The same three with MF2. The second is a page whose owner is awake: the exchange itself fails
 * only if a page is in two hands, which is the scenario mf2_hands. */

/* Heap 1 has just adopted page 0 and used it up; a block of it is pending there. */
void BuildLeasedMf2() {
    BuildMf2();
    FreeMf2(0, 0);
    HAK_SCHED_CHECK(RefillMf2(mf2.heap[1], kMf2Now));
    hak_sched::UseUpMf2(mf2.heap[1], mf2.page[0]);
    FreeMf2(0, 1);
}
void BuildDrainedMf2() {
    BuildActivePending();
    uint32_t count;
    (void)hak_mf2_remote_take_owner(mf2.page[0], &count);
    hak_sched::UseUpMf2(mf2.heap[0], mf2.page[0]);
}
/* The heap that adopts has the page in hand and cannot have it. */
template <int HEAP> void CannotAdopt(int self) {
    if (self == 0) {
        HAK_SCHED_CHECK(!RefillMf2(mf2.heap[HEAP], kMf2Now + 1));
        HAK_SCHED_CHECK(hak_load_rlx(&mf2.heap[HEAP]->counters.requeues) == 1);
    } else {
        FreeMf2(0, 2);
    }
}
void AdoptDrained(int self) {
    if (self == 0) {
        (void)RefillMf2(mf2.heap[1], kMf2Now);
    } else {
        FreeMf2(0, 2);
    }
}
/* Leases are over. */
void SixOutAndFound() {
    HAK_SCHED_CHECK(RefillMf2(mf2.heap[0], kMf2Later));
    CheckMf2(6);
}
void SevenOut() { CheckMf2(7); }
/* Few schedules: all that the two threads share is the page's remote stack. */
TEST(Notes, T07_ALeasedPageOfMf2IsPutBack) {
    ExpectNone(Make(BuildLeasedMf2, CannotAdopt<0>, SixOutAndFound), 5);
}
TEST(Notes, T07_APageOfMf2InUseIsPutBack) {
    ExpectNone(Make(BuildActivePending, CannotAdopt<1>, FiveOut), 5);
}
TEST(Notes, T07_ADrainedPageOfMf2IsLeftToTheNextEdge) {
    ExpectNone(Make(BuildDrainedMf2, AdoptDrained, SevenOut), 50);
}

} // namespace
