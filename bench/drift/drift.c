/* drift: threads hold a steady number of bytes while the sizes they ask for change.
 *
 * The run is a row of steps. In a step each thread allocates its share of the live bytes anew
 * `turnovers` times, with sizes from that step's window. It makes room by freeing a random block of
 * its oldest quarter: most of what lived before dies, a few blocks linger and hold their slabs.
 *
 * phase_shift jumps between windows that have no size in common. soak slides through windows that
 * overlap, and most of its blocks die young. */
#include "bench/common/harness.h"
#include "bench/common/machine.h"
#include "bench/common/measure_inl.h"

#include <pthread.h>
#include <string.h>

enum { P_THREADS, P_MIB, P_STEPS, P_TURNOVERS, P_SEED };
enum {
    SMALLEST = 16,
    LARGEST = 32768,
    YOUNG_SLOTS = 64,
    YOUNG_PER_OLD = 8,
    MOVE_AFTER = 1024,
    SIZE_SHIFT = 48,
    SERIALS = 8
};

static const hak_bench_param_t params[] = {
    {"threads", "threads, each with its own blocks", 1, 2, 1, 1024},
    {"mib", "MiB live at one time, of all threads", 16, 4, 1, 1 << 20},
    {"steps", "steps, each with its window of sizes", 14, 7, 1, 1000000},
    {"turnovers", "times that a step allocates the live bytes anew", 2, 1, 1, 1000000},
    {"seed", "of the sizes and victims", 1, 1, 0, UINT64_MAX},
};

typedef struct {
    size_t min;
    size_t max;
} window_t;

static const window_t shifts[] = {
    {40, 120}, {2048, 4096}, {192, 384}, {8192, LARGEST}, {512, 1024}, {130, 190}, {5000, 7000},
};
static const window_t slides[] = {
    {SMALLEST, 128}, {64, 512}, {256, 2048}, {1024, 8192}, {256, 2048}, {64, 512}, {32, 256},
};
enum { WINDOWS = sizeof shifts / sizeof shifts[0] };

/* The live blocks of a thread, older ones first, from `head` on. An entry holds an address, which
 * has 48 bits at most on our targets, above it the size and in its lowest bits a serial number, by
 * which blocks of one size differ: two words would weigh on resident memory. */
typedef struct {
    uint64_t *entry;
    size_t head;
    size_t count;
    uint64_t live_bytes;
    uint64_t limit_bytes;
    hak_bench_rng_t rng;
    uint64_t ops;
} set_t;

typedef struct {
    const uint64_t *param;
    const window_t *window;
    set_t *set;
    uint64_t *rss_bytes; /* after each step */
    pthread_barrier_t step_ends;
    bool young;
} job_t;

static unsigned char mark_of(size_t size, uint64_t serial) {
    return (unsigned char)((size * 37 >> 2) + serial * 31);
}

static uint64_t take_entry(size_t size, uint64_t number) {
    uint64_t serial = number % SERIALS;
    unsigned char mark = mark_of(size, serial);
    unsigned char *block = hak_bench_take(size, mark);

    hak_bench_touch(block, size, mark);
    if ((uintptr_t)block >> SIZE_SHIFT != 0 || (uintptr_t)block % SERIALS != 0) {
        hak_bench_fail("address %p has more than %d bits or is no multiple of %d", (void *)block,
                       SIZE_SHIFT, SERIALS);
    }
    return (uintptr_t)block | serial | (uint64_t)size << SIZE_SHIFT;
}

static size_t give_entry(uint64_t entry) {
    size_t size = entry >> SIZE_SHIFT;
    uint64_t serial = entry % SERIALS;
    uint64_t address = (entry & ((UINT64_C(1) << SIZE_SHIFT) - 1)) - serial;
    unsigned char *block = (unsigned char *)(uintptr_t)address;
    unsigned char mark = mark_of(size, serial);

    if (block[size - 1] != mark) {
        hak_bench_fail("block %p of %zu bytes ends with %#x", (void *)block, size, block[size - 1]);
    }
    hak_bench_give(block, mark);
    return size;
}

/* The oldest block takes the place of the victim, so the order holds but for one quarter. */
static void remove_old(set_t *set) {
    size_t i = set->head + hak_bench_below(hak_bench_next(&set->rng), set->count / 4 + 1);

    set->live_bytes -= give_entry(set->entry[i]);
    set->entry[i] = set->entry[set->head++];
    set->count--;
    if (set->head > set->count / 2 + MOVE_AFTER) { /* so the table stays small: 2 moves a block */
        memmove(set->entry, set->entry + set->head, set->count * sizeof set->entry[0]);
        set->head = 0;
    }
}

static void add(set_t *set, size_t size) {
    while (set->live_bytes + size > set->limit_bytes && set->count > 0) {
        remove_old(set);
    }
    set->entry[set->head + set->count++] = take_entry(size, set->ops);
    set->live_bytes += size;
    set->ops++;
}

/* Blocks of all sizes that live for some hundred calls, between those that stay. */
static void pass_young(set_t *set, uint64_t *young) {
    for (unsigned i = 0; i < YOUNG_PER_OLD; i++) {
        uint64_t *slot = &young[hak_bench_below(hak_bench_next(&set->rng), YOUNG_SLOTS)];
        if (*slot != 0) {
            give_entry(*slot);
        }
        *slot = take_entry(hak_bench_log_size(&set->rng, SMALLEST, LARGEST / 4), set->ops);
        set->ops++;
    }
}

static void work(unsigned index, void *arg) {
    job_t *job = arg;
    set_t set = job->set[index]; /* a local copy: the sets share lines */
    uint64_t young[YOUNG_SLOTS] = {0};

    for (uint64_t step = 0; step < job->param[P_STEPS]; step++) {
        window_t window = job->window[step % WINDOWS];
        uint64_t left = set.limit_bytes * job->param[P_TURNOVERS];
        while (left > 0) {
            size_t size = hak_bench_log_size(&set.rng, window.min, window.max);
            add(&set, size);
            left -= size < left ? size : left;
            if (job->young) {
                pass_young(&set, young);
            }
        }
        pthread_barrier_wait(&job->step_ends);
        if (index == 0) {
            job->rss_bytes[step] = hak_bench_rss_bytes();
        }
    }
    for (unsigned i = 0; i < YOUNG_SLOTS; i++) {
        if (young[i] != 0) {
            give_entry(young[i]);
        }
    }
    job->set[index] = set;
}

static size_t entry_bytes(const uint64_t *param) {
    uint64_t limit = (param[P_MIB] << 20) / param[P_THREADS];
    return (((limit + LARGEST) / SMALLEST + 1) * 3 / 2 + MOVE_AFTER + 1) * sizeof(uint64_t);
}

/* The figures that a soak is for: does resident memory grow while the live bytes do not? */
static void note_memory(hak_bench_run_t *run, const job_t *job, uint64_t live_bytes) {
    uint64_t steps = run->param[P_STEPS];
    uint64_t first = job->rss_bytes[steps < WINDOWS ? steps - 1 : WINDOWS - 1];
    uint64_t last = job->rss_bytes[steps - 1];
    uint64_t most = 0;

    for (uint64_t i = 0; i < steps; i++) {
        most = job->rss_bytes[i] > most ? job->rss_bytes[i] : most;
    }
    hak_bench_note(run, "live_bytes", live_bytes);
    hak_bench_note(run, "first_cycle_bytes", first);
    hak_bench_note(run, "most_bytes", most);
    hak_bench_note(run, "at_end_bytes", last);
    hak_bench_note(run, "rss_of_live_percent", live_bytes != 0 ? last * 100 / live_bytes : 0);
}

/* arg: 1 for soak */
static void run_drift(const hak_bench_row_t *row, hak_bench_run_t *run) {
    const uint64_t *param = run->param;
    unsigned threads = (unsigned)param[P_THREADS];
    size_t set_bytes = threads * sizeof(set_t);
    size_t rss_bytes = param[P_STEPS] * sizeof(uint64_t);
    bool soak = row->arg[0] != 0;
    uint64_t live_bytes = 0;
    job_t job = {
        .param = param,
        .window = soak ? slides : shifts,
        .set = hak_bench_map(set_bytes),
        .rss_bytes = hak_bench_map(rss_bytes),
        .young = soak,
    };

    int error = pthread_barrier_init(&job.step_ends, NULL, threads);
    if (error != 0) {
        hak_bench_fail("pthread_barrier_init: %s", strerror(error));
    }
    for (unsigned t = 0; t < threads; t++) {
        job.set[t].entry = hak_bench_map(entry_bytes(param));
        job.set[t].limit_bytes = (param[P_MIB] << 20) / threads;
        job.set[t].rng = hak_bench_rng(param[P_SEED] + (uint64_t)run->round * threads + t);
    }
    run->seconds = hak_bench_in_threads(threads, work, &job);
    for (unsigned t = 0; t < threads; t++) {
        run->ops += job.set[t].ops;
        live_bytes += job.set[t].live_bytes;
    }
    note_memory(run, &job, live_bytes);
    for (unsigned t = 0; t < threads; t++) {
        while (job.set[t].count > 0) {
            remove_old(&job.set[t]);
        }
        hak_bench_unmap(job.set[t].entry, entry_bytes(param));
    }
    pthread_barrier_destroy(&job.step_ends);
    hak_bench_unmap(job.rss_bytes, rss_bytes);
    hak_bench_unmap(job.set, set_bytes);
}

static uint64_t drift_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)row;
    return param[P_MIB] << 20;
}

static const char *refuse(const uint64_t *param) {
    bool small = (param[P_MIB] << 20) / param[P_THREADS] < LARGEST;
    return small ? "a thread's share of mib is less than its largest block" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"phase_shift",
         "sizes jump from step to step; an operation is one malloc and one free",
         run_drift,
         drift_bytes,
         {0}},
        {"soak", "sizes slide, eight of nine blocks die young", run_drift, drift_bytes, {1}},
    };
    static const hak_bench_program_t program = {
        .name = "drift",
        .summary = "A steady number of live bytes while the sizes change: what stays resident?",
        .rounds = 1,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
