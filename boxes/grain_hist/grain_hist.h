/* grain_hist: which sizes above 256 bytes and up to 1 KiB a program asks for, in grains of 16
 * bytes.
 *
 * Only requests that reach a refill are seen, each with the weight of the blocks that the refill
 * fetched: nothing is counted on the hit path, and a size of which many blocks are taken counts as
 * many. A thread counts for itself and adds what it has to the sum for all when it opens a slab.
 * Four slabs make a window: there is nothing to decide while nobody needs one.
 *
 * Owns       the sum; what a thread counts, in its heap.
 * Threads    *_owner: the thread that has the heap. *_mt: any; no lock.
 * Invariant  what is counted is in exactly one window.
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

enum { HAK_GRAIN_WINDOW_SLABS = 4 };

/* What one thread counted: blocks[i] for sizes of 16 * i - 15 to 16 * i. */
typedef struct {
    uint32_t blocks[HAK_EXACT_GRAINS];
} hak_grain_counts_t;

/* A request of `size` bytes, up to 1 KiB, made a refill fetch `blocks`. */
static inline void hak_grain_hist_count_owner(hak_grain_counts_t *mine, size_t size,
                                              uint64_t blocks) {
    size_t grain = (size + HAK_EXACT_GRAIN_BYTES - 1) >> HAK_EXACT_GRAIN_SHIFT;
    mine->blocks[grain] += (uint32_t)blocks;
}

/* The thread opened a slab: adds its counts above 256 bytes to the sum and clears all. True if this
 * completes a window: for one of the callers, who is to take it. */
bool hak_grain_hist_add_owner(hak_grain_counts_t *mine);

/* What was added since the last time. */
void hak_grain_hist_take_mt(uint64_t blocks[HAK_EXACT_GRAINS]);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_GRAIN_HIST_GRAIN_HIST_H_ */
