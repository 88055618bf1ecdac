/* More frees than a thread cache holds: the last ones went to the free list of their slab. Their
 * slab stays open, because the cache still holds blocks of the first ones. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "double_free_after_overflow",
               .what = "free twice, after the thread cache overflowed", .call = "free",
               .error = HAK_DEATH_DOUBLE, .names_block = true) {
    enum { COUNT = 5000 };
    static void *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = hak_test.malloc(80);
    }
    hak_death_expect(blocks[COUNT - 1], blocks[COUNT - 1], hak_test.usable_size(blocks[COUNT - 1]));
    for (int i = 0; i < COUNT; i++) {
        hak_test.free(blocks[i]);
    }
    hak_test.free(blocks[COUNT - 1]);
}
