/* options: the command line that all benchmark programs share.
 *
 * Owns       nothing; the parsed values lie in the caller's struct.
 * Threads    the first thread, once.
 * Layer      bench. Uses bench/common/harness.h for the program's tables.
 */
#ifndef HAK_BENCH_COMMON_OPTIONS_H_
#define HAK_BENCH_COMMON_OPTIONS_H_

#include "bench/common/harness.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint64_t param[HAK_BENCH_PARAMS_MAX];
    unsigned rounds;
    uint64_t l3_bytes; /* 0: the machine does not say */
    bool json;
    bool smoke;
    uint64_t selected; /* bit i: row i is to be run */
} hak_bench_options_t;

typedef enum {
    HAK_BENCH_GO,    /* run the rows */
    HAK_BENCH_DONE,  /* --help or --list was printed; exit status 0 */
    HAK_BENCH_WRONG, /* the line on stderr says what is wrong; exit status 2 */
} hak_bench_verdict_t;

hak_bench_verdict_t hak_bench_options_parse(const hak_bench_program_t *program, int argc,
                                            char **argv, hak_bench_options_t *options);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BENCH_COMMON_OPTIONS_H_ */
