/* mf2_internal: what the parts of the backend share.
 *
 * Layer      5 (backends), inside the box.
 */
#ifndef HAK_BACKENDS_MF2_MF2_INTERNAL_H_
#define HAK_BACKENDS_MF2_MF2_INTERNAL_H_

#include "backends/port/backend.h"
#include "boxes/learn/learn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The functions of the port that look at everything: see backends/port. */
bool hak_mf2_describe(uintptr_t address, hak_block_info_t *info);
void hak_mf2_stats(hak_backend_stats_t *out);
void hak_mf2_fill_counters(struct hak_stats *stats);
size_t hak_mf2_check(void);
/* A pass of the learner's thread. */
void hak_mf2_learn_purge(uint64_t now_ms, bool turned);
/* What the learner looks at. */
extern const hak_learn_pool_t hak_mf2_learn;
void hak_mf2_fork_take(void);
void hak_mf2_fork_drop(bool in_child);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_MF2_MF2_INTERNAL_H_ */
