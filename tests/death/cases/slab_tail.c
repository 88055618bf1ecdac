/* 65,536 is no multiple of 48: the last 16 bytes of the slab belong to no block. */
#include <stdint.h>

#include "tests/death/death.h"

HAK_DEATH_CASE(.name = "slab_tail", .what = "free of a pointer behind the last block of a slab",
               .call = "free", .error = HAK_DEATH_UNALLOCATED, .names_block = false,
               .environment = "HAKMEM_CHECK=interior") {
    char *block = hak_test.malloc(48);
    char *tail = (char *)((uintptr_t)block | 65535) - 15;
    hak_death_expect(tail, NULL, 0);
    hak_test.free(tail);
}
