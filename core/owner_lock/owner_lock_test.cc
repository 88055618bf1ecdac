/* T-20: whoever is inside, owner or guest, is there alone. Under TSan the plain counters also show
 * that one's writes are ordered before the other's reads. */
#include "core/owner_lock/owner_lock.h"

#include <gtest/gtest.h>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

void ForbidBarrier() { hak_os_fake_fail(HAK_OS_CALL_BARRIER, 0, UINT64_MAX); }

enum class Barrier { kMembarrier, kSeqCst, kLost };

/* Runs with membarrier, if the kernel has it, without, and with one that failed before the owner's
 * last visit. */
class OwnerLock : public ::testing::TestWithParam<Barrier> {
  protected:
    void SetUp() override {
        hak_os_fake_reset();
        if (GetParam() == Barrier::kSeqCst) {
            ForbidBarrier();
        }
        hak_owner_lock_init();
        hak_os_fake_reset();
        if (GetParam() == Barrier::kLost) {
            ForbidBarrier();
            (void)hak_owner_lock_try_guest(&lock_);
            hak_owner_lock_take_owner(&lock_);
            hak_owner_lock_drop_owner(&lock_);
        }
    }
    void TearDown() override { hak_os_fake_reset(); }
    hak_owner_lock_t lock_ = {};
};

TEST_P(OwnerLock, GuestIsRefusedWhileTheOwnerIsInside) {
    hak_owner_lock_take_owner(&lock_);
    EXPECT_FALSE(hak_owner_lock_try_guest(&lock_));
    hak_owner_lock_drop_owner(&lock_);
    EXPECT_TRUE(hak_owner_lock_try_guest(&lock_));
    hak_owner_lock_drop_guest(&lock_);
}

TEST_P(OwnerLock, SecondGuestIsRefused) {
    ASSERT_TRUE(hak_owner_lock_try_guest(&lock_));
    EXPECT_FALSE(hak_owner_lock_try_guest(&lock_));
    hak_owner_lock_drop_guest(&lock_);
    hak_owner_lock_take_guest(&lock_);
    hak_owner_lock_drop_guest(&lock_);
}

TEST_P(OwnerLock, OwnerWaitsForTheGuest) {
    hak_owner_lock_take_guest(&lock_);
    std::atomic<bool> guest_inside(true);
    hak_testing::RunThreads(2, [&](int self) {
        if (self == 0) {
            hak_owner_lock_take_owner(&lock_);
            EXPECT_FALSE(guest_inside.load());
            hak_owner_lock_drop_owner(&lock_);
        } else {
            usleep(2000);
            guest_inside = false;
            hak_owner_lock_drop_guest(&lock_);
        }
    });
}

TEST_P(OwnerLock, GuestThatWaitsGetsIn) {
    hak_owner_lock_take_owner(&lock_);
    std::atomic<bool> owner_inside(true);
    hak_testing::RunThreads(2, [&](int self) {
        if (self == 0) {
            hak_owner_lock_take_guest(&lock_);
            EXPECT_FALSE(owner_inside.load());
            hak_owner_lock_drop_guest(&lock_);
        } else {
            usleep(2000);
            owner_inside = false;
            hak_owner_lock_drop_owner(&lock_);
        }
    });
}

void Spin(uint64_t times) {
    for (uint64_t i = 0; i < times; i++) {
        hak_compiler_fence();
    }
}

/* Notes who is inside. A visitor stays long enough for the other side to run into it. */
class Room {
  public:
    void Visit(uint64_t stay) {
        shared_ += visitors_.fetch_add(1) != 0 ? 1 : 0;
        count_++; /* plain: the lock alone keeps it right */
        Spin(stay);
        visitors_.fetch_sub(1);
        visits_++;
    }
    void ExpectNeverShared() const {
        EXPECT_EQ(shared_.load(), 0u);
        EXPECT_EQ(count_, visits_.load());
    }

  private:
    std::atomic<int> visitors_{0};
    std::atomic<uint64_t> visits_{0}, shared_{0};
    uint64_t count_ = 0;
};

/* The owner first writes to lines that no cache holds. Its store to `busy` then waits in the store
 * buffer while its load of `revoke` goes ahead: the order that the guest's barrier must undo. */
TEST_P(OwnerLock, OwnerAndGuestsExcludeEachOther) {
    enum { GUESTS = 1, OWNER_TIMES = 60000, LINES = 1 << 19, MISSES = 12 };
    std::vector<char> cold((size_t)LINES * 64);
    Room room;
    std::atomic<bool> done(false);
    hak_testing::RunThreads(1 + GUESTS, [&](int self) {
        if (self == 0) {
            hak_testing::Random random(1);
            for (int i = 0; i < OWNER_TIMES; i++) {
                for (int miss = 0; miss < MISSES; miss++) {
                    cold[random.Below(LINES) * 64] = 1;
                }
                hak_owner_lock_take_owner(&lock_);
                room.Visit(100);
                hak_owner_lock_drop_owner(&lock_);
            }
            done = true;
            return;
        }
        hak_testing::Random random((uint64_t)self);
        while (!done) {
            Spin(random.Below(6000)); /* the owner is to find the lock free, as a rule */
            if (random.Below(16) == 0) {
                hak_owner_lock_take_guest(&lock_);
            } else if (!hak_owner_lock_try_guest(&lock_)) {
                continue;
            }
            /* Longer than the stores of the owner take to arrive. */
            room.Visit(3000);
            hak_owner_lock_drop_guest(&lock_);
        }
    });
    room.ExpectNeverShared();
}

/* A heap passes from thread to thread: the one that enters as owner is not always the same. */
TEST_P(OwnerLock, OwnershipMayPassBetweenThreads) {
    enum { ROUNDS = 200 };
    uint64_t count = 0;
    std::atomic<int> turn(0);
    std::atomic<uint64_t> guests(0);
    hak_testing::RunThreads(3, [&](int self) {
        if (self == 2) {
            while (turn < ROUNDS) {
                if (hak_owner_lock_try_guest(&lock_)) {
                    count++;
                    guests++;
                    hak_owner_lock_drop_guest(&lock_);
                }
            }
            return;
        }
        for (int i = self; i < ROUNDS; i += 2) {
            while (turn != i) {
                std::this_thread::yield();
            }
            hak_owner_lock_take_owner(&lock_);
            count++;
            hak_owner_lock_drop_owner(&lock_);
            turn = i + 1;
        }
    });
    EXPECT_EQ(count, ROUNDS + guests.load());
}

TEST_P(OwnerLock, ResetFreesALockWhoeverWasInside) {
    hak_owner_lock_take_owner(&lock_);
    hak_owner_lock_reset(&lock_);
    EXPECT_EQ(hak_owner_lock_try_guest(&lock_), GetParam() != Barrier::kLost)
        << "what the owner showed is forgotten, too";
    hak_owner_lock_reset(&lock_);
    hak_owner_lock_take_owner(&lock_);
    hak_owner_lock_drop_owner(&lock_);
}

INSTANTIATE_TEST_SUITE_P(Barriers, OwnerLock,
                         ::testing::Values(Barrier::kMembarrier, Barrier::kSeqCst, Barrier::kLost),
                         [](const ::testing::TestParamInfo<Barrier> &info) {
                             return info.param == Barrier::kMembarrier ? "membarrier"
                                    : info.param == Barrier::kSeqCst   ? "seq_cst"
                                                                       : "lost";
                         });

class LostBarrier : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_os_fake_reset();
        hak_owner_lock_init();
        if (hak_load_rlx(&hak_owner_lock_barrier) != HAK_BARRIER_WORKS) {
            GTEST_SKIP() << "this kernel has no expedited membarrier";
        }
        ForbidBarrier();
    }
    void TearDown() override { hak_os_fake_reset(); }
    hak_owner_lock_t lock_ = {};
};

/* The owner's store to `busy` may still be on its way: nobody knows that it is outside. */
TEST_F(LostBarrier, TryIsRefusedUntilTheOwnerHasEntered) {
    hak_owner_lock_take_owner(&lock_);
    hak_owner_lock_drop_owner(&lock_);
    EXPECT_FALSE(hak_owner_lock_try_guest(&lock_));
    EXPECT_FALSE(hak_owner_lock_try_guest(&lock_));
    hak_owner_lock_take_owner(&lock_);
    EXPECT_FALSE(hak_owner_lock_try_guest(&lock_));
    hak_owner_lock_drop_owner(&lock_);
    ASSERT_TRUE(hak_owner_lock_try_guest(&lock_));
    hak_owner_lock_drop_guest(&lock_);
}

TEST_F(LostBarrier, TryNeedsNoBarrierOnceTheOwnerHasLeft) {
    hak_owner_lock_leave_owner(&lock_);
    ASSERT_TRUE(hak_owner_lock_try_guest(&lock_));
    hak_owner_lock_drop_guest(&lock_);
}

TEST_F(LostBarrier, TakeWaitsInPlaceOfTheBarrier) {
    uint64_t start_ms = hak_os_now_ms();
    hak_owner_lock_take_guest(&lock_);
    EXPECT_GE(hak_os_now_ms() - start_ms, 20u);
    hak_owner_lock_drop_guest(&lock_);
    hak_owner_lock_take_owner(&lock_);
    hak_owner_lock_drop_owner(&lock_);
    uint64_t calls = hak_os_fake_calls(HAK_OS_CALL_BARRIER);
    hak_owner_lock_take_guest(&lock_); /* now the owner shows */
    hak_owner_lock_drop_guest(&lock_);
    EXPECT_EQ(hak_os_fake_calls(HAK_OS_CALL_BARRIER), calls);
}

/* As the takes of a fork: one wait for all of them, where each would wait for itself. */
TEST_F(LostBarrier, ManyAreTakenWithOneWait) {
    enum { LOCKS = 50 };
    hak_owner_lock_t many[LOCKS] = {};
    hak_owner_lock_round_t round = {};
    uint64_t start_ms = hak_os_now_ms();
    for (auto step :
         {hak_owner_lock_raise_guest, hak_owner_lock_show_guest, hak_owner_lock_await_guest}) {
        for (hak_owner_lock_t &lock : many) {
            step(&lock, &round);
        }
    }
    EXPECT_GE(hak_os_now_ms() - start_ms, 20u);
    EXPECT_LT(hak_os_now_ms() - start_ms, LOCKS * 20u / 2);
    for (hak_owner_lock_t &lock : many) {
        EXPECT_FALSE(hak_owner_lock_try_guest(&lock));
        hak_owner_lock_drop_guest(&lock);
    }
}

TEST_F(LostBarrier, ResetForgetsWhatTheOwnerShowed) {
    EXPECT_FALSE(hak_owner_lock_try_guest(&lock_));
    hak_owner_lock_take_owner(&lock_);
    hak_owner_lock_drop_owner(&lock_);
    hak_owner_lock_reset(&lock_);
    EXPECT_FALSE(hak_owner_lock_try_guest(&lock_));
}

} // namespace
