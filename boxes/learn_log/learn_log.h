/* learn_log: what the learner and boxes/exact_sizes decided, and why: the last decisions in memory,
 * for the statistics, and each as a line where HAKMEM_LEARN_LOG says.
 *
 * A file is opened for each line anew: decisions are rare, and a program that closes descriptors
 * which it does not know must not find our lines in a file of its own.
 *
 * Owns       the decisions.
 * Threads    *_mt: any, under no lock of a rank above HAK_RANK_LEARN_LOG. No memory is allocated,
 *            errno stays.
 * Layer      4 (boxes). Uses boxes/learner, core/lock, options, text.
 */
#ifndef HAK_BOXES_LEARN_LOG_LEARN_LOG_H_
#define HAK_BOXES_LEARN_LOG_LEARN_LOG_H_

#include <stdint.h>

#include "boxes/learner/learner.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Looks if HAKMEM_LEARN_LOG can be written to; a line on stderr if not, and then it is off. */
void hak_learn_log_check_mt(void);
/* Keeps a decision, and writes it. */
void hak_learn_log_add_mt(const hak_change_t *change);

/* The last decisions, oldest first, up to `most`; `*total`: since the start. Returns how many. */
enum { HAK_LEARN_LOG_MOST = 64 };
unsigned hak_learn_log_read_mt(hak_change_t *out, unsigned most, uint64_t *total);

void hak_learn_log_fork_take(void);
void hak_learn_log_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_LEARN_LOG_LEARN_LOG_H_ */
