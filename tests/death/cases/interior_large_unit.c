/* The pointer looks like the start of a slab or run. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "interior_large_unit",
               .what = "free of a pointer into a large block, aligned to 64 KiB", .call = "free",
               .error = HAK_DEATH_INTERIOR, .names_block = true) {
    char *block = hak_test.malloc(300000);
    hak_death_expect(block + 131072, block, hak_test.usable_size(block));
    hak_test.free(block + 131072);
}
