#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "realloc_interior", .what = "realloc of a pointer into a block",
               .call = "realloc", .error = HAK_DEATH_INTERIOR, .names_block = true) {
    char *block = hak_test.malloc(64);
    hak_death_expect(block + 16, block, hak_test.usable_size(block));
    hak_death_require(hak_test.realloc(block + 16, 1000) == NULL, "realloc gave a block");
}
