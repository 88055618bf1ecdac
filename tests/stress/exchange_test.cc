// Threads allocate and free at random and swap blocks through shared places, so that about half of
// the frees are of another thread's block. Each block's whole content is checked before it is
// freed: a block that two threads hold at once shows in one of them.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

// At the start of each block. The rest is the pattern of `tag`.
struct Head {
    size_t bytes;
    uint64_t tag;
};

constexpr unsigned kShared = 512;
constexpr unsigned kOwn = 200;

struct Shared {
    std::atomic<Head *> places[kShared] = {};
    std::atomic<unsigned long> faults{0};
};

size_t random_bytes(hak_random_t *random) {
    uint64_t kind = hak_random_below(random, 100);
    size_t limit = kind < 80 ? 600 : kind < 97 ? 9000 : kind < 99 ? 70000 : 400000;
    return sizeof(Head) + hak_random_below(random, limit);
}

Head *make(hak_random_t *random) {
    size_t bytes = random_bytes(random);
    auto *head = static_cast<Head *>(hak_test.malloc(bytes));
    if (head == nullptr) {
        return nullptr;
    }
    *head = Head{bytes, hak_random_next(random)};
    hak_pattern_fill(head + 1, bytes - sizeof *head, head->tag);
    return head;
}

void drop(Shared *shared, Head *head) {
    if (head == nullptr) {
        return;
    }
    if (!hak_pattern_holds(head + 1, head->bytes - sizeof *head, head->tag)) {
        shared->faults++;
        return; // not freed: a second report of the same fault would only hide the first
    }
    hak_test.free(head);
}

// Grows or shrinks a block that may be another thread's.
Head *change(Shared *shared, hak_random_t *random, Head *head) {
    size_t bytes = random_bytes(random);
    size_t kept = (bytes < head->bytes ? bytes : head->bytes) - sizeof *head;
    auto *moved = static_cast<Head *>(hak_test.realloc(head, bytes));
    if (moved == nullptr || !hak_pattern_holds(moved + 1, kept, moved->tag)) {
        shared->faults++;
        return nullptr;
    }
    moved->bytes = bytes;
    hak_pattern_fill(moved + 1, bytes - sizeof *moved, moved->tag);
    return moved;
}

void work(Shared *shared, uint64_t seed, unsigned long operations) {
    hak_random_t random = {seed};
    std::vector<Head *> own(kOwn, nullptr);
    for (unsigned long i = 0; i < operations; i++) {
        Head *&mine = own[hak_random_below(&random, kOwn)];
        uint64_t kind = hak_random_below(&random, 10);
        if (kind < 3) {
            // acq_rel: takes what another thread wrote and hands over what this one wrote
            auto &place = shared->places[hak_random_below(&random, kShared)];
            mine = place.exchange(mine, std::memory_order_acq_rel);
        } else if (mine != nullptr && kind == 3) {
            mine = change(shared, &random, mine);
        } else {
            drop(shared, mine);
            mine = kind < 8 ? make(&random) : nullptr;
        }
    }
    for (Head *head : own) {
        drop(shared, head);
    }
}

void run(unsigned threads, unsigned long operations_in_all) {
    Shared shared;
    std::vector<std::thread> crew;
    for (unsigned i = 0; i < threads; i++) {
        crew.emplace_back(work, &shared, 1000 * threads + i, operations_in_all / threads);
    }
    for (std::thread &thread : crew) {
        thread.join();
    }
    for (auto &place : shared.places) {
        drop(&shared, place.load());
    }
    EXPECT_EQ(0u, shared.faults.load());
}

class ExchangeTest : public testing::TestWithParam<unsigned> {};

TEST_P(ExchangeTest, ContentSurvives) {
    run(GetParam(), hak_test_scaled(600000));
#ifndef HAK_TEST_NO_HAKMEM
    EXPECT_EQ(0u, hak_check());
#endif
}
INSTANTIATE_TEST_SUITE_P(Threads, ExchangeTest, testing::Values(1u, 2u, 4u, 8u, 16u, 64u),
                         [](const auto &place) { return std::to_string(place.param); });

#if defined(HAK_TEST_API)
// T-02: conservation. Nobody but these threads allocates from hakmem, so when they are gone as many
// blocks live as before, whichever way each was freed, and no free was an error.
TEST(T02_Conservation, ThreadsLeaveNothing) {
    run(4, 2000);
    hak_stats_t before = hak_test_stats_flushed();
    run(8, hak_test_scaled(400000));
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks, after.live_blocks);
    EXPECT_EQ(before.live_bytes, after.live_bytes);
    EXPECT_EQ(0u, after.errors);
    EXPECT_GT(after.remote_blocks, before.remote_blocks);
}
#endif

} // namespace
