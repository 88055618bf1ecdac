/* pool_cache_internal: shared by the files of this box. */
#ifndef HAK_BOXES_POOL_CACHE_POOL_CACHE_INTERNAL_H_
#define HAK_BOXES_POOL_CACHE_POOL_CACHE_INTERNAL_H_

#include "boxes/pool_cache/pool_cache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* There is something to flush. */
static inline void hak_pool_cache_touch(hak_pool_cache_t *cache) {
    if (hak_load_rlx(&cache->touched) == 0) { /* relaxed, both: a hint to purges */
        hak_store_rlx(&cache->touched, 1);
    }
}

/* Takes the inbox into ring and lifo. */
void hak_pool_cache_drain_inbox_owner(hak_pool_cache_t *cache, unsigned ci);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_CACHE_POOL_CACHE_INTERNAL_H_ */
