/* pair: one thread; what one malloc and its free cost, by size and by the order of the frees.
 *
 * The sizes of the mixed row and the slots of the replace rows are drawn inside the loop: the draw
 * costs every allocator the same, a table of draws would cost cache. */
#include <malloc.h>
#include <stdlib.h>

#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

enum { P_OPS, P_SEED };

static const hak_bench_param_t params[] = {
    {"ops", "operations (a malloc and its free) of the fastest rows", 4000000, 100000, 1000,
     UINT64_C(1) << 40},
    {"seed", "of the random sizes and slots", 1, 1, 0, UINT64_MAX},
};

static uint64_t row_ops(const hak_bench_row_t *row, const hak_bench_run_t *run) {
    return run->param[P_OPS] / row->arg[2];
}

/* arg: size, -, divisor of ops */
static void run_pair(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t size = row->arg[0];
    uint64_t ops = row_ops(row, run);
    double begin = hak_bench_now();

    for (uint64_t i = 0; i < ops; i++) {
        hak_bench_give(hak_bench_take(size, (unsigned char)i), (unsigned char)i);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = ops;
}

static uint64_t pair_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)param;
    return row->arg[0];
}

/* arg: size, -, divisor of ops. A constructor that sets fields of 4 bytes one after the other. */
static void run_fields(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t size = row->arg[0];
    uint64_t ops = row_ops(row, run);
    double begin = hak_bench_now();

    for (uint64_t i = 0; i < ops; i++) {
        unsigned char *block = hak_bench_take(size, (unsigned char)i);
        uint32_t *field = (uint32_t *)(void *)block;
        for (size_t k = 1; k < size / sizeof *field; k++) {
            field[k] = (uint32_t)i;
            hak_bench_escape(field); /* else two stores may become one */
        }
        hak_bench_give(block, (unsigned char)i);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = ops;
}

/* arg: size, -, divisor of ops. A server that keeps account of what it holds, as redis does: it
 * asks for the size of a block after its malloc and before its free. */
static void run_usable(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t size = row->arg[0];
    uint64_t ops = row_ops(row, run);
    size_t held = 0;

    hak_bench_require("malloc_usable_size");
    double begin = hak_bench_now();
    for (uint64_t i = 0; i < ops; i++) {
        unsigned char *block = hak_bench_take(size, (unsigned char)i);
        held += malloc_usable_size(block);
        hak_bench_escape(&held);
        held -= malloc_usable_size(block);
        hak_bench_give(block, (unsigned char)i);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = ops;
    if (held != 0) {
        hak_bench_fail("blocks had another size when they were freed");
    }
}

/* arg: first size, last size, divisor of ops. A string that grows by its first size; an operation
 * is one realloc. The last byte is written each time, and read back after the next. */
static void run_append(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t step = row->arg[0], last = row->arg[1];
    uint64_t ops = row_ops(row, run), done = 0;

    hak_bench_require("realloc");
    double begin = hak_bench_now();
    while (done < ops) {
        unsigned char *block = hak_bench_take(step, 1);
        for (size_t size = step; size < last; size += step, done++) {
            block[size - 1] = (unsigned char)done;
            unsigned char *moved = realloc(block, size + step);
            if (hak_unlikely(moved == NULL || moved[size - 1] != (unsigned char)done)) {
                hak_bench_fail("realloc to %zu bytes gave no block or lost its content",
                               size + step);
            }
            block = moved;
            hak_bench_escape(block);
        }
        free(block);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = done;
}

static uint64_t append_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)param;
    return row->arg[1];
}

/* arg: smallest size, range, divisor of ops */
static void run_mixed(const hak_bench_row_t *row, hak_bench_run_t *run) {
    hak_bench_rng_t rng = hak_bench_rng(run->param[P_SEED] + run->round);
    uint64_t ops = row_ops(row, run);
    double begin = hak_bench_now();

    for (uint64_t i = 0; i < ops; i++) {
        size_t size = row->arg[0] + hak_bench_below(hak_bench_next(&rng), row->arg[1]);
        hak_bench_give(hak_bench_take(size, (unsigned char)i), (unsigned char)i);
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = ops;
}

static uint64_t mixed_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)param;
    return row->arg[0] + row->arg[1];
}

/* The order in which a burst is freed. */
typedef enum { NEWEST_FIRST, OLDEST_FIRST, RANDOM } order_t;

/* The numbers below `count` in random order (Fisher and Yates). */
static void shuffle(uint32_t *number, size_t count, hak_bench_rng_t rng) {
    for (size_t i = 0; i < count; i++) {
        size_t j = hak_bench_below(hak_bench_next(&rng), i + 1);
        number[i] = number[j];
        number[j] = (uint32_t)i;
    }
}

/* arg: size, blocks in a burst, divisor of ops */
static void run_burst(const hak_bench_row_t *row, hak_bench_run_t *run, order_t order) {
    size_t size = row->arg[0];
    size_t count = row->arg[1];
    uint64_t ops = row_ops(row, run);
    unsigned char **block = hak_bench_map(count * sizeof *block);
    uint32_t *shuffled = NULL;
    uint64_t done = 0;
    if (order == RANDOM) {
        shuffled = hak_bench_map(count * sizeof *shuffled);
        shuffle(shuffled, count, hak_bench_rng(run->param[P_SEED] + run->round));
    }
    double begin = hak_bench_now();

    while (done < ops) {
        for (size_t i = 0; i < count; i++) {
            block[i] = hak_bench_take(size, (unsigned char)i);
        }
        for (size_t i = 0; i < count; i++) {
            size_t at = order == NEWEST_FIRST   ? count - 1 - i
                        : order == OLDEST_FIRST ? i
                                                : shuffled[i];
            hak_bench_give(block[at], (unsigned char)at);
        }
        done += count;
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = done;
    if (order == RANDOM) {
        hak_bench_unmap(shuffled, count * sizeof *shuffled);
    }
    hak_bench_unmap(block, count * sizeof *block);
}

static void run_lifo(const hak_bench_row_t *row, hak_bench_run_t *run) {
    run_burst(row, run, NEWEST_FIRST);
}

static void run_fifo(const hak_bench_row_t *row, hak_bench_run_t *run) {
    run_burst(row, run, OLDEST_FIRST);
}

static void run_shuffle(const hak_bench_row_t *row, hak_bench_run_t *run) {
    run_burst(row, run, RANDOM);
}

static uint64_t burst_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)param;
    return row->arg[0] * row->arg[1];
}

/* arg: slots, largest size, divisor of ops. Sizes from 16 on, each as likely. */
static void run_replace(const hak_bench_row_t *row, hak_bench_run_t *run) {
    size_t slots = row->arg[0];
    uint64_t range = row->arg[1] - 15;
    uint64_t ops = row_ops(row, run);
    hak_bench_rng_t rng = hak_bench_rng(run->param[P_SEED] + run->round);
    unsigned char **block = hak_bench_map(slots * sizeof *block);

    for (size_t i = 0; i < slots; i++) {
        size_t size = 16 + hak_bench_below(hak_bench_next(&rng), range);
        block[i] = hak_bench_take(size, (unsigned char)i);
    }
    double begin = hak_bench_now();
    for (uint64_t n = 0; n < ops; n++) {
        size_t i = hak_bench_below(hak_bench_next(&rng), slots);
        size_t size = 16 + hak_bench_below(hak_bench_next(&rng), range);
        hak_bench_give(block[i], (unsigned char)i);
        block[i] = hak_bench_take(size, (unsigned char)i);
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
    return row->arg[0] * (row->arg[1] + 16) / 2;
}

static const hak_bench_row_t rows[] = {
    {"pair_16", "malloc(16) and free at once", run_pair, pair_bytes, {16, 0, 1}},
    {"pair_64", "malloc(64) and free at once", run_pair, pair_bytes, {64, 0, 1}},
    {"pair_1k", "malloc(1 KiB) and free at once", run_pair, pair_bytes, {1024, 0, 1}},
    {"pair_4k", "malloc(4 KiB) and free at once", run_pair, pair_bytes, {4096, 0, 2}},
    {"pair_32k", "malloc(32 KiB) and free at once", run_pair, pair_bytes, {32768, 0, 4}},
    {"pair_fields",
     "malloc(32), seven fields written one by one, and free at once",
     run_fields,
     pair_bytes,
     {32, 0, 1}},
    {"pair_usable",
     "malloc(64), malloc_usable_size twice, and free",
     run_usable,
     pair_bytes,
     {64, 0, 1}},
    {"append_1k",
     "realloc from 16 B to 1 KiB by 16; an operation is one realloc",
     run_append,
     append_bytes,
     {16, 1024, 1}},
    {"pair_mixed", "16 B to 4 KiB, each size as likely", run_mixed, mixed_bytes, {16, 4081, 2}},
    {"lifo_1k", "bursts of 1,000 x 64 B, freed newest first", run_lifo, burst_bytes, {64, 1000, 1}},
    {"fifo_1k", "bursts of 1,000 x 64 B, freed oldest first", run_fifo, burst_bytes, {64, 1000, 1}},
    {"lifo_10k", "bursts of 10,000 x 64 B, newest first", run_lifo, burst_bytes, {64, 10000, 1}},
    {"fifo_10k", "bursts of 10,000 x 64 B, oldest first", run_fifo, burst_bytes, {64, 10000, 1}},
    {"lifo_100k", "bursts of 100,000 x 64 B, newest first", run_lifo, burst_bytes, {64, 100000, 1}},
    {"fifo_100k", "bursts of 100,000 x 64 B, oldest first", run_fifo, burst_bytes, {64, 100000, 1}},
    {"lifo_200k", "bursts of 200,000 x 64 B, newest first", run_lifo, burst_bytes, {64, 200000, 1}},
    {"fifo_200k", "bursts of 200,000 x 64 B, oldest first", run_fifo, burst_bytes, {64, 200000, 1}},
    {"shuffle_10k",
     "bursts of 10,000 x 64 B, in random order",
     run_shuffle,
     burst_bytes,
     {64, 10000, 1}},
    {"shuffle_100k",
     "bursts of 100,000 x 64 B, in random order",
     run_shuffle,
     burst_bytes,
     {64, 100000, 1}},
    {"shuffle_2k",
     "bursts of 10,000 x 2,000 B, in random order",
     run_shuffle,
     burst_bytes,
     {2000, 10000, 2}},
    {"replace_1k",
     "random replacement, 1,000 live of 16 B to 1 KiB",
     run_replace,
     replace_bytes,
     {1000, 1024, 1}},
    {"replace_10k",
     "random replacement, 10,000 live of 16 B to 1 KiB",
     run_replace,
     replace_bytes,
     {10000, 1024, 1}},
    {"replace_200k",
     "random replacement, 200,000 live of 16 B to 1 KiB",
     run_replace,
     replace_bytes,
     {200000, 1024, 2}},
};

int main(int argc, char **argv) {
    static const hak_bench_program_t program = {
        .name = "pair",
        .summary = "One thread: a malloc and its free, by size and by the order of the frees.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    return hak_bench_main(&program, argc, argv);
}
