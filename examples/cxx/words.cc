// words: counts words in threads, as an example of a C++ program linked with hakmem as a plain
// dependency: operator new is replaced without a word in the source, and hakmem.h adds statistics.
#include "hakmem.h"

#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

class Counter {
  public:
    void Add(const std::string &word) {
        std::lock_guard<std::mutex> guard(lock_);
        counts_[word]++;
    }

    size_t Total() const {
        size_t total = 0;
        for (const auto &entry : counts_) {
            total += entry.second;
        }
        return total;
    }

    size_t Distinct() const { return counts_.size(); }

  private:
    std::mutex lock_;
    std::map<std::string, size_t> counts_;
};

// Over-aligned, so that the aligned operator new is used too.
struct alignas(128) Padded {
    char bytes[128];
};

void Work(Counter *counter, int seed) {
    for (int i = 0; i < 10000; i++) {
        counter->Add("word number " + std::to_string((i * seed) % 997) + " and some more");
    }
}

} // namespace

int main() {
    Counter counter;
    std::vector<std::thread> threads;
    for (int seed = 1; seed <= 4; seed++) {
        threads.emplace_back(Work, &counter, seed);
    }
    for (auto &thread : threads) {
        thread.join();
    }

    auto padded = std::make_unique<Padded>();
    bool aligned = reinterpret_cast<uintptr_t>(padded.get()) % alignof(Padded) == 0;

    hak_stats_t stats = {};
    stats.struct_bytes = sizeof(stats);
    if (hak_stats_get(&stats) != 0) {
        std::perror("words: hak_stats_get");
        return 1;
    }
    bool served = hak_owns(padded.get()) && stats.live_blocks > 0;
    std::printf("allocator: %s\n", served ? ("hakmem " + std::string(hak_version())).c_str() : "?");
    std::printf("words: %zu, distinct: %zu, aligned: %s\n", counter.Total(), counter.Distinct(),
                aligned ? "ok" : "failed");
    return served && aligned && counter.Total() == 40000 && counter.Distinct() == 997 ? 0 : 1;
}
