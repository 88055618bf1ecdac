/* pool_tls_internal: what the files of this backend share. */
#ifndef HAK_BACKENDS_POOL_TLS_POOL_TLS_INTERNAL_H_
#define HAK_BACKENDS_POOL_TLS_POOL_TLS_INTERNAL_H_

#include "backends/port/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hak_stats;

/* See backends/port: the parts that look at all heaps. */
size_t hak_pool_tls_purge(hak_heap_t *mine, const hak_purge_order_t *order);
bool hak_pool_tls_has_garbage(void);
bool hak_pool_tls_describe(uintptr_t address, hak_block_info_t *info);
void hak_pool_tls_stats(hak_backend_stats_t *out);
void hak_pool_tls_counters(struct hak_stats *out);
size_t hak_pool_tls_check(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_POOL_TLS_POOL_TLS_INTERNAL_H_ */
