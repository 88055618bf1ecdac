/* testing: a thread with a heap and the blocks it took from the thread pools.
 *
 * Layer      tests only.
 */
#ifndef HAK_BACKENDS_POOL_TLS_TESTING_H_
#define HAK_BACKENDS_POOL_TLS_TESTING_H_

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "backends/pool_tls/pool_tls.h"
#include "base/testing/testing.h"
#include "boxes/pool_chunk/pool_chunk.h"
#include "boxes/testing/engine.h"
#include "boxes/tls_sll/tls_sll.h"

namespace hak_pool_testing {

inline const hak_backend_t &backend = hak_backend_pool_tls;
constexpr unsigned kClasses[] = {40, 48, 56, 64, 72};

inline hak_backend_stats_t Stats() {
    hak_backend_stats_t stats = {};
    backend.stats(&stats);
    return stats;
}

inline hak_pool_chunk_stats_t Chunks() {
    hak_pool_chunk_stats_t stats;
    hak_pool_chunk_stats(&stats);
    return stats;
}

inline size_t Check() {
    backend.fork_take();
    size_t faults = backend.check();
    backend.fork_drop(false);
    return faults;
}

inline size_t PurgeAll(hak_heap_t *mine) {
    hak_purge_order_t order = {hak_os_now_ms(), 0, UINT32_MAX, 0};
    return backend.purge(mine, &order);
}

/* The calling thread has a heap as long as this lives; at the end the thread leaves it, as
 * front/thread does. */
class Own {
  public:
    ~Own() {
        backend.thread_flush(own_.get());
        backend.thread_exit(own_.get());
    }
    hak_heap_t *get() const { return own_.get(); }

    /* As malloc: from the bin, else by a refill. */
    hak_block_t *Take(unsigned sc) {
        hak_bin_t &bin = hak_tls.bin[sc];
        if (bin.head == nullptr) {
            return backend.refill(get(), sc);
        }
        hak_block_t *block = bin.head;
        bin.head = hak_block_next(block);
        bin.room++;
        return block;
    }
    /* As free of an own block. */
    void Give(hak_block_t *block, unsigned sc) {
        hak_bin_t &bin = hak_tls.bin[sc];
        if (--bin.room < 0) {
            backend.take_back(get(), block, sc);
            return;
        }
        hak_block_link(block, bin.head);
        bin.head = block;
    }
    /* One that GiveAll gives back, past the bins. */
    hak_block_t *TakeOne(unsigned sc) { return Keep(backend.refill_one(get(), sc), sc); }
    hak_block_t *Keep(hak_block_t *block, unsigned sc) {
        if (block != nullptr) {
            kept_.push_back({block, sc});
        }
        return block;
    }
    void GiveAll() {
        for (const auto &each : kept_) {
            hak_tls.bin[each.second].room--;
            backend.take_back(get(), each.first, each.second);
        }
        kept_.clear();
    }
    uint32_t InBin(unsigned sc) const {
        return (uint32_t)hak_testing::Blocks(hak_tls.bin[sc].head).size();
    }

  private:
    hak_testing::OwnHeap own_;
    std::vector<std::pair<hak_block_t *, unsigned>> kept_;
};

/* Nothing is in use before and after a test. */
class PoolTest : public ::testing::Test {
  protected:
    void SetUp() override { hak_testing::StartEngine(); }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Check(), 0u);
        (void)PurgeAll(nullptr);
        EXPECT_EQ(Stats().blocks, 0u) << "a block got lost";
        EXPECT_EQ(Stats().slabs, 0u);
        EXPECT_EQ(Chunks().mapped_bytes, 0u);
        EXPECT_FALSE(backend.has_garbage());
        EXPECT_EQ(Check(), 0u);
    }
};

} // namespace hak_pool_testing

#endif /* HAK_BACKENDS_POOL_TLS_TESTING_H_ */
