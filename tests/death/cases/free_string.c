#include <stdint.h>

#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "free_string", .what = "free of a string constant", .call = "free",
               .error = HAK_DEATH_WILD, .names_block = false) {
    void *text = (void *)(uintptr_t) "a constant that nobody allocated";
    hak_death_expect(text, NULL, 0);
    hak_test.free(text);
}
