/* spike: threads write `mib` MiB in small and mid blocks, free all and exit. Then the first thread
 * watches how much stays resident, with one pair of calls off the hit path every `tick-ms`.
 *
 * The blocks of a thread form a list through their own first words: a table of pointers would be
 * resident too, and it would be the program's. */
#include "bench/common/harness.h"
#include "bench/common/machine.h"
#include "bench/common/measure_inl.h"

#include <pthread.h>
#include <string.h>

enum { P_MIB, P_THREADS, P_MIN, P_MAX, P_TICK, P_WATCH, P_GOAL, P_SEED };
enum { TICK_SIZE = 128 * 1024, MARK = 0x5a };

static const hak_bench_param_t params[] = {
    {"mib", "MiB to allocate and write", 1024, 64, 1, UINT64_C(1) << 24},
    {"threads", "threads that share the work", 4, 2, 1, 1024},
    {"min", "smallest size in bytes", 16, 16, 16, UINT64_C(1) << 30},
    {"max", "largest size in bytes", 32768, 32768, 16, UINT64_C(1) << 30},
    {"tick-ms", "malloc and free 128 KiB each so many ms while watching; 0: no call", 100, 50, 0,
     60000},
    {"watch-ms", "milliseconds to watch after the threads are gone", 3000, 200, 0, 3600000},
    {"goal-mib", "fail if not below so many MiB at the end; 0: only report", 0, 0, 0,
     UINT64_C(1) << 24},
    {"seed", "of the sizes", 1, 1, 0, UINT64_MAX},
};

typedef struct block {
    struct block *next;
    size_t size;
} block_t;

typedef struct {
    const uint64_t *param;
    pthread_barrier_t full;
    uint64_t *ops;     /* per thread */
    uint64_t full_rss; /* written by thread 0 between the two waits at `full` */
} job_t;

static block_t *take(size_t size) {
    block_t *block = malloc(size);
    if (block == NULL) {
        hak_bench_fail("malloc(%zu) gave NULL", size);
    }
    memset(block, MARK, size);
    block->size = size;
    hak_bench_escape(block);
    return block;
}

static void give(block_t *block) {
    size_t size = block->size;
    const unsigned char *bytes = (const unsigned char *)block;
    if (size > sizeof *block && bytes[size - 1] != MARK) {
        hak_bench_fail("block %p lost its last byte", (void *)block);
    }
    free(block);
}

static void work(unsigned index, void *arg) {
    job_t *job = arg;
    uint64_t left = job->param[P_MIB] * 1024 * 1024 / job->param[P_THREADS];
    hak_bench_rng_t rng = hak_bench_rng(job->param[P_SEED] + index);
    block_t *list = NULL;

    for (uint64_t bytes = 0; bytes < left;) {
        block_t *block = take(hak_bench_log_size(&rng, job->param[P_MIN], job->param[P_MAX]));
        block->next = list;
        list = block;
        bytes += block->size;
        job->ops[index]++;
    }
    /* All threads hold their share at one time; nobody frees before it is measured. */
    pthread_barrier_wait(&job->full);
    if (index == 0) {
        job->full_rss = hak_bench_rss_bytes();
    }
    pthread_barrier_wait(&job->full);
    while (list != NULL) {
        block_t *next = list->next;
        give(list);
        list = next;
    }
}

/* Notes what is resident after 0, 100, 300, 1000 and 3000 ms and at the end of the watch. */
static void watch(hak_bench_run_t *run, uint64_t base) {
    static const struct {
        unsigned ms;
        const char *name;
    } moment[] = {{0, "after_0_ms_bytes"},
                  {100, "after_100_ms_bytes"},
                  {300, "after_300_ms_bytes"},
                  {1000, "after_1000_ms_bytes"},
                  {3000, "after_3000_ms_bytes"}};
    uint64_t tick = run->param[P_TICK];
    uint64_t goal = run->param[P_GOAL] * 1024 * 1024;
    double begin = hak_bench_now();
    uint64_t reached_ms = UINT64_MAX;
    size_t next = 0;
    uint64_t ms;

    do {
        uint64_t rss = hak_bench_rss_bytes();
        ms = (uint64_t)((hak_bench_now() - begin) * 1000);
        while (next < sizeof moment / sizeof moment[0] && ms >= moment[next].ms) {
            hak_bench_note(run, moment[next++].name, rss);
        }
        if (reached_ms == UINT64_MAX && rss < (goal != 0 ? goal : base + 20 * 1024 * 1024)) {
            reached_ms = ms;
        }
        hak_bench_sleep_ms(tick != 0 && tick < 20 ? tick : 20);
        if (tick != 0 && ms / tick != (uint64_t)((hak_bench_now() - begin) * 1000) / tick) {
            unsigned char *block = hak_bench_take(TICK_SIZE, MARK);
            hak_bench_give(block, MARK);
        }
    } while (ms < run->param[P_WATCH]);
    hak_bench_note(run, "at_end_bytes", hak_bench_rss_bytes());
    if (reached_ms != UINT64_MAX) {
        hak_bench_note(run, "goal_reached_ms", reached_ms);
    }
    if (goal != 0 && hak_bench_rss_bytes() >= goal) {
        hak_bench_fail("%llu bytes are resident at the end, the goal is %llu",
                       (unsigned long long)hak_bench_rss_bytes(), (unsigned long long)goal);
    }
}

static void run_spike(const hak_bench_row_t *row, hak_bench_run_t *run) {
    unsigned threads = (unsigned)run->param[P_THREADS];
    uint64_t asked = run->param[P_MIB] * 1024 * 1024;
    job_t job = {.param = run->param, .ops = hak_bench_map(threads * sizeof(uint64_t))};
    uint64_t base = hak_bench_rss_bytes();

    (void)row;
    int error = pthread_barrier_init(&job.full, NULL, threads);
    if (error != 0) {
        hak_bench_fail("pthread_barrier_init: %s", strerror(error));
    }
    run->seconds = hak_bench_in_threads(threads, work, &job);
    pthread_barrier_destroy(&job.full);
    for (unsigned t = 0; t < threads; t++) {
        run->ops += job.ops[t];
    }
    hak_bench_note(run, "before_bytes", base);
    hak_bench_note(run, "full_bytes", job.full_rss);
    /* An empty allocator cannot pass: what was written must have been resident. 1 % is the lag of
     * the kernel's count. */
    if (job.full_rss < asked - asked / 100) {
        hak_bench_fail("%llu bytes were resident when %llu had been written",
                       (unsigned long long)job.full_rss, (unsigned long long)asked);
    }
    watch(run, base);
    hak_bench_unmap(job.ops, threads * sizeof(uint64_t));
}

static uint64_t spike_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)row;
    return param[P_MIB] * 1024 * 1024;
}

static const char *refuse(const uint64_t *param) {
    return param[P_MIN] > param[P_MAX] ? "min is larger than max" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"spike", "an operation is one malloc, memset and free", run_spike, spike_bytes, {0}},
    };
    static const hak_bench_program_t program = {
        .name = "spike",
        .summary = "How much memory stays resident after a spike of allocation has passed.",
        .rounds = 1,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
