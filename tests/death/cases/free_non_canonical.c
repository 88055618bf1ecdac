/* Looking it up in a map without a range check would fault. */
#include <stdint.h>

#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "free_non_canonical", .what = "free of an address that no process can have",
               .call = "free", .error = HAK_DEATH_WILD, .names_block = false) {
    void *volatile wild = (void *)(uintptr_t)0xdeadbeefdeadbeefu;
    hak_death_expect(wild, NULL, 0);
    hak_test.free(wild);
}
