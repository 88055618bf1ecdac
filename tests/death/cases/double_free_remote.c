/* Both frees are remote; the block is in the open batch of the second thread. */
#include "tests/death/death.h"

static void *free_twice(void *block) {
    hak_test.free(block);
    hak_test.free(block);
    return NULL;
}

HAK_DEATH_CASE(.name = "double_free_remote", .what = "another thread frees a block twice",
               .call = "free", .error = HAK_DEATH_DOUBLE, .names_block = true) {
    void *block = hak_test.malloc(64);
    hak_death_expect(block, block, hak_test.usable_size(block));
    hak_death_in_thread(free_twice, block);
}
