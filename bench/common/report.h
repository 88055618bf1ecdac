/* report: prints the figures of a run and what is needed to judge them, as text or as JSON.
 *
 * Owns       nothing.
 * Threads    the first thread, when no other runs.
 * Layer      bench. Uses bench/common/stats, machine, options; hakmem.h for the counters that a
 *            serving hakmem offers, found at run time.
 */
#ifndef HAK_BENCH_COMMON_REPORT_H_
#define HAK_BENCH_COMMON_REPORT_H_

#include "bench/common/options.h"
#include "bench/common/stats.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const hak_bench_row_t *row;
    uint64_t working_set_bytes;
    double ns_per_op[HAK_BENCH_ROUNDS_MAX];
    hak_bench_stats_t stats; /* of ns_per_op */
    hak_bench_run_t last;    /* the last round: operations and notes */
} hak_bench_result_t;

/* Text is printed as it comes about, so that a long run shows life; JSON when all is known. Call
 * head once, row for each result, tail once. */
void hak_bench_report_head(const hak_bench_program_t *program, const hak_bench_options_t *options);
void hak_bench_report_row(const hak_bench_options_t *options, const hak_bench_result_t *result,
                          bool first);
void hak_bench_report_tail(const hak_bench_options_t *options);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BENCH_COMMON_REPORT_H_ */
