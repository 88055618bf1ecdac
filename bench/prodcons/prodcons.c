/* prodcons: pairs of threads; one allocates, the other frees, through a ring of pointers. Every
 * block is freed by a thread that never allocates: thread caches fill on one side only. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

#include "base/atomic.h"

#include <sched.h>

enum { P_PAIRS, P_OPS, P_MIN, P_MAX, P_SEED };
enum { RING_SLOTS = 4096, SPINS_BEFORE_YIELD = 1024 };

static const hak_bench_param_t params[] = {
    {"pairs", "producers, each with one consumer", 1, 1, 1, 512},
    {"ops", "blocks that each pair passes on", 2000000, 50000, 1, UINT64_C(1) << 40},
    {"min", "smallest size of the mixed row", 64, 64, 1, UINT64_C(1) << 30},
    {"max", "largest size of the mixed row", 8192, 8192, 1, UINT64_C(1) << 30},
    {"seed", "of the sizes", 1, 1, 0, UINT64_MAX},
};

/* A slot holds a block on its way, or 0 when the producer may fill it. */
typedef struct {
    hak_aptr_t slot[RING_SLOTS];
} ring_t;

typedef struct {
    const uint64_t *param;
    ring_t *ring;
    size_t fixed_size; /* 0: drawn from min to max */
    unsigned round;
} job_t;

/* On a machine with fewer CPUs than threads a spinning thread keeps the other from running. */
static void pause_or_yield(unsigned *spins) {
    if (++*spins % SPINS_BEFORE_YIELD == 0) {
        sched_yield();
    }
}

static void produce(const job_t *job, ring_t *ring, unsigned pair) {
    const uint64_t *param = job->param;
    hak_bench_rng_t rng = hak_bench_rng(param[P_SEED] + job->round * param[P_PAIRS] + pair);
    unsigned spins = 0;

    for (uint64_t n = 0; n < param[P_OPS]; n++) {
        hak_aptr_t *slot = &ring->slot[n % RING_SLOTS];
        size_t size = job->fixed_size;
        if (size == 0) {
            size = hak_bench_log_size(&rng, param[P_MIN], param[P_MAX]);
        }
        unsigned char *block = hak_bench_take(size, (unsigned char)n);
        block[size - 1] = (unsigned char)n;
        while (hak_load_acq(slot) != 0) { /* pairs with the release in consume */
            pause_or_yield(&spins);
        }
        hak_store_rel(slot, (uintptr_t)block); /* pairs with the acquire in consume */
    }
}

static void consume(const job_t *job, ring_t *ring) {
    unsigned spins = 0;

    for (uint64_t n = 0; n < job->param[P_OPS]; n++) {
        hak_aptr_t *slot = &ring->slot[n % RING_SLOTS];
        uintptr_t block;
        while ((block = hak_load_acq(slot)) == 0) { /* pairs with the release in produce */
            pause_or_yield(&spins);
        }
        hak_store_rel(slot, (uintptr_t)0); /* pairs with the acquire in produce */
        hak_bench_give((unsigned char *)block, (unsigned char)n);
    }
}

static void work(unsigned index, void *arg) {
    const job_t *job = arg;
    ring_t *ring = &job->ring[index / 2];

    if (index % 2 == 0) {
        produce(job, ring, index / 2);
    } else {
        consume(job, ring);
    }
}

/* arg: the size, or 0 for sizes from min to max */
static void run_prodcons(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t pairs = run->param[P_PAIRS];
    size_t ring_bytes = pairs * sizeof(ring_t);
    job_t job = {run->param, hak_bench_map(ring_bytes), row->arg[0], run->round};

    run->seconds = hak_bench_in_threads((unsigned)pairs * 2, work, &job);
    run->ops = pairs * run->param[P_OPS];
    hak_bench_unmap(job.ring, ring_bytes);
}

/* A full ring; how full it runs is up to the scheduler. */
static uint64_t ring_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    uint64_t mean =
        row->arg[0] != 0 ? row->arg[0] : hak_bench_log_size_mean(param[P_MIN], param[P_MAX]);
    return param[P_PAIRS] * RING_SLOTS * mean;
}

static const char *refuse(const uint64_t *param) {
    return param[P_MIN] > param[P_MAX] ? "min is larger than max" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"prodcons_64", "64 B blocks; an operation is one malloc and one free", run_prodcons,
         ring_bytes, {64}},
        {"prodcons_mixed", "min to max bytes, each doubling as likely", run_prodcons, ring_bytes,
         {0}},
    };
    static const hak_bench_program_t program = {
        .name = "prodcons",
        .summary = "Producers allocate, consumers free, one to one.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
