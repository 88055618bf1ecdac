/* Its slab has several units, where the hit path cannot tell. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "interior_mid", .what = "free of a pointer into a block of 20,000 bytes",
               .call = "free", .error = HAK_DEATH_INTERIOR, .names_block = true,
               .environment = "HAKMEM_CHECK=interior") {
    char *block = hak_test.malloc(20000);
    hak_death_expect(block + 4096, block, hak_test.usable_size(block));
    hak_test.free(block + 4096);
}
