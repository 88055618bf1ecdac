/* policy: the figures that the learner tunes, as snapshots that are published whole.
 *
 * One atomic word names the snapshot in force: its number, and by its number its place. A snapshot
 * is not changed while it is the one in force or one of the three before it; then its place is
 * written anew. So nothing is allocated and nothing needs to wait for readers: who reads several
 * words compares the place's sequence number, which is made of the snapshot's, before and after, as
 * with a sequence lock, and who reads one word needs not even that, because any word there is of
 * some snapshot of its time.
 *
 * Owns       the snapshots.
 * Threads    *_mt: any; one at a time publishes, the learner's thread or who sets an option.
 * Invariant  hak_policy_read_mt never returns words of two snapshots.
 * Layer      4 (boxes). Uses base, core/lock.
 */
#ifndef HAK_BOXES_POLICY_POLICY_H_
#define HAK_BOXES_POLICY_POLICY_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_POLICY_FIXED = 5,   /* 2, 4, 8, 16, 32 KiB */
    HAK_POLICY_DYN = 2,     /* sizes that are chosen at run time */
    HAK_POLICY_CLASSES = 7, /* those and these */
    HAK_POLICY_PLACES = 4
};

typedef struct {
    uint32_t version;                   /* number of the snapshot, 1, 2, ...: set by publish */
    uint32_t cap[HAK_POLICY_CLASSES];   /* pages of the class; 0: not limited */
    uint32_t w_max_mid;                 /* most of block / size, in hundredths; 0: any */
    uint32_t dyn_bytes[HAK_POLICY_DYN]; /* 0: none */
} hak_policy_values_t;

enum { HAK_POLICY_WORDS = sizeof(hak_policy_values_t) / sizeof(uint32_t) };

typedef struct {
    hak_a32_t sequence; /* twice the number of the snapshot; odd while the words are written */
    hak_a32_t word[HAK_POLICY_WORDS];
} hak_policy_place_t;

extern hak_a32_t hak_policy_current; /* number of the snapshot in force; 0: none */
extern hak_policy_place_t hak_policy_place[HAK_POLICY_PLACES]; /* at number % HAK_POLICY_PLACES */

/* The cap of class 0..6 now; 0: not limited. */
static inline uint32_t hak_policy_cap(unsigned ci) {
    /* relaxed, both: of a snapshot that was in force lately, or none yet */
    uint32_t number = hak_load_rlx(&hak_policy_current);
    return number == 0 ? 0
                       : hak_load_rlx(&hak_policy_place[number % HAK_POLICY_PLACES].word[1 + ci]);
}

/* Makes `values` the snapshot in force. */
void hak_policy_publish_mt(const hak_policy_values_t *values);
/* The snapshot in force; all 0 if there is none. */
void hak_policy_read_mt(hak_policy_values_t *out);

/* True if a block of `block_bytes` may serve a request for `size` under W_MAX, in hundredths; 0:
 * any may. */
static inline bool hak_policy_accepts(uint32_t w_max, uint64_t block_bytes, uint64_t size) {
    return w_max == 0 || block_bytes * 100 <= size * w_max;
}

/* How many blocks one miss may fetch when the class has `slack` pages less than its cap: one at the
 * cap, one more for each four pages below it. `phase` counts misses, and spreads the quarters, so
 * that each page of a cap makes a difference. */
static inline uint32_t hak_policy_bundle(uint32_t slack, uint32_t phase) {
    return 1 + (slack + phase % 4) / 4;
}

/* Around a fork: nobody publishes. */
void hak_policy_fork_take(void);
void hak_policy_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POLICY_POLICY_H_ */
