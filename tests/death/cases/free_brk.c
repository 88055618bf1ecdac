/* Where another allocator keeps its heap. */
#include <stdint.h>
#include <unistd.h>

#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "free_brk", .what = "free of memory from sbrk", .call = "free",
               .error = HAK_DEATH_WILD, .names_block = false) {
    void *foreign = sbrk(4096);
    hak_death_require((intptr_t)foreign != -1, "sbrk");
    hak_death_expect(foreign, NULL, 0);
    hak_test.free(foreign);
}
