/* pingpong: pairs of threads that hand one block to and fro. Each thread frees what it gets, takes
 * a new block and hands that back: one free of the other's block for each malloc, and never more
 * than one block on its way. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

#include "base/atomic.h"

#include <sched.h>

enum { P_PAIRS, P_OPS, P_BATCH, P_MIN, P_MAX, P_SEED };
enum { BATCH_MAX = 1024, SPINS_BEFORE_YIELD = 256 };

static const hak_bench_param_t params[] = {
    {"pairs", "pairs of threads", 1, 1, 1, 512},
    {"ops", "blocks that each pair hands over", 500000, 20000, 1, UINT64_C(1) << 40},
    {"batch", "blocks handed over at a time in pingpong_batch", 32, 32, 1, BATCH_MAX},
    {"min", "smallest size of pingpong_mixed", 16, 16, 1, UINT64_C(1) << 30},
    {"max", "largest size of pingpong_mixed", 2048, 2048, 1, UINT64_C(1) << 30},
    {"seed", "of the sizes", 1, 1, 0, UINT64_MAX},
};

/* The turn and what is handed over with it, alone in its lines. */
typedef struct {
    _Alignas(128) hak_a64_t turn;    /* even: the first thread's; one more with each hand-over */
    unsigned char *block[BATCH_MAX]; /* of the thread whose turn it is */
} table_t;

typedef struct {
    const uint64_t *param;
    table_t *table;
    size_t fixed_size; /* 0: drawn from min to max */
    uint64_t batch;
    uint64_t turns; /* of both threads of a pair together */
    unsigned round;
} job_t;

static void wait_for(table_t *table, uint64_t turn) {
    unsigned spins = 0;

    while (hak_load_acq(&table->turn) != turn) { /* pairs with the release in work */
        if (++spins % SPINS_BEFORE_YIELD == 0) {
            sched_yield(); /* with fewer CPUs than threads the other one has to run first */
        }
    }
}

static void work(unsigned index, void *arg) {
    const job_t *job = arg;
    const uint64_t *param = job->param;
    table_t *table = &job->table[index / 2];
    hak_bench_rng_t rng = hak_bench_rng(param[P_SEED] + job->round * 2 * param[P_PAIRS] + index);

    for (uint64_t turn = index % 2; turn < job->turns; turn += 2) {
        wait_for(table, turn);
        for (uint64_t i = 0; i < job->batch; i++) {
            if (turn > 0) {
                hak_bench_give(table->block[i], (unsigned char)(turn - 1 + i));
            }
            size_t size = job->fixed_size;
            if (size == 0) {
                size = hak_bench_log_size(&rng, param[P_MIN], param[P_MAX]);
            }
            table->block[i] = hak_bench_take(size, (unsigned char)(turn + i));
        }
        hak_store_rel(&table->turn, turn + 1); /* pairs with the acquire in wait_for */
    }
}

/* arg: the size, or 0; 1 for batches */
static void run_pingpong(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t pairs = run->param[P_PAIRS];
    size_t table_bytes = pairs * sizeof(table_t);
    uint64_t batch = row->arg[1] != 0 ? run->param[P_BATCH] : 1;
    job_t job = {
        .param = run->param,
        .table = hak_bench_map(table_bytes),
        .fixed_size = row->arg[0],
        .batch = batch,
        .turns = (run->param[P_OPS] + batch - 1) / batch,
        .round = run->round,
    };

    run->seconds = hak_bench_in_threads((unsigned)pairs * 2, work, &job);
    run->ops = pairs * job.turns * batch;
    for (size_t p = 0; p < pairs; p++) {
        for (uint64_t i = 0; i < batch; i++) {
            hak_bench_give(job.table[p].block[i], (unsigned char)(job.turns - 1 + i));
        }
    }
    hak_bench_unmap(job.table, table_bytes);
}

static uint64_t handed_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    uint64_t mean =
        row->arg[0] != 0 ? row->arg[0] : hak_bench_log_size_mean(param[P_MIN], param[P_MAX]);
    return param[P_PAIRS] * (row->arg[1] != 0 ? param[P_BATCH] : 1) * mean;
}

static const char *refuse(const uint64_t *param) {
    return param[P_MIN] > param[P_MAX] ? "min is larger than max" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"pingpong_64",
         "one 64 B block to and fro; an operation is one free and one malloc",
         run_pingpong,
         handed_bytes,
         {64, 0}},
        {"pingpong_mixed",
         "one block of min to max bytes, each doubling as likely",
         run_pingpong,
         handed_bytes,
         {0, 0}},
        {"pingpong_batch", "batch blocks of 64 B at a time", run_pingpong, handed_bytes, {64, 1}},
    };
    static const hak_bench_program_t program = {
        .name = "pingpong",
        .summary = "Two threads hand a block to and fro; each frees the other's and makes its own.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
