#include "tests/death/death.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/stats.h"

static hak_death_case_t *first_case;

void hak_death_register(hak_death_case_t *one) {
    one->next = first_case;
    first_case = one;
}

const hak_death_case_t *hak_death_first(void) { return first_case; }

void hak_death_expect(const void *address, const void *block, size_t block_bytes) {
    char line[128];
    int length = snprintf(line, sizeof line, "%p %p %zu\n", address, block, block_bytes);
    hak_death_require(write(1, line, (size_t)length) == length, "stdout is closed");
}

void hak_death_require(bool condition, const char *message) {
    if (!condition) {
        fprintf(stderr, "the case itself failed: %s\n", message);
        _exit(3);
    }
}

void hak_death_in_thread(void *(*work)(void *), void *argument) {
    pthread_t thread;
    hak_death_require(pthread_create(&thread, NULL, work, argument) == 0, "no thread");
    hak_death_require(pthread_join(thread, NULL) == 0, "no join");
}

/* After a reported error the heap is as if the call had not been made. */
static void go_on(void) {
    void *blocks[500];
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < 500; i++) {
            size_t bytes = 16 + i * 50 * round;
            blocks[i] = hak_test.malloc(bytes);
            hak_death_require(blocks[i] != NULL, "malloc gave NULL after the error");
            memset(blocks[i], (int)i, bytes);
        }
        for (size_t i = 0; i < 500; i++) {
            hak_death_require(*(unsigned char *)blocks[i] == (unsigned char)i, "blocks overlap");
            hak_test.free(blocks[i]);
        }
    }
    hak_death_require(hak_check() == 0, "hak_check found faults after the error");
    hak_death_require(hak_test_stats().errors == 1, "errors counted: not 1");
}

int hak_death_run(const char *name) {
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* a core file per case would only cost time */
    for (hak_death_case_t *one = first_case; one != NULL; one = one->next) {
        if (strcmp(one->name, name) == 0) {
            one->misuse();
            go_on();
            return 0;
        }
    }
    fprintf(stderr, "no case %s\n", name);
    return 2;
}
