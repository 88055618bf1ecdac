#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "realloc_wild", .what = "realloc of a pointer that is no block",
               .call = "realloc", .error = HAK_DEATH_WILD, .names_block = false) {
    char local[64] __attribute__((aligned(16))) = "on the stack";
    hak_death_expect(local, NULL, 0);
    hak_death_require(hak_test.realloc(local, 1000) == NULL, "realloc gave a block");
}
