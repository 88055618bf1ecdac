/* mid_pool: the sharded pool of the source notes' phases 6.20 to 6.27, for 2 to 32 KiB.
 *
 * A composition: boxes/pool_cache is what a heap keeps, boxes/pool_shard what threads share,
 * boxes/pool_page the memory. Its cache stands in the heap, under the heap's owner lock, so the
 * thread cache's bins of its classes hold nothing.
 *
 * Layer      5 (backends), behind backends/port.
 */
#ifndef HAK_BACKENDS_MID_POOL_MID_POOL_H_
#define HAK_BACKENDS_MID_POOL_MID_POOL_H_

#include "backends/port/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const hak_backend_t hak_backend_mid_pool;

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_MID_POOL_MID_POOL_H_ */
