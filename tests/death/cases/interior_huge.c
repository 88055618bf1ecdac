#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "interior_huge", .what = "free of a pointer into a huge block",
               .call = "free", .error = HAK_DEATH_INTERIOR, .names_block = true) {
    char *block = hak_test.malloc(40 << 20);
    hak_death_expect(block + (33 << 20), block, hak_test.usable_size(block));
    hak_test.free(block + (33 << 20));
}
