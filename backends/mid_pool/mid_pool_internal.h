/* mid_pool_internal: the figures, which stand in a file of their own. */
#ifndef HAK_BACKENDS_MID_POOL_MID_POOL_INTERNAL_H_
#define HAK_BACKENDS_MID_POOL_MID_POOL_INTERNAL_H_

#include "backends/port/backend.h"
#include "boxes/learn/learn.h"

#ifdef __cplusplus
extern "C" {
#endif

void hak_mid_pool_stats(hak_backend_stats_t *out);
void hak_mid_pool_counters(struct hak_stats *out);
/* A pass of the learner's thread. */
void hak_mid_pool_learn_purge(uint64_t now_ms, bool turned);
/* What the learner looks at. */
extern const hak_learn_pool_t hak_mid_pool_learn;

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_MID_POOL_MID_POOL_INTERNAL_H_ */
