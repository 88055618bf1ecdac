// T-27: calls that come late. Destructors of thread-specific data that run after the allocator's
// own, blocks that outlive their thread, and threads cancelled in between.
#include <gtest/gtest.h>

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

constexpr unsigned kKeys = 6;
pthread_key_t keys[kKeys];
std::atomic<unsigned long> destroyed{0};
std::atomic<unsigned long> faults{0};

// A value is a block of `bytes` bytes that counts how often its destructor still comes back.
struct Value {
    unsigned key;
    unsigned rounds_left;
    size_t bytes;
};

Value *make_value(unsigned key, unsigned rounds) {
    size_t bytes = sizeof(Value) + 50 + 300 * key;
    auto *value = static_cast<Value *>(hak_test.malloc(bytes));
    if (value != nullptr) {
        *value = Value{key, rounds, bytes};
        hak_pattern_fill(value + 1, bytes - sizeof *value, key);
    }
    return value;
}

// Frees its block, allocates others, and sets its key again: POSIX calls it once more, up to
// PTHREAD_DESTRUCTOR_ITERATIONS times, so at least one call comes after the allocator's destructor
// whichever order the keys have.
void destroy(void *argument) {
    auto *value = static_cast<Value *>(argument);
    if (!hak_pattern_holds(value + 1, value->bytes - sizeof *value, value->key)) {
        faults++;
    }
    unsigned key = value->key;
    unsigned rounds = value->rounds_left;
    hak_test.free(value);
    void *scratch[20];
    for (unsigned i = 0; i < 20; i++) {
        scratch[i] = hak_test.calloc(1, 24u << (i % 12));
        faults += scratch[i] == nullptr || !hak_pattern_is_zero(scratch[i], 24u << (i % 12));
    }
    for (void *block : scratch) {
        hak_test.free(block);
    }
    if (rounds > 0) {
        pthread_setspecific(keys[key], make_value(key, rounds - 1));
    }
    destroyed++;
}

void set_all() {
    for (unsigned i = 0; i < kKeys; i++) {
        pthread_setspecific(keys[i], make_value(i, 3));
    }
}

TEST(T27_Late, ThreadDestructorsAfterOurs) {
    for (pthread_key_t &key : keys) {
        ASSERT_EQ(0, pthread_key_create(&key, destroy));
    }
    unsigned long threads = hak_test_scaled(200);
#ifdef HAK_TEST_API
    std::thread(set_all).join(); // what the process sets up once is live from here on
    hak_stats_t before = hak_test_stats_flushed();
#endif
    destroyed = 0;
    for (unsigned long i = 0; i < threads; i++) {
        std::thread(set_all).join();
    }
    EXPECT_EQ(threads * kKeys * 4, destroyed.load());
    EXPECT_EQ(0u, faults.load());
#ifdef HAK_TEST_API
    hak_stats_t after = hak_test_stats_flushed();
    EXPECT_EQ(before.live_blocks, after.live_blocks);
    EXPECT_LE(after.heaps, before.heaps + 2) << "calls after the thread's end cost a heap each";
#endif
    for (pthread_key_t key : keys) {
        pthread_key_delete(key);
    }
}

// C++ thread_local destructors run before those of thread-specific data, those of an outer
// thread_local after those of an inner one.
struct Holder {
    void *block = hak_test.malloc(500);
    ~Holder() {
        hak_test.free(block);
        hak_test.free(hak_test.malloc(70000));
        destroyed++;
    }
};
thread_local Holder holder;

TEST(T27_Late, ThreadLocalDestructors) {
    destroyed = 0;
    for (unsigned i = 0; i < 50; i++) {
        std::thread([] { holder.block = hak_test.realloc(holder.block, 900); }).join();
    }
    EXPECT_EQ(50u, destroyed.load());
}

// Deferred cancellation ends a thread outside the allocator, which has no cancellation point: the
// heap of the cancelled thread is as it should be.
#if !HAK_TEST_SANITIZED
void *allocate_until_cancelled(void *) {
    void *held = hak_test.malloc(700);
    pthread_cleanup_push(hak_test.free, held); // runs during the cancellation
    for (unsigned i = 0;; i++) {
        hak_test.free(hak_test.malloc(16 + i % 5000));
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return nullptr;
}

TEST(T27_Late, CancelledThreads) {
    for (unsigned i = 0; i < 50; i++) {
        pthread_t thread;
        ASSERT_EQ(0, pthread_create(&thread, nullptr, allocate_until_cancelled, nullptr));
        ASSERT_EQ(0, pthread_cancel(thread));
        void *result = nullptr;
        ASSERT_EQ(0, pthread_join(thread, &result));
        EXPECT_EQ(PTHREAD_CANCELED, result);
    }
#ifndef HAK_TEST_NO_HAKMEM
    EXPECT_EQ(0u, hak_check());
#endif
}
#endif

} // namespace
