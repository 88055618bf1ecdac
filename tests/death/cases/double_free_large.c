/* A run of slots in a superslab. Once freed, the run is gone: no block can be named. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "double_free_large", .what = "free twice of a large block", .call = "free",
               .error = HAK_DEATH_FREED, .names_block = false) {
    void *block = hak_test.malloc(200000);
    hak_death_expect(block, NULL, 0);
    hak_test.free(block);
    hak_test.free(block);
}
