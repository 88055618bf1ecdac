/* What free(&p->field) passes when p is NULL. */
#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "free_null_plus_8", .what = "free of a field of a NULL struct",
               .call = "free", .error = HAK_DEATH_WILD, .names_block = false) {
    void *volatile field = (void *)8;
    hak_death_expect(field, NULL, 0);
    hak_test.free(field);
}
