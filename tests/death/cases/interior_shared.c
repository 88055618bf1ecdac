/* Of a class whose blocks a thread keeps whosever they are, once it allocates some itself. */
#include "tests/death/death.h"

static void *free_it(void *block) {
    hak_test.free(hak_test.malloc(256));
    hak_test.free(block);
    return NULL;
}

HAK_DEATH_CASE(.name = "interior_shared",
               .what = "free of a pointer into a block of 256 bytes of another thread",
               .call = "free", .error = HAK_DEATH_INTERIOR, .names_block = true,
               .environment = "HAKMEM_CHECK=interior") {
    char *block = hak_test.malloc(256);
    hak_death_expect(block + 64, block, hak_test.usable_size(block));
    hak_death_in_thread(free_it, block + 64);
}
