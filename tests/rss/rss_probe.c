/* Programs for the RSS tests, one per word:
 *
 *   rss_probe empty            prints the process's resident KiB
 *   rss_probe spike CALLER     4 threads write and free 1 GiB in blocks of 16 B to 32 KiB and end;
 *                              prints the peak, then the resident KiB after at most 3 s. CALLER is
 *                              "caller" (a thread allocates 128 KiB every 100 ms), "refiller" (a
 *                              block that leads to one refill), "mover" (a buffer that grows to
 *                              8 KiB, as a server's answer does) or "idle"
 *   rss_probe spike_own        the same by the calling thread alone, which frees in random order
 *                              and goes on
 *   rss_probe spike_fork       the same without any call, in a child of fork
 *   rss_probe lock             mlockall, then allocates 16 MiB; prints resident KiB, or
 *                              "skipped: ..."
 *   rss_probe limited          fills and frees, then wants the same address space as one block
 *   rss_probe limited_data     fills with large blocks, frees all but a few, fills with small ones;
 *                              prints how many MiB of each there were
 *   rss_probe soak             T-42: replaces blocks of a steady set; prints mapped bytes at
 *                              checkpoints
 *   rss_probe huge             fills 100 MiB with small blocks, frees three quarters; prints how
 *                              many huge pages there were, and how much was resident when
 *   rss_probe registry         prints 1 if the registry is the flat map, else 0
 *
 * Exit status 0, or 1 with a message on stderr.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hakmem.h"
#include "tests/support/random.h"

static void fail(const char *what) {
    fprintf(stderr, "rss_probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A field of /proc/self/status in KiB. Allocates nothing, so that it changes nothing. */
static unsigned long status_kib(const char *field) {
    static char text[4096];
    FILE *file = fopen("/proc/self/status", "r");
    static char buffer[4096];
    if (file == NULL) {
        fail("/proc/self/status");
    }
    setvbuf(file, buffer, _IOFBF, sizeof buffer);
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    fclose(file);
    const char *at = strstr(text, field);
    return at != NULL ? strtoul(at + strlen(field), NULL, 10) : 0;
}

/* hakmem's statistics if hakmem is there; the probe also runs on other allocators. */
static int stats(hak_stats_t *out) {
    int (*get)(hak_stats_t *) = NULL;
    *(void **)&get = dlsym(RTLD_DEFAULT, "hak_stats_get");
    memset(out, 0, sizeof *out);
    out->struct_bytes = sizeof *out;
    return get == NULL ? -1 : get(out);
}

enum { THREADS = 4 };
static const size_t SPIKE_BYTES = (size_t)1 << 30;
static pthread_barrier_t full;

static size_t spike_size(hak_random_t *random) {
    /* As many bytes in small blocks as in large ones: a power of two between 16 and 32 KiB, and up.
     * */
    size_t base = (size_t)16 << hak_random_below(random, 11);
    return base + hak_random_below(random, base);
}

static void *spike_thread(void *argument) {
    hak_random_t random = {(uintptr_t)argument};
    void **list = NULL; /* each block's first word leads to the next */
    for (size_t total = 0; total < SPIKE_BYTES / THREADS;) {
        size_t bytes = spike_size(&random);
        void **block = malloc(bytes);
        if (block == NULL) {
            fail("malloc");
        }
        memset(block, 1, bytes);
        *block = list;
        list = block;
        total += bytes;
    }
    pthread_barrier_wait(&full);
    pthread_barrier_wait(&full); /* main reads the resident size between the two */
    while (list != NULL) {
        void **next = *list;
        free(list);
        list = next;
    }
    return NULL;
}

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void call_large(void) {
    void *volatile block = malloc(128 * 1024);
    free(block);
}

/* The first block of a size class that the thread has no other block of. From 1 KiB on each
 * doubling has eight. */
static void call_refill(void) {
    static unsigned calls;
    void *volatile kept = malloc(((size_t)9 + calls % 8) * 128 << calls / 8);
    if (kept == NULL) {
        fail("malloc");
    }
    calls++;
}

/* malloc, free and small moves stay on the hit path. */
static void call_moves(void) {
    void *volatile buffer = malloc(16);
    for (size_t bytes = 32; bytes <= 8 * 1024 && buffer != NULL; bytes *= 2) {
        buffer = realloc(buffer, bytes);
    }
    if (buffer == NULL) {
        fail("realloc");
    }
    free(buffer);
}

/* Waits until the resident size is small, at most 3 s, with a call every 100 ms that leaves the hit
 * path, or none. */
static void print_spike(unsigned long peak, void (*call)(void)) {
    unsigned long now = status_kib("VmRSS:");
    int ms = 0;
    for (; ms < 3000 && now >= 20 * 1024; ms += 100) {
        sleep_ms(100);
        if (call != NULL) {
            call();
        }
        now = status_kib("VmRSS:");
    }
    printf("peak_kib %lu end_kib %lu after_ms %d\n", peak, now, ms);
}

static void run_spike(void (*call)(void)) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&full, NULL, THREADS + 1);
    for (uintptr_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, spike_thread, (void *)(i + 1)) != 0) {
            fail("pthread_create");
        }
    }
    pthread_barrier_wait(&full);
    unsigned long peak = status_kib("VmRSS:");
    pthread_barrier_wait(&full);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    print_spike(peak, call);
}

/* What the thread keeps in its cache lies in slabs all over the spike. */
static void run_own_spike(void) {
    enum { MOST = 400000 };
    static void *blocks[MOST];
    hak_random_t random = {7};
    size_t count = 0;
    for (size_t total = 0; total < SPIKE_BYTES && count < MOST; count++) {
        size_t bytes = spike_size(&random);
        blocks[count] = malloc(bytes);
        if (blocks[count] == NULL) {
            fail("malloc");
        }
        memset(blocks[count], 1, bytes);
        total += bytes;
    }
    unsigned long peak = status_kib("VmRSS:");
    while (count != 0) {
        size_t i = hak_random_below(&random, count--);
        free(blocks[i]);
        blocks[i] = blocks[count];
    }
    print_spike(peak, call_large);
}

static void run_spike_in_child(void) {
    void *volatile first =
        malloc(100); /* whatever starts a background thread has run in the parent */
    free(first);
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) {
        fail("fork");
    }
    if (child == 0) {
        run_spike(NULL);
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) {
        fail("child");
    }
}

/* Accessible address space that mlockall would make resident. Adding it up first keeps a wrong
 * answer from filling the machine's memory. */
static unsigned long accessible_writable_kib(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    unsigned long kib = 0, start, end;
    char rights[8], line[512];
    if (file == NULL) {
        fail("/proc/self/maps");
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) == 3 && rights[1] == 'w') {
            kib += (end - start) >> 10;
        }
    }
    fclose(file);
    return kib;
}

static void run_lock(void) {
    void *volatile first = malloc(100);
    free(first);
    unsigned long writable = accessible_writable_kib();
    if (writable > 256 * 1024) {
        printf("writable_kib %lu would be locked\n", writable);
        exit(1);
    }
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        printf("skipped: mlockall: %s\n", strerror(errno));
        return;
    }
    for (int i = 0; i < 1024; i++) {
        char *block = malloc(16 * 1024);
        if (block == NULL) {
            fail("malloc of a locked process");
        }
        memset(block, 1, 16 * 1024);
    }
    printf("locked_kib %lu\n", status_kib("VmRSS:"));
}

enum { SOAK_BLOCKS = 20000, SOAK_POINTS = 20, SOAK_STEPS = 100000 };

static void run_soak(void) {
    static void *blocks[SOAK_BLOCKS];
    static unsigned long long mapped[SOAK_POINTS];
    hak_random_t random = {42};
    hak_stats_t s;
    for (int point = 0; point < SOAK_POINTS; point++) {
        for (int step = 0; step < SOAK_STEPS; step++) {
            void **place = &blocks[hak_random_below(&random, SOAK_BLOCKS)];
            free(*place);
            size_t bytes = 1 + hak_random_below(&random, step % 100 == 0 ? 60000 : 2000);
            *place = malloc(bytes);
            if (*place == NULL) {
                fail("malloc");
            }
            memset(*place, 1, bytes);
        }
        mapped[point] = stats(&s) == 0 ? s.mapped_bytes : 0;
    }
    for (int point = 0; point < SOAK_POINTS; point++) {
        printf("%llu ", mapped[point]);
    }
    printf("\n");
}

enum { LIMITED_BYTES = 100 << 20, LIMITED_BLOCK = 1000 };

/* Small blocks take most of the address space and go; then one large block needs as much. */
static void run_limited(void) {
    static void *blocks[LIMITED_BYTES / LIMITED_BLOCK];
    size_t count = sizeof blocks / sizeof blocks[0];
    hak_stats_t s;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(LIMITED_BLOCK);
        if (blocks[i] == NULL) {
            fail("malloc");
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(blocks[i]);
    }
    unsigned long long kept = stats(&s) == 0 ? s.lru_superslabs : 0;
    void *volatile large = malloc(LIMITED_BYTES);
    printf("kept %llu large %s\n", kept, large != NULL ? "yes" : "no");
    free(large);
}

enum { DATA_LARGE = 200, DATA_SMALL = 200 << 10, DATA_KEPT = 40 };

static void run_limited_data(void) {
    static void *large[DATA_LARGE], *small[DATA_SMALL];
    size_t larges = 0, smalls = 0;
    while (larges < DATA_LARGE && (large[larges] = malloc(1 << 20)) != NULL) {
        larges++;
    }
    for (size_t i = 0; i < larges; i++) {
        if (i % DATA_KEPT != DATA_KEPT - 1) {
            free(large[i]);
        }
    }
    while (smalls < DATA_SMALL && (small[smalls] = malloc(1 << 10)) != NULL) {
        smalls++;
    }
    printf("large %zu small %zu\n", larges, smalls >> 10);
}

enum { HUGE_BLOCK = 500, HUGE_BLOCKS = (100 << 20) / HUGE_BLOCK, HUGE_FREED = HUGE_BLOCKS / 4 * 3 };

/* Whether the kernel gives this process one of 2 MiB. */
static int has_huge_pages(void) {
    const size_t huge = (size_t)2 << 20;
    char *map = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *base = map + (huge - (uintptr_t)map % huge) % huge;
    unsigned char last = 0;
    if (map == MAP_FAILED || madvise(base, huge, MADV_HUGEPAGE) != 0) {
        return 0;
    }
    *base = 1;
    return mincore(base + huge - 4096, 1, &last) == 0 && (last & 1) != 0;
}

static void run_huge(void) {
    static unsigned char *blocks[HUGE_BLOCKS];
    hak_stats_t s;
    for (size_t i = 0; i < HUGE_BLOCKS; i++) {
        blocks[i] = malloc(HUGE_BLOCK);
        if (blocks[i] == NULL) {
            fail("malloc");
        }
        memset(blocks[i], (int)i, HUGE_BLOCK);
    }
    unsigned long full_kib = status_kib("RssAnon:");
    unsigned long long known = stats(&s) == 0 ? s.resident_max_bytes : 0;
    for (size_t i = 0; i < HUGE_FREED; i++) {
        free(blocks[i]);
    }
    unsigned long end_kib = full_kib;
    for (int ms = 0; ms < 3000 && end_kib >= full_kib / 3; ms += 100, sleep_ms(100)) {
        call_large();
        end_kib = status_kib("RssAnon:");
    }
    for (size_t i = HUGE_FREED; i < HUGE_BLOCKS; i++) {
        if (blocks[i][0] != (unsigned char)i || blocks[i][HUGE_BLOCK - 1] != (unsigned char)i) {
            fail("a live block lost its content");
        }
    }
    printf("touched %llu possible %d full_kib %lu known_kib %llu end_kib %lu\n",
           (unsigned long long)s.huge_touched, has_huge_pages(), full_kib, known >> 10, end_kib);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    hak_stats_t s;
    if (strcmp(what, "empty") == 0) {
        printf("%lu\n", status_kib("VmRSS:"));
    } else if (strcmp(what, "spike") == 0 && argc > 2) {
        run_spike(strcmp(argv[2], "caller") == 0     ? call_large
                  : strcmp(argv[2], "refiller") == 0 ? call_refill
                  : strcmp(argv[2], "mover") == 0    ? call_moves
                                                     : NULL);
    } else if (strcmp(what, "huge") == 0) {
        run_huge();
    } else if (strcmp(what, "spike_own") == 0) {
        run_own_spike();
    } else if (strcmp(what, "spike_fork") == 0) {
        run_spike_in_child();
    } else if (strcmp(what, "lock") == 0) {
        run_lock();
    } else if (strcmp(what, "limited_data") == 0) {
        run_limited_data();
    } else if (strcmp(what, "soak") == 0) {
        run_soak();
    } else if (strcmp(what, "limited") == 0) {
        run_limited();
    } else if (strcmp(what, "registry") == 0) {
        void *volatile block = malloc(100);
        free(block);
        printf("%d\n", stats(&s) == 0 ? (int)s.registry_flat : -1);
    } else {
        fprintf(stderr, "usage: rss_probe empty | spike caller|refiller|mover|idle | spike_own | "
                        "spike_fork | lock | soak | limited | limited_data | "
                        "registry\n");
        return 2;
    }
    return 0;
}
