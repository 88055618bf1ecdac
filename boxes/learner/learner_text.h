/* learner_text: a decision as one line, "[Learner] ...", for logs and statistics.
 *
 * Owns       nothing.
 * Layer      4 (boxes). Uses boxes/learner, core/text.
 */
#ifndef HAK_BOXES_LEARNER_LEARNER_TEXT_H_
#define HAK_BOXES_LEARNER_LEARNER_TEXT_H_

#include "boxes/learner/learner.h"
#include "core/text/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The line without its end. */
void hak_learner_put_change(hak_text_t *text, const hak_change_t *change);
/* What was changed and why, each a word for tables and labels: "cap_4096", "hit_low". */
void hak_learner_put_what(hak_text_t *text, const hak_change_t *change);
const char *hak_learner_reason(hak_change_kind_t kind);
/* A number in 1/10^places as a decimal: 160, 2 is 1.60. */
void hak_learner_put_fixed(hak_text_t *text, uint64_t number, unsigned places);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_LEARNER_LEARNER_TEXT_H_ */
