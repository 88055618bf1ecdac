/* mid_large_mt: threads replace random blocks of 8 to 32 KiB, each in its own table, so that no
 * block crosses threads. One cycle replaces `ws` blocks. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

enum { P_THREADS, P_CYCLES, P_WS, P_SEED };
enum { SMALLEST = 8192, LARGEST = 32768 };

static const hak_bench_param_t params[] = {
    {"threads", "threads, each with its own blocks", 4, 2, 1, 1024},
    {"cycles", "cycles of each thread; one replaces ws blocks", 60000, 100, 1, UINT64_C(1) << 32},
    {"ws", "blocks that each thread holds", 256, 256, 1, UINT64_C(1) << 24},
    {"seed", "of the sizes and victims", 1, 1, 0, UINT64_MAX},
};

typedef struct {
    const uint64_t *param;
    unsigned char **table;
    unsigned round;
} job_t;

/* Only the ends of a block are written: writing all of it would measure memset. */
static unsigned char *take(hak_bench_rng_t *rng, size_t index) {
    size_t size = SMALLEST + hak_bench_below(hak_bench_next(rng), LARGEST - SMALLEST + 1);
    unsigned char *block = hak_bench_take(size, (unsigned char)index);
    block[size - 1] = (unsigned char)index;
    return block;
}

static void work(unsigned index, void *arg) {
    const job_t *job = arg;
    size_t ws = job->param[P_WS];
    uint64_t ops = job->param[P_CYCLES] * ws;
    unsigned char **block = job->table + index * ws;
    uint64_t stream = job->round * job->param[P_THREADS] + index;
    hak_bench_rng_t rng = hak_bench_rng(job->param[P_SEED] + stream);

    for (size_t i = 0; i < ws; i++) {
        block[i] = take(&rng, i);
    }
    for (uint64_t n = 0; n < ops; n++) {
        size_t i = hak_bench_below(hak_bench_next(&rng), ws);
        hak_bench_give(block[i], (unsigned char)i);
        block[i] = take(&rng, i);
    }
    for (size_t i = 0; i < ws; i++) {
        hak_bench_give(block[i], (unsigned char)i);
    }
}

static void run_mid(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t table_bytes = run->param[P_THREADS] * run->param[P_WS] * sizeof(unsigned char *);
    job_t job = {run->param, hak_bench_map(table_bytes), run->round};

    (void)row;
    run->seconds = hak_bench_in_threads((unsigned)run->param[P_THREADS], work, &job);
    /* The first filling and the last freeing of the table make one more cycle of pairs. */
    run->ops = run->param[P_THREADS] * (run->param[P_CYCLES] + 1) * run->param[P_WS];
    hak_bench_note(run, "throughput_ops_per_second", (uint64_t)((double)run->ops / run->seconds));
    hak_bench_unmap(job.table, table_bytes);
}

static uint64_t mid_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)row;
    return param[P_THREADS] * param[P_WS] * ((SMALLEST + LARGEST) / 2);
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"mid_large_mt", "8 to 32 KiB; an operation is one free and one malloc", run_mid,
         mid_bytes, {0}},
    };
    static const hak_bench_program_t program = {
        .name = "mid_large_mt",
        .summary = "Threads replace random blocks of 8 to 32 KiB of their own.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    return hak_bench_main(&program, argc, argv);
}
