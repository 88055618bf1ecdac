/* falseshare: do two threads get blocks in one cache line, and do they keep them? After the
 * cache-thrash and cache-scratch programs of Berger, McKinley, Blumofe and Wilson (Hoard: A
 * Scalable Memory Allocator for Multithreaded Applications, ASPLOS 2000), in our own words.
 *
 * active: each thread takes a block of its own, writes it many times, frees it. An allocator that
 * cuts one line for two threads makes them share it.
 * passive: the first thread takes the first block of each, one after the other, so that they do
 * lie in one line; each thread frees the one it was given and goes on as before. An allocator that
 * gives a thread what it freed keeps the line shared. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

enum { P_THREADS, P_OPS, P_WRITES, P_SIZE };
enum { LINE_BYTES = 64 };

static const hak_bench_param_t params[] = {
    {"threads", "threads", 4, 2, 1, 1024},
    {"ops", "blocks of each thread", 20000, 2000, 1, UINT64_C(1) << 40},
    {"writes", "times that each block is written", 1000, 50, 1, UINT64_C(1) << 32},
    {"size", "bytes of a block, all written each time", 8, 8, 1, 4096},
};

typedef struct {
    const uint64_t *param;
    unsigned char **given; /* a block for each thread, or NULL */
    uintptr_t *last;       /* where the last block of each thread lay */
} job_t;

/* Adds 1 to each byte so many times. */
static void write_often(unsigned char *block, size_t size, uint64_t writes) {
    for (uint64_t n = 0; n < writes; n++) {
        for (size_t i = 0; i < size; i++) {
            block[i] = (unsigned char)(block[i] + 1);
        }
        hak_bench_escape(block); /* or the loop becomes one addition */
    }
}

static void work(unsigned index, void *arg) {
    const job_t *job = arg;
    size_t size = job->param[P_SIZE];
    unsigned char mark = (unsigned char)(index + 1);
    uintptr_t last = 0;

    if (job->given != NULL) {
        hak_bench_give(job->given[index], mark);
    }
    for (uint64_t n = 0; n < job->param[P_OPS]; n++) {
        unsigned char *block = hak_bench_take(size, mark);
        write_often(block, size, job->param[P_WRITES]);
        last = (uintptr_t)block;
        /* The sum of the writes: another thread's into the same block would show. */
        hak_bench_give(block, (unsigned char)(mark + job->param[P_WRITES]));
    }
    job->last[index] = last;
}

/* How many threads ended with a block in a line in which another thread's block lay. */
static uint64_t shared_lines(const uintptr_t *last, unsigned threads) {
    uint64_t shared = 0;

    for (unsigned i = 0; i < threads; i++) {
        bool alone = true;
        for (unsigned k = 0; k < threads; k++) {
            alone = alone && (k == i || last[k] / LINE_BYTES != last[i] / LINE_BYTES);
        }
        shared += !alone;
    }
    return shared;
}

/* arg: 1 for passive */
static void run_falseshare(const hak_bench_row_t *row, hak_bench_run_t *run) {
    unsigned threads = (unsigned)run->param[P_THREADS];
    size_t given_bytes = threads * sizeof(unsigned char *);
    size_t last_bytes = threads * sizeof(uintptr_t);
    job_t job = {.param = run->param, .last = hak_bench_map(last_bytes)};

    if (row->arg[0] != 0) {
        job.given = hak_bench_map(given_bytes);
        for (unsigned i = 0; i < threads; i++) {
            job.given[i] = hak_bench_take(run->param[P_SIZE], (unsigned char)(i + 1));
        }
    }
    run->seconds = hak_bench_in_threads(threads, work, &job);
    run->ops = threads * run->param[P_OPS];
    hak_bench_note(run, "threads_in_shared_lines_count", shared_lines(job.last, threads));
    if (job.given != NULL) {
        hak_bench_unmap(job.given, given_bytes);
    }
    hak_bench_unmap(job.last, last_bytes);
}

static uint64_t block_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)row;
    return param[P_THREADS] * param[P_SIZE];
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"false_active",
         "threads write small blocks of their own",
         run_falseshare,
         block_bytes,
         {0}},
        {"false_passive",
         "as before, after freeing neighbours that one thread made",
         run_falseshare,
         block_bytes,
         {1}},
    };
    static const hak_bench_program_t program = {
        .name = "falseshare",
        .summary = "Threads write small blocks many times. An operation is malloc, writes, free.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    return hak_bench_main(&program, argc, argv);
}
