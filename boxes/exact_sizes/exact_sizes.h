/* exact_sizes: which exact classes there are: those of HAKMEM_EXACT_SIZES, and with
 * HAKMEM_EXACT_AUTO=1 or HAKMEM_LEARN=1 those that boxes/exact_policy chooses by what new slabs are
 * for.
 *
 * No thread and no clock: a step is taken by the caller of malloc that completes a window of
 * boxes/grain_hist: when slabs for sizes above 256 bytes have become more by an eighth, and by 4
 * at least. It takes about a microsecond; decisions go to boxes/learn_log.
 *
 * Owns       the list of sizes in use.
 * Threads    *_mt: any. No lock is held by the caller.
 * Invariant  a size of the option has a class until the option says otherwise; the policy adds and
 *            drops others only.
 * Layer      4 (boxes). Uses boxes/exact_policy, grain_hist, learn_log, slot_pool,
 *            core/dyn_class, options.
 */
#ifndef HAK_BOXES_EXACT_SIZES_EXACT_SIZES_H_
#define HAK_BOXES_EXACT_SIZES_EXACT_SIZES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/attr.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hak_stats; /* include/hakmem.h */

/* 1 while the policy looks. */
extern hak_local hak_a32_t hak_exact_sizes_auto;
static inline bool hak_exact_sizes_watch(void) {
    return hak_load_rlx(&hak_exact_sizes_auto) != 0; /* relaxed: a switch */
}

/* The thread opened a slab for `size` bytes, 257 to 1024. */
void hak_exact_sizes_opened_mt(size_t size);

/* Options were read or set. False if a size cannot be had now: the option then has its value before
 * again. */
bool hak_exact_sizes_configure_mt(bool warn);

/* Fills the fields of statistics. */
void hak_exact_sizes_stats_mt(struct hak_stats *stats);

void hak_exact_sizes_fork_take(void);
void hak_exact_sizes_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_EXACT_SIZES_EXACT_SIZES_H_ */
