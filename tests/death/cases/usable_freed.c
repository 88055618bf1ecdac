#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "usable_freed", .what = "malloc_usable_size of a freed block",
               .call = "malloc_usable_size", .error = HAK_DEATH_DOUBLE, .names_block = true) {
    void *block = hak_test.malloc(64);
    hak_death_expect(block, block, hak_test.usable_size(block));
    hak_test.free(block);
    hak_death_require(hak_test.usable_size(block) == 0, "a freed block has a usable size");
}
