#include "tests/death/death.h"

static char global[64] __attribute__((aligned(16))) = "initialised";

HAK_DEATH_CASE(.name = "free_data", .what = "free of a global variable", .call = "free",
               .error = HAK_DEATH_WILD, .names_block = false) {
    hak_death_expect(global, NULL, 0);
    hak_test.free(global);
}
