/* A load under which the learner raises the cap of 32 KiB: 240 blocks come and go. Ends when it has
 * decided a few times, or after a while. */
#include <hakmem.h>
#include <stdlib.h>
#include <time.h>

enum { BLOCKS = 240, BYTES = 32768, DECISIONS = 5, ROUNDS = 200000 };

int main(void) {
    static void *block[BLOCKS];
    hak_stats_t stats = {.struct_bytes = sizeof stats};
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            block[i] = malloc(BYTES);
            if (block[i] == NULL) {
                return 1;
            }
        }
        for (int i = 0; i < BLOCKS; i++) {
            free(block[i]);
        }
        if (round % 20 == 0 && hak_stats_get(&stats) == 0 &&
            stats.learn_cap_raises + stats.learn_cap_cuts >= DECISIONS) {
            return 0;
        }
    }
    return 1;
}
