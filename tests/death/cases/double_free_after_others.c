/* The block is in the middle of a thread-cache list: comparing with the head alone would miss it.
 * */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "double_free_after_others",
               .what = "free twice, with other frees of the size between", .call = "free",
               .error = HAK_DEATH_DOUBLE, .names_block = true) {
    void *blocks[20];
    for (int i = 0; i < 20; i++) {
        blocks[i] = hak_test.malloc(100);
    }
    hak_death_expect(blocks[3], blocks[3], hak_test.usable_size(blocks[3]));
    for (int i = 0; i < 20; i++) {
        hak_test.free(blocks[i]);
    }
    hak_test.free(blocks[3]);
}
