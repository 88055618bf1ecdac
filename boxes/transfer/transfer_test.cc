#include "boxes/transfer/transfer.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "base/testing/testing.h"

namespace {

constexpr unsigned kClass = 8;
constexpr uint64_t kDelayMs = 100;

/* Lists of `count` blocks each. */
class Transfer : public ::testing::Test {
  protected:
    hak_block_t *List(size_t count) {
        hak_block_t *list = nullptr;
        for (size_t i = 0; i < count; i++) {
            hak_block_link(&blocks_[next_], list);
            list = &blocks_[next_++];
        }
        return list;
    }
    static size_t Length(const hak_block_t *list) {
        size_t length = 0;
        for (; list != nullptr; list = hak_block_next(list)) {
            length++;
        }
        return length;
    }
    static void Note(hak_block_t *list, unsigned sc, void *context) {
        static_cast<std::multimap<unsigned, hak_block_t *> *>(context)->emplace(sc, list);
    }
    unsigned Purge(uint64_t now_ms, uint64_t delay_ms) {
        return hak_transfer_purge_mt(now_ms, delay_ms, Note, &sent_);
    }
    void TearDown() override {
        (void)Purge(1, 0);
        for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
            EXPECT_EQ(hak_transfer_count(sc), 0u);
        }
    }

    hak_block_t blocks_[4096];
    size_t next_ = 0;
    std::multimap<unsigned, hak_block_t *> sent_;
};

TEST_F(Transfer, ListComesBackWhole) {
    uint32_t count = 0;
    EXPECT_FALSE(hak_transfer_has_any(kClass));
    EXPECT_EQ(hak_transfer_take_mt(kClass, &count), nullptr);
    hak_block_t *list = List(5);
    ASSERT_TRUE(hak_transfer_put_mt(kClass, list, 5));
    EXPECT_TRUE(hak_transfer_has_any(kClass));
    EXPECT_FALSE(hak_transfer_has_any(kClass + 1)) << "classes are apart";
    EXPECT_EQ(hak_transfer_take_mt(kClass + 1, &count), nullptr);
    EXPECT_EQ(hak_transfer_list(kClass, 0), list);
    EXPECT_EQ(hak_transfer_count(kClass), 5u);
    EXPECT_EQ(hak_transfer_take_mt(kClass, &count), list);
    EXPECT_EQ(count, 5u);
    EXPECT_EQ(Length(list), 5u);
    EXPECT_EQ(hak_transfer_count(kClass), 0u);
    EXPECT_EQ(hak_transfer_list(kClass, 0), nullptr);
}

TEST_F(Transfer, LastComeFirstServedUntilFull) {
    std::vector<hak_block_t *> lists;
    for (uint32_t i = 0; i < HAK_TRANSFER_PLACES; i++) {
        EXPECT_TRUE(hak_transfer_has_room(kClass));
        lists.push_back(List(i + 1));
        ASSERT_TRUE(hak_transfer_put_mt(kClass, lists.back(), i + 1));
    }
    EXPECT_FALSE(hak_transfer_has_room(kClass));
    hak_block_t *more = List(3);
    EXPECT_FALSE(hak_transfer_put_mt(kClass, more, 3));
    EXPECT_EQ(Length(more), 3u) << "it is still the caller's";
    for (uint32_t i = HAK_TRANSFER_PLACES; i-- > 0;) {
        uint32_t count = 0;
        EXPECT_EQ(hak_transfer_take_mt(kClass, &count), lists[i]);
        EXPECT_EQ(count, i + 1);
    }
}

TEST_F(Transfer, LongestListAndLastClass) {
    hak_block_t *list = List(1);
    ASSERT_TRUE(hak_transfer_put_mt(HAK_SC_FIXED, list, HAK_TRANSFER_MOST));
    uint32_t count = 0;
    EXPECT_EQ(hak_transfer_take_mt(HAK_SC_FIXED, &count), list);
    EXPECT_EQ(count, (uint32_t)HAK_TRANSFER_MOST);
    EXPECT_FALSE(hak_transfer_has_room(HAK_SC_FIXED + 1)) << "exact sizes change";
    EXPECT_FALSE(hak_transfer_has_any(HAK_SC_FIXED + 1));
}

TEST_F(Transfer, WhatNobodyTakesForADelayGoesHome) {
    uint64_t now = 1000000;
    (void)Purge(now, kDelayMs);
    hak_block_t *old = List(2);
    ASSERT_TRUE(hak_transfer_put_mt(kClass, old, 2));
    EXPECT_EQ(Purge(now + kDelayMs - 1, kDelayMs), 0u);
    EXPECT_EQ(Purge(now += kDelayMs, kDelayMs), 0u) << "it was not there at the time before";
    hak_block_t *young = List(3);
    ASSERT_TRUE(hak_transfer_put_mt(kClass, young, 3));
    EXPECT_EQ(Purge(now + kDelayMs - 1, kDelayMs), 0u);
    EXPECT_EQ(Purge(now += kDelayMs, kDelayMs), 1u);
    ASSERT_EQ(sent_.count(kClass), 1u);
    EXPECT_EQ(sent_.find(kClass)->second, old);
    uint32_t count = 0;
    EXPECT_EQ(hak_transfer_take_mt(kClass, &count), young);
    EXPECT_EQ(Purge(now += kDelayMs, kDelayMs), 0u);
}

/* What a purge leaves may be anywhere, and is of use there. */
TEST_F(Transfer, HolesAreFoundAndFilled) {
    uint64_t now = 2000000;
    for (int i = 0; i < HAK_TRANSFER_PLACES; i++) {
        ASSERT_TRUE(hak_transfer_put_mt(kClass, List(2), 2));
    }
    (void)Purge(now, kDelayMs);
    uint32_t count = 0;
    ASSERT_NE(hak_transfer_take_mt(kClass, &count), nullptr);
    hak_block_t *young = List(3);
    ASSERT_TRUE(hak_transfer_put_mt(kClass, young, 3));
    EXPECT_EQ(Purge(now + kDelayMs, kDelayMs), HAK_TRANSFER_PLACES - 1u);
    EXPECT_EQ(hak_transfer_count(kClass), 3u);
    EXPECT_TRUE(hak_transfer_has_any(kClass));
    EXPECT_TRUE(hak_transfer_has_room(kClass));
    ASSERT_TRUE(hak_transfer_put_mt(kClass, List(1), 1));
    EXPECT_EQ(hak_transfer_take_mt(kClass, &count), young);
}

TEST_F(Transfer, ClockThatWasReadBeforeAnotherPurgeSendsNothing) {
    uint64_t now = 3000000;
    ASSERT_TRUE(hak_transfer_put_mt(kClass, List(2), 2));
    (void)Purge(now, kDelayMs);
    EXPECT_EQ(Purge(now - 1, kDelayMs), 0u);
}

TEST_F(Transfer, TrimSendsAll) {
    ASSERT_TRUE(hak_transfer_put_mt(kClass, List(2), 2));
    ASSERT_TRUE(hak_transfer_put_mt(kClass, List(2), 2));
    ASSERT_TRUE(hak_transfer_put_mt(1, List(2), 2));
    EXPECT_EQ(Purge(1000, 0), 3u);
    EXPECT_EQ(sent_.count(kClass), 2u);
    EXPECT_EQ(sent_.count(1), 1u);
}

/* Each block is on one list at any time: a list that two threads took, or that was lost, shows. */
TEST_F(Transfer, NoListIsLostOrTakenTwice) {
    constexpr int kThreads = 4;
    constexpr int kLists = 6; /* of each thread: more than there are places */
    hak_block_t *own[kThreads][kLists];
    for (auto &lists : own) {
        for (hak_block_t *&list : lists) {
            list = List(3);
        }
    }
    std::vector<hak_block_t *> left[kThreads];
    hak_testing::RunThreads(kThreads, [&](int index) {
        std::vector<hak_block_t *> mine(own[index], own[index] + kLists);
        for (int i = 0; i < 20000; i++) {
            uint32_t count = 0;
            if (!mine.empty() && hak_transfer_put_mt(kClass, mine.back(), 3)) {
                mine.pop_back();
            }
            hak_block_t *list = hak_transfer_take_mt(kClass, &count);
            if (list != nullptr) {
                EXPECT_EQ(count, 3u);
                hak_block_set_mark(list, (uintptr_t)i); /* a race if two have it */
                mine.push_back(list);
            }
            if (index == 0 && i % 64 == 0) {
                (void)hak_transfer_purge_mt(
                    (uint64_t)i, 0,
                    [](hak_block_t *sent, unsigned, void *context) {
                        static_cast<std::vector<hak_block_t *> *>(context)->push_back(sent);
                    },
                    &mine);
            }
        }
        left[index] = mine;
    });
    uint32_t count;
    while (hak_block_t *list = hak_transfer_take_mt(kClass, &count)) {
        left[0].push_back(list);
    }
    std::set<hak_block_t *> all;
    for (const auto &lists : left) {
        for (hak_block_t *list : lists) {
            EXPECT_TRUE(all.insert(list).second);
            EXPECT_EQ(Length(list), 3u);
        }
    }
    EXPECT_EQ(all.size(), (size_t)(kThreads * kLists));
}

} // namespace
