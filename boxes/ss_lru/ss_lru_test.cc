#include "boxes/ss_lru/ss_lru.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "base/testing/testing.h"
#include "core/options/options.h"

namespace {

constexpr uint64_t kSecond = 1000;

void Set(hak_option_id_t option, uint64_t value) {
    hak_store_rlx(&hak_option_values[option], value);
}

class SsLru : public ::testing::Test {
  protected:
    SsLru() : superslabs_(600) {
        for (hak_superslab_t &ss : superslabs_) {
            ss.free_mask = UINT32_MAX;
        }
        Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 256);
        Set(HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB, 512);
        Set(HAK_OPTION_SUPERSLAB_TTL_SEC, 60);
    }
    ~SsLru() override { EXPECT_EQ(hak_ss_lru_check_locked(&lru_), 0u); }

    /* Pushes the superslabs first .. first + count - 1, a second apart. */
    void Push(size_t first, size_t count, uint64_t at_ms) {
        for (size_t i = 0; i < count; i++) {
            hak_ss_lru_push_locked(&lru_, &superslabs_[first + i], at_ms + i * kSecond);
        }
        ASSERT_EQ(hak_ss_lru_check_locked(&lru_), 0u);
    }
    size_t Index(const hak_superslab_t *ss) const {
        return ss == nullptr ? SIZE_MAX : (size_t)(ss - superslabs_.data());
    }
    size_t Pop() { return Index(hak_ss_lru_pop_locked(&lru_)); }
    std::vector<size_t> EvictAll() {
        std::vector<size_t> out;
        while (hak_superslab_t *ss = hak_ss_lru_evict_locked(&lru_)) {
            out.push_back(Index(ss));
        }
        return out;
    }

    hak_ss_lru_t lru_ = {};
    std::vector<hak_superslab_t> superslabs_;
};

TEST_F(SsLru, NewestComesBackFirstAndCountersAddUp) {
    EXPECT_EQ(Pop(), SIZE_MAX);
    Push(0, 3, 1000);
    EXPECT_EQ(Pop(), 2u);
    EXPECT_EQ(Pop(), 1u);
    Push(5, 1, 9000);
    EXPECT_EQ(Pop(), 5u);
    EXPECT_EQ(Pop(), 0u);
    EXPECT_EQ(Pop(), SIZE_MAX);
    EXPECT_EQ(lru_.count, 0u);
    EXPECT_EQ(lru_.hits, 4u);
    EXPECT_EQ(lru_.misses, 2u);
    EXPECT_EQ(lru_.pushes, 4u);
    EXPECT_EQ(lru_.evictions, 0u);
}

TEST_F(SsLru, CountLimitEvictsTheOldestFirst) {
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 4);
    Push(0, 4, 1000);
    EXPECT_EQ(hak_ss_lru_evict_locked(&lru_), nullptr) << "the limit itself is allowed";
    Push(4, 3, 9000);
    EXPECT_EQ(EvictAll(), (std::vector<size_t>{0, 1, 2}));
    EXPECT_EQ(lru_.count, 4u);
    EXPECT_EQ(lru_.evictions, 3u);
    EXPECT_EQ(Pop(), 6u);
}

TEST_F(SsLru, ByteLimitCountsAddressSpace) {
    Set(HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB, 7); /* three of 2 MiB */
    Push(0, 5, 1000);
    EXPECT_EQ(EvictAll(), (std::vector<size_t>{0, 1}));
    Set(HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB, 1);
    EXPECT_FALSE(hak_ss_lru_is_on()) << "not even one fits";
    EXPECT_EQ(EvictAll().size(), 3u);
}

TEST_F(SsLru, DefaultLimitsAre256And512MiB) {
    Push(0, 300, 0);
    EXPECT_EQ(EvictAll().size(), 44u);
    Set(HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB, 1024);
    Push(0, 20, 1000000);
    EXPECT_EQ(EvictAll().size(), 20u) << "the number limits too";
}

TEST_F(SsLru, LimitsMayChangeAtAnyTime) {
    Push(0, 100, 0);
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 10);
    EXPECT_EQ(EvictAll().size(), 90u);
    EXPECT_TRUE(hak_ss_lru_is_on());
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 0);
    EXPECT_FALSE(hak_ss_lru_is_on());
    EXPECT_EQ(EvictAll().size(), 10u);
}

TEST_F(SsLru, AgeLimitTakesThoseThatAreOlderAndOnlyThose) {
    Push(0, 5, 0); /* at 0, 1, 2, 3, 4 s */
    EXPECT_EQ(hak_ss_lru_expire_locked(&lru_, 60 * kSecond), nullptr);
    EXPECT_EQ(Index(hak_ss_lru_expire_locked(&lru_, 60 * kSecond + 1)), 0u);
    EXPECT_EQ(hak_ss_lru_expire_locked(&lru_, 60 * kSecond + 1), nullptr);
    EXPECT_EQ(Index(hak_ss_lru_expire_locked(&lru_, 63 * kSecond)), 1u);
    EXPECT_EQ(Index(hak_ss_lru_expire_locked(&lru_, 63 * kSecond)), 2u);
    EXPECT_EQ(hak_ss_lru_expire_locked(&lru_, 63 * kSecond), nullptr);
    Set(HAK_OPTION_SUPERSLAB_TTL_SEC, 3600);
    EXPECT_EQ(hak_ss_lru_expire_locked(&lru_, 3600 * kSecond), nullptr);
    Set(HAK_OPTION_SUPERSLAB_TTL_SEC, 0);
    EXPECT_EQ(Index(hak_ss_lru_expire_locked(&lru_, 5 * kSecond)), 3u);
    EXPECT_EQ(lru_.evictions, 4u);
}

/* Two threads that read the clock and then take the lock in the other order. */
TEST_F(SsLru, ClockThatSeemsToGoBackKeepsTheOrder) {
    Push(0, 1, 5000);
    Push(1, 1, 4990);
    EXPECT_EQ(superslabs_[1].cached_ms, 5000u);
    EXPECT_EQ(hak_ss_lru_expire_locked(&lru_, 10), nullptr) << "a time before any push";
}

TEST_F(SsLru, SuperslabInAPurgesHandNeitherComesNorGoes) {
    Push(0, 3, 1000);
    superslabs_[2].free_mask = ~6u;
    superslabs_[2].purge_mask = 6;
    EXPECT_EQ(Pop(), 1u);
    superslabs_[0].free_mask = 0;
    superslabs_[0].purge_mask = UINT32_MAX;
    EXPECT_EQ(Pop(), SIZE_MAX);
    EXPECT_EQ(hak_ss_lru_trim_locked(&lru_, 0), nullptr);
    Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 0);
    EXPECT_EQ(EvictAll().size(), 0u);
    superslabs_[2].free_mask = UINT32_MAX;
    superslabs_[2].purge_mask = 0;
    EXPECT_EQ(EvictAll(), (std::vector<size_t>{2}));
}

/* T-19: a call takes a bounded number of steps, whatever is in the list. */
TEST_F(SsLru, LookIsBounded) {
    Push(0, 100, 1000);
    for (size_t i = 10; i < 100; i++) {
        superslabs_[i].free_mask = 0;
        superslabs_[i].purge_mask = UINT32_MAX;
    }
    EXPECT_EQ(Pop(), SIZE_MAX) << "90 steps to one that is whole";
}

TEST_F(SsLru, TrimKeepsTheNewest) {
    Push(0, 10, 1000);
    for (size_t i = 0; i < 6; i++) {
        EXPECT_EQ(Index(hak_ss_lru_trim_locked(&lru_, 4)), i);
    }
    EXPECT_EQ(hak_ss_lru_trim_locked(&lru_, 4), nullptr);
    EXPECT_EQ(Pop(), 9u);
}

/* Random calls against a deque. */
TEST_F(SsLru, AgreesWithAModel) {
    hak_testing::Random random(3);
    std::deque<size_t> model; /* oldest first */
    std::vector<size_t> away;
    for (size_t i = 0; i < superslabs_.size(); i++) {
        away.push_back(i);
    }
    uint64_t now_ms = 0, most = 256;
    for (int step = 0; step < 20000; step++) {
        now_ms += random.Below(3000);
        size_t out = SIZE_MAX, expected = SIZE_MAX;
        switch (random.Below(8)) {
        case 0:
            out = Pop();
            if (!model.empty()) {
                expected = model.back();
                model.pop_back();
            }
            break;
        case 1:
            out = Index(hak_ss_lru_expire_locked(&lru_, now_ms));
            if (!model.empty() && now_ms - superslabs_[model.front()].cached_ms > 60 * kSecond) {
                expected = model.front();
                model.pop_front();
            }
            break;
        case 2:
            most = random.Below(20) == 0 ? random.Below(300) : most;
            Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, most);
            out = Index(hak_ss_lru_evict_locked(&lru_));
            if (model.size() > most || model.size() > 256) {
                expected = model.front();
                model.pop_front();
            }
            break;
        default:
            if (!away.empty()) {
                hak_ss_lru_push_locked(&lru_, &superslabs_[away.back()], now_ms);
                model.push_back(away.back());
                away.pop_back();
            }
        }
        ASSERT_EQ(out, expected) << step;
        if (out != SIZE_MAX) {
            away.push_back(out);
        }
        ASSERT_EQ(lru_.count, model.size());
        ASSERT_TRUE(step % 100 != 0 || hak_ss_lru_check_locked(&lru_) == 0) << step;
    }
}

} // namespace
