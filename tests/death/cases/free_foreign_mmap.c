#include <sys/mman.h>

#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "free_foreign_mmap", .what = "free of memory from mmap", .call = "free",
               .error = HAK_DEATH_WILD, .names_block = false) {
    void *foreign = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    hak_death_require(foreign != MAP_FAILED, "mmap");
    hak_death_expect(foreign, NULL, 0);
    hak_test.free(foreign);
}
