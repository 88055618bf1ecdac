// Producers allocate, consumers free: every free is remote. Each block carries a number; at the end
// every number was seen exactly once, and no two blocks on the way were the same memory.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/pattern.h"
#include "tests/support/random.h"
#include "tests/support/scale.h"
#include "tests/support/stats.h"

namespace {

struct Item {
    uint64_t number;
    size_t bytes;
};

// Bounded, so that the producers cannot run ahead and memory stays small.
class Queue {
  public:
    explicit Queue(unsigned producers) : producers_(producers) {}

    void push(const std::vector<Item *> &items) {
        std::unique_lock<std::mutex> lock(mutex_);
        room_.wait(lock, [this] { return items_.size() < 4000; });
        items_.insert(items_.end(), items.begin(), items.end());
        filled_.notify_one();
    }

    // Up to 50 items; none at all once every producer is done.
    std::vector<Item *> pop() {
        std::unique_lock<std::mutex> lock(mutex_);
        filled_.wait(lock, [this] { return !items_.empty() || producers_ == 0; });
        size_t count = items_.size() < 50 ? items_.size() : 50;
        std::vector<Item *> taken(items_.begin(), items_.begin() + static_cast<long>(count));
        items_.erase(items_.begin(), items_.begin() + static_cast<long>(count));
        room_.notify_all();
        return taken;
    }

    void producer_done() {
        std::lock_guard<std::mutex> lock(mutex_);
        producers_--;
        filled_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable filled_, room_;
    std::deque<Item *> items_;
    unsigned producers_;
};

struct Run {
    Queue queue;
    std::vector<std::atomic<unsigned char>> seen;
    std::atomic<unsigned long> faults{0};
    Run(unsigned producers, unsigned long items) : queue(producers), seen(items) {}
};

void produce(Run *run, uint64_t first, uint64_t end, size_t max_bytes) {
    hak_random_t random = {first + 1};
    std::vector<Item *> batch;
    for (uint64_t number = first; number < end; number++) {
        size_t bytes = sizeof(Item) + hak_random_below(&random, max_bytes);
        auto *item = static_cast<Item *>(hak_test.malloc(bytes));
        if (item == nullptr) {
            run->faults++;
            continue;
        }
        *item = Item{number, bytes};
        hak_pattern_fill(item + 1, bytes - sizeof *item, number);
        batch.push_back(item);
        if (batch.size() == 20) {
            run->queue.push(batch);
            batch.clear();
        }
    }
    run->queue.push(batch);
    run->queue.producer_done();
}

void consume(Run *run) {
    for (std::vector<Item *> items = run->queue.pop(); !items.empty(); items = run->queue.pop()) {
        for (Item *item : items) {
            if (item->number >= run->seen.size() || run->seen[item->number]++ != 0 ||
                !hak_pattern_holds(item + 1, item->bytes - sizeof *item, item->number)) {
                run->faults++;
                continue;
            }
            hak_test.free(item);
        }
    }
}

void move_through_queue(unsigned producers, unsigned consumers, unsigned long items, size_t max) {
    Run run(producers, items);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < producers; i++) {
        threads.emplace_back(produce, &run, items * i / producers, items * (i + 1) / producers,
                             max);
    }
    for (unsigned i = 0; i < consumers; i++) {
        threads.emplace_back(consume, &run);
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    unsigned long once = 0;
    for (auto &count : run.seen) {
        once += count == 1;
    }
    EXPECT_EQ(items, once);
    EXPECT_EQ(0u, run.faults.load());
}

TEST(Queue, OneToOne) { move_through_queue(1, 1, hak_test_scaled(300000), 500); }
TEST(Queue, EightToOne) { move_through_queue(8, 1, hak_test_scaled(300000), 100); }
TEST(Queue, OneToEight) { move_through_queue(1, 8, hak_test_scaled(200000), 100); }
TEST(Queue, FourToFourUpTo40KiB) { move_through_queue(4, 4, hak_test_scaled(60000), 40000); }
TEST(Queue, TwoToTwoLarge) { move_through_queue(2, 2, hak_test_scaled(4000), 900000); }

#ifndef HAK_TEST_NO_HAKMEM
// A producer that never frees and a consumer that never allocates run in bounded memory, because
// what the consumer frees comes back to the producer.
void expect_bounded(unsigned long items, size_t max, uint64_t more_bytes) {
    move_through_queue(1, 1, items / 10, max);
    uint64_t before = hak_test_stats().mapped_bytes;
    move_through_queue(1, 1, hak_test_scaled(items), max);
    EXPECT_LE(hak_test_stats().mapped_bytes, before + more_bytes);
    EXPECT_EQ(0u, hak_check());
}
// The queue holds at most 4,000 blocks of 1 KiB; without return 100 MiB of them would be mapped.
TEST(Queue, T32_MemoryStaysBounded) { expect_bounded(200000, 1000, uint64_t{16} << 20); }
// Up to 32 KiB, which other backends serve: at most 125 MiB in the queue, 640 MiB without return.
TEST(Queue, T32_MidSizesStayBounded) { expect_bounded(40000, 32000, uint64_t{128} << 20); }
#endif

} // namespace
