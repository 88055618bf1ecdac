/* machine: reads small files with open and read into a buffer on the stack. stdio would allocate
 * its buffer from the allocator under test, in the middle of a measurement. */
#include "bench/common/machine.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Returns the length read, 0 on any failure; `text` is always terminated. */
static size_t read_file(const char *path, char *text, size_t bytes) {
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t got;
        while (length + 1 < bytes && (got = read(fd, text + length, bytes - 1 - length)) > 0) {
            length += (size_t)got;
        }
        close(fd);
    }
    text[length] = '\0';
    return length;
}

void hak_bench_object_of(const char *symbol, char *path, size_t bytes) {
    void *address = dlsym(RTLD_DEFAULT, symbol);
    char resolved[PATH_MAX];
    Dl_info info;

    if (address == NULL || dladdr(address, &info) == 0 || info.dli_fname == NULL) {
        snprintf(path, bytes, "unknown");
        return;
    }
    /* realpath with a caller's buffer does not allocate. A relative name of the main program stays
     * as it is if the working directory has changed since. */
    const char *name = realpath(info.dli_fname, resolved) != NULL ? resolved : info.dli_fname;
    snprintf(path, bytes, "%.*s", (int)bytes - 1, name);
}

static void name_of(const char *path, char *name, size_t bytes) {
    static const struct {
        const char *part;
        const char *name;
    } known[] = {
        {"libc.so", "glibc"},           {"libc-", "glibc"},
        {"ld-musl", "musl"},            {"libmimalloc", "mimalloc"},
        {"libjemalloc", "jemalloc"},    {"libtcmalloc", "tcmalloc"},
        {"libtbbmalloc", "tbbmalloc"},  {"libsnmalloc", "snmalloc"},
        {"librpmalloc", "rpmalloc"},    {"libasan", "AddressSanitizer"},
        {"libtsan", "ThreadSanitizer"}, {"vgpreload", "valgrind"},
    };
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncmp(base, known[i].part, strlen(known[i].part)) == 0) {
            snprintf(name, bytes, "%s", known[i].name);
            return;
        }
    }
    snprintf(name, bytes, "%.*s", (int)bytes - 1, base);
}

/* Asks the library itself, if it is hakmem and if it is the one that serves malloc: a second copy
 * that is loaded but does not serve must not lend its name to the figures. */
static void ask_hakmem(hak_bench_server_t *server) {
    char path[HAK_BENCH_PATH_BYTES];
    const char *(*version)(void);
    void *symbol = dlsym(RTLD_DEFAULT, "hak_version");

    if (symbol == NULL) {
        return;
    }
    hak_bench_object_of("hak_version", path, sizeof path);
    if (strcmp(path, server->malloc_path) != 0) {
        return;
    }
    /* ISO C has no cast from an object to a function pointer; POSIX promises that this works. */
    memcpy(&version, &symbol, sizeof version);
    snprintf(server->version, sizeof server->version, "%s", version());
    snprintf(server->name, sizeof server->name, "hakmem");
    const char *open = strrchr(server->version, '(');
    const char *close = open != NULL ? strchr(open, ')') : NULL;
    if (close != NULL) {
        int length = (int)(close - open - 1);
        snprintf(server->variant, sizeof server->variant, "%.*s", length, open + 1);
    }
}

void hak_bench_server_get(hak_bench_server_t *server) {
    memset(server, 0, sizeof *server);
    hak_bench_object_of("malloc", server->malloc_path, sizeof server->malloc_path);
    hak_bench_object_of("free", server->free_path, sizeof server->free_path);
    server->split = strcmp(server->malloc_path, server->free_path) != 0;
    name_of(server->malloc_path, server->name, sizeof server->name);
    ask_hakmem(server);
}

/* sysfs first: sysconf answers 0 on most aarch64 kernels and on some virtual machines. */
uint64_t hak_bench_l3_bytes(void) {
    uint64_t best = 0;
    unsigned long best_level = 0;

    for (int i = 0; i < 16; i++) {
        char path[96];
        char text[64];
        char *unit;

        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        if (read_file(path, text, sizeof text) == 0) {
            break;
        }
        unsigned long level = strtoul(text, NULL, 10);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        if (level < best_level || read_file(path, text, sizeof text) == 0) {
            continue;
        }
        uint64_t size = strtoull(text, &unit, 10);
        best = size * (*unit == 'K' ? 1024u : *unit == 'M' ? 1024u * 1024u : 1u);
        best_level = level;
    }
    if (best == 0) {
        long size = sysconf(_SC_LEVEL3_CACHE_SIZE);
        best = size > 0 ? (uint64_t)size : 0;
    }
    return best;
}

unsigned hak_bench_cpu_count(void) {
    cpu_set_t set;

    /* Fails on machines with more CPUs than a cpu_set_t holds. */
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return (unsigned)CPU_COUNT(&set);
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

uint64_t hak_bench_rss_bytes(void) {
    char text[128];
    char *end;

    if (read_file("/proc/self/statm", text, sizeof text) == 0) {
        return 0;
    }
    (void)strtoull(text, &end, 10); /* the first field is address space */
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* VmHWM begins anew at execve; ru_maxrss also remembers what the process was before it, such as
 * the Python driver that forked it, so it is only the second choice. */
uint64_t hak_bench_peak_rss_bytes(void) {
    char text[4096];
    struct rusage usage;
    uint64_t now = hak_bench_rss_bytes();
    uint64_t peak = 0;

    read_file("/proc/self/status", text, sizeof text);
    const char *line = strstr(text, "VmHWM:");
    if (line != NULL) {
        peak = strtoull(line + strlen("VmHWM:"), NULL, 10) * 1024;
    } else if (getrusage(RUSAGE_SELF, &usage) == 0) {
        peak = (uint64_t)usage.ru_maxrss * 1024;
    }
    return peak > now ? peak : now; /* the two are counted at different moments */
}
