#include <stdint.h>

#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "sized_wrong_align",
               .what = "free_aligned_sized with an alignment that the block does not have",
               .call = "free_aligned_sized", .error = HAK_DEATH_ALIGNMENT, .names_block = true) {
    char *blocks[3]; /* of three in a row of 48 bytes each one is not aligned to 64 */
    char *block = NULL;
    for (int i = 0; i < 3; i++) {
        blocks[i] = hak_test.malloc(48);
        block = (uintptr_t)blocks[i] % 64 != 0 ? blocks[i] : block;
    }
    hak_death_require(block != NULL, "all blocks of 48 bytes are aligned to 64");
    hak_death_expect(block, block, hak_test.usable_size(block));
    hak_test.free_aligned_sized(block, 64, 48);
}
