/* latency: how long single calls of malloc and free take, in the workloads of random_mixed and
 * larson. After each call the same clock is read around nothing: what that control shows is the
 * machine's, not the allocator's.
 *
 * A sample during which the kernel gave the CPU to somebody else, or the host of a virtual machine
 * did, took as long as they liked and is counted apart. Of these, those in which the thread waited
 * by its own will, for a lock or in the kernel, have a count: how long is not malloc's doing, that
 * is, and an allocator that waits instead of working would else look quick. To ask after each call
 * would cost more than the call, so it is done only when an interval was too long for anything
 * else, be it inside a call or between two: then the switch belongs to that interval, for a switch
 * away and back is never shorter. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"
#include "bench/latency/happened.h"
#include "bench/latency/histogram.h"

#include "base/attr.h"

#include <string.h>
#include <time.h>

enum { P_THREADS, P_OPS, P_LIVE, P_GENERATIONS, P_SLOW, P_SEED };
enum { MALLOC, FREE, NOTHING, KINDS };
enum { A_MILLISECOND = 1000000 };

static const hak_bench_param_t params[] = {
    {"threads", "threads, each with its own table", 1, 2, 1, 1024},
    {"ops", "iterations of each thread", 5000000, 20000, 1, UINT64_C(1) << 40},
    {"live", "slots of each thread's table", 4096, 256, 1, UINT64_C(1) << 24},
    {"generations", "of threads in latency_larson", 20, 4, 1, 1000000},
    {"slow-ns", "a longer interval is asked whether the thread was switched out", 2000, 2000, 200,
     A_MILLISECOND},
    {"seed", "of the sizes and slots", 42, 42, 0, UINT64_MAX},
};

/* What one kind of call took, of all its samples. */
typedef struct {
    hak_bench_histogram_t ran;      /* the thread had its CPU all the time */
    hak_bench_histogram_t switched; /* it had not */
    uint64_t waited;                /* of these, those in which the thread gave it up itself, */
    uint64_t stolen;                /* and those in which the host took it */
    uint64_t total_ns;              /* of those that ran */
    uint64_t over_1ms;              /* of those that ran */
    uint64_t over_1ms_faults;       /* of them, those in which OS pages were faulted in, */
    uint64_t over_1ms_mappings;     /* memory was mapped or unmapped, */
    uint64_t over_1ms_purges;       /* or given back */
} kind_t;

/* One thread's. */
typedef struct {
    kind_t kind[KINDS];
    uint64_t last_ns;        /* end of the last sample */
    hak_bench_state_t state; /* as last asked */
} meter_t;

typedef struct {
    const uint64_t *param;
    unsigned char **table;
    meter_t *meter;
    size_t min;
    size_t max;
    uint64_t stream; /* tells rounds and generations apart */
    uint64_t ops;    /* of one thread in one generation */
} job_t;

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_state(hak_bench_state_t *state) {
    if (!hak_bench_state_read(state)) {
        hak_bench_fail("getrusage(RUSAGE_THREAD) failed");
    }
}

/* What happened to this thread since the last time; all that took long before the interval of `ns`
 * has been asked about. */
static hak_cold hak_bench_happened_t ask(meter_t *meter, uint64_t ns) {
    hak_bench_state_t was = meter->state;
    read_state(&meter->state);
    return hak_bench_happened(&was, &meter->state, ns);
}

/* The start of a sample. */
static inline uint64_t begin_sample(const job_t *job, meter_t *meter) {
    uint64_t begin = now_ns();
    if (hak_unlikely(begin - meter->last_ns > job->param[P_SLOW])) {
        (void)ask(meter, 0); /* whatever it was, it happened before this sample */
        begin = now_ns();
    }
    return begin;
}

static inline void end_sample(const job_t *job, meter_t *meter, unsigned which, uint64_t begin) {
    uint64_t end = now_ns();
    uint64_t ns = end - begin;
    kind_t *kind = &meter->kind[which];

    meter->last_ns = end;
    if (hak_unlikely(ns > job->param[P_SLOW])) {
        hak_bench_happened_t asked = ask(meter, ns);
        if (asked.switched || asked.stolen) {
            hak_bench_histogram_add(&kind->switched, ns);
            kind->waited += asked.waited;
            kind->stolen += !asked.switched;
            return;
        }
        if (ns > A_MILLISECOND) {
            kind->over_1ms++;
            kind->over_1ms_faults += asked.faulted;
            kind->over_1ms_mappings += asked.mapped;
            kind->over_1ms_purges += asked.purged;
        }
    }
    kind->total_ns += ns;
    hak_bench_histogram_add(&kind->ran, ns);
}

static unsigned char *timed_malloc(const job_t *job, meter_t *meter, size_t size,
                                   unsigned char mark) {
    uint64_t begin = begin_sample(job, meter);
    unsigned char *block = malloc(size);
    hak_bench_escape(block);
    end_sample(job, meter, MALLOC, begin);
    if (hak_unlikely(block == NULL)) {
        hak_bench_fail("malloc(%zu) gave NULL", size);
    }
    block[size - 1] = mark;
    block[0] = mark;
    hak_bench_escape(block);
    return block;
}

static void timed_free(const job_t *job, meter_t *meter, unsigned char *block, unsigned char mark) {
    if (hak_unlikely(block[0] != mark)) {
        hak_bench_fail("block %p begins with %#x, the program wrote %#x", (void *)block, block[0],
                       mark);
    }
    uint64_t begin = begin_sample(job, meter);
    free(block);
    end_sample(job, meter, FREE, begin);
}

static void timed_nothing(const job_t *job, meter_t *meter) {
    uint64_t begin = begin_sample(job, meter);
    hak_bench_escape(meter);
    end_sample(job, meter, NOTHING, begin);
}

static size_t draw_size(const job_t *job, hak_bench_rng_t *rng) {
    return job->min + hak_bench_below(hak_bench_next(rng), job->max - job->min + 1);
}

static hak_bench_rng_t rng_of(const job_t *job, unsigned index) {
    return hak_bench_rng(job->param[P_SEED] + job->stream * job->param[P_THREADS] + index);
}

static meter_t *meter_of(const job_t *job, unsigned index) {
    meter_t *meter = &job->meter[index];
    read_state(&meter->state); /* a new thread's counters begin anew */
    meter->last_ns = now_ns();
    return meter;
}

/* Frees the block of a random slot, or fills the slot if it is empty. */
static void work_mixed(unsigned index, void *arg) {
    const job_t *job = arg;
    size_t live = job->param[P_LIVE];
    unsigned char **block = job->table + index * live;
    hak_bench_rng_t rng = rng_of(job, index);
    meter_t *meter = meter_of(job, index);

    for (uint64_t n = 0; n < job->ops; n++) {
        size_t i = hak_bench_below(hak_bench_next(&rng), live);
        if (block[i] != NULL) {
            timed_free(job, meter, block[i], (unsigned char)i);
            block[i] = NULL;
        } else {
            block[i] = timed_malloc(job, meter, draw_size(job, &rng), (unsigned char)i);
        }
        timed_nothing(job, meter);
    }
}

/* Replaces random blocks of a part that another thread had in the generation before. */
static void work_larson(unsigned index, void *arg) {
    const job_t *job = arg;
    size_t live = job->param[P_LIVE];
    unsigned char **block = job->table + (index + job->stream) % job->param[P_THREADS] * live;
    hak_bench_rng_t rng = rng_of(job, index);
    meter_t *meter = meter_of(job, index);

    for (uint64_t n = 0; n < job->ops; n++) {
        size_t i = hak_bench_below(hak_bench_next(&rng), live);
        timed_free(job, meter, block[i], (unsigned char)i);
        block[i] = timed_malloc(job, meter, draw_size(job, &rng), (unsigned char)i);
        timed_nothing(job, meter);
    }
}

enum { NOTES = 12 };

static void note_kind(hak_bench_run_t *run, const kind_t *kind, const char *const name[NOTES]) {
    static const unsigned per_100k[] = {50000, 99000, 99900, 100000};

    for (unsigned i = 0; i < 4; i++) {
        hak_bench_note(run, name[i], hak_bench_histogram_at(&kind->ran, per_100k[i]));
    }
    hak_bench_note(run, name[4], kind->over_1ms);
    hak_bench_note(run, name[5], kind->over_1ms_faults);
    hak_bench_note(run, name[6], kind->over_1ms_mappings);
    hak_bench_note(run, name[7], kind->over_1ms_purges);
    hak_bench_note(run, name[8], kind->switched.count);
    hak_bench_note(run, name[9], kind->stolen);
    hak_bench_note(run, name[10], kind->switched.max);
    hak_bench_note(run, name[11], kind->waited);
}

static void merge(kind_t *into, const kind_t *from) {
    hak_bench_histogram_merge(&into->ran, &from->ran);
    hak_bench_histogram_merge(&into->switched, &from->switched);
    into->waited += from->waited;
    into->stolen += from->stolen;
    into->total_ns += from->total_ns;
    into->over_1ms += from->over_1ms;
    into->over_1ms_faults += from->over_1ms_faults;
    into->over_1ms_mappings += from->over_1ms_mappings;
    into->over_1ms_purges += from->over_1ms_purges;
}

#define NAMES(kind)                                                                                \
    {                                                                                              \
        kind "_p50_ns", kind "_p99_ns", kind "_p999_ns", kind "_max_ns", kind "_over_1ms_count",   \
            kind "_over_1ms_with_faults_count", kind "_over_1ms_with_mappings_count",              \
            kind "_over_1ms_with_purges_count", kind "_switched_count", kind "_stolen_count",      \
            kind "_switched_max_ns", kind "_waited_count"                                          \
    }

/* The time of the row is that of its calls, the clock's own share in it; the control's is not. */
static void report(hak_bench_run_t *run, const job_t *job) {
    static const char *const name[KINDS][NOTES] = {NAMES("malloc"), NAMES("free"),
                                                   NAMES("nothing")};
    kind_t *sum = hak_bench_map(KINDS * sizeof *sum);

    for (unsigned k = 0; k < KINDS; k++) {
        for (unsigned t = 0; t < job->param[P_THREADS]; t++) {
            merge(&sum[k], &job->meter[t].kind[k]);
        }
        note_kind(run, &sum[k], name[k]);
    }
    run->seconds = (double)(sum[MALLOC].total_ns + sum[FREE].total_ns) * 1e-9;
    run->ops = sum[MALLOC].ran.count + sum[FREE].ran.count;
    hak_bench_unmap(sum, KINDS * sizeof *sum);
}

/* arg: smallest size, largest size, 1 for larson */
static void run_latency(const hak_bench_row_t *row, hak_bench_run_t *run) {
    const uint64_t *param = run->param;
    unsigned threads = (unsigned)param[P_THREADS];
    size_t slots = threads * param[P_LIVE];
    size_t table_bytes = slots * sizeof(unsigned char *);
    size_t meter_bytes = threads * sizeof(meter_t);
    bool larson = row->arg[2] != 0;
    uint64_t generations = larson ? param[P_GENERATIONS] : 1;
    job_t job = {
        .param = param,
        .table = hak_bench_map(table_bytes),
        .meter = hak_bench_map(meter_bytes),
        .min = row->arg[0],
        .max = row->arg[1],
        .ops = (param[P_OPS] + generations - 1) / generations,
    };
    hak_bench_rng_t rng = hak_bench_rng(param[P_SEED] + run->round);

    hak_bench_happened_open();
    memset(job.meter, 0, meter_bytes); /* the meter's own pages are no part of a sample */
    for (size_t i = 0; larson && i < slots; i++) {
        job.table[i] = hak_bench_take(draw_size(&job, &rng), (unsigned char)(i % param[P_LIVE]));
    }
    for (uint64_t g = 0; g < generations; g++) {
        job.stream = run->round * generations + g;
        hak_bench_in_threads(threads, larson ? work_larson : work_mixed, &job);
    }
    report(run, &job);
    for (size_t i = 0; i < slots; i++) {
        if (job.table[i] != NULL) {
            hak_bench_give(job.table[i], (unsigned char)(i % param[P_LIVE]));
        }
    }
    hak_bench_unmap(job.meter, meter_bytes);
    hak_bench_unmap(job.table, table_bytes);
}

static uint64_t latency_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    uint64_t full = param[P_THREADS] * param[P_LIVE] * ((row->arg[0] + row->arg[1]) / 2);
    return row->arg[2] != 0 ? full : full / 2;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"latency_random_mixed",
         "random malloc and free, 16 to 1039 B; an operation is one call",
         run_latency,
         latency_bytes,
         {16, 1039, 0}},
        {"latency_larson",
         "threads replace blocks of 8 to 1000 B of others and dead threads",
         run_latency,
         latency_bytes,
         {8, 1000, 1}},
    };
    static const hak_bench_program_t program = {
        .name = "latency",
        .summary = "How long single calls of malloc and free take: percentiles.",
        .rounds = 1,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    return hak_bench_main(&program, argc, argv);
}
