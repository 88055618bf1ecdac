/* Blocks of other threads that stay with the thread that frees them. */
#include <gtest/gtest.h>
#include <unistd.h>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "core/errors/errors.h"
#include "core/options/options.h"
#include "front/gate/gate.h"

namespace {

char *Alloc(size_t size) { return static_cast<char *>(hak_gate_alloc_slow(size)); }
void Free(void *block) { hak_gate_free_slow(block, "free"); }

/* True if the thread gets the block of another thread that it freed as its next one. `in_bin`: it
 * has one of its own in its bin before. */
bool Keeps(size_t size, bool in_bin) {
    char *own = Alloc(size);
    char *block = nullptr;
    hak_testing::RunThreads(1, [&](int) { block = Alloc(size); });
    if (in_bin) {
        Free(Alloc(size));
    }
    uint64_t errors = hak_error_count();
    Free(block + 8);
    EXPECT_EQ(hak_error_count(), errors + 1) << "interior";
    Free(block);
    Free(block);
    EXPECT_EQ(hak_error_count(), errors + 2) << "twice";
    char *next = Alloc(size);
    bool kept = next == block;
    Free(next);
    Free(own);
    hak_gate_thread_flush();
    Free(nullptr); /* a batch of remote frees that is closed does not take it for a block */
    return kept;
}

TEST(GateKeep, BlockOfAnotherThreadIsTheNextOneOfItsSize) {
    hak_os_fake_reset();
    hak_gate_init(environ);
    hak_store_rlx(&hak_option_values[HAK_OPTION_ON_ERROR], HAK_ON_ERROR_IGNORE);
    /* the first refill of a class brings one block: the bin is empty after it */
    EXPECT_TRUE(Keeps(64, false));
    EXPECT_TRUE(Keeps(30000, false));
    EXPECT_TRUE(Keeps(3000, true));
    EXPECT_TRUE(Keeps(30000, true));
    EXPECT_TRUE(Keeps(64, true));
    EXPECT_FALSE(Keeps(24, false)) << "a neighbour may share its cache line";
    EXPECT_FALSE(Keeps(80, false));
    EXPECT_EQ(hak_gate_check_heap(), 0u);
}

} // namespace
