/* harness: runs the rows and times nothing itself. Each row brackets what it wants measured, for
 * only the row knows where its preparation ends. */
#include "bench/common/harness.h"

#include "bench/common/machine.h"
#include "bench/common/measure.h"
#include "bench/common/options.h"
#include "bench/common/report.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *program_name = "bench";

void hak_bench_fail(const char *format, ...) {
    char line[512];
    va_list args;

    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length < 0) {
        line[0] = '\0';
    }
    dprintf(STDERR_FILENO, "%s: FAILED: %s\n", program_name, line);
    /* Other threads may be inside the allocator: no exit handlers, no flushing of stdout. */
    _exit(1);
}

void hak_bench_require(const char *function) {
    char path[HAK_BENCH_PATH_BYTES];
    hak_bench_server_t server;

    hak_bench_server_get(&server);
    hak_bench_object_of(function, path, sizeof path);
    if (strcmp(server.malloc_path, path) != 0) {
        hak_bench_fail("malloc comes from %s but %s from %s", server.malloc_path, function, path);
    }
}

void *hak_bench_map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        hak_bench_fail("mmap of %zu bytes for the program's own table: %s", bytes, strerror(errno));
    }
    return memory;
}

void hak_bench_unmap(void *memory, size_t bytes) {
    if (munmap(memory, bytes) != 0) {
        hak_bench_fail("munmap of %zu bytes: %s", bytes, strerror(errno));
    }
}

void hak_bench_note(hak_bench_run_t *run, const char *name, uint64_t value) {
    if (run->note_count == HAK_BENCH_NOTES_MAX) {
        hak_bench_fail("more than %d notes in one row", HAK_BENCH_NOTES_MAX);
    }
    run->note[run->note_count++] = (hak_bench_note_t){name, value};
}

typedef struct {
    pthread_t thread;
    pthread_barrier_t *start;
    void (*work)(unsigned index, void *arg);
    void *arg;
    double begin;
    double end;
    unsigned index;
} member_t;

static void *member_main(void *context) {
    member_t *member = context;
    pthread_barrier_wait(member->start);
    member->begin = hak_bench_now();
    member->work(member->index, member->arg);
    member->end = hak_bench_now();
    return NULL;
}

double hak_bench_in_threads(unsigned count, void (*work)(unsigned index, void *arg), void *arg) {
    size_t bytes = count * sizeof(member_t);
    member_t *member = hak_bench_map(bytes);
    pthread_barrier_t start;

    int error = pthread_barrier_init(&start, NULL, count + 1);
    if (error != 0) {
        hak_bench_fail("pthread_barrier_init: %s", strerror(error));
    }
    for (unsigned i = 0; i < count; i++) {
        member[i] = (member_t){.start = &start, .work = work, .arg = arg, .index = i};
        error = pthread_create(&member[i].thread, NULL, member_main, &member[i]);
        if (error != 0) {
            hak_bench_fail("pthread_create: %s", strerror(error));
        }
    }
    pthread_barrier_wait(&start);
    /* The first one begins when all have come: how long that takes is the kernel's. */
    double begin = INFINITY;
    double end = 0;
    for (unsigned i = 0; i < count; i++) {
        pthread_join(member[i].thread, NULL);
        begin = member[i].begin < begin ? member[i].begin : begin;
        end = member[i].end > end ? member[i].end : end;
    }
    pthread_barrier_destroy(&start);
    hak_bench_unmap(member, bytes);
    return end - begin;
}

static void measure_row(const hak_bench_row_t *row, const hak_bench_options_t *options,
                        hak_bench_result_t *result) {
    result->row = row;
    result->working_set_bytes = row->working_set_bytes(row, options->param);
    for (unsigned i = 0; i < options->rounds; i++) {
        hak_bench_run_t *run = &result->last;
        memset(run, 0, sizeof *run);
        run->param = options->param;
        run->round = i;
        row->run(row, run);
        if (run->ops == 0) {
            hak_bench_fail("row %s did no operation", row->name);
        }
        result->ns_per_op[i] = run->seconds * 1e9 / (double)run->ops;
    }
    if (!hak_bench_stats_of(result->ns_per_op, options->rounds, &result->stats)) {
        hak_bench_fail("row %s measured no finite time", row->name);
    }
}

int hak_bench_main(const hak_bench_program_t *program, int argc, char **argv) {
    static char out_buffer[64 * 1024]; /* stdio's own would come from the allocator under test */
    static hak_bench_result_t result;
    hak_bench_options_t options;
    bool first = true;

    setvbuf(stdout, out_buffer, _IOFBF, sizeof out_buffer);
    program_name = program->name;
    hak_bench_verdict_t verdict = hak_bench_options_parse(program, argc, argv, &options);
    if (verdict != HAK_BENCH_GO) {
        return verdict == HAK_BENCH_DONE ? 0 : 2;
    }
    hak_bench_report_head(program, &options);
    for (size_t i = 0; i < program->row_count; i++) {
        if ((options.selected >> i & 1) != 0) {
            measure_row(&program->rows[i], &options, &result);
            hak_bench_report_row(&options, &result, first);
            first = false;
        }
    }
    hak_bench_report_tail(&options);
    /* A full disk or a closed pipe must not look like a finished run. */
    if (ferror(stdout) != 0 || fflush(stdout) != 0) {
        hak_bench_fail("writing the report: %s", strerror(errno));
    }
    return 0;
}
