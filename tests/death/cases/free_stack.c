#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "free_stack", .what = "free of a local variable", .call = "free",
               .error = HAK_DEATH_WILD, .names_block = false) {
    char local[64] __attribute__((aligned(16))) = "on the stack";
    hak_death_expect(local, NULL, 0);
    hak_test.free(local);
}
