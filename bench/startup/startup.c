/* startup: many short processes, one after the other. Each process is this program again, told to
 * allocate a little and to exit at once; what is preloaded into the first one is preloaded into
 * all, and one child that is not timed says so before the others start, and how large it became.
 *
 * posix_spawn and not fork: a fork would copy the page tables of this process, which is not what a
 * shell or a build tool makes its children pay. */
#include "bench/common/harness.h"
#include "bench/common/machine.h"
#include "bench/common/measure_inl.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { P_PROCESSES, P_BLOCKS, P_SEED };
enum { SMALLEST = 16, LARGEST = 4096, BLOCKS_MAX = 1000000, EXIT_CHECK_FAILED = 3 };

extern char **environ;

static const hak_bench_param_t params[] = {
    {"processes", "processes that each row starts", 1000, 20, 1, UINT64_C(1) << 32},
    {"blocks", "blocks that a process of startup_small allocates", 100, 100, 1, BLOCKS_MAX},
    {"seed", "of the sizes", 1, 1, 0, UINT64_MAX},
};

/* The first argument of a child; the harness knows no option of this name. */
static const char child_word[] = "--as-child";

/* The end of the child that is not timed. How much of it was resident it has to say itself: what
 * wait4 knows of a child begins with what its parent had at the exec. */
static int tell(char **argv) {
    uint64_t peak_rss_bytes = hak_bench_peak_rss_bytes();
    hak_bench_server_t server;

    hak_bench_server_get(&server);
    ssize_t told = write(atoi(argv[5]), &peak_rss_bytes, sizeof peak_rss_bytes);
    bool served = strcmp(server.malloc_path, argv[4]) == 0;
    return served && told == sizeof peak_rss_bytes ? 0 : EXIT_CHECK_FAILED;
}

/* The child: `blocks` blocks live at one time, then all freed, as a small tool does. */
static int child_main(char **argv) {
    uint64_t blocks = strtoull(argv[2], NULL, 10);
    hak_bench_rng_t rng = hak_bench_rng(strtoull(argv[3], NULL, 10));

    if (blocks > BLOCKS_MAX) {
        return EXIT_CHECK_FAILED;
    }
    unsigned char **block = hak_bench_map((blocks + 1) * sizeof *block);
    for (uint64_t i = 0; i < blocks; i++) {
        size_t size = hak_bench_log_size(&rng, SMALLEST, LARGEST);
        block[i] = hak_bench_take(size, (unsigned char)i);
        block[i][size - 1] = (unsigned char)i;
    }
    for (uint64_t i = 0; i < blocks; i++) {
        hak_bench_give(block[i], (unsigned char)i);
    }
    return argv[4] != NULL ? tell(argv) : 0;
}

typedef struct {
    uint64_t faults;
    uint64_t cpu_us;
} cost_t;

static void run_child(char **argv, cost_t *cost) {
    struct rusage usage;
    pid_t pid;
    int status;

    int error = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ);
    if (error != 0) {
        hak_bench_fail("posix_spawn of this program: %s", strerror(error));
    }
    while (wait4(pid, &status, 0, &usage) != pid) {
        if (errno != EINTR) {
            hak_bench_fail("wait4: %s", strerror(errno));
        }
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        hak_bench_fail("a child ended with wait status %#x", (unsigned)status);
    }
    cost->faults += (uint64_t)usage.ru_minflt;
    cost->cpu_us += (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                    (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Runs the child that is not timed; returns the peak of its resident memory. */
static uint64_t ask_child(char **argv) {
    uint64_t peak_rss_bytes = 0;
    char write_end[24];
    cost_t cost = {0};
    int end[2];

    if (pipe(end) != 0) {
        hak_bench_fail("pipe: %s", strerror(errno));
    }
    snprintf(write_end, sizeof write_end, "%d", end[1]);
    argv[5] = write_end;
    run_child(argv, &cost);
    argv[5] = NULL;
    if (read(end[0], &peak_rss_bytes, sizeof peak_rss_bytes) != sizeof peak_rss_bytes) {
        hak_bench_fail("a child did not say how much of it was resident");
    }
    close(end[0]);
    close(end[1]);
    return peak_rss_bytes;
}

/* arg: 1 if the child allocates */
static void run_startup(const hak_bench_row_t *row, hak_bench_run_t *run) {
    uint64_t processes = run->param[P_PROCESSES];
    char name[] = "startup", word[sizeof child_word], blocks[24], seed[24];
    hak_bench_server_t server;
    char *argv[] = {name, word, blocks, seed, server.malloc_path, NULL, NULL};
    cost_t cost = {0};

    memcpy(word, child_word, sizeof child_word);
    snprintf(blocks, sizeof blocks, "%llu",
             (unsigned long long)(row->arg[0] != 0 ? run->param[P_BLOCKS] : 0));
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)run->param[P_SEED]);
    hak_bench_server_get(&server);
    hak_bench_note(run, "child_peak_rss_bytes", ask_child(argv));
    argv[4] = NULL;
    double begin = hak_bench_now();
    for (uint64_t n = 0; n < processes; n++) {
        run_child(argv, &cost);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = processes;
    hak_bench_note(run, "child_faults_count", cost.faults / processes);
    hak_bench_note(run, "child_cpu_us", cost.cpu_us / processes);
}

static uint64_t child_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    uint64_t blocks = row->arg[0] != 0 ? param[P_BLOCKS] : 0;
    return blocks * hak_bench_log_size_mean(SMALLEST, LARGEST);
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"startup_empty", "processes that allocate nothing", run_startup, child_bytes, {0}},
        {"startup_small",
         "processes that allocate blocks of 16 B to 4 KiB and free them",
         run_startup,
         child_bytes,
         {1}},
    };
    static const hak_bench_program_t program = {
        .name = "startup",
        .summary = "Short processes, one after the other. An operation is a whole process.",
        .rounds = 3,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    if (argc >= 4 && strcmp(argv[1], child_word) == 0) {
        return child_main(argv);
    }
    return hak_bench_main(&program, argc, argv);
}
