/* large: one thread; blocks of 64 KiB to 32 MiB and growth by realloc. Each OS page of a block is
 * written, so the price of fresh memory from the kernel is in the figure, as in real programs. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

enum { P_BYTES, P_SLOTS, P_SEED };
#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

static const hak_bench_param_t params[] = {
    {"bytes", "bytes that each row allocates in a round", 4096 * MIB, 32 * MIB, 32 * MIB,
     UINT64_C(1) << 50},
    {"slots", "blocks live at one time in large_replace", 16, 4, 1, 100000},
    {"seed", "of the sizes and slots", 1, 1, 0, UINT64_MAX},
};

/* arg: size */
static void run_pair(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t size = row->arg[0];
    uint64_t ops = run->param[P_BYTES] / size;
    double begin = hak_bench_now();

    for (uint64_t i = 0; i < ops; i++) {
        unsigned char *block = hak_bench_take(size, (unsigned char)i);
        hak_bench_touch(block, size, (unsigned char)i);
        hak_bench_give(block, (unsigned char)i);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = ops;
}

static uint64_t size_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)param;
    return row->arg[0];
}

/* arg: smallest size, largest size */
static void run_replace(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t slots = run->param[P_SLOTS];
    unsigned char **block = hak_bench_map(slots * sizeof *block);
    hak_bench_rng_t rng = hak_bench_rng(run->param[P_SEED] + run->round);
    uint64_t bytes = 0;
    double begin = hak_bench_now();

    while (bytes < run->param[P_BYTES]) {
        size_t i = hak_bench_below(hak_bench_next(&rng), slots);
        size_t size = hak_bench_log_size(&rng, row->arg[0], row->arg[1]);
        if (block[i] != NULL) {
            hak_bench_give(block[i], (unsigned char)i);
        }
        block[i] = hak_bench_take(size, (unsigned char)i);
        hak_bench_touch(block[i], size, (unsigned char)i);
        bytes += size;
        run->ops++;
    }
    run->seconds = hak_bench_now() - begin;
    for (size_t i = 0; i < slots; i++) {
        if (block[i] != NULL) {
            hak_bench_give(block[i], (unsigned char)i);
        }
    }
    hak_bench_unmap(block, slots * sizeof *block);
}

static uint64_t replace_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    return param[P_SLOTS] * hak_bench_log_size_mean(row->arg[0], row->arg[1]);
}

/* Compares the marks that an earlier growth wrote, one in each 4 KiB. */
static void check_marks(const unsigned char *block, size_t size) {
    for (size_t at = 0; at < size; at += 4096) {
        if (block[at] != (unsigned char)(at >> 12)) {
            hak_bench_fail("realloc lost the content at offset %zu of %zu bytes", at, size);
        }
    }
}

/* arg: first size, last size, growth in bytes or 0 for a quarter of the size. Marks are written
 * where the block grew and read once at the end: reading all at each step would measure that. */
static void run_realloc(const hak_bench_row_t *row, hak_bench_run_t *run) {
    uint64_t grown = 0;

    hak_bench_require("realloc");
    double begin = hak_bench_now();

    while (grown < run->param[P_BYTES]) {
        unsigned char *block = NULL;
        size_t marked = 0;
        for (size_t size = row->arg[0]; size <= row->arg[1];
             size += row->arg[2] != 0 ? row->arg[2] : size / 4) {
            unsigned char *moved = realloc(block, size);
            if (moved == NULL) {
                hak_bench_fail("realloc to %zu bytes gave NULL", size);
            }
            block = moved;
            while (marked < size) {
                block[marked] = (unsigned char)(marked >> 12);
                marked += 4096;
            }
            hak_bench_escape(block);
            run->ops++;
        }
        check_marks(block, marked - 4095);
        free(block);
        grown += marked;
    }
    run->seconds = hak_bench_now() - begin;
}

static uint64_t last_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)param;
    return row->arg[1];
}

static const hak_bench_row_t rows[] = {
    {"large_64k", "64 KiB, written and freed at once", run_pair, size_bytes, {64 * KIB}},
    {"large_256k", "256 KiB", run_pair, size_bytes, {256 * KIB}},
    {"large_1m", "1 MiB", run_pair, size_bytes, {MIB}},
    {"large_8m", "8 MiB", run_pair, size_bytes, {8 * MIB}},
    {"large_32m", "32 MiB", run_pair, size_bytes, {32 * MIB}},
    {"large_replace",
     "random replacement, 64 KiB to 32 MiB, each doubling as likely",
     run_replace,
     replace_bytes,
     {64 * KIB, 32 * MIB}},
    {"large_realloc",
     "realloc from 64 KiB to 32 MiB by a quarter; an operation is one realloc",
     run_realloc,
     last_bytes,
     {64 * KIB, 32 * MIB, 0}},
    {"large_append",
     "realloc from 64 KiB to 4 MiB by 16 KiB",
     run_realloc,
     last_bytes,
     {64 * KIB, 4 * MIB, 16 * KIB}},
};

int main(int argc, char **argv) {
    static const hak_bench_program_t program = {
        .name = "large",
        .summary = "One thread: blocks of 64 KiB to 32 MiB, each OS page written.",
        .rounds = 3,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    return hak_bench_main(&program, argc, argv);
}
