/* aligned: threads replace random blocks of their own that must lie at a multiple of a power of
 * two, by posix_memalign. Each address is checked. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

#include "base/attr.h"

enum { P_THREADS, P_OPS, P_SLOTS, P_MIN, P_MAX, P_SEED };
enum { SMALLEST_LOG = 4, LARGEST_LOG = 12 };

static const hak_bench_param_t params[] = {
    {"threads", "threads, each with its own blocks", 1, 2, 1, 1024},
    {"ops", "replacements of each thread", 2000000, 20000, 1, UINT64_C(1) << 40},
    {"slots", "blocks that each thread holds", 1000, 200, 1, UINT64_C(1) << 24},
    {"min", "smallest size", 16, 16, 1, UINT64_C(1) << 30},
    {"max", "largest size", 4096, 4096, 1, UINT64_C(1) << 30},
    {"seed", "of the sizes, alignments and slots", 1, 1, 0, UINT64_MAX},
};

typedef struct {
    const uint64_t *param;
    unsigned char **table;
    size_t alignment; /* 0: drawn from 16 B to 4 KiB */
    unsigned round;
} job_t;

static unsigned char *take_aligned(const job_t *job, hak_bench_rng_t *rng, unsigned char mark) {
    size_t size = hak_bench_log_size(rng, job->param[P_MIN], job->param[P_MAX]);
    size_t alignment = job->alignment;
    void *block = NULL;

    if (alignment == 0) {
        uint64_t octaves = LARGEST_LOG - SMALLEST_LOG + 1;
        alignment = (size_t)1 << (SMALLEST_LOG + hak_bench_below(hak_bench_next(rng), octaves));
        /* mimalloc 2.0.9 misplaces aligned blocks of 256, 512 and 1024 B; the check would end
         * the row, and the peer would be missing from it. */
        size += (size & (size - 1)) == 0;
    }
    int error = posix_memalign(&block, alignment, size);
    if (hak_unlikely(error != 0 || block == NULL)) {
        hak_bench_fail("posix_memalign(%zu, %zu) gave error %d", alignment, size, error);
    }
    if (hak_unlikely((uintptr_t)block % alignment != 0)) {
        hak_bench_fail("posix_memalign(%zu, %zu) gave %p", alignment, size, block);
    }
    unsigned char *byte = block;
    byte[size - 1] = mark;
    byte[0] = mark;
    hak_bench_escape(byte);
    return byte;
}

static void work(unsigned index, void *arg) {
    const job_t *job = arg;
    size_t slots = job->param[P_SLOTS];
    unsigned char **block = job->table + index * slots;
    uint64_t stream = job->round * job->param[P_THREADS] + index;
    hak_bench_rng_t rng = hak_bench_rng(job->param[P_SEED] + stream);

    for (size_t i = 0; i < slots; i++) {
        block[i] = take_aligned(job, &rng, (unsigned char)i);
    }
    for (uint64_t n = 0; n < job->param[P_OPS]; n++) {
        size_t i = hak_bench_below(hak_bench_next(&rng), slots);
        hak_bench_give(block[i], (unsigned char)i);
        block[i] = take_aligned(job, &rng, (unsigned char)i);
    }
    for (size_t i = 0; i < slots; i++) {
        hak_bench_give(block[i], (unsigned char)i);
    }
}

/* arg: the alignment, or 0 */
static void run_aligned(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t threads = run->param[P_THREADS];
    size_t table_bytes = threads * run->param[P_SLOTS] * sizeof(unsigned char *);
    job_t job = {run->param, hak_bench_map(table_bytes), row->arg[0], run->round};

    hak_bench_require("posix_memalign");
    run->seconds = hak_bench_in_threads((unsigned)threads, work, &job);
    run->ops = threads * (run->param[P_OPS] + run->param[P_SLOTS]);
    hak_bench_unmap(job.table, table_bytes);
}

static uint64_t table_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)row;
    return param[P_THREADS] * param[P_SLOTS] * hak_bench_log_size_mean(param[P_MIN], param[P_MAX]);
}

static const char *refuse(const uint64_t *param) {
    return param[P_MIN] > param[P_MAX] ? "min is larger than max" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"aligned_64",
         "at multiples of 64 B; an operation is one free and one posix_memalign",
         run_aligned,
         table_bytes,
         {64}},
        {"aligned_4k", "at multiples of 4 KiB", run_aligned, table_bytes, {4096}},
        {"aligned_mixed",
         "at multiples of 16 B to 4 KiB, each power of two as likely",
         run_aligned,
         table_bytes,
         {0}},
    };
    static const hak_bench_program_t program = {
        .name = "aligned",
        .summary = "Threads replace random aligned blocks of their own. Sizes from min to max,\n"
                   "each doubling as likely.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
