/* pool_fixture: a pool without any superslab at the start of each test, under whichever policy the
 * test is built with.
 *
 * Layer      tests only. Uses boxes/slot_pool.
 */
#ifndef HAK_BOXES_SLOT_POLICY_POOL_FIXTURE_H_
#define HAK_BOXES_SLOT_POLICY_POOL_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "backends/os/os.h"
#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "boxes/slot_policy/slot_policy.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "core/options/options.h"

class PoolFixture : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_testing::StartEngine();
        DropAll();
        ASSERT_EQ(Stats().superslabs, 0u);
    }
    void TearDown() override {
        hak_os_fake_reset();
        EXPECT_EQ(Stats().active_slots, 0u);
        EXPECT_EQ(Stats().tiny_slabs_active, 0u);
        EXPECT_EQ(hak_testing::Faults(), 0u);
        DropAll();
        EXPECT_EQ(Stats().superslabs, 0u);
        EXPECT_EQ(Stats().dirty_slots, 0u);
    }

    static bool Is(const char *policy) { return std::string(hak_slot_policy_name) == policy; }
    static void Set(hak_option_id_t option, uint64_t value) {
        hak_store_rlx(&hak_option_values[option], value);
    }
    static hak_slot_pool_stats_t Stats() {
        hak_slot_pool_stats_t stats;
        hak_slot_pool_stats_mt(&stats);
        return stats;
    }
    /* Superslabs that are kept free are older than any limit. */
    static void DropAll() {
        Set(HAK_OPTION_SUPERSLAB_MAX_CACHED, 256);
        Set(HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB, 512);
        Set(HAK_OPTION_SUPERSLAB_TTL_SEC, 60);
        Set(HAK_OPTION_TINY_CROSS_CLASS_EMPTY, 1);
        hak_os_fake_advance_ms(61000);
        (void)Purge(0);
    }
    static size_t Purge(uint64_t delay_ms) {
        return hak_slot_pool_purge_mt(hak_os_now_ms(), delay_ms, UINT32_MAX, 0);
    }

    static char *Base(const hak_slab_t *slab) {
        return reinterpret_cast<char *>(hak_slab_base(slab));
    }
    static hak_slab_t *Take(unsigned sc) {
        hak_slab_t *slab = hak_slot_pool_take_mt(sc);
        EXPECT_NE(slab, nullptr);
        EXPECT_EQ(slab->units, hak_sc_units(sc));
        EXPECT_EQ(slab->last_sc, sc);
        EXPECT_NE(hak_load_rlx(&hak_slab_superslab(slab)->mapped), 0u);
        return slab;
    }
    /* Takes and writes, so that an EMPTY slot can be told from an UNUSED one. */
    static std::vector<hak_slab_t *> Take(unsigned sc, size_t count) {
        std::vector<hak_slab_t *> slabs;
        for (size_t i = 0; i < count; i++) {
            slabs.push_back(Take(sc));
            Base(slabs.back())[0] = 1;
        }
        return slabs;
    }
    static void Give(hak_slab_t *slab) { hak_slot_pool_give_mt(slab); }
    static void Give(const std::vector<hak_slab_t *> &slabs) {
        for (hak_slab_t *slab : slabs) {
            hak_slot_pool_give_mt(slab);
        }
    }

    /* Tiny classes and one above. */
    const unsigned a_ = hak_sc_of(64), b_ = hak_sc_of(1024), c_ = hak_sc_of(16);
    const unsigned mid_ = hak_sc_of(2048);
};

#endif /* HAK_BOXES_SLOT_POLICY_POOL_FIXTURE_H_ */
