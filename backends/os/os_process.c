/* What else os.h asks of Linux: limits, barriers, waiting, time, output. */
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "backends/os/os.h"
#include "backends/os/os_internal.h"
#include "base/bits.h"

/* An address space limit below this leaves no room for the flat map and a heap beside it. */
static const uint64_t hak_address_space_min_bytes = 1ull << 36;
/* Defaults of RLIMIT_MEMLOCK are at most this, or an eighth of the machine's memory: 64 KiB or 8
 * MiB of the kernel, and what systemd gives itself and in some versions lets others inherit
 * (bump_rlimit_memlock). A finite higher value was set by someone who means to lock. */
static const uint64_t hak_memlock_default_max_bytes = 64ull << 20;
enum { HAK_MEMLOCK_DEFAULT_PART = 8 };

bool hak_os_address_space_is_free(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < hak_address_space_min_bytes) {
        return false;
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur <= hak_memlock_default_max_bytes) {
        return true;
    }
    struct sysinfo machine;
    if (sysinfo(&machine) != 0) {
        return false;
    }
    uint64_t memory = (uint64_t)machine.totalram * machine.mem_unit;
    return limit.rlim_cur <= memory / HAK_MEMLOCK_DEFAULT_PART;
}

char **hak_os_environment(char **passed) {
#ifdef __GLIBC__
    return environ != NULL ? environ : passed;
#else
    (void)passed;
    return environ;
#endif
}

static bool hak_membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0) == 0; }

bool hak_os_barrier_register(void) {
    int saved = errno;
    bool done = HAK_ALLOWED(HAK_OS_CALL_BARRIER) &&
                hak_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    errno = saved;
    return done;
}

/* EPERM: the process is not registered, should a kernel not pass that on to the child of a fork; or
 * a filter says so. */
bool hak_os_barrier(void) {
    int saved = errno;
    bool done =
        HAK_ALLOWED(HAK_OS_CALL_BARRIER) && (hak_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
                                             (errno == EPERM && hak_os_barrier_register() &&
                                              hak_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)));
    errno = saved;
    return done;
}

void hak_os_wait(const uint32_t *word, uint32_t seen, int timeout_ms) {
    int saved = errno;
    struct timespec timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000L};
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, timeout_ms < 0 ? NULL : &timeout, NULL,
                  0);
    errno = saved;
}

void hak_os_wake(const uint32_t *word, int count) {
    int saved = errno;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = saved;
}

void hak_os_yield(void) { (void)sched_yield(); }

uint64_t hak_os_now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* a valid clock and pointer: cannot fail */
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u + HAK_CLOCK_OFFSET_MS();
}

uint64_t hak_os_thread_us(void) {
    struct timespec now = {0};
    int saved = errno;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* a filter may forbid it: no time passes */
    errno = saved;
    return HAK_THREAD_US((uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
}

uint64_t hak_os_random(void) {
    uint64_t seed = 0;
    /* 16 bytes that the kernel made for this process */
    const void *random = (const void *)getauxval(AT_RANDOM);
    if (random != NULL) {
        memcpy(&seed, random, sizeof seed);
    }
    return hak_mix64(seed ^ (uintptr_t)&seed);
}

uint32_t hak_os_pid(void) { return (uint32_t)getpid(); }

bool hak_os_is_secure(void) { return getauxval(AT_SECURE) != 0; }

bool hak_os_write(int fd, const char *text, size_t bytes) {
    while (bytes != 0) {
        /* not write(), at which a thread may be cancelled: free is no such point */
        long n = syscall(SYS_write, fd, text, bytes);
        if (n > 0) {
            text += n;
            bytes -= (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}
