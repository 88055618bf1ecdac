/* xthread: blocks that outlive their thread, and blocks that any thread may free.
 *
 * xthread_generations starts generation after generation of threads on one table. Each thread frees
 * what another thread of the generation before it left, fills the same slots, and exits.
 * xthread_churn keeps its threads and swaps each new block into a random slot of one shared table;
 * whoever finds a block there frees it. xthread_one_owner has one thread fill the table and then
 * all threads free it at the same time, each a part: every free meets the others at one owner. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

#include "base/atomic.h"

enum { P_THREADS, P_GENERATIONS, P_BLOCKS, P_OPS, P_SEED, P_MIN, P_MAX };

static const hak_bench_param_t params[] = {
    {"threads", "threads at one time", 4, 2, 1, 1024},
    {"generations", "generations of threads", 200, 8, 1, UINT64_C(1) << 24},
    {"blocks", "blocks that each thread leaves, and slots per thread of churn", 2000, 500, 1,
     UINT64_C(1) << 24},
    {"ops", "swaps of each thread of churn", 1000000, 20000, 1, UINT64_C(1) << 40},
    {"seed", "of the sizes and slots", 1, 1, 0, UINT64_MAX},
    {"min", "smallest size", 16, 16, 1, UINT64_C(1) << 30},
    {"max", "largest size", 2048, 2048, 1, UINT64_C(1) << 30},
};

typedef struct {
    const uint64_t *param;
    hak_aptr_t *slot;
    uint64_t slots;
    uint64_t stream; /* tells rounds and generations apart */
} job_t;

static hak_bench_rng_t rng_of(const job_t *job, unsigned index) {
    return hak_bench_rng(job->param[P_SEED] + job->stream * job->param[P_THREADS] + index);
}

/* Swaps the block in for what the slot held and frees that. A block begins with the number of its
 * slot, so that two at one place are found out. */
static void swap_in(const job_t *job, uint64_t at, unsigned char *block) {
    /* acquire and release: each thread hands over the content of its block to the next one */
    uintptr_t old = hak_swap_acq_rel(&job->slot[at], (uintptr_t)block);
    if (old != 0) {
        hak_bench_give((unsigned char *)old, (unsigned char)at);
    }
}

static void put(const job_t *job, uint64_t at, size_t size) {
    swap_in(job, at, hak_bench_take(size, (unsigned char)at));
}

static void work_generation(unsigned index, void *arg) {
    const job_t *job = arg;
    uint64_t blocks = job->param[P_BLOCKS];
    /* The part moves on by one thread per generation: no thread inherits by chance what a thread
     * with the same place in the allocator's tables has left. */
    uint64_t part = (index + job->stream) % job->param[P_THREADS];
    hak_bench_rng_t rng = rng_of(job, index);

    for (uint64_t i = 0; i < blocks; i++) {
        size_t size = hak_bench_log_size(&rng, job->param[P_MIN], job->param[P_MAX]);
        put(job, part * blocks + i, size);
    }
}

static void work_churn(unsigned index, void *arg) {
    const job_t *job = arg;
    hak_bench_rng_t rng = rng_of(job, index);

    for (uint64_t n = 0; n < job->param[P_OPS]; n++) {
        size_t size = hak_bench_log_size(&rng, job->param[P_MIN], job->param[P_MAX]);
        uint64_t at = hak_bench_below(hak_bench_next(&rng), job->slots);
        put(job, at, size);
    }
}

static void work_fill(unsigned index, void *arg) {
    const job_t *job = arg;
    hak_bench_rng_t rng = rng_of(job, index);

    for (uint64_t i = 0; i < job->slots; i++) {
        size_t size = hak_bench_log_size(&rng, job->param[P_MIN], job->param[P_MAX]);
        put(job, i, size);
    }
}

static void work_empty(unsigned index, void *arg) {
    const job_t *job = arg;
    uint64_t blocks = job->param[P_BLOCKS];

    for (uint64_t i = 0; i < blocks; i++) {
        swap_in(job, index * blocks + i, NULL);
    }
}

static job_t job_begin(const hak_bench_run_t *run) {
    job_t job = {.param = run->param};
    job.slots = run->param[P_THREADS] * run->param[P_BLOCKS];
    job.slot = hak_bench_map(job.slots * sizeof job.slot[0]);
    return job;
}

/* The first thread frees what is left: it owns none of it. */
static void job_end(job_t *job) {
    for (uint64_t i = 0; i < job->slots; i++) {
        swap_in(job, i, NULL);
    }
    hak_bench_unmap(job->slot, job->slots * sizeof job->slot[0]);
}

static void run_generations(const hak_bench_row_t *row, hak_bench_run_t *run) {
    uint64_t generations = run->param[P_GENERATIONS];
    job_t job = job_begin(run);
    double begin = hak_bench_now();

    (void)row;
    for (uint64_t g = 0; g < generations; g++) {
        job.stream = run->round * generations + g;
        hak_bench_in_threads((unsigned)run->param[P_THREADS], work_generation, &job);
    }
    /* With creation and exit of the threads: what an allocator does there is the point. */
    run->seconds = hak_bench_now() - begin;
    run->ops = generations * job.slots;
    hak_bench_note(run, "threads_started_count", generations * run->param[P_THREADS]);
    job_end(&job);
}

static void run_churn(const hak_bench_row_t *row, hak_bench_run_t *run) {
    job_t job = job_begin(run);

    (void)row;
    job.stream = run->round;
    run->seconds = hak_bench_in_threads((unsigned)run->param[P_THREADS], work_churn, &job);
    run->ops = run->param[P_THREADS] * run->param[P_OPS];
    job_end(&job);
}

static void run_one_owner(const hak_bench_row_t *row, hak_bench_run_t *run) {
    uint64_t generations = run->param[P_GENERATIONS];
    job_t job = job_begin(run);
    double begin = hak_bench_now();

    (void)row;
    for (uint64_t g = 0; g < generations; g++) {
        job.stream = run->round * generations + g;
        work_fill(0, &job);
        hak_bench_in_threads((unsigned)run->param[P_THREADS], work_empty, &job);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = generations * job.slots;
    job_end(&job);
}

static uint64_t table_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)row;
    return param[P_THREADS] * param[P_BLOCKS] * hak_bench_log_size_mean(param[P_MIN], param[P_MAX]);
}

static const char *refuse(const uint64_t *param) {
    return param[P_MIN] > param[P_MAX] ? "min is larger than max" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"xthread_generations",
         "threads free what dead threads left",
         run_generations,
         table_bytes,
         {0}},
        {"xthread_churn", "threads free what any thread allocated", run_churn, table_bytes, {0}},
        {"xthread_one_owner",
         "threads free, all at a time, what one thread allocated",
         run_one_owner,
         table_bytes,
         {0}},
    };
    static const hak_bench_program_t program = {
        .name = "xthread",
        .summary = "Blocks that outlive their thread or move between threads. Sizes from min to\n"
                   "max, each doubling as likely; an operation is one malloc and one free.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
