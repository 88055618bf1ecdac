/* A slab of 64 KiB holds 1,365 blocks of 48 bytes; they are made a few at a time, in address order.
 * */
#include <stdint.h>

#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "never_handed_out",
               .what = "free of a place in a slab where no block was made yet", .call = "free",
               .error = HAK_DEATH_UNALLOCATED, .names_block = true,
               .environment = "HAKMEM_CHECK=interior") {
    char *block = hak_test.malloc(48);
    char *far_away = (char *)(((uintptr_t)block & ~(uintptr_t)65535) + 48 * 1300);
    hak_death_expect(far_away, far_away, 48);
    hak_test.free(far_away);
}
