/* service: a small store of words, written to by several threads, as an example of a program that
 * runs on hakmem without a change. Each worker makes records; a logger thread frees the lines they
 * send it, so blocks travel between threads. Then it forks and loads a library, as services do. */
#include "allocator.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4, REQUESTS = 20000, BUCKETS = 4096, QUEUE = 256 };

typedef struct record {
    struct record *next;
    size_t length;
    char text[];
} record_t;

typedef struct bucket {
    pthread_mutex_t lock;
    record_t *head;
} bucket_t;

static bucket_t store[BUCKETS];

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    char *lines[QUEUE];
    size_t count;
    size_t logged_bytes;
    bool closed;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .filled = PTHREAD_COND_INITIALIZER,
           .emptied = PTHREAD_COND_INITIALIZER};

static void *need(void *block) {
    if (block == NULL) {
        perror("service: out of memory");
        exit(1);
    }
    return block;
}

static void log_line(char *line) {
    pthread_mutex_lock(&queue.lock);
    while (queue.count == QUEUE) {
        pthread_cond_wait(&queue.emptied, &queue.lock);
    }
    queue.lines[queue.count++] = line;
    pthread_cond_signal(&queue.filled);
    pthread_mutex_unlock(&queue.lock);
}

static void *logger(void *unused) {
    (void)unused;
    char *taken[QUEUE];
    for (;;) {
        pthread_mutex_lock(&queue.lock);
        while (queue.count == 0 && !queue.closed) {
            pthread_cond_wait(&queue.filled, &queue.lock);
        }
        size_t count = queue.count;
        memcpy(taken, queue.lines, count * sizeof(taken[0]));
        queue.count = 0;
        bool done = queue.closed;
        pthread_cond_broadcast(&queue.emptied);
        pthread_mutex_unlock(&queue.lock);
        for (size_t i = 0; i < count; i++) {
            queue.logged_bytes += strlen(taken[i]);
            free(taken[i]);
        }
        if (done && count == 0) {
            return NULL;
        }
    }
}

static void put(unsigned key, unsigned worker) {
    size_t length = 16 + key % 500;
    record_t *record = need(malloc(sizeof(record_t) + length + 1));
    memset(record->text, 'a' + (int)(worker % 26), length);
    record->text[length] = '\0';
    record->length = length;
    bucket_t *bucket = &store[key % BUCKETS];
    pthread_mutex_lock(&bucket->lock);
    record->next = bucket->head;
    bucket->head = record;
    pthread_mutex_unlock(&bucket->lock);
}

static void *worker(void *argument) {
    unsigned number = *(unsigned *)argument;
    for (unsigned i = 0; i < REQUESTS; i++) {
        put(i * WORKERS + number, number);
        if (i % 4 == 0) {
            char *line = need(malloc(64));
            snprintf(line, 64, "worker %u request %u", number, i);
            log_line(line);
        }
    }
    return NULL;
}

/* Empties the store and returns the number of records that were whole. */
static size_t clear(void) {
    size_t whole = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        record_t *record = store[i].head;
        while (record != NULL) {
            record_t *next = record->next;
            whole += strlen(record->text) == record->length;
            free(record);
            record = next;
        }
        store[i].head = NULL;
    }
    return whole;
}

static bool child_works(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        /* The child owns a copy of the store: it must be able to free it and to allocate. */
        _exit(clear() == (size_t)WORKERS * REQUESTS && malloc(1 << 20) != NULL ? 0 : 1);
    }
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static bool loads_library(void) {
    void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    bool found = library != NULL && dlsym(library, "cos") != NULL;
    return found && dlclose(library) == 0;
}

int main(void) {
    pthread_t threads[WORKERS], log_thread;
    unsigned numbers[WORKERS];
    for (size_t i = 0; i < BUCKETS; i++) {
        pthread_mutex_init(&store[i].lock, NULL);
    }
    if (pthread_create(&log_thread, NULL, logger, NULL) != 0) {
        perror("service: thread");
        return 1;
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, worker, &numbers[i]) != 0) {
            perror("service: thread");
            return 1;
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_mutex_lock(&queue.lock);
    queue.closed = true;
    pthread_cond_signal(&queue.filled);
    pthread_mutex_unlock(&queue.lock);
    pthread_join(log_thread, NULL);

    bool child = child_works();
    bool library = loads_library();
    size_t whole = clear();
    printf("allocator: %s\n", allocator_name());
    printf("records: %zu, logged: %zu bytes, child: %s, dlopen: %s\n", whole, queue.logged_bytes,
           child ? "ok" : "failed", library ? "ok" : "failed");
    return child && library && whole == (size_t)WORKERS * REQUESTS ? 0 : 1;
}
