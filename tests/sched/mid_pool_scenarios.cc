/* boxes/tagged_stack, boxes/mpsc_stack and boxes/pool_shard: T-17 and T-18 under every order of
 * events, not only under the two orders that the boxes' own tests play.
 */
#include "boxes/heap/heap.h"
#include "boxes/mpsc_stack/mpsc_stack.h"
#include "boxes/pool_shard/pool_shard.h"
#include "boxes/tagged_stack/tagged_stack.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"

namespace {

void Nothing() {}

/* Ids 1 to 3 on a stack; what a thread takes it marks, uses and puts back. */

hak_tagged_stack_t stack;
hak_a32_t links[4];
uint32_t users[4]; /* plain: two users of one id are a race, which the scheduler reports */

hak_a32_t *LinkOf(uint32_t id) { return &links[id]; }

void Push(uint32_t id) {
    uint64_t seen = hak_tagged_stack_look(&stack);
    while (!hak_tagged_stack_try_push_mt(&stack, &seen, id, LinkOf(id))) {
    }
}
uint32_t Pop() {
    uint64_t seen = hak_tagged_stack_look(&stack);
    uint32_t id = 0;
    while (hak_tagged_stack_top(seen) != 0 &&
           hak_tagged_stack_try_take_mt(&stack, &seen, LinkOf, 1, &id) == 0) {
    }
    return id;
}
void Use(uint32_t id) {
    if (id != 0) {
        users[id]++;
        HAK_SCHED_CHECK(users[id] == 1);
        users[id]--;
    }
}
void ThreeIds() {
    for (uint32_t id = 1; id <= 3; id++) {
        Push(id);
    }
}
/* Thread 0 pops once; thread 1 pops two and puts the first back, which is the other half of ABA. */
void PopAndReturn(int self) {
    uint32_t first = Pop();
    Use(first);
    if (self == 0) {
        if (first != 0) {
            Push(first);
        }
        return;
    }
    uint32_t second = Pop();
    Use(second);
    if (first != 0) {
        Push(first);
    }
    users[second]++; /* still in use */
}
void OneIsOut() {
    uint32_t left = 0;
    for (uint32_t id = Pop(); id != 0; id = Pop()) {
        HAK_SCHED_CHECK(users[id] == 0);
        left++;
    }
    HAK_SCHED_CHECK(left == 2);
}
hak_sched::Add tagged_aba({"tagged_aba", 2, {4, 2}, 500, ThreeIds, PopAndReturn, OneIsOut});

/* A bounded inbox: two push, one takes; what was refused is counted. */

hak_mpsc_stack_t inbox;
alignas(16) hak_block_t blocks[4];
uint32_t refused[4], taken;

void TakeInbox() {
    uint32_t count, walked = 0;
    for (hak_block_t *b = hak_mpsc_stack_take_mt(&inbox, &count); b != nullptr;
         b = hak_block_next(b)) {
        walked++;
    }
    HAK_SCHED_CHECK(walked == count && count <= 2);
    taken += count;
}
void PushAndTake(int self) {
    if (self == 0) {
        TakeInbox();
        TakeInbox();
        return;
    }
    for (int i = 2 * self - 2; i < 2 * self; i++) {
        refused[self] += !hak_mpsc_stack_push_mt(&inbox, &blocks[i], &blocks[i], 1, 2);
    }
}
void AllAreSomewhere() {
    TakeInbox();
    HAK_SCHED_CHECK(taken + refused[1] + refused[2] == 4);
    HAK_SCHED_CHECK(hak_mpsc_stack_count(&inbox) == 0);
}
hak_sched::Add inbox_push({"inbox_push", 3, {2, 1}, 500, Nothing, PushAndTake, AllAreSomewhere});

/* A shard with one block, which others take and put back: its bit tells the truth in the end. */

enum { CI = 4, SHARD = 3 };
hak_heap_t *heap;
hak_pool_page_t *page;
uint32_t in_hand;

hak_block_t *BlockOf(uint32_t i) {
    return hak_pool_page_block(CI, hak_pool_page_first_id(page) + i);
}
void Put(hak_block_t *block) {
    hak_block_link(block, nullptr);
    hak_pool_shard_put_mt(CI, block);
}
void BuildShard() {
    hak_testing::StartEngine();
    heap = hak_heap_acquire_mt();
    (void)hak_pool_page_take_mt(heap, CI, SHARD, 1, &page);
    (void)hak_pool_page_carve_owner(page, CI, 2);
    Put(BlockOf(0));
}
void Take() {
    hak_block_t *block;
    if (hak_pool_shard_take_mt(CI, SHARD, 1, &block, true) == 1) {
        in_hand++;
    }
}
void CheckShards() {
    hak_pool_shard_lock();
    HAK_SCHED_CHECK(hak_pool_shard_check_locked() == 0);
    hak_pool_shard_unlock();
}
void MaskIsTrue() {
    CheckShards();
    hak_pool_shard_stats_t stats;
    hak_pool_shard_stats(&stats);
    HAK_SCHED_CHECK(stats.listed + stats.remote + in_hand == 2);
}
void TakeAndPut(int self) {
    if (self == 0) {
        Take();
    } else {
        Put(BlockOf(1));
    }
}
hak_sched::Add mask_put({"mask_put", 2, {3, 2}, 50, BuildShard, TakeAndPut, MaskIsTrue});

void TakeAndSend(int self) {
    if (self == 0) {
        (void)hak_pool_shard_drain_mt(CI, SHARD);
        Take();
    } else {
        hak_pool_shard_send_mt(page, CI, BlockOf(1));
    }
}
hak_sched::Add mask_send({"mask_send", 2, {3, 2}, 50, BuildShard, TakeAndSend, MaskIsTrue});

/* Two drain and take, and so both change the mask, while a third sends. */
uint32_t in_hands[2];
void DrainAndTake(int self) {
    if (self == 2) {
        hak_pool_shard_send_mt(page, CI, BlockOf(1));
        return;
    }
    hak_block_t *block;
    (void)hak_pool_shard_drain_mt(CI, SHARD);
    in_hands[self] = hak_pool_shard_take_mt(CI, SHARD, 1, &block, true);
}
void MaskIsTrueOfAll() {
    in_hand = in_hands[0] + in_hands[1];
    MaskIsTrue();
}
hak_sched::Add
    mask_three({"mask_three", 3, {2, 1}, 500, BuildShard, DrainAndTake, MaskIsTrueOfAll});

/* The first region is used up. While thread 0 looks at the link of a free block, thread 1 takes
 * that block and links it to one of a new region, in one of the ways in which links are made. */
void BuildFullRegion() {
    BuildShard();
    hak_pool_page_t *others[HAK_POOL_REGION_PAGES - 1];
    (void)hak_pool_page_take_mt(heap, CI, SHARD, HAK_POOL_REGION_PAGES - 1, others);
}
/* Under the block are those of a page that can be closed, else the shard would not be collected. */
void BuildToCollect() {
    BuildFullRegion();
    hak_block_t *top;
    (void)hak_pool_shard_take_mt(CI, SHARD, 1, &top, true);
    page++;
    (void)hak_pool_page_carve_owner(page, CI, 2);
    Put(BlockOf(0));
    Put(BlockOf(1));
    Put(top);
}
void TakeTwo() {
    hak_block_t *two[2];
    in_hand += hak_pool_shard_take_mt(CI, SHARD, 2, two, true);
}
hak_block_t *NewBlock() {
    hak_pool_page_t *fresh;
    (void)hak_pool_page_take_mt(heap, CI, SHARD, 1, &fresh);
    return hak_pool_page_carve_owner(fresh, CI, 1);
}
void Send(hak_block_t *block) {
    hak_pool_shard_send_mt(hak_pool_page_of((uintptr_t)block), CI, block);
}
enum Way { AS_A_LIST, ONE_BY_ONE, SENT, COLLECTED };
void PutBoth(Way way, hak_block_t *old, hak_block_t *fresh) {
    if (way == AS_A_LIST) {
        hak_block_link(old, nullptr);
        hak_block_link(fresh, old);
        hak_pool_shard_put_mt(CI, fresh);
    } else if (way == ONE_BY_ONE) {
        Put(fresh);
        Put(old);
    } else if (way == SENT) {
        Send(old);
        Send(fresh);
        (void)hak_pool_shard_drain_mt(CI, SHARD);
    } else {
        Put(old);
        Put(fresh);
        hak_pool_shard_lock();
        (void)hak_pool_shard_collect_locked(1000, 0, 2 * HAK_POOL_REGION_PAGES);
        hak_pool_shard_unlock();
    }
}
template <Way way> void TakeAndGrow(int self) {
    hak_block_t *old;
    if (self == 0) {
        TakeTwo();
    } else if (hak_pool_shard_take_mt(CI, SHARD, 1, &old, true) == 1) {
        PutBoth(way, old, NewBlock());
    }
}
hak_sched::Add
    grow_list({"grow_list", 2, {2, 1}, 50, BuildFullRegion, TakeAndGrow<AS_A_LIST>, CheckShards});
hak_sched::Add grow_one_by_one(
    {"grow_one_by_one", 2, {2, 1}, 50, BuildFullRegion, TakeAndGrow<ONE_BY_ONE>, CheckShards});
hak_sched::Add
    grow_sent({"grow_sent", 2, {2, 1}, 50, BuildFullRegion, TakeAndGrow<SENT>, CheckShards});
hak_sched::Add grow_collected(
    {"grow_collected", 2, {2, 1}, 50, BuildToCollect, TakeAndGrow<COLLECTED>, CheckShards});

} // namespace
