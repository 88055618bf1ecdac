#include "tests/death/death.h"

static char global[64] __attribute__((aligned(16)));

HAK_DEATH_CASE(.name = "usable_wild", .what = "malloc_usable_size of a pointer that is no block",
               .call = "malloc_usable_size", .error = HAK_DEATH_WILD, .names_block = false) {
    hak_death_expect(global, NULL, 0);
    hak_death_require(hak_test.usable_size(global) == 0, "a global variable has a usable size");
}
