/* T-19: what a slow path costs must not depend on how many slabs there are.
 *
 *   work_bound LIVE_SLABS ROUNDS
 *
 * Fills LIVE_SLABS slabs with blocks that stay, half of them of the class that is measured, then
 * runs
 * rounds of allocating and freeing 2,000 blocks: refills, flushes, slabs that empty and come back.
 */
#include <stdio.h>
#include <stdlib.h>

static __attribute__((noinline)) void measured_rounds(void **blocks, size_t count,
                                                      unsigned long rounds) {
    for (unsigned long round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            blocks[i] = malloc(i % 2 == 0 ? 4096 : 64);
        }
        for (size_t i = 0; i < count; i++) {
            free(blocks[i]);
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: work_bound LIVE_SLABS ROUNDS\n");
        return 2;
    }
    unsigned long slabs = strtoul(argv[1], NULL, 10);
    /* 16 blocks of 4,096 bytes fill a slab of 64 KiB, 18 of 3,584 do. */
    for (unsigned long i = 0; i < slabs / 2; i++) {
        for (int n = 0; n < 16; n++) {
            if (malloc(4096) == NULL) {
                return 1;
            }
        }
        for (int n = 0; n < 18; n++) {
            if (malloc(3584) == NULL) {
                return 1;
            }
        }
    }
    static void *blocks[2000];
    measured_rounds(blocks, 2000, 3); /* the same warm-up for every number of slabs */
    measured_rounds(blocks, 2000, strtoul(argv[2], NULL, 10));
    return 0;
}
