/* late_threads: has each thread but the first come two seconds late to a barrier. What a benchmark
 * says of its threads must not contain the time that they took to come. */
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int pthread_barrier_wait(pthread_barrier_t *barrier) {
    int (*wait)(pthread_barrier_t *);
    void *symbol = dlsym(RTLD_NEXT, "pthread_barrier_wait");

    memcpy(&wait, &symbol, sizeof wait);
    if (syscall(SYS_gettid) != getpid()) {
        sleep(2);
    }
    return wait(barrier);
}
