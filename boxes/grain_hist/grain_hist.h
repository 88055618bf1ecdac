/* grain_hist: for which sizes above 256 bytes and up to 1 KiB a program needs new slabs, in grains
 * of 16 bytes.
 *
 * The request that makes a thread open a slab is a sample of those that fill it, and the only one
 * that is looked at: while the slabs that there are have room there is nothing to decide, and
 * neither the hit path nor a refill counts anything. A window ends after so many samples as whoever
 * took the last one asked for.
 *
 * Owns       the counts.
 * Threads    *_mt: any; no lock.
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

enum { HAK_GRAIN_WINDOW_SLABS = 4 /* the first window */ };

/* A slab was opened for `size` bytes, up to 1 KiB. True if the window is full: somebody is to take
 * it. */
bool hak_grain_hist_add_mt(size_t size);
/* Whether it is. */
bool hak_grain_hist_is_due_mt(void);

/* What was added since the last time: slabs[i] for sizes of 16 * i - 15 to 16 * i. The next window
 * is `next` slabs long. One caller at a time. */
void hak_grain_hist_take_mt(uint64_t slabs[HAK_EXACT_GRAINS], uint64_t next);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_GRAIN_HIST_GRAIN_HIST_H_ */
