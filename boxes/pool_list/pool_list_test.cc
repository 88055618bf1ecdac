// What both lists promise; B13 and B14 for the one without locks.
#include "boxes/pool_list/pool_list.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/testing/testing.h"
#include "core/options/options.h"

namespace {

enum { IDS = 2048 };
hak_a32_t links[IDS + 1];
hak_a32_t *LinkOf(uint32_t id) { return &links[id]; }

struct List : hak_pool_list_t {
    List() : hak_pool_list_t(HAK_POOL_LIST_INIT) {}
};

void Push(hak_pool_list_t *list, uint32_t id) { hak_pool_list_push_mt(list, LinkOf, id, id, 1); }

TEST(PoolList, TakesWhatWasPushed) {
    List list;
    uint32_t ids[8];
    EXPECT_EQ(hak_pool_list_take_mt(&list, LinkOf, 8, ids, false), 0u);
    Push(&list, 1);
    hak_store_rlx(LinkOf(2), 3u);
    hak_pool_list_push_mt(&list, LinkOf, 2, 3, 2);
    EXPECT_EQ(hak_load_rlx(&list.count), 3u);
    EXPECT_EQ(hak_pool_list_top(&list), 2u);
    ASSERT_EQ(hak_pool_list_take_mt(&list, LinkOf, 2, ids, true), 2u);
    EXPECT_EQ(ids[0], 2u);
    EXPECT_EQ(ids[1], 3u);
    Push(&list, 4);
    uint32_t count;
    EXPECT_EQ(hak_pool_list_take_all_mt(&list, LinkOf, &count), 4u);
    EXPECT_EQ(count, 2u);
    EXPECT_EQ(hak_load_rlx(LinkOf(4)), 1u);
    EXPECT_EQ(hak_load_rlx(&list.count), 0u);
    EXPECT_EQ(hak_pool_list_top(&list), 0u);
}

TEST(PoolList, BusyListSaysSoUnlessItHasNoLock) {
    List list;
    Push(&list, 1);
    hak_lock_take(&list.lock);
    hak_testing::RunThreads(1, [&](int) {
        uint32_t ids[1];
        uint32_t count = hak_pool_list_take_mt(&list, LinkOf, 1, ids, false);
        EXPECT_EQ(count, hak_pool_list_uses_cas ? 1u : HAK_POOL_LIST_BUSY);
    });
    hak_lock_drop(&list.lock);
    EXPECT_EQ(hak_load_rlx(&list.failures), hak_pool_list_uses_cas ? 0u : 1u);
    EXPECT_GE(hak_load_rlx(&list.tries), 1u);
    EXPECT_STREQ(hak_pool_list_name, hak_pool_list_uses_cas ? "lockfree" : "mutex");
}

class Crowd : public testing::TestWithParam<const char *> {};

// 16 threads, under each CAS policy: a bit map shows that no id is in two hands, and none is lost.
TEST_P(Crowd, LosesNothing) {
    enum { THREADS = 16, ROUNDS = 6000 };
    ASSERT_EQ(hak_options_set_text("pool_cas_policy", GetParam()), 0);
    List list;
    static hak_a32_t held[IDS + 1];
    for (uint32_t id = 1; id <= IDS; id++) {
        Push(&list, id);
    }
    hak_testing::RunThreads(THREADS, [&](int self) {
        hak_testing::Random random((uint64_t)self);
        std::vector<uint32_t> mine;
        for (int i = 0; i < ROUNDS; i++) {
            uint32_t ids[4];
            uint32_t n = 0;
            if (random.Below(2) == 0) {
                n = hak_pool_list_take_mt(&list, LinkOf, 1 + (uint32_t)random.Below(4), ids,
                                          random.Below(2) == 0);
                n = n == HAK_POOL_LIST_BUSY ? 0 : n;
            } else if (!mine.empty()) {
                ASSERT_EQ(hak_swap_acq_rel(&held[mine.back()], 0u), 1u);
                Push(&list, mine.back());
                mine.pop_back();
            }
            for (uint32_t k = 0; k < n; k++) {
                ASSERT_EQ(hak_swap_acq_rel(&held[ids[k]], 1u), 0u) << "in two hands";
                mine.push_back(ids[k]);
            }
        }
        for (uint32_t id : mine) {
            hak_swap_acq_rel(&held[id], 0u);
            Push(&list, id);
        }
    });
    EXPECT_EQ(hak_load_rlx(&list.count), (uint64_t)IDS);
    uint32_t count, walked = 0;
    std::vector<bool> seen(IDS + 1);
    for (uint32_t id = hak_pool_list_take_all_mt(&list, LinkOf, &count); id != 0;
         id = hak_load_rlx(LinkOf(id))) {
        ASSERT_FALSE(seen[id]);
        seen[id] = true;
        walked++;
    }
    EXPECT_EQ(walked, (uint32_t)IDS);
    EXPECT_EQ(count, walked);
    EXPECT_LE(hak_load_rlx(&list.failures), hak_load_rlx(&list.tries));
    RecordProperty("tries", std::to_string(hak_load_rlx(&list.tries)));
    RecordProperty("failures", std::to_string(hak_load_rlx(&list.failures)));
}

INSTANTIATE_TEST_SUITE_P(PoolList, Crowd, testing::Values("spin", "backoff", "mutex"));

} // namespace
