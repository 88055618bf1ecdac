#include "bench/latency/happened.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int statm = -1;

void hak_bench_happened_open(void) {
    if (statm < 0) {
        statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    }
}

static uint64_t read_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool hak_bench_state_read(hak_bench_state_t *state) {
    struct rusage usage;
    char text[128], *rest;

    state->wall_ns = read_ns(CLOCK_MONOTONIC);
    state->cpu_ns = read_ns(CLOCK_THREAD_CPUTIME_ID);
    ssize_t length = pread(statm, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    state->mapped_os_pages = strtoull(text, &rest, 10);
    state->resident_os_pages = strtoull(rest, NULL, 10);
    if (getrusage(RUSAGE_THREAD, &usage) != 0) {
        return false;
    }
    state->waits = (uint64_t)usage.ru_nvcsw;
    state->switches = state->waits + (uint64_t)usage.ru_nivcsw;
    state->faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
    return true;
}

hak_bench_happened_t hak_bench_happened(const hak_bench_state_t *from, const hak_bench_state_t *to,
                                        uint64_t ns) {
    enum { ROUGHLY_OS_PAGES = 128, STOLEN_NS = 20000, CLOCKS_DIFFER = 1000 };
    uint64_t wall = to->wall_ns - from->wall_ns;
    uint64_t cpu = to->cpu_ns - from->cpu_ns + wall / CLOCKS_DIFFER;
    uint64_t missing = wall > cpu ? wall - cpu : 0;

    return (hak_bench_happened_t){
        .switched = to->switches != from->switches,
        .stolen = missing >= STOLEN_NS && 2 * missing >= ns,
        .faulted = to->faults != from->faults,
        .mapped = to->mapped_os_pages != from->mapped_os_pages,
        .waited = to->waits != from->waits,
        .purged = to->resident_os_pages + ROUGHLY_OS_PAGES < from->resident_os_pages,
    };
}
