/* model: what the mid pool does, in counts: one thread, a ring of 32 for each class, shared free
 * blocks behind it, pages. A miss takes along as much as boxes/pool_cache would under the cap.
 *
 * Left out: the lifo between ring and shards, and pages that a single live block keeps open.
 */
#ifndef HAK_TOOLS_LEARNER_SIM_MODEL_H_
#define HAK_TOOLS_LEARNER_SIM_MODEL_H_

#include <stdbool.h>
#include <stdint.h>

#include "boxes/learner/learner.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint64_t carved; /* live + in the ring + shared */
    uint64_t ring, shared;
    uint64_t shared_least; /* of this window: what could have been closed all along */
    uint32_t missed;
} model_class_t;

typedef struct {
    hak_policy_values_t policy;
    hak_learner_totals_t totals;
    model_class_t at[HAK_POLICY_CLASSES];
} model_t;

void model_init(model_t *model);
void model_set(model_t *model, const hak_policy_values_t *policy);
/* One allocation, or a free of a block that was allocated for `size`. */
void model_play(model_t *model, bool alloc, uint32_t size);
/* Closes pages that were free all along, and sets the totals' time. */
void model_end_window(model_t *model, uint64_t now_ms);
/* The size histogram of the window before is gone. */
void model_begin_window(model_t *model);
uint32_t model_pages(const model_t *model, unsigned ci);

#ifdef __cplusplus
}
#endif
#endif /* HAK_TOOLS_LEARNER_SIM_MODEL_H_ */
