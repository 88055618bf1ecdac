/* mf2_verify: what MF2 itself knows about its pages, as four numbers: how many there are, how many
 * do not stand at a multiple of 64 KiB, how many addresses lead elsewhere, and how many of all the
 * registry finds. Fills pages of every class from several threads, in an address space with holes.
 * Exits with 1 unless the last three are 0, 0 and 100 %. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "hakmem.h"

enum { THREADS = 4, BLOCKS = 4000, CLASSES = 5, LEAST_BYTES = 2048, SKEW_BYTES = 4096 };

static void *block_of[THREADS][BLOCKS];

static void *fill(void *table) {
    void **block = table;
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (i % 64 == 0) {
            /* stays mapped: plain mappings then no longer begin where they did */
            (void)mmap(NULL, SKEW_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        }
        block[i] = hak_malloc((size_t)LEAST_BYTES << i % CLASSES);
        if (block[i] == NULL) {
            perror("mf2_verify: hak_malloc");
            exit(2);
        }
    }
    return NULL;
}

int main(void) {
    pthread_t thread[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        if (pthread_create(&thread[i], NULL, fill, block_of[i]) != 0) {
            perror("mf2_verify: pthread_create");
            return 2;
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(thread[i], NULL);
    }
    hak_stats_t stats = {.struct_bytes = sizeof stats};
    if (hak_stats_get(&stats) != 0 || stats.mf2_pages_allocated == HAK_STAT_DISABLED) {
        (void)fprintf(stderr, "mf2_verify: %s has no MF2\n", hak_version());
        return 2;
    }
    (void)printf(
        "pages %llu\nalignment bugs %llu\nregistry collisions %llu\nlookup success %llu %%\n",
        (unsigned long long)stats.mf2_pages_allocated, (unsigned long long)stats.mf2_alignment_bugs,
        (unsigned long long)stats.mf2_registry_collisions,
        (unsigned long long)stats.mf2_lookup_success_percent);
    for (unsigned i = 0; i < THREADS * BLOCKS; i++) {
        hak_free(block_of[i % THREADS][i / THREADS]);
    }
    return stats.mf2_alignment_bugs != 0 || stats.mf2_registry_collisions != 0 ||
           stats.mf2_lookup_success_percent != 100 || hak_check() != 0;
}
