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

/* Unless neighbours in the same cache line may be in use by the thread that they came from. */
TEST(GateKeep, BlockOfAnotherThreadIsTheNextOneOfItsSize) {
    hak_os_fake_reset();
    hak_gate_init(environ);
    hak_store_rlx(&hak_option_values[HAK_OPTION_ON_ERROR], HAK_ON_ERROR_IGNORE);
    for (size_t size : {(size_t)24, (size_t)64, (size_t)80, (size_t)3000, (size_t)30000}) {
        char *own = Alloc(size);
        char *block = nullptr;
        hak_testing::RunThreads(1, [&](int) { block = Alloc(size); });
        uint64_t errors = hak_error_count();
        Free(block + 8);
        EXPECT_EQ(hak_error_count(), errors + 1) << "interior";
        Free(block);
        Free(block);
        EXPECT_EQ(hak_error_count(), errors + 2) << "twice";
        char *next = Alloc(size);
        EXPECT_EQ(next == block, size != 24 && size != 80) << size;
        Free(next);
        Free(own);
    }
    EXPECT_EQ(hak_gate_check_heap(), 0u);
}

} // namespace
