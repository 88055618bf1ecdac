/* A small program for memory checkers: right by itself, so whatever a checker says is about hakmem.
 * */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *work(void *argument) {
    char *text = argument;
    unsigned long sum = 0;
    for (size_t bytes = 1; bytes < 300000; bytes = bytes * 3 + 1) {
        char *block = calloc(1, bytes);
        if (block == NULL) {
            return NULL;
        }
        block = realloc(block, bytes * 2);
        memset(block + bytes, text[0], bytes);
        sum += (unsigned char)block[bytes * 2 - 1];
        free(block);
    }
    free(text);
    return (void *)sum;
}

int main(void) {
    pthread_t threads[3];
    void *sum;
    for (int i = 0; i < 3; i++) {
        char *text = strdup("abc");
        if (text == NULL || pthread_create(&threads[i], NULL, work, text) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &sum);
        printf("%lu\n", (unsigned long)sum);
    }
    void *aligned = NULL;
    if (posix_memalign(&aligned, 4096, 100) == 0) {
        free(aligned);
    }
    return 0;
}
