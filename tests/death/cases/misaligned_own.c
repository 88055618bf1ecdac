#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "misaligned_own", .what = "free of a pointer that is not aligned",
               .call = "free", .error = HAK_DEATH_INTERIOR, .names_block = true,
               .environment = "HAKMEM_CHECK=interior") {
    char *block = hak_test.malloc(96);
    hak_death_expect(block + 1, block, hak_test.usable_size(block));
    hak_test.free(block + 1);
}
