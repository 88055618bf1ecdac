/* pool_heap_internal: the lists of a heap, for the files of this box. */
#ifndef HAK_BOXES_POOL_HEAP_POOL_HEAP_INTERNAL_H_
#define HAK_BOXES_POOL_HEAP_POOL_HEAP_INTERNAL_H_

#include "boxes/pool_heap/pool_heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Puts the unit behind the first of its class, or in front of all. */
void hak_pool_list_unit_owner(hak_pool_heap_t *pool, hak_pool_unit_t *unit, bool in_front);
void hak_pool_unlist_unit_owner(hak_pool_heap_t *pool, hak_pool_unit_t *unit);

/* Puts the chunk on the list that its free units call for. */
void hak_pool_list_chunk_owner(hak_pool_heap_t *pool, hak_pool_chunk_t *chunk);
void hak_pool_unlist_chunk_owner(hak_pool_heap_t *pool, hak_pool_chunk_t *chunk);

/* A unit without a block in use goes back to its chunk. */
void hak_pool_retire_owner(hak_pool_heap_t *pool, hak_pool_unit_t *unit);

static inline void hak_pool_count_dirty(hak_pool_heap_t *pool, uint32_t more) {
    /* relaxed: written inside the lock */
    hak_store_rlx(&pool->dirty_units, hak_load_rlx(&pool->dirty_units) + more);
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_HEAP_POOL_HEAP_INTERNAL_H_ */
