/* learn_log_report: the last decisions, for the statistics. A header of its own, because the names
 * of the public one are those that a backend gives its own functions.
 *
 * Owns       nothing.
 * Threads    any.
 * Layer      4 (boxes). Uses boxes/learn_log, include/hakmem.h.
 */
#ifndef HAK_BOXES_LEARN_LOG_LEARN_LOG_REPORT_H_
#define HAK_BOXES_LEARN_LOG_LEARN_LOG_REPORT_H_

#include "core/text/text.h"
#include "include/hakmem.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Oldest first: lines; members of a JSON object, each with a comma in front; a metric family.
 * Nothing for the summary. */
void hak_learn_log_report(hak_text_t *text, hak_stats_format_t format);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_LEARN_LOG_LEARN_LOG_REPORT_H_ */
