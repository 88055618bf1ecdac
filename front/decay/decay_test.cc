/* When memory goes back, on a clock that the test moves. */
#include "front/decay/decay.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <string>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "backends/port/backend.h"
#include "base/testing/testing.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "registry/registry.h"

namespace {

constexpr uint64_t kDelayMs = 4000;
constexpr size_t kBytes = 4 << 20, kMappedBytes = 33 << 20;

void SetOption(hak_option_id_t id, uint64_t value) { hak_store_rlx(&hak_option_values[id], value); }

/* A huge mapping in the cache, a free extent and some EMPTY slots: garbage of all kinds. */
void MakeGarbage() {
    hak_slab_t *slab = hak_testing::TakeUnits(4);
    ASSERT_NE(slab, nullptr);
    hak_slot_pool_give_mt(slab);
    bool zeroed;
    for (size_t bytes : {kMappedBytes, kBytes}) {
        void *block = hak_large_alloc_mt(NULL, bytes, 1, &zeroed);
        ASSERT_NE(block, nullptr);
        memset(block, 1, bytes);
        ASSERT_TRUE(hak_large_free_mt(NULL, block));
    }
}

bool HasSlots() { return hak_route_backends[0]->has_garbage(); }
bool HasMappings() { return hak_large_has_garbage(); }

std::set<std::string> Tasks() {
    std::set<std::string> tasks;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; dir != nullptr && (entry = readdir(dir)) != nullptr;) {
        if (entry->d_name[0] != '.') {
            tasks.insert(entry->d_name);
        }
    }
    closedir(dir);
    return tasks;
}

/* Waits at most 10 s for what another thread does. */
bool WaitUntil(const std::function<bool()> &condition) {
    for (int i = 0; i < 1000 && !condition(); i++) {
        usleep(10000);
    }
    return condition();
}

class Decay : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        SetOption(HAK_OPTION_PURGE_DELAY_MS, kDelayMs);
        SetOption(HAK_OPTION_BACKGROUND, 0);
        Advance(1000000);
        (void)hak_decay_trim(0);
        (void)hak_decay_tick(nullptr);
        Advance(5000); /* the next pass is due */
        ASSERT_FALSE(HasSlots() || HasMappings());
    }

  public:
    static void Advance(uint64_t ms) { hak_os_fake_advance_ms(ms); }
};

TEST_F(Decay, TickPurgesAfterTheDelayAndNotBefore) {
    MakeGarbage();
    uint64_t waited = 0;
    for (; waited < kDelayMs - 100; waited += 100) {
        (void)hak_decay_tick(nullptr);
        ASSERT_TRUE(HasMappings()) << waited;
        ASSERT_TRUE(waited >= kDelayMs / 2 || HasSlots()) << waited;
        Advance(100);
    }
    for (; waited < 3 * kDelayMs && (HasMappings() || HasSlots()); waited += 100) {
        Advance(100);
        (void)hak_decay_tick(nullptr);
    }
    /* A pass comes every quarter of the delay, but at most a second apart. */
    EXPECT_LE(waited, kDelayMs + 2 * 1100);
}

hak_large_stats_t Large() {
    hak_large_stats_t stats;
    hak_large_stats_mt(&stats);
    return stats;
}

TEST_F(Decay, TicksGiveAddressSpaceBackInWhichThereIsNoBlock) {
    MakeGarbage();
    for (uint64_t waited = 0; waited < 4 * kDelayMs; waited += 1100) {
        Advance(1100);
        (void)hak_decay_tick(nullptr);
    }
    EXPECT_EQ(Large().backend.mapped_bytes, 0u);
}

/* One pass gives 96 MiB back. */
TEST_F(Decay, APassThatFoundSomethingIsFollowedByAnotherSoon) {
    bool zeroed;
    void *block = hak_large_alloc_mt(NULL, (size_t)240 << 20, 1, &zeroed);
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(hak_large_free_mt(NULL, block));
    Advance(kDelayMs + 1100);
    (void)hak_decay_tick(nullptr);
    EXPECT_EQ(Large().cached_bytes, (uint64_t)144 << 20);
    Advance(20);
    (void)hak_decay_tick(nullptr);
    EXPECT_EQ(Large().cached_bytes, (uint64_t)48 << 20);
}

TEST_F(Decay, DelayOfZeroPurgesAtTheNextPass) {
    SetOption(HAK_OPTION_PURGE_DELAY_MS, 0);
    MakeGarbage();
    Advance(2000);
    (void)hak_decay_tick(nullptr);
    EXPECT_FALSE(HasMappings());
    EXPECT_FALSE(HasSlots());
}

TEST_F(Decay, PassesKeepTheirDistance) {
    (void)hak_decay_tick(nullptr); /* the pause begins */
    SetOption(HAK_OPTION_PURGE_DELAY_MS, 0);
    MakeGarbage();
    (void)hak_decay_tick(nullptr);
    EXPECT_TRUE(HasMappings()) << "a pass was made a moment ago";
    Advance(1100);
    (void)hak_decay_tick(nullptr);
    EXPECT_FALSE(HasMappings());
}

TEST_F(Decay, TrimTakesAllAtOnceButWhatItShallKeep) {
    MakeGarbage();
    EXPECT_EQ(hak_decay_trim(64 << 20), 0u);
    EXPECT_TRUE(HasMappings());
    EXPECT_TRUE(HasSlots());
    EXPECT_GE(hak_decay_trim(0), kBytes + kMappedBytes + 4 * HAK_UNIT_BYTES);
    EXPECT_FALSE(HasMappings());
    EXPECT_FALSE(HasSlots());
    EXPECT_EQ(hak_decay_trim(0), 0u);
}

TEST_F(Decay, TickTellsOthersThatTheThreadIsActive) {
    hak_testing::OwnHeap own;
    hak_store_rlx(&own.get()->active_ms, 0);
    (void)hak_decay_tick(own.get());
    EXPECT_NE(hak_load_rlx(&own.get()->active_ms), 0u);
}

/* How many calls it takes until one looks at the clock, if all of them are made now. */
int CallsToALook(hak_heap_t *heap) {
    Decay::Advance(1);
    uint64_t before = hak_load_rlx(&heap->active_ms);
    for (int i = 1; i <= 1000; i++) {
        hak_decay_step(heap, HAK_DECAY_SELDOM);
        if (hak_load_rlx(&heap->active_ms) != before) {
            return i;
        }
    }
    return 0;
}

TEST_F(Decay, StepLooksAtEvery8thCall) {
    hak_testing::OwnHeap own;
    own.get()->slow_steps = 0;
    (void)hak_decay_tick(own.get());
    EXPECT_EQ(CallsToALook(own.get()), 8);
    EXPECT_EQ(CallsToALook(own.get()), 8);
}

// Else a thread with one refill in 100 ms would look once in 0.8 s.
TEST_F(Decay, StepLooksAtEachCallIfThereAreFew) {
    hak_testing::OwnHeap own;
    own.get()->slow_steps = 0;
    (void)hak_decay_tick(own.get());
    Advance(HAK_DECAY_SPARSE_MS);
    EXPECT_EQ(CallsToALook(own.get()), 8) << "nobody knows yet";
    EXPECT_EQ(CallsToALook(own.get()), 1);
    EXPECT_EQ(CallsToALook(own.get()), 8) << "calls have become frequent";
    Advance(HAK_DECAY_SPARSE_MS);
    EXPECT_EQ(CallsToALook(own.get()), 8);
    for (int i = 0; i < 5; i++) {
        Advance(HAK_DECAY_SPARSE_MS);
        EXPECT_EQ(CallsToALook(own.get()), 1) << i;
    }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which need the space */
/* Else the process could start no thread any more, whatever hakmem does for itself. */
TEST_F(Decay, PassGivesAddressSpaceBackOnceItIsLimited) {
    if (!hak_testing::AddressSpaceCanBeLimited()) {
        GTEST_SKIP() << "the limit does not count here";
    }
    EXPECT_EQ(hak_testing::InChild([] {
                  struct rlimit limit = {(rlim_t)4 << 30, (rlim_t)4 << 30};
                  if (!hak_registry_is_flat() || setrlimit(RLIMIT_AS, &limit) != 0) {
                      return 1;
                  }
                  if (hak_os_map(1 << 20) != nullptr) {
                      return 2; /* the map alone is longer than that */
                  }
                  (void)hak_decay_tick(nullptr);
                  return hak_os_map(1 << 20) != nullptr ? 0 : 3;
              }),
              0);
}
#endif

TEST_F(Decay, RefusedPurgeLosesNothing) {
    MakeGarbage();
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    EXPECT_GE(hak_decay_trim(0), kBytes) << "a tract without a block goes all the same";
    EXPECT_TRUE(HasSlots());
    hak_os_fake_reset();
    EXPECT_GE(hak_decay_trim(0), 4 * HAK_UNIT_BYTES) << "who asks for all gets another try";
    EXPECT_FALSE(HasSlots());
}

TEST_F(Decay, ThreadsTickTogether) {
    SetOption(HAK_OPTION_PURGE_DELAY_MS, 40);
    hak_testing::RunThreads(4, [](int thread) {
        bool zeroed;
        for (int i = 0; i < 200; i++) {
            void *block = hak_large_alloc_mt(NULL, (size_t)(100000 << thread), 1, &zeroed);
            memset(block, thread, 100000);
            (void)hak_decay_tick(nullptr);
            EXPECT_TRUE(hak_large_free_mt(NULL, block));
            Advance(3);
        }
    });
    EXPECT_EQ(hak_testing::Faults(), 0u);
}

TEST_F(Decay, BackgroundThreadSleepsLongerAndLongerWhileThereIsNothingToDo) {
    uint64_t pause_ms = 125;
    for (uint64_t expected : {250, 500, 1000, 1000, 1000}) {
        pause_ms = hak_decay_next_pause_ms(pause_ms, false, 125);
        EXPECT_EQ(pause_ms, expected);
    }
    EXPECT_EQ(hak_decay_next_pause_ms(pause_ms, true, 125), 125u);
    EXPECT_EQ(hak_decay_next_pause_ms(640, false, 10), 1000u);
}

TEST_F(Decay, BackgroundThreadStartsOnlyWhenAsked) {
    std::set<std::string> before = Tasks();
    hak_decay_start();
    EXPECT_EQ(Tasks(), before);
}

TEST_F(Decay, BackgroundThreadPurgesForAnIdleProcess) {
    std::set<std::string> before = Tasks();
    SetOption(HAK_OPTION_BACKGROUND, 1);
    SetOption(HAK_OPTION_PURGE_DELAY_MS, 40);
    hak_decay_start();
    EXPECT_EQ(Tasks().size(), before.size() + 1);
    hak_decay_start();
    EXPECT_EQ(Tasks().size(), before.size() + 1) << "one is enough";
    MakeGarbage();
    EXPECT_TRUE(WaitUntil([] { return !HasSlots() && !HasMappings(); }));

    /* Signals are the program's own: the thread blocks those that can be blocked. */
    for (const std::string &task : Tasks()) {
        if (before.count(task) != 0) {
            continue;
        }
        FILE *status = fopen(("/proc/self/task/" + task + "/status").c_str(), "r");
        ASSERT_NE(status, nullptr);
        char line[200];
        unsigned long long blocked = 0;
        while (fgets(line, sizeof line, status) != nullptr) {
            (void)sscanf(line, "SigBlk: %llx", &blocked);
        }
        fclose(status);
        EXPECT_NE(blocked & 1ull << (SIGTERM - 1), 0u);
        EXPECT_NE(blocked & 1ull << (SIGUSR1 - 1), 0u);
    }
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, nullptr, &mine);
    EXPECT_EQ(sigismember(&mine, SIGTERM), 0) << "the starter's own mask is restored";

    hak_decay_forget(); /* the thread ends when it wakes up */
    EXPECT_TRUE(WaitUntil([&before] { return Tasks() == before; }));
}

/* A fork copies no thread: the child forgets it and starts another. Not under ThreadSanitizer: it
 * allows no new thread in the child of a fork with threads. */
#if !defined(__SANITIZE_THREAD__)
TEST_F(Decay, ChildOfAForkStartsAThreadOfItsOwn) {
    std::set<std::string> before = Tasks();
    SetOption(HAK_OPTION_BACKGROUND, 1);
    SetOption(HAK_OPTION_PURGE_DELAY_MS, 40);
    hak_decay_start();
    EXPECT_EQ(hak_testing::InChild([] {
                  size_t alone = Tasks().size(); /* 1, but for emulators */
                  hak_decay_start();
                  bool none = Tasks().size() == alone; /* as long as it is not forgotten */
                  hak_decay_forget();
                  hak_decay_start();
                  bool one = Tasks().size() == alone + 1;
                  MakeGarbage();
                  bool works = WaitUntil([] { return !HasSlots() && !HasMappings(); });
                  return none && one && works ? 0 : 1;
              }),
              0);
    hak_decay_forget();
    EXPECT_TRUE(WaitUntil([&before] { return Tasks() == before; }));
}
#endif

} // namespace
