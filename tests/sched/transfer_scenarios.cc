/* boxes/transfer: a list is in one hand or at one place, whoever puts, takes and purges. */
#include "boxes/transfer/transfer.h"
#include "tests/sched/sched.h"

namespace {

constexpr unsigned kClass = 8;
constexpr unsigned kLists = 3;

/* Lists of two blocks each, and how many times each was found. */
hak_block_t blocks[kLists][2];
int found[kLists];

/* Who has a list may write to its blocks. */
void Found(hak_block_t *list) {
    hak_block_t *second = hak_block_next(list);
    HAK_SCHED_CHECK(second == list + 1 && hak_block_next(second) == nullptr);
    hak_block_set_mark(second, hak_block_mark(second) + 1);
    found[(list - blocks[0]) / 2]++;
}

void Put(unsigned index) {
    hak_block_link(&blocks[index][0], &blocks[index][1]);
    hak_block_link(&blocks[index][1], nullptr);
    hak_block_set_mark(&blocks[index][1], index);
    HAK_SCHED_CHECK(hak_transfer_put_mt(kClass, blocks[index], 2));
}
void Take() {
    uint32_t count;
    hak_block_t *list = hak_transfer_take_mt(kClass, &count);
    if (list != nullptr) {
        HAK_SCHED_CHECK(count == 2);
        Found(list);
    }
}
void Send(hak_block_t *list, unsigned sc, void *unused) {
    (void)unused;
    HAK_SCHED_CHECK(sc == kClass);
    Found(list);
}
void Purge() { (void)hak_transfer_purge_mt(1, 0, Send, nullptr); }

void Nothing() {}
void PutOne() { Put(0); }

/* Each of the first `lists` lists was found once, or is still there. */
void Check(unsigned lists) {
    uint64_t left = hak_transfer_count(kClass);
    HAK_SCHED_CHECK(left % 2 == 0);
    for (uint64_t i = 0; i < left / 2; i++) {
        Take();
    }
    HAK_SCHED_CHECK(hak_transfer_count(kClass) == 0);
    for (unsigned i = 0; i < lists; i++) {
        HAK_SCHED_CHECK(found[i] == 1);
        HAK_SCHED_CHECK(hak_block_mark(&blocks[i][1]) == i + 1);
    }
}
void OneList() { Check(1); }
void TwoLists() { Check(2); }
void ThreeLists() { Check(3); }

void TwoPut(int self) { Put(static_cast<unsigned>(self)); }
hak_sched::Add transfer_put({"transfer_put", 2, {3, 2}, 20, Nothing, TwoPut, TwoLists});

void TwoTake(int self) {
    (void)self;
    Take();
}
hak_sched::Add transfer_take({"transfer_take", 2, {3, 2}, 10, PutOne, TwoTake, OneList});

void PutAndTake(int self) {
    if (self == 0) {
        Put(1);
        Put(2);
    } else {
        Take();
        Take();
    }
}
hak_sched::Add transfer_both({"transfer_both", 2, {3, 2}, 50, PutOne, PutAndTake, ThreeLists});

void TakeAndPurge(int self) {
    if (self == 0) {
        Put(1);
        Take();
    } else {
        Purge();
    }
}
hak_sched::Add transfer_purge({"transfer_purge", 2, {3, 2}, 50, PutOne, TakeAndPurge, TwoLists});

} // namespace
