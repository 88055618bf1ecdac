/* What the fast-path test measures: calls of malloc and free, each kind through a function of its
 * own, so that callgrind gives the cost of the calls from there.
 *
 *   hit_loop pair  N SIZE   N times malloc, free of the one block
 *   hit_loop new   N SIZE   the same with operator new and operator delete
 *   hit_loop aligned N SIZE the same, aligned to 64 bytes
 *   hit_loop burst N SIZE   N rounds of 10,000 mallocs, then 10,000 frees: more than a thread cache
 *                           holds, so refills and flushes count
 *   hit_loop fresh N SIZE   N mallocs whose blocks stay
 *   hit_loop size  N SIZE   N times malloc_usable_size and a realloc that fits, of one block
 *   hit_loop null  N SIZE   N frees of NULL
 *
 * Prints which registry the run used. It needs no hakmem to run: without, it prints "no hakmem".
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hakmem.h"

/* The barrier keeps the call from becoming a jump, which callgrind would not see as a call. */
static __attribute__((noinline)) void *measured_malloc(size_t size) {
    void *block = malloc(size);
    __asm__ volatile("" : "+r"(block));
    return block;
}

static __attribute__((noinline)) void measured_free(void *block) {
    free(block);
    __asm__ volatile("" ::: "memory");
}

/* C++'s operators, which this program, in C, has to look up. */
static void *(*operator_new)(size_t);
static void (*operator_delete)(void *);
static void *(*operator_new_aligned)(size_t, size_t);

static void *find(const char *name) {
    void *symbol = dlsym(RTLD_DEFAULT, name);
    if (symbol == NULL) {
        fprintf(stderr, "hit_loop: no %s\n", name);
        exit(1);
    }
    return symbol;
}

static void find_operators(void) {
    void *symbol = find("_Znwm");
    /* ISO C has no cast from an object to a function pointer. */
    memcpy(&operator_new, &symbol, sizeof operator_new);
    symbol = find("_ZdlPv");
    memcpy(&operator_delete, &symbol, sizeof operator_delete);
    symbol = find("_ZnwmSt11align_val_t");
    memcpy(&operator_new_aligned, &symbol, sizeof operator_new_aligned);
}

static __attribute__((noinline)) void *measured_new(size_t size) {
    void *block = operator_new(size);
    __asm__ volatile("" : "+r"(block));
    return block;
}

static __attribute__((noinline)) void *measured_new_aligned(size_t size) {
    void *block = operator_new_aligned(size, 64);
    __asm__ volatile("" : "+r"(block));
    return block;
}

static __attribute__((noinline)) void measured_delete(void *block) {
    operator_delete(block);
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) size_t measured_usable(void *block) {
    size_t bytes = malloc_usable_size(block);
    __asm__ volatile("" : "+r"(bytes));
    return bytes;
}

static __attribute__((noinline)) void *measured_realloc(void *block, size_t size) {
    block = realloc(block, size);
    __asm__ volatile("" : "+r"(block));
    return block;
}

static void run_size(unsigned long count, size_t size) {
    void *block = measured_malloc(size);
    for (unsigned long i = 0; i < count; i++) {
        block = measured_realloc(block, measured_usable(block));
    }
    measured_free(block);
}

enum { BURST = 10000 };

static void run_burst(size_t size) {
    static void *blocks[BURST];
    for (int i = 0; i < BURST; i++) {
        blocks[i] = measured_malloc(size);
    }
    for (int i = 0; i < BURST; i++) {
        measured_free(blocks[i]);
    }
}

static void print_registry(void) {
    int (*get)(hak_stats_t *) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "hak_stats_get");
    if (symbol == NULL) {
        puts("no hakmem");
        return;
    }
    memcpy(&get, &symbol, sizeof get);
    hak_stats_t stats = {.struct_bytes = sizeof stats};
    if (get(&stats) != 0) {
        puts("no statistics");
        return;
    }
    printf("registry_flat %llu\n", (unsigned long long)stats.registry_flat);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: hit_loop pair|new|aligned|burst|fresh|size|null N SIZE\n");
        return 2;
    }
    unsigned long count = strtoul(argv[2], NULL, 10);
    size_t size = strtoul(argv[3], NULL, 10);
    /* Warm-up, the same for every N: the first calls set up the thread's heap and its list.
     * No large bursts before single pairs: what they leave behind is purged after some time, not
     * after some number of calls, and would blur the count. */
    for (int i = 0; i < 100; i++) {
        measured_free(measured_malloc(size));
    }
    if (strcmp(argv[1], "burst") == 0) {
        run_burst(size);
    }
    find_operators();
    if (strcmp(argv[1], "size") == 0) {
        run_size(count, size);
        count = 0;
    }
    for (unsigned long i = 0; i < count; i++) {
        if (strcmp(argv[1], "pair") == 0) {
            measured_free(measured_malloc(size));
        } else if (strcmp(argv[1], "new") == 0) {
            measured_delete(measured_new(size));
        } else if (strcmp(argv[1], "aligned") == 0) {
            measured_delete(measured_new_aligned(size));
        } else if (strcmp(argv[1], "burst") == 0) {
            run_burst(size);
        } else if (strcmp(argv[1], "null") == 0) {
            measured_free(NULL);
        } else if (measured_malloc(size) == NULL) {
            return 1;
        }
    }
    print_registry();
    return 0;
}
