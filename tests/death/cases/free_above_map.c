/* One past the last entry of the flat map. */
#include <stdint.h>

#include "tests/death/death.h"

#ifdef __aarch64__
enum { ARM64 = 1 };
#else
enum { ARM64 = 0 };
#endif

HAK_DEATH_CASE(.name = "free_above_map", .what = "free of an address just above the user addresses",
               .call = "free", .error = HAK_DEATH_WILD, .names_block = false) {
    int bits = sizeof(void *) == 8 ? (ARM64 ? 48 : 47) : 31;
    void *volatile wild = (void *)(((uintptr_t)1 << bits) + 4096);
    hak_death_expect(wild, NULL, 0);
    hak_test.free(wild);
}
