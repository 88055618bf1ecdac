#include "tests/death/death.h"

static void *free_it(void *block) {
    hak_test.free(block);
    return NULL;
}

HAK_DEATH_CASE(.name = "interior_other_thread",
               .what = "free of a pointer into a small block of another thread", .call = "free",
               .error = HAK_DEATH_INTERIOR, .names_block = true) {
    char *block = hak_test.malloc(96);
    hak_death_expect(block + 16, block, hak_test.usable_size(block));
    hak_death_in_thread(free_it, block + 16);
}
