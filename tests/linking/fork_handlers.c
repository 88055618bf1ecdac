/* A fork handler that was registered before any constructor ran, as those of libraries may be. It
 * takes a lock under which another thread allocates, and allocates itself: as common as it is
 * right, and a deadlock if the allocator's own handlers, which take all its locks, ran before. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = 100, BLOCKS = 200, SECONDS = 30 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_int stop;
static void *made;

static void prepare(void) {
    pthread_mutex_lock(&mutex);
    made = malloc(100000);
}

static void go_on(void) {
    free(made);
    pthread_mutex_unlock(&mutex);
}

static void register_early(int argc, char **argv, char **environment) {
    (void)argc;
    (void)argv;
    (void)environment;
    if (pthread_atfork(prepare, go_on, go_on) != 0) {
        _exit(2);
    }
}
__attribute__((section(".preinit_array"),
               used)) static void (*const before_all)(int, char **, char **) = register_early;

static void *allocate(void *unused) {
    while (!stop) {
        void *block[BLOCKS];
        pthread_mutex_lock(&mutex);
        for (size_t i = 0; i < BLOCKS; i++) {
            block[i] = malloc(100 + i * 400);
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            free(block[i]);
        }
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

int main(void) {
    pthread_t thread;
    alarm(SECONDS); /* a deadlock dies of it, in the child too */
    if (pthread_create(&thread, NULL, allocate, NULL) != 0) {
        return 3;
    }
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            alarm(SECONDS);
            free(malloc(5000));
            _exit(7);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 7) {
            return 4;
        }
    }
    stop = 1;
    pthread_join(thread, NULL);
    puts("all children came back");
    return 0;
}
