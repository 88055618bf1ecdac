// T-17: ABA, by the two interleavings that the notes' list does not survive.
#include "boxes/tagged_stack/tagged_stack.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/testing/testing.h"

namespace {

enum { IDS = 4096 };
hak_a32_t links[IDS + 1];
hak_a32_t *LinkOf(uint32_t id) { return &links[id]; }

void Push(hak_tagged_stack_t *stack, uint32_t id) {
    uint64_t seen = hak_tagged_stack_look(stack);
    while (!hak_tagged_stack_try_push_mt(stack, &seen, id, LinkOf(id))) {
    }
}

uint32_t Pop(hak_tagged_stack_t *stack) {
    uint64_t seen = hak_tagged_stack_look(stack);
    uint32_t id = 0;
    while (hak_tagged_stack_top(seen) != 0 &&
           hak_tagged_stack_try_take_mt(stack, &seen, LinkOf, 1, &id) == 0) {
    }
    return id;
}

TEST(TaggedStack, LastInFirstOut) {
    hak_tagged_stack_t stack = {};
    EXPECT_EQ(Pop(&stack), 0u);
    for (uint32_t id : {1u, 2u, 3u}) {
        Push(&stack, id);
    }
    uint32_t ids[2];
    uint64_t seen = hak_tagged_stack_look(&stack);
    ASSERT_EQ(hak_tagged_stack_try_take_mt(&stack, &seen, LinkOf, 2, ids), 2u);
    EXPECT_EQ(ids[0], 3u);
    EXPECT_EQ(ids[1], 2u);
    seen = hak_tagged_stack_look(&stack);
    ASSERT_EQ(hak_tagged_stack_try_take_mt(&stack, &seen, LinkOf, 2, ids), 1u) << "fewer are left";
    EXPECT_EQ(ids[0], 1u);
    EXPECT_EQ(hak_tagged_stack_take_all_mt(&stack), 0u);
}

TEST(TaggedStack, PushesAndTakesChains) {
    hak_tagged_stack_t stack = {};
    Push(&stack, 1);
    hak_store_rlx(LinkOf(3), 2u);
    uint64_t seen = hak_tagged_stack_look(&stack);
    ASSERT_TRUE(hak_tagged_stack_try_push_mt(&stack, &seen, 3, LinkOf(2)));
    uint32_t id = hak_tagged_stack_take_all_mt(&stack);
    for (uint32_t expected : {3u, 2u, 1u}) {
        ASSERT_EQ(id, expected);
        id = hak_load_rlx(LinkOf(id));
    }
    EXPECT_EQ(id, 0u);
    EXPECT_EQ(hak_tagged_stack_top(hak_tagged_stack_look(&stack)), 0u);
}

// The list of the notes' plan for lock-free shards, written down from its words: the head is the
// block alone, a pop reads the block's link and then swings the head. Kept to show that the
// interleavings below are the ones that matter.
struct NotesList {
    uint32_t head = 0;
    uint32_t next[8] = {};
    uint32_t Look() const { return head; }
    bool FinishPop(uint32_t seen, uint32_t next_seen) {
        if (head != seen) {
            return false;
        }
        head = next_seen;
        return true;
    }
    void Push(uint32_t id) {
        next[id] = head;
        head = id;
    }
    uint32_t Pop() {
        uint32_t id = head;
        head = next[id];
        return id;
    }
};

// A thread has looked at A and at its link, B, and is about to swing the head. Meanwhile another
// pops A and B and pushes A back: B is in use now.
TEST(TaggedStack, T17_PopIsNotFooledByAThatCameBack) {
    NotesList notes;
    notes.Push(2); /* B */
    notes.Push(1); /* A */
    uint32_t seen = notes.Look(), next = notes.next[seen];
    EXPECT_EQ(notes.Pop(), 1u);
    EXPECT_EQ(notes.Pop(), 2u);
    notes.Push(1);
    EXPECT_TRUE(notes.FinishPop(seen, next)) << "the notes' list takes it for unchanged";
    EXPECT_EQ(notes.head, 2u) << "and hands B out a second time";

    hak_tagged_stack_t stack = {};
    Push(&stack, 2);
    Push(&stack, 1);
    uint64_t word = hak_tagged_stack_look(&stack);
    ASSERT_EQ(Pop(&stack), 1u);
    ASSERT_EQ(Pop(&stack), 2u);
    Push(&stack, 1);
    uint32_t id;
    EXPECT_EQ(hak_tagged_stack_try_take_mt(&stack, &word, LinkOf, 1, &id), 0u);
    EXPECT_EQ(Pop(&stack), 1u);
    EXPECT_EQ(Pop(&stack), 0u) << "B is in use";
}

// The same for a push: it must not hang its chain on a top that has been away, for its own link
// was written for that top. (Here that would be harmless; the tag rules it out all the same.)
TEST(TaggedStack, T17_EveryChangeMovesTheTag) {
    hak_tagged_stack_t stack = {};
    Push(&stack, 1);
    uint64_t word = hak_tagged_stack_look(&stack);
    ASSERT_EQ(Pop(&stack), 1u);
    Push(&stack, 1);
    EXPECT_FALSE(hak_tagged_stack_try_push_mt(&stack, &word, 2, LinkOf(2)));
    EXPECT_TRUE(hak_tagged_stack_try_push_mt(&stack, &word, 2, LinkOf(2))) << "it tells anew";
    EXPECT_EQ(hak_tagged_stack_take_all_mt(&stack), 2u);
    uint64_t empty = hak_tagged_stack_look(&stack);
    EXPECT_EQ(hak_tagged_stack_take_all_mt(&stack), 0u);
    EXPECT_EQ(hak_tagged_stack_look(&stack), empty);
}

// 16 threads take and give back: no id is ever in two hands, and all are there in the end.
TEST(TaggedStack, ConservesIdsIn16Threads) {
    enum { THREADS = 16, ROUNDS = 20000 };
    hak_tagged_stack_t stack = {};
    static hak_a32_t held[IDS + 1];
    for (uint32_t id = 1; id <= IDS; id++) {
        Push(&stack, id);
    }
    hak_testing::RunThreads(THREADS, [&](int self) {
        hak_testing::Random random((uint64_t)self);
        std::vector<uint32_t> mine;
        for (int i = 0; i < ROUNDS; i++) {
            if (random.Below(2) == 0) {
                uint32_t ids[4];
                uint64_t seen = hak_tagged_stack_look(&stack);
                uint32_t n = hak_tagged_stack_top(seen) == 0
                                 ? 0
                                 : hak_tagged_stack_try_take_mt(&stack, &seen, LinkOf, 4, ids);
                for (uint32_t k = 0; k < n; k++) {
                    ASSERT_EQ(hak_swap_acq_rel(&held[ids[k]], 1u), 0u) << "in two hands";
                    mine.push_back(ids[k]);
                }
            } else if (!mine.empty()) {
                ASSERT_EQ(hak_swap_acq_rel(&held[mine.back()], 0u), 1u);
                Push(&stack, mine.back());
                mine.pop_back();
            }
        }
        for (uint32_t id : mine) {
            hak_swap_acq_rel(&held[id], 0u);
            Push(&stack, id);
        }
    });
    std::vector<bool> seen(IDS + 1);
    for (uint32_t id = Pop(&stack); id != 0; id = Pop(&stack)) {
        ASSERT_FALSE(seen[id]);
        seen[id] = true;
    }
    for (uint32_t id = 1; id <= IDS; id++) {
        ASSERT_TRUE(seen[id]) << id << " is lost";
    }
}

} // namespace
