/* learner_internal: the parts of a step, each in a file of its own. */
#ifndef HAK_BOXES_LEARNER_LEARNER_INTERNAL_H_
#define HAK_BOXES_LEARNER_LEARNER_INTERNAL_H_

#include "boxes/learner/learner.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What happened in the window. */
typedef struct {
    uint64_t hits[HAK_POLICY_CLASSES], misses[HAK_POLICY_CLASSES];
    hak_ace_totals_t ace;
    const hak_learner_totals_t *at;
} hak_learner_window_t;

/* Adds a decision; NULL if there is no room, and then it must not be taken. */
hak_change_t *hak_learner_add(hak_learner_decisions_t *out, hak_change_kind_t kind, uint32_t index,
                              uint64_t now_ms);

/* Each part of a step; false if the window had too few samples for it. */
bool hak_learner_step_caps(hak_learner_t *state, const hak_learner_window_t *window,
                           hak_learner_decisions_t *out);
bool hak_learner_step_w_max(hak_learner_t *state, const hak_learner_window_t *window,
                            hak_learner_decisions_t *out);
bool hak_learner_step_dyn(hak_learner_t *state, const hak_learner_window_t *window,
                          hak_learner_decisions_t *out);

/* 1000 * ln(n) for n >= 1, and the square root, both rounded down. */
uint64_t hak_learner_log_milli(uint64_t n);
uint64_t hak_learner_sqrt(uint64_t n);
/* UCB1: the arm whose mean reward plus uncertainty is greatest; one without a trial comes first. */
unsigned hak_learner_pick_arm(const hak_learner_arm_t *arm, unsigned arms);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_LEARNER_LEARNER_INTERNAL_H_ */
