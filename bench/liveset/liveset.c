/* liveset: one thread; what random replacement costs with 10^3 to 10^7 blocks live. The sizes stay
 * small and the same, so that rows differ in the number of blocks alone. */
#include "bench/common/harness.h"
#include "bench/common/measure_inl.h"

enum { P_OPS, P_LIMIT, P_MIN, P_MAX, P_SEED };

static const hak_bench_param_t params[] = {
    {"ops", "replacements", 2000000, 50000, 1, UINT64_C(1) << 40},
    {"limit", "live blocks at most, for machines with little memory", 10000000, 20000, 1,
     UINT64_C(1) << 32},
    {"min", "smallest size", 16, 16, 1, UINT64_C(1) << 30},
    {"max", "largest size", 64, 64, 1, UINT64_C(1) << 30},
    {"seed", "of the sizes and slots", 1, 1, 0, UINT64_MAX},
};

static size_t live_of(const hak_bench_row_t *row, const uint64_t *param) {
    return row->arg[0] < param[P_LIMIT] ? row->arg[0] : param[P_LIMIT];
}

static size_t draw_size(const uint64_t *param, uint64_t draw) {
    /* The lower half of a draw: its upper one chooses the slot. */
    return param[P_MIN] + hak_bench_below(draw << 32, param[P_MAX] - param[P_MIN] + 1);
}

/* arg: live blocks */
static void run_liveset(const hak_bench_row_t *row, hak_bench_run_t *run) {
    const uint64_t *param = run->param;
    size_t live = live_of(row, param);
    hak_bench_rng_t rng = hak_bench_rng(param[P_SEED] + run->round);
    unsigned char **block = hak_bench_map(live * sizeof *block);
    double begin = hak_bench_now();

    for (size_t i = 0; i < live; i++) {
        block[i] = hak_bench_take(draw_size(param, hak_bench_next(&rng)), (unsigned char)i);
    }
    double filled = hak_bench_now();
    for (uint64_t n = 0; n < param[P_OPS]; n++) {
        uint64_t draw = hak_bench_next(&rng);
        size_t i = hak_bench_below(draw, live);
        hak_bench_give(block[i], (unsigned char)i);
        block[i] = hak_bench_take(draw_size(param, draw), (unsigned char)i);
    }
    run->seconds = hak_bench_now() - filled;
    run->ops = param[P_OPS];
    double emptying = hak_bench_now();
    for (size_t i = 0; i < live; i++) {
        hak_bench_give(block[i], (unsigned char)i);
    }
    double emptied = hak_bench_now();
    hak_bench_note(run, "live_count", live);
    hak_bench_note(run, "fill_ns", (uint64_t)((filled - begin) * 1e9 / (double)live));
    hak_bench_note(run, "empty_ns", (uint64_t)((emptied - emptying) * 1e9 / (double)live));
    hak_bench_unmap(block, live * sizeof *block);
}

static uint64_t live_bytes(const hak_bench_row_t *row, const uint64_t *param) {
    return live_of(row, param) * ((param[P_MIN] + param[P_MAX]) / 2);
}

static const char *refuse(const uint64_t *param) {
    return param[P_MIN] > param[P_MAX] ? "min is larger than max" : NULL;
}

int main(int argc, char **argv) {
    static const hak_bench_row_t rows[] = {
        {"liveset_1k",
         "1,000 live; an operation is one free and one malloc",
         run_liveset,
         live_bytes,
         {1000}},
        {"liveset_10k", "10,000 live", run_liveset, live_bytes, {10000}},
        {"liveset_100k", "100,000 live", run_liveset, live_bytes, {100000}},
        {"liveset_1m", "1,000,000 live", run_liveset, live_bytes, {1000000}},
        {"liveset_10m", "10,000,000 live", run_liveset, live_bytes, {10000000}},
    };
    static const hak_bench_program_t program = {
        .name = "liveset",
        .summary = "One thread: random replacement by the number of live blocks.",
        .rounds = 3,
        .params = params,
        .param_count = sizeof params / sizeof params[0],
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .refuse = refuse,
    };
    return hak_bench_main(&program, argc, argv);
}
