/* size_hist: how often sizes up to 64 KiB were asked for, in steps of 1 KiB.
 *
 * Filled at refills and other slow steps alone, and there from a sample: a hit of a thread cache
 * never comes here. Who samples picks steps at random, because a program that alternates between
 * two sizes would show only one of them to who looks at every 16th step.
 *
 * Owns       the bins.
 * Threads    *_mt: any. Adding is one atomic add, taking swaps each bin with 0, so that a count is
 *            in exactly one window.
 * Layer      4 (boxes). Uses base.
 */
#ifndef HAK_BOXES_SIZE_HIST_SIZE_HIST_H_
#define HAK_BOXES_SIZE_HIST_SIZE_HIST_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_SIZE_HIST_GRAIN = 1024,
    HAK_SIZE_HIST_BINS = 64,
    HAK_SIZE_HIST_MOST = HAK_SIZE_HIST_GRAIN * HAK_SIZE_HIST_BINS
};

/* Bin i holds the sizes i * 1024 + 1 .. (i + 1) * 1024; size 0 is counted with the smallest. */
typedef struct {
    uint64_t count[HAK_SIZE_HIST_BINS];
    uint32_t most[HAK_SIZE_HIST_BINS]; /* largest size that was seen in the bin; 0: none */
} hak_size_hist_window_t;

/* A number that has nothing to do with any rhythm of `step`: the finalizer of MurmurHash3. */
static inline uint32_t hak_size_hist_random(uint32_t step) {
    step = (step ^ step >> 16) * 0x85ebca6bu;
    step = (step ^ step >> 13) * 0xc2b2ae35u;
    return step ^ step >> 16;
}

/* Counts `weight` requests for `size` bytes. Larger ones than 64 KiB are left out. */
void hak_size_hist_add_mt(size_t size, uint32_t weight);
/* What was counted since the last take. */
void hak_size_hist_take_mt(hak_size_hist_window_t *out);
/* What was ever taken of a bin. */
uint64_t hak_size_hist_bin(unsigned bin);
/* Requests since the start that a window took or will take. */
uint64_t hak_size_hist_total(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_SIZE_HIST_SIZE_HIST_H_ */
