/* Preloaded behind libhakmem.so: at the end of each process it writes one line to the file named by
 * HAK_WITNESS that says who served the process's memory:
 *
 *   pid PID program NAME libc_bytes N jemalloc_bytes N refilled N calls N version TEXT
 *
 * libc_bytes is what the C library's own malloc holds from the kernel, 0 if nobody ever called it;
 * refilled is the number of blocks that came out of hakmem's slabs, calls the number of malloc
 * calls
 * if the build counts them. Without HAK_WITNESS it does nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hakmem.h"

/* ISO C has no cast from an object to a function pointer. */
static void find(void *function, void *where, const char *name) {
    void *symbol = dlsym(where, name);
    memcpy(function, &symbol, sizeof symbol);
}

/* The next mallinfo2 behind this library is the C library's, for hakmem's stands before. */
static unsigned long long libc_bytes(void) {
    struct mallinfo2 (*info)(void) = NULL;
    find(&info, RTLD_NEXT, "mallinfo2");
    if (info == NULL) {
        return 0;
    }
    struct mallinfo2 i = info();
    return (unsigned long long)i.arena + i.hblkhd;
}

/* A program that is linked with jemalloc, as Debian's redis is, must not use it either. */
static unsigned long long jemalloc_bytes(void) {
    int (*ctl)(const char *, void *, size_t *, void *, size_t) = NULL;
    find(&ctl, RTLD_DEFAULT, "mallctl");
    size_t allocated = 0, bytes = sizeof allocated;
    uint64_t epoch = 1;
    if (ctl == NULL || ctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0 ||
        ctl("stats.allocated", &allocated, &bytes, NULL, 0) != 0) {
        return 0;
    }
    return allocated;
}

__attribute__((destructor)) static void testify(void) {
    const char *path = getenv("HAK_WITNESS");
    if (path == NULL) {
        return;
    }
    int (*get)(hak_stats_t *) = NULL;
    const char *(*version)(void) = NULL;
    find(&get, RTLD_DEFAULT, "hak_stats_get");
    find(&version, RTLD_DEFAULT, "hak_version");
    hak_stats_t stats = {.struct_bytes = sizeof stats, .malloc_calls = HAK_STAT_DISABLED};
    if (get != NULL) {
        (void)get(&stats);
    }
    char calls[24] = "disabled", line[400];
    if (stats.malloc_calls != HAK_STAT_DISABLED) {
        snprintf(calls, sizeof calls, "%llu", (unsigned long long)stats.malloc_calls);
    }
    int length = snprintf(line, sizeof line,
                          "pid %d program %s libc_bytes %llu jemalloc_bytes %llu refilled %llu "
                          "calls %s version %s\n",
                          (int)getpid(), program_invocation_short_name, libc_bytes(),
                          jemalloc_bytes(), (unsigned long long)stats.refill_blocks, calls,
                          version != NULL ? version() : "none");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)!write(fd, line, (size_t)length);
        close(fd);
    }
}
