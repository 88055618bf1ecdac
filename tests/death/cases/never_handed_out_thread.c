#include <stdint.h>

#include "tests/death/death.h"

static void *free_it(void *block) {
    hak_test.free(block);
    return NULL;
}

HAK_DEATH_CASE(.name = "never_handed_out_thread", .what = "free of such a place by another thread",
               .call = "free", .error = HAK_DEATH_UNALLOCATED, .names_block = true) {
    char *block = hak_test.malloc(48);
    char *far_away = (char *)(((uintptr_t)block & ~(uintptr_t)65535) + 48 * 1300);
    hak_death_expect(far_away, far_away, 48);
    hak_death_in_thread(free_it, far_away);
}
