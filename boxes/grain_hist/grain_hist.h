/* grain_hist: which sizes up to 1 KiB a program asks for, in grains of 16 bytes.
 *
 * Only requests that reach a refill are seen, each with the weight of the blocks that the refill
 * fetched: nothing is counted on the hit path, and a size of which many blocks are taken counts as
 * many. A window is as long as it takes to fetch 1 MiB, so a busy program has many in a second and
 * an idle one none.
 *
 * Owns       the counters.
 * Threads    *_mt: any; no lock.
 * Invariant  what is added is in exactly one window.
 * Layer      4 (boxes). Uses base, core/dyn_class.
 */
#ifndef HAK_BOXES_GRAIN_HIST_GRAIN_HIST_H_
#define HAK_BOXES_GRAIN_HIST_GRAIN_HIST_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dyn_class/dyn_class.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_GRAIN_WINDOW_SHIFT = 20 };

/* A request of `size` bytes, up to 1 KiB, made a refill fetch `blocks`. True if this completes a
 * window: for one of the callers, who is to take it. */
bool hak_grain_hist_add_mt(size_t size, uint64_t blocks);

/* What was added since the last time: blocks[i] for sizes of 16 * i - 15 to 16 * i. */
void hak_grain_hist_take_mt(uint64_t blocks[HAK_EXACT_GRAINS]);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_GRAIN_HIST_GRAIN_HIST_H_ */
