/* What was unmapped may be anybody's. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "double_free_huge_gone",
               .what = "free twice of a huge block that has gone back to the kernel",
               .call = "free", .error = HAK_DEATH_WILD, .names_block = false,
               .environment = "HAKMEM_HUGE_CACHE_MB=0") {
    void *block = hak_test.malloc(40 << 20);
    hak_death_expect(block, NULL, 0);
    hak_test.free(block);
    hak_test.free(block);
}
