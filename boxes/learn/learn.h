/* learn: runs the learner: a thread that looks at the pools once a window, asks boxes/learner, and
 * carries its decisions out.
 *
 * Off by default (HAKMEM_LEARN): then there is no thread, and one slow step in 32 asks one word
 * whether to look. The thread allocates nothing, holds no lock while it waits, is joined when the
 * process ends, and is started anew in the child of a fork, where it knows nothing of before.
 *
 * Owns       the learner's state, its thread.
 * Threads    *_mt: any. The others: as they say.
 * Layer      4 (boxes). Uses boxes/learner, boxes/learn_log, boxes/policy, boxes/ace,
 *            boxes/size_hist, core/dyn_class, core/options.
 */
#ifndef HAK_BOXES_LEARN_LEARN_H_
#define HAK_BOXES_LEARN_LEARN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "boxes/learner/learner.h"
#include "core/text/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hak_stats; /* include/hakmem.h */

/* The pool that is tuned. */
typedef struct {
    bool has_caps; /* it reads hak_policy_cap */
    bool has_dyn;  /* it serves the classes of core/dyn_class */
    /* Adds hits and misses since the start, of each class and in all, and the classes' sizes. */
    void (*collect)(hak_learner_totals_t *out);
    /* Gives memory back that has been free for the purge delay. When a load turns to another size,
     * that of the old one lies free, and a program that goes on in its thread caches alone would
     * never come by to purge it. `turned`: a size got a class not long ago. */
    void (*purge)(uint64_t now_ms, bool turned);
} hak_learn_pool_t;

/* Of the looks that a slow path takes at what it is asked for, one on one of 32 steps or somewhat
 * more often, one in so many counts; 0: none. */
extern hak_a32_t hak_learn_sampling;
enum { HAK_LEARN_LOOK_STEPS = 24 /* between two looks, on average */ };
/* A look: `size` bytes of class `sc` were asked for in step number `step`. Returns by how many
 * steps the next look is to come sooner than 32, 0 to 15 at random: a program that does the same
 * every 32 steps would show always the same of it. */
uint32_t hak_learn_sample_mt(size_t size, unsigned sc, uint32_t step);

/* A block above 64 KiB was given out; `kept`: of memory that was used before. */
void hak_learn_note_large_mt(bool kept);

/* Options were read: caps and limits that stand without a learner. Prints a line for what does not
 * go together if `warn`. */
void hak_learn_configure(const hak_learn_pool_t *pool, bool warn);
/* Starts the thread if HAKMEM_LEARN says so and it does not run. Holds no lock; calls
 * pthread_create, which may call malloc. */
void hak_learn_start(const hak_learn_pool_t *pool);
void hak_learn_fork_take(void);
void hak_learn_fork_drop(bool in_child);

/* The statistics' fields. */
void hak_learn_counters(struct hak_stats *out);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_LEARN_LEARN_H_ */
