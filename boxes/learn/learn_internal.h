/* learn_internal: the parts of this box. */
#ifndef HAK_BOXES_LEARN_LEARN_INTERNAL_H_
#define HAK_BOXES_LEARN_LEARN_INTERNAL_H_

#include "boxes/learn/learn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Written by the learner's thread, read by statistics. */
typedef struct {
    hak_a64_t windows, quiet_windows, refusals;
    hak_a64_t changes[HAK_CHANGE_KINDS];
} hak_learn_counters_t;
extern hak_learn_counters_t hak_learn_count;

/* What the options say. */
void hak_learn_read_options(const hak_learn_pool_t *pool, hak_learner_config_t *out);

/* One step of the thread at `now_ms`, with a state that is set up by the first call after
 * hak_learn_reset. */
void hak_learn_reset(const hak_learn_pool_t *pool);
void hak_learn_step(const hak_learn_pool_t *pool, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_LEARN_LEARN_INTERNAL_H_ */
