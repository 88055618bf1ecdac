/* harness: the main function that all benchmark programs share.
 *
 * A program describes its parameters and rows in two tables; the harness parses the command line,
 * runs each row so many rounds, and prints the figures with what is needed to judge them: the
 * parameters, who served malloc, working set against cache, resident memory.
 *
 * Owns       the run in progress.
 * Threads    hak_bench_main on the first thread. hak_bench_fail and hak_bench_map on any.
 * Layer      bench. Uses bench/common/stats, machine, report. Used by each program in bench/.
 */
#ifndef HAK_BENCH_COMMON_HARNESS_H_
#define HAK_BENCH_COMMON_HARNESS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_BENCH_PARAMS_MAX = 8, HAK_BENCH_NOTES_MAX = 40 };

/* A parameter, given by position or as --name=N. */
typedef struct {
    const char *name;
    const char *help;
    uint64_t normal; /* the default */
    uint64_t smoke;  /* the default of a --smoke run */
    uint64_t min;
    uint64_t max;
} hak_bench_param_t;

/* A figure beside the time, such as resident bytes after a delay. */
typedef struct {
    const char *name; /* ends in the unit: _bytes, _ms, _count */
    uint64_t value;
} hak_bench_note_t;

/* One round of one row. The row reads `param` and fills the rest. */
typedef struct {
    const uint64_t *param; /* values in the order of the program's table */
    unsigned round;
    double seconds;
    uint64_t ops; /* what the row counts as an operation stands in its help */
    size_t note_count;
    hak_bench_note_t note[HAK_BENCH_NOTES_MAX];
} hak_bench_run_t;

typedef struct hak_bench_row {
    const char *name; /* unique over all programs: it names the row in tables and CSV files */
    const char *help;
    void (*run)(const struct hak_bench_row *row, hak_bench_run_t *run);
    /* Bytes that the row keeps live and touches at one time. */
    uint64_t (*working_set_bytes)(const struct hak_bench_row *row, const uint64_t *param);
    uint64_t arg[3]; /* what tells rows of one function apart */
} hak_bench_row_t;

typedef struct {
    const char *name;
    const char *summary;
    unsigned rounds; /* the default */
    const hak_bench_param_t *params;
    size_t param_count;
    const hak_bench_row_t *rows;
    size_t row_count;
    /* What is wrong with the values taken together, or NULL. May be NULL itself. */
    const char *(*refuse)(const uint64_t *param);
} hak_bench_program_t;

/* Returns the exit status: 0, or 2 for a wrong command line. A row that finds a fault exits 1. */
int hak_bench_main(const hak_bench_program_t *program, int argc, char **argv);

void hak_bench_note(hak_bench_run_t *run, const char *name, uint64_t value);

/* Prints one line on stderr and exits with 1: the figures of this run mean nothing. */
void hak_bench_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn, cold, noinline));

/* Fails unless the object that serves malloc also has this function, which the row measures: blocks
 * of another maker would make figures of that one. */
void hak_bench_require(const char *function);

/* Zeroed memory straight from the kernel, for the tables of a benchmark: what it books about its
 * blocks must not lie between them. Never NULL. */
void *hak_bench_map(size_t bytes);
void hak_bench_unmap(void *memory, size_t bytes);

/* Runs work(i, arg) in `count` threads that start together. Returns the seconds from the start of
 * the first one to the end of the last; creating and joining them is not part of it. */
double hak_bench_in_threads(unsigned count, void (*work)(unsigned index, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BENCH_COMMON_HARNESS_H_ */
