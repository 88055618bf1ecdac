/* A realloc to no bytes is a free; the line names what the program called. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "realloc_wild_zero",
               .what = "realloc of a pointer that is no block, to 0 bytes", .call = "realloc",
               .error = HAK_DEATH_WILD) {
    int local = 0;
    void *volatile wild = &local;
    hak_death_expect(wild, NULL, 0);
    hak_death_require(hak_test.realloc(wild, 0) == NULL, "realloc gave a block");
}
