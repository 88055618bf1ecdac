/* The block is on the free list of its slab. */
#include "tests/death/death.h"

#include "hakmem.h"

HAK_DEATH_CASE(.name = "double_free_after_flush",
               .what = "free twice, after the thread cache was flushed", .call = "free",
               .error = HAK_DEATH_DOUBLE, .names_block = true) {
    void *held = hak_test.malloc(200); /* keeps the slab open */
    void *block = hak_test.malloc(200);
    hak_death_require(held != NULL, "malloc");
    hak_death_expect(block, block, hak_test.usable_size(block));
    hak_test.free(block);
    hak_thread_flush();
    hak_test.free(block);
}
