/* larson: the server model of Larson and Krishnan (Memory Allocation for Long-Running Server
 * Applications, ISMM 1998), as the published program behaves, in our own words:
 *
 * the first thread fills a table of `chunks` blocks per thread and shuffles it by replacing random
 * blocks; then each worker replaces random blocks of its part, chunks x rounds of them, starts a
 * successor thread on the same part, and exits. So a thread frees blocks of the idle first thread
 * and of threads that are long gone. After `sleep` seconds all stop. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

#include "base/atomic.h"

#include <pthread.h>
#include <string.h>

enum { P_SLEEP, P_MIN, P_MAX, P_CHUNKS, P_ROUNDS, P_SEED, P_THREADS, P_MS };
enum { SHUFFLES_PER_CHUNK = 4 };

static const hak_bench_param_t params[] = {
    {"sleep", "seconds to run", 2, 0, 0, 86400},
    {"min", "smallest size in bytes", 8, 8, 1, UINT64_C(1) << 30},
    {"max", "largest size in bytes", 1000, 1000, 1, UINT64_C(1) << 30},
    {"chunks", "blocks that each thread holds", 5000, 500, 1, UINT64_C(1) << 24},
    {"rounds-per-thread", "a thread lives for chunks x this many replacements", 100, 4, 1,
     UINT64_C(1) << 32},
    {"seed", "of the sizes and victims", 4141, 4141, 0, UINT64_MAX},
    {"threads", "threads at one time", 4, 2, 1, 1024},
    {"ms", "milliseconds to run, added to sleep", 0, 50, 0, 1000000},
};


typedef struct {
    const uint64_t *param;
    hak_a32_t stop;
    pthread_mutex_t lock;
    pthread_cond_t all_done;
    unsigned running; /* under lock: parts whose chain of threads goes on */
} shared_t;

/* Written by one thread of its chain at a time; pthread_create hands it to the successor. */
typedef struct {
    shared_t *shared;
    unsigned char **block;
    hak_bench_rng_t rng;
    uint64_t ops;
    uint64_t threads; /* that were started on this part so far */
} part_t;

static size_t draw_size(hak_bench_rng_t *rng, const uint64_t *param) {
    return param[P_MIN] + hak_bench_below(hak_bench_next(rng), param[P_MAX] - param[P_MIN] + 1);
}

/* The last byte of a block is written too, as in the published program. */
static unsigned char *take(hak_bench_rng_t *rng, const uint64_t *param, size_t index) {
    size_t size = draw_size(rng, param);
    unsigned char *block = hak_bench_take(size, (unsigned char)index);
    block[size - 1] = (unsigned char)index;
    return block;
}

static void part_ends(shared_t *shared) {
    pthread_mutex_lock(&shared->lock);
    shared->running--;
    if (shared->running == 0) {
        pthread_cond_signal(&shared->all_done);
    }
    pthread_mutex_unlock(&shared->lock);
}

static void start(part_t *part);

static void *worker_main(void *context) {
    part_t *part = context;
    const uint64_t *param = part->shared->param;
    uint64_t chunks = param[P_CHUNKS];
    uint64_t left = chunks * param[P_ROUNDS];
    hak_bench_rng_t rng = part->rng; /* a local copy: the part shares its line with others */
    uint64_t ops = 0;
    bool stop = false;

    while (left-- > 0 && !stop) {
        size_t i = hak_bench_below(hak_bench_next(&rng), chunks);
        hak_bench_give(part->block[i], (unsigned char)i);
        part->block[i] = take(&rng, param, i);
        ops++;
        stop = hak_load_rlx(&part->shared->stop) != 0; /* relaxed: carries no data */
    }
    part->rng = rng;
    part->ops += ops;
    if (stop) {
        part_ends(part->shared);
    } else {
        start(part);
    }
    return NULL;
}

/* Detached, as published: nobody waits for a worker that has a successor. */
static void start(part_t *part) {
    pthread_attr_t attr;
    pthread_t thread;

    part->threads++;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attr, worker_main, part);
    if (error != 0) {
        hak_bench_fail("pthread_create: %s", strerror(error));
    }
    pthread_attr_destroy(&attr);
}

static void warm_up(part_t *part, const uint64_t *param) {
    uint64_t chunks = param[P_CHUNKS];

    for (size_t i = 0; i < chunks; i++) {
        part->block[i] = take(&part->rng, param, i);
    }
    for (uint64_t n = 0; n < chunks * SHUFFLES_PER_CHUNK; n++) {
        size_t i = hak_bench_below(hak_bench_next(&part->rng), chunks);
        hak_bench_give(part->block[i], (unsigned char)i);
        part->block[i] = take(&part->rng, param, i);
    }
}

static void stop_all(shared_t *shared) {
    hak_store_rlx(&shared->stop, 1u); /* relaxed: the lock below orders what the parts hold */
    pthread_mutex_lock(&shared->lock);
    while (shared->running != 0) {
        pthread_cond_wait(&shared->all_done, &shared->lock);
    }
    pthread_mutex_unlock(&shared->lock);
}

static void run_larson(const hak_bench_row_t *row, hak_bench_run_t *run) {
    const uint64_t *param = run->param;
    size_t threads = param[P_THREADS];
    size_t chunks = param[P_CHUNKS];
    size_t table_bytes = threads * chunks * sizeof(unsigned char *);
    unsigned char **table = hak_bench_map(table_bytes);
    part_t *part = hak_bench_map(threads * sizeof *part);
    shared_t shared = {.param = param, .running = (unsigned)threads};
    uint64_t started = 0;

    (void)row;
    pthread_mutex_init(&shared.lock, NULL);
    pthread_cond_init(&shared.all_done, NULL);
    for (size_t t = 0; t < threads; t++) {
        part[t].shared = &shared;
        part[t].block = table + t * chunks;
        part[t].rng = hak_bench_rng(param[P_SEED] + t + (uint64_t)run->round * threads);
        warm_up(&part[t], param);
    }
    double begin = hak_bench_now();
    for (size_t t = 0; t < threads; t++) {
        start(&part[t]);
    }
    hak_bench_sleep_ms(param[P_SLEEP] * 1000 + param[P_MS]);
    stop_all(&shared);
    run->seconds = hak_bench_now() - begin;
    for (size_t t = 0; t < threads; t++) {
        run->ops += part[t].ops;
        started += part[t].threads;
        for (size_t i = 0; i < chunks; i++) {
            hak_bench_give(part[t].block[i], (unsigned char)i);
        }
    }
    hak_bench_note(run, "throughput_ops_per_second", (uint64_t)((double)run->ops / run->seconds));
    hak_bench_note(run, "threads_started_count", started);
    pthread_cond_destroy(&shared.all_done);
    pthread_mutex_destroy(&shared.lock);
    hak_bench_unmap(part, threads * sizeof *part);
    hak_bench_unmap(table, table_bytes);
}

static uint64_t larson_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)row;
    return param[P_THREADS] * param[P_CHUNKS] * ((param[P_MIN] + param[P_MAX]) / 2);
}

static const char *refuse(const uint64_t *param) {
    if (param[P_MIN] > param[P_MAX]) {
        return "min is larger than max";
    }
    return param[P_SLEEP] + param[P_MS] == 0 ? "sleep and ms are both 0" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"larson", "an operation is one free and one malloc", run_larson, larson_bytes, {0}},
    };
    static const hak_bench_program_t program = {
        .name = "larson",
        .summary = "A server of the 1990s: threads replace random blocks, mostly those of others,\n"
                   "and hand their table to a successor.",
        .rounds = 1,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
