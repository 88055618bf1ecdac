/* A mapping of its own, which is kept for a while. No block can be named. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "double_free_huge", .what = "free twice of a huge block", .call = "free",
               .error = HAK_DEATH_FREED, .names_block = false) {
    void *block = hak_test.malloc(40 << 20);
    hak_death_expect(block, NULL, 0);
    hak_test.free(block);
    hak_test.free(block);
}
