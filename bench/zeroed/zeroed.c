/* zeroed: one thread; calloc. Blocks are used before they are freed, so that a block that comes
 * back is dirty: an allocator that knows fresh memory from used may skip the clearing of the first
 * kind only. Before its timed loop each row fills blocks with ones, frees them, and looks at every
 * byte of what calloc gives then. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

#include "base/attr.h"

#include <string.h>

enum { P_OPS, P_SEED };
enum { CHECKED_BLOCKS = 64, CHECKED_BYTES = 256 * 1024 };
#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

static const hak_bench_param_t params[] = {
    {"ops", "operations (a calloc and its free) of the fastest rows", 4000000, 50000, 1000,
     UINT64_C(1) << 40},
    {"seed", "of the random sizes and slots", 1, 1, 0, UINT64_MAX},
};

/* A zeroed block, looked at where its ends are, and then marked there. */
static unsigned char *take_zeroed(size_t size, unsigned char mark) {
    unsigned char *block = calloc(size, 1);

    if (hak_unlikely(block == NULL)) {
        hak_bench_fail("calloc(%zu, 1) gave NULL", size);
    }
    if (hak_unlikely(block[0] != 0 || block[size / 2] != 0 || block[size - 1] != 0)) {
        hak_bench_fail("calloc(%zu, 1) gave a block with something in it", size);
    }
    block[size / 2] = mark;
    block[size - 1] = mark;
    block[0] = mark;
    hak_bench_escape(block);
    return block;
}

static void check_every_byte(size_t size) {
    unsigned char *block[CHECKED_BLOCKS];
    size_t count = CHECKED_BYTES / size;

    /* Few large blocks: the check must not set the row's peak of resident memory. */
    count = count < 1 ? 1 : count < CHECKED_BLOCKS ? count : CHECKED_BLOCKS;
    for (size_t i = 0; i < count; i++) {
        block[i] = hak_bench_take(size, 1);
        memset(block[i], 0xff, size);
        hak_bench_escape(block[i]);
    }
    for (size_t i = 0; i < count; i++) {
        hak_bench_give(block[i], 0xff);
    }
    for (size_t i = 0; i < count; i++) {
        block[i] = calloc(1, size);
        if (block[i] == NULL) {
            hak_bench_fail("calloc(1, %zu) gave NULL", size);
        }
        for (size_t k = 0; k < size; k++) {
            if (block[i][k] != 0) {
                hak_bench_fail("byte %zu of calloc(1, %zu) is %#x", k, size, block[i][k]);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(block[i]);
    }
}

/* arg: size, -, divisor of ops */
static void run_pair(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t size = row->arg[0];
    uint64_t ops = run->param[P_OPS] / row->arg[2] + 1;

    hak_bench_require("calloc");
    check_every_byte(size);
    double begin = hak_bench_now();
    for (uint64_t i = 0; i < ops; i++) {
        hak_bench_give(take_zeroed(size, (unsigned char)i), (unsigned char)i);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = ops;
}

static uint64_t pair_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)param;
    return row->arg[0];
}

/* arg: slots, largest size, divisor of ops. From 16 B on, each doubling as likely. */
static void run_replace(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t slots = row->arg[0];
    uint64_t ops = run->param[P_OPS] / row->arg[2];
    hak_bench_rng_t rng = hak_bench_rng(run->param[P_SEED] + run->round);
    unsigned char **block = hak_bench_map(slots * sizeof *block);

    hak_bench_require("calloc");
    for (size_t size = 16; size <= row->arg[1]; size *= 2) {
        check_every_byte(size);
    }
    for (size_t i = 0; i < slots; i++) {
        block[i] = take_zeroed(hak_bench_log_size(&rng, 16, row->arg[1]), (unsigned char)i);
    }
    double begin = hak_bench_now();
    for (uint64_t n = 0; n < ops; n++) {
        size_t i = hak_bench_below(hak_bench_next(&rng), slots);
        size_t size = hak_bench_log_size(&rng, 16, row->arg[1]);
        hak_bench_give(block[i], (unsigned char)i);
        block[i] = take_zeroed(size, (unsigned char)i);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = ops;
    for (size_t i = 0; i < slots; i++) {
        hak_bench_give(block[i], (unsigned char)i);
    }
    hak_bench_unmap(block, slots * sizeof *block);
}

static uint64_t replace_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)param;
    return row->arg[0] * hak_bench_log_size_mean(16, row->arg[1]);
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"calloc_64", "calloc of 64 B and free at once", run_pair, pair_bytes, {64, 0, 1}},
        {"calloc_1k", "1 KiB", run_pair, pair_bytes, {KIB, 0, 1}},
        {"calloc_32k", "32 KiB", run_pair, pair_bytes, {32 * KIB, 0, 10}},
        {"calloc_1m", "1 MiB", run_pair, pair_bytes, {MIB, 0, 400}},
        {"calloc_replace",
         "random replacement, 10,000 live of 16 B to 8 KiB",
         run_replace,
         replace_bytes,
         {10000, 8 * KIB, 4}},
    };
    static const hak_bench_program_t program = {
        .name = "zeroed",
        .summary = "One thread: calloc of blocks that were used before.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    return hak_bench_main(&program, argc, argv);
}
