/* The block is the head of its thread-cache list. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "double_free_at_once", .what = "free twice in a row", .call = "free",
               .error = HAK_DEATH_DOUBLE, .names_block = true) {
    void *block = hak_test.malloc(64);
    hak_death_expect(block, block, hak_test.usable_size(block));
    hak_test.free(block);
    hak_test.free(block);
}
