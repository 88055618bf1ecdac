/* mid_mt_fixture: drives the backend as malloc, free and a thread's life do, for its tests.
 *
 * Layer      tests only.
 */
#ifndef HAK_BACKENDS_MID_MT_MID_MT_FIXTURE_H_
#define HAK_BACKENDS_MID_MT_MID_MT_FIXTURE_H_

#include <errno.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "backends/mid_mt/mid_mt.h"
#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/mid_heap/mid_heap.h"
#include "boxes/mid_registry/mid_registry.h"
#include "boxes/mid_supply/mid_supply.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"
#include "include/hakmem.h"

namespace hak_testing {

static const hak_backend_t &mid = hak_backend_mid_mt;
constexpr unsigned k8 = 56, k16 = 64, k32 = 72;

inline hak_backend_stats_t Stats() {
    hak_backend_stats_t stats = {};
    mid.stats(&stats);
    return stats;
}

inline hak_stats_t Counters() {
    hak_stats_t stats = {};
    mid.counters(&stats);
    EXPECT_EQ(stats.mid_mt_frees, stats.mid_mt_local_frees + stats.mid_mt_remote_frees);
    EXPECT_EQ(stats.mid_mt_allocs - stats.mid_mt_frees,
              stats.mid_mt_8k_used + stats.mid_mt_16k_used + stats.mid_mt_32k_used);
    return stats;
}

inline size_t Check() {
    mid.fork_take();
    size_t faults = mid.check();
    mid.fork_drop(false);
    return faults;
}

inline size_t Purge(hak_heap_t *mine, uint64_t after_ms = 0, uint64_t delay_ms = 0) {
    hak_os_fake_advance_ms(after_ms);
    hak_purge_order_t order = {hak_os_now_ms(), delay_ms, UINT32_MAX, 0};
    return mid.purge(mine, &order);
}

/* As malloc and free do it; the mark stays. */
hak_block_t *Take(hak_heap_t *mine, unsigned sc);
void Put(hak_heap_t *mine, hak_block_t *block, unsigned sc);

/* A heap with bins, as a thread has it while this lives. */
class Own {
  public:
    Own() : engine_(new hak_testing::OwnHeap) {}
    ~Own() { Leave(); }
    /* The thread ends: its heap becomes idle. */
    void Leave() {
        if (engine_ != nullptr) {
            mid.thread_flush(engine_->get());
            mid.thread_exit(engine_->get());
            delete engine_;
            engine_ = nullptr;
        }
    }
    hak_heap_t *get() const { return engine_->get(); }

  private:
    hak_testing::OwnHeap *engine_;
};

class MidMt : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        hak_os_fake_advance_ms(1000000); /* all that earlier tests left is due */
    }
    void TearDown() override {
        hak_os_fake_reset();
        Purge(nullptr);
        EXPECT_EQ(Check(), 0u);
        EXPECT_EQ(Stats().blocks, 0u) << "a block got lost";
        EXPECT_EQ(Stats().mapped_bytes, 0u) << "a chunk is stranded";
        Counters();
    }
};

} // namespace hak_testing

#endif /* HAK_BACKENDS_MID_MT_MID_MT_FIXTURE_H_ */
