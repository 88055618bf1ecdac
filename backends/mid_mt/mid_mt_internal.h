/* mid_mt_internal: what the parts of the backend share. */
#ifndef HAK_BACKENDS_MID_MT_MID_MT_INTERNAL_H_
#define HAK_BACKENDS_MID_MT_MID_MT_INTERNAL_H_

#include "backends/port/backend.h"
#include "boxes/mid_heap/mid_heap.h"

/* mid_mt_stats.c: what the port asks of the whole process. */
bool hak_mid_mt_describe(uintptr_t address, hak_block_info_t *info);
void hak_mid_mt_stats(hak_backend_stats_t *out);
void hak_mid_mt_counters(struct hak_stats *stats);
size_t hak_mid_mt_check(void);

#endif /* HAK_BACKENDS_MID_MT_MID_MT_INTERNAL_H_ */
