#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "interior_own", .what = "free of a pointer into a small block",
               .call = "free", .error = HAK_DEATH_INTERIOR, .names_block = true,
               .environment = "HAKMEM_CHECK=interior") {
    char *block = hak_test.malloc(96);
    hak_death_expect(block + 32, block, hak_test.usable_size(block));
    hak_test.free(block + 32);
}
