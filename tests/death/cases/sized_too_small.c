#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "sized_too_small",
               .what = "free_sized with a size that the block cannot have", .call = "free_sized",
               .error = HAK_DEATH_SIZE, .names_block = true) {
    void *block = hak_test.malloc(1000);
    hak_death_expect(block, block, hak_test.usable_size(block));
    hak_test.free_sized(block, 10);
}
