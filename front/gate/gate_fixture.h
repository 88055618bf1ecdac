/* What the tests of the gate share: short names, sizes at borders, and a gate that is checked after
 * each test. */
#ifndef HAK_FRONT_GATE_GATE_FIXTURE_H_
#define HAK_FRONT_GATE_GATE_FIXTURE_H_

#include <errno.h>
#include <gtest/gtest.h>
#include <stdint.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "backends/os/os_fake.h"
#include "boxes/extent/extent.h"
#include "core/errors/errors.h"
#include "core/options/options.h"
#include "front/gate/gate.h"
extern "C" {
#include "front/gate/gate_internal.h"
}

constexpr size_t kExtentMax = HAK_EXTENT_MAX_BYTES;
constexpr size_t kHuge = kExtentMax + (1 << 20);

inline char *Alloc(size_t size) { return static_cast<char *>(hak_gate_alloc_slow(size)); }
inline void Free(void *block) { hak_gate_free_slow(block, "free"); }
inline char *Realloc(char *block, size_t size) {
    return static_cast<char *>(hak_gate_realloc(block, size, "realloc"));
}

inline hak_stats_t Stats() {
    hak_stats_t stats = {};
    stats.struct_bytes = sizeof stats;
    hak_gate_stats(&stats);
    return stats;
}

/* Sizes where the kind of block or the size class changes, and their neighbours. */
inline std::vector<size_t> BorderSizes() {
    std::set<size_t> sizes = {0};
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        sizes.insert({hak_sc_bytes[sc] - 1, hak_sc_bytes[sc], hak_sc_bytes[sc] + 1});
    }
    for (size_t bytes :
         {2 * (size_t)HAK_UNIT_BYTES, 9 * (size_t)HAK_UNIT_BYTES, kExtentMax, kHuge}) {
        sizes.insert({bytes - 1, bytes, bytes + 1});
    }
    return std::vector<size_t>(sizes.begin(), sizes.end());
}

/* Takes blocks of 1 to 60 KB until nothing but a free block of a slab serves a request of another
 * size; the kernel gives nothing more and takes nothing back until hak_os_fake_reset(). */
inline void FillSlots(std::vector<char *> *blocks) {
    hak_os_fake_fail(HAK_OS_CALL_MAP, 0, UINT64_MAX);
    hak_os_fake_fail(HAK_OS_CALL_PURGE, 0, UINT64_MAX);
    for (size_t size : {60000, 30000, 9000, 1000}) {
        while (char *block = Alloc(size)) {
            blocks->push_back(block);
        }
    }
}

class Gate : public ::testing::Test {
  protected:
    void SetUp() override {
        hak_os_fake_reset();
        hak_gate_init(environ);
        hak_store_rlx(&hak_option_values[HAK_OPTION_ON_ERROR], HAK_ON_ERROR_IGNORE);
        Settle();
        before_ = Stats();
    }
    void TearDown() override {
        hak_os_fake_reset();
        Settle();
        EXPECT_EQ(Stats().live_blocks, before_.live_blocks);
        EXPECT_EQ(hak_gate_check_heap(), 0u);
    }
    static void Settle() {
        hak_os_fake_advance_ms(60000);
        (void)hak_gate_trim(0);
    }
    static void ExpectInvalid(const void *pointer, hak_error_t error, const char *what) {
        hak_classified_t c;
        hak_gate_classify(pointer, &c);
        EXPECT_EQ(c.kind, HAK_KIND_INVALID) << what;
        EXPECT_EQ(c.error, error) << what;
        /* Every door reports it, once, and changes nothing. */
        uint64_t errors = hak_error_count();
        errno = 55;
        Free(const_cast<void *>(pointer));
        EXPECT_EQ(errno, 55) << what;
        EXPECT_EQ(hak_gate_usable(pointer, "usable"), 0u) << what;
        EXPECT_EQ(hak_gate_realloc(const_cast<void *>(pointer), 10, "realloc"), nullptr) << what;
        EXPECT_EQ(errno, EINVAL) << what;
        EXPECT_FALSE(hak_gate_check_sized(pointer, 1, 0, "free_sized")) << what;
        EXPECT_EQ(hak_error_count(), errors + 4) << what;
    }
    hak_stats_t before_;
};

#endif /* HAK_FRONT_GATE_GATE_FIXTURE_H_ */
