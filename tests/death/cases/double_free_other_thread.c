/* The first free was remote: the block travels home in a batch or on a remote list. */
#include "tests/death/death.h"

static void *free_it(void *block) {
    hak_test.free(block);
    return NULL;
}

HAK_DEATH_CASE(.name = "double_free_other_thread",
               .what = "free of a block that another thread has freed", .call = "free",
               .error = HAK_DEATH_DOUBLE, .names_block = true) {
    void *block = hak_test.malloc(64);
    hak_death_expect(block, block, hak_test.usable_size(block));
    hak_death_in_thread(free_it, block);
    hak_test.free(block);
}
