/* random_mixed: one thread; each iteration draws a slot and frees the block in it or, if it is
 * empty, fills it. Half of the slots are live once it has settled. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"


enum { P_ITERS, P_WS, P_SEED };
enum { SMALLEST = 16, LARGEST = 1039 };

static const hak_bench_param_t params[] = {
    {"iters", "iterations, each one call of malloc or free", 10000000, 200000, 1,
     UINT64_C(1) << 40},
    {"ws", "slots of the working set", 4096, 256, 1, 100000000},
    {"seed", "of the slots and sizes", 42, 42, 0, UINT64_MAX},
};

static void run_mixed(const hak_bench_row_t *row, hak_bench_run_t *run) {
    uint64_t iters = run->param[P_ITERS];
    size_t slots = run->param[P_WS];
    hak_bench_rng_t rng = hak_bench_rng(run->param[P_SEED] + run->round);
    unsigned char **block = hak_bench_map(slots * sizeof *block);
    double begin = hak_bench_now();

    (void)row;
    for (uint64_t n = 0; n < iters; n++) {
        uint64_t draw = hak_bench_next(&rng);
        size_t i = hak_bench_below(draw, slots);
        if (block[i] != NULL) {
            hak_bench_give(block[i], (unsigned char)i);
            block[i] = NULL;
        } else {
            /* The lower half of the draw: the upper one chose the slot. */
            size_t size = SMALLEST + hak_bench_below(draw << 32, LARGEST - SMALLEST + 1);
            block[i] = hak_bench_take(size, (unsigned char)i);
        }
    }
    run->seconds = hak_bench_now() - begin;
    run->ops = iters;
    for (size_t i = 0; i < slots; i++) {
        if (block[i] != NULL) {
            hak_bench_give(block[i], (unsigned char)i);
        }
    }
    hak_bench_unmap(block, slots * sizeof *block);
}

static uint64_t mixed_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    (void)row;
    return param[P_WS] / 2 * ((SMALLEST + LARGEST) / 2);
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"random_mixed", "16 to 1039 B, each size as likely; an operation is one call",
         run_mixed, mixed_bytes, {0}},
    };
    static const hak_bench_program_t program = {
        .name = "random_mixed",
        .summary = "One thread: random malloc and free over a table of slots.",
        .rounds = 5,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    return hak_bench_main(&program, argc, argv);
}
