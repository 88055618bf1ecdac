#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "interior_large", .what = "free of a pointer into a large block",
               .call = "free", .error = HAK_DEATH_INTERIOR, .names_block = true) {
    char *block = hak_test.malloc(300000);
    hak_death_expect(block + 4096, block, hak_test.usable_size(block));
    hak_test.free(block + 4096);
}
