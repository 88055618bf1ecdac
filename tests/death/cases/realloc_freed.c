#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "realloc_freed", .what = "realloc of a freed block", .call = "realloc",
               .error = HAK_DEATH_DOUBLE, .names_block = true) {
    void *block = hak_test.malloc(64);
    hak_death_expect(block, block, hak_test.usable_size(block));
    hak_test.free(block);
    hak_death_require(hak_test.realloc(block, 1000) == NULL, "realloc gave a block");
}
