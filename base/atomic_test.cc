#include "base/atomic.h"

#include <gtest/gtest.h>

#include "base/attr.h"
#include "base/testing/testing.h"

namespace {

TEST(Atomic, ReadModifyWritesReturnTheOldValue) {
    hak_a32_t word = {5};
    EXPECT_EQ(hak_swap_acq(&word, 6u), 5u);
    EXPECT_EQ(hak_swap_rel(&word, 7u), 6u);
    EXPECT_EQ(hak_swap_acq_rel(&word, 8u), 7u);
    hak_store_seq(&word, 9u);
    EXPECT_EQ(hak_add_rlx(&word, 3u), 9u);
    EXPECT_EQ(hak_sub_rlx(&word, 2u), 12u);
    EXPECT_EQ(hak_load_rlx(&word), 10u);
    EXPECT_EQ(hak_load_acq(&word), 10u);
    EXPECT_EQ(hak_load_seq(&word), 10u);
}

TEST(Atomic, FailedCompareAndSwapTellsWhatItSaw) {
    hak_a64_t word = {1};
    uint64_t seen = 2;
    EXPECT_FALSE(hak_cas_acq(&word, &seen, (uint64_t)3));
    EXPECT_EQ(seen, 1u);
    EXPECT_TRUE(hak_cas_acq(&word, &seen, (uint64_t)3));
    EXPECT_FALSE(hak_cas_rlx(&word, &seen, (uint64_t)4));
    EXPECT_EQ(seen, 3u);
    EXPECT_TRUE(hak_cas_rlx(&word, &seen, (uint64_t)4));
    seen = 4;
    EXPECT_TRUE(hak_cas_seq(&word, &seen, (uint64_t)5));
    EXPECT_EQ(hak_load_rlx(&word), 5u);
}

TEST(Atomic, CounterOfOneWriterAddsAndSubtracts) {
    hak_a64_t word = {0};
    hak_count_add(&word, 5u);
    hak_count_add(&word, -1ull);
    EXPECT_EQ(hak_load_rlx(&word), 4u);
}

TEST(Atomic, NoAdditionIsLost) {
    enum { THREADS = 4, TIMES = 20000 };
    hak_a64_t added = {0}, swapped = {0};
    hak_testing::RunThreads(THREADS, [&](int) {
        for (int i = 0; i < TIMES; i++) {
            hak_add_rlx(&added, 1u);
            uint64_t seen = hak_load_rlx(&swapped);
            while (!hak_cas_weak_acq_rel(&swapped, &seen, seen + 1)) {
            }
        }
    });
    EXPECT_EQ(hak_load_rlx(&added), (uint64_t)THREADS * TIMES);
    EXPECT_EQ(hak_load_rlx(&swapped), (uint64_t)THREADS * TIMES);
}

TEST(Atomic, ReleaseAndAcquirePublish) {
    enum { ROUNDS = 2000 };
    uint64_t plain = 0; /* TSan sees an unordered access here if an order is too weak */
    hak_a32_t turn = {0};
    hak_testing::RunThreads(2, [&](int self) {
        for (int i = 0; i < ROUNDS; i++) {
            while (hak_load_acq(&turn) != (uint32_t)self) {
                std::this_thread::yield();
            }
            plain++;
            hak_store_rel(&turn, (uint32_t)(1 - self));
        }
    });
    EXPECT_EQ(plain, 2u * ROUNDS);
}

TEST(Attr, ContainerOf) {
    struct Outer {
        int before;
        int inner[3];
    } outer = {};
    EXPECT_EQ(hak_container_of(&outer.inner, Outer, inner), &outer);
}

} // namespace
