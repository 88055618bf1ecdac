/* prodcons: some threads allocate, others free, through rings of pointers. Every block is freed by
 * a thread that never allocates: thread caches fill on one side only.
 *
 * Each ring has one writer and one reader, in the shapes with many on one side too: the one
 * side goes round its rings and passes over those that are full, or empty. One shared queue would
 * measure the queue. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

#include "base/atomic.h"

#include <sched.h>
#include <stdbool.h>

enum { P_PAIRS, P_OPS, P_MIN, P_MAX, P_SEED, P_FAN };
enum { ONE_TO_ONE, ONE_TO_MANY, MANY_TO_ONE };
enum { RING_SLOTS = 4096, SPINS_BEFORE_YIELD = 1024 };

static const hak_bench_param_t params[] = {
    {"pairs", "producers, each with one consumer", 1, 1, 1, 512},
    {"ops", "blocks that pass each ring of the pairs, or all rings of a fan", 2000000, 50000, 1,
     UINT64_C(1) << 40},
    {"min", "smallest size of the mixed rows", 64, 64, 1, UINT64_C(1) << 30},
    {"max", "largest size of the mixed rows", 8192, 8192, 1, UINT64_C(1) << 30},
    {"seed", "of the sizes", 1, 1, 0, UINT64_MAX},
    {"fan", "threads on the side of the many, in the rows 1_n and n_1", 3, 3, 1, 512},
};

/* A slot holds a block on its way, or 0 when the producer may fill it. */
typedef struct {
    hak_aptr_t slot[RING_SLOTS];
} ring_t;

/* Where one side of a ring stands. Private to that side, and alone in its lines: the prefetcher of
 * some CPUs fetches lines in pairs. */
typedef struct {
    _Alignas(128) uint64_t done;
    uint64_t todo;
} side_t;

typedef struct {
    const uint64_t *param;
    ring_t *ring;
    side_t *side;      /* two for each ring: the producer's and the consumer's */
    size_t fixed_size; /* 0: drawn from min to max */
    unsigned round;
    unsigned rings;
    unsigned shape;
} job_t;

/* On a machine with fewer CPUs than threads a spinning thread keeps the other from running. */
static void pause_or_yield(unsigned *spins) {
    if (++*spins % SPINS_BEFORE_YIELD == 0) {
        sched_yield();
    }
}

static side_t *side_of(const job_t *job, unsigned ring, unsigned consumer) {
    return &job->side[ring * 2 + consumer];
}

/* Puts a block into the next slot. False if that is still taken; the block is then the caller's. */
static bool try_produce(ring_t *ring, side_t *side, unsigned char *block, size_t size) {
    hak_aptr_t *slot = &ring->slot[side->done % RING_SLOTS];

    if (hak_load_acq(slot) != 0) { /* pairs with the release in try_consume */
        return false;
    }
    block[0] = (unsigned char)side->done;
    block[size - 1] = (unsigned char)side->done;
    hak_store_rel(slot, (uintptr_t)block); /* pairs with the acquire in try_consume */
    side->done++;
    return true;
}

/* Frees what lies in the next slot. False if it is empty. */
static bool try_consume(ring_t *ring, side_t *side) {
    hak_aptr_t *slot = &ring->slot[side->done % RING_SLOTS];
    uintptr_t block = hak_load_acq(slot); /* pairs with the release in try_produce */

    if (block == 0) {
        return false;
    }
    hak_store_rel(slot, (uintptr_t)0); /* pairs with the acquire in try_produce */
    hak_bench_give((unsigned char *)block, (unsigned char)side->done);
    side->done++;
    return true;
}

/* Fills rings first to first + count - 1, each in its turn. */
static void produce(const job_t *job, unsigned first, unsigned count) {
    const uint64_t *param = job->param;
    hak_bench_rng_t rng = hak_bench_rng(param[P_SEED] + job->round * job->rings + first);
    uint64_t left = 0;
    unsigned spins = 0;
    unsigned at = 0;

    for (unsigned i = 0; i < count; i++) {
        left += side_of(job, first + i, 0)->todo;
    }
    for (; left > 0; left--) {
        size_t size = job->fixed_size;
        if (size == 0) {
            size = hak_bench_log_size(&rng, param[P_MIN], param[P_MAX]);
        }
        unsigned char *block = hak_bench_take(size, 0);
        for (;;) {
            unsigned ring = first + at;
            side_t *side = side_of(job, ring, 0);
            at = at + 1 < count ? at + 1 : 0;
            if (side->done < side->todo && try_produce(&job->ring[ring], side, block, size)) {
                break;
            }
            pause_or_yield(&spins);
        }
    }
}

static void consume(const job_t *job, unsigned first, unsigned count) {
    uint64_t left = 0;
    unsigned spins = 0;
    unsigned at = 0;

    for (unsigned i = 0; i < count; i++) {
        left += side_of(job, first + i, 1)->todo;
    }
    while (left > 0) {
        unsigned ring = first + at;
        side_t *side = side_of(job, ring, 1);
        at = at + 1 < count ? at + 1 : 0;
        if (side->done < side->todo && try_consume(&job->ring[ring], side)) {
            left--;
        } else {
            pause_or_yield(&spins);
        }
    }
}

static void work(unsigned index, void *arg) {
    const job_t *job = arg;

    if (job->shape == ONE_TO_ONE) {
        if (index % 2 == 0) {
            produce(job, index / 2, 1);
        } else {
            consume(job, index / 2, 1);
        }
    } else if (index == 0) { /* the one */
        if (job->shape == ONE_TO_MANY) {
            produce(job, 0, job->rings);
        } else {
            consume(job, 0, job->rings);
        }
    } else if (job->shape == ONE_TO_MANY) {
        consume(job, index - 1, 1);
    } else {
        produce(job, index - 1, 1);
    }
}

static unsigned rings_of(const hak_bench_row_t *row, const uint64_t *param) {
    return (unsigned)param[row->arg[1] == ONE_TO_ONE ? P_PAIRS : P_FAN];
}

/* arg: the size, or 0 for sizes from min to max; the shape */
static void run_prodcons(const hak_bench_row_t *row, hak_bench_run_t *run) {
    unsigned rings = rings_of(row, run->param);
    unsigned shape = (unsigned)row->arg[1];
    size_t ring_bytes = rings * sizeof(ring_t);
    size_t side_bytes = 2 * rings * sizeof(side_t);
    job_t job = {
        .param = run->param,
        .ring = hak_bench_map(ring_bytes),
        .side = hak_bench_map(side_bytes),
        .fixed_size = row->arg[0],
        .round = run->round,
        .rings = rings,
        .shape = shape,
    };

    for (unsigned i = 0; i < rings; i++) {
        uint64_t ops = run->param[P_OPS];
        /* A fan passes as many blocks as one pair does, so that its rows take as long. */
        uint64_t todo = shape == ONE_TO_ONE ? ops : ops / rings + (i < ops % rings);
        side_of(&job, i, 0)->todo = todo;
        side_of(&job, i, 1)->todo = todo;
        run->ops += todo;
    }
    run->seconds = hak_bench_in_threads(shape == ONE_TO_ONE ? rings * 2 : rings + 1, work, &job);
    hak_bench_unmap(job.side, side_bytes);
    hak_bench_unmap(job.ring, ring_bytes);
}

/* Full rings; how full they run is up to the scheduler. */
static uint64_t ring_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    uint64_t mean =
        row->arg[0] != 0 ? row->arg[0] : hak_bench_log_size_mean(param[P_MIN], param[P_MAX]);
    return rings_of(row, param) * (uint64_t)RING_SLOTS * mean;
}

static const char *refuse(const uint64_t *param) {
    return param[P_MIN] > param[P_MAX] ? "min is larger than max" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"prodcons_64",
         "64 B blocks; an operation is one malloc and one free",
         run_prodcons,
         ring_bytes,
         {64, ONE_TO_ONE}},
        {"prodcons_1k", "1 KiB blocks", run_prodcons, ring_bytes, {1024, ONE_TO_ONE}},
        {"prodcons_8k", "8 KiB blocks", run_prodcons, ring_bytes, {8192, ONE_TO_ONE}},
        {"prodcons_mixed",
         "min to max bytes, each doubling as likely",
         run_prodcons,
         ring_bytes,
         {0, ONE_TO_ONE}},
        {"prodcons_1_n_64",
         "one producer, fan consumers, 64 B",
         run_prodcons,
         ring_bytes,
         {64, ONE_TO_MANY}},
        {"prodcons_1_n",
         "one producer, fan consumers, min to max bytes",
         run_prodcons,
         ring_bytes,
         {0, ONE_TO_MANY}},
        {"prodcons_n_1_64",
         "fan producers, one consumer, 64 B",
         run_prodcons,
         ring_bytes,
         {64, MANY_TO_ONE}},
        {"prodcons_n_1",
         "fan producers, one consumer, min to max bytes",
         run_prodcons,
         ring_bytes,
         {0, MANY_TO_ONE}},
    };
    static const hak_bench_program_t program = {
        .name = "prodcons",
        .summary = "Producers allocate, consumers free: one to one, one to many, many to one.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
