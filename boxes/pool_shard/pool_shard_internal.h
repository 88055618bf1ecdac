/* pool_shard_internal: the shards themselves, for the files of this box and their tests. */
#ifndef HAK_BOXES_POOL_SHARD_POOL_SHARD_INTERNAL_H_
#define HAK_BOXES_POOL_SHARD_POOL_SHARD_INTERNAL_H_

#include "boxes/pool_shard/pool_shard.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    hak_pool_list_t list;
    hak_align_as(64) hak_mpsc_stack_t remote; /* others push here; not on the list's line */
} hak_pool_shard_t;

typedef struct {
    hak_align_as(64) hak_a64_t bits;
} hak_pool_mask_t;

extern hak_pool_shard_t hak_pool_shards[HAK_POOL_CLASSES][HAK_POOL_SHARDS_MOST];
extern hak_pool_mask_t hak_pool_masks[HAK_POOL_CLASSES];

/* Makes the shard's bit agree with what the shard holds. By everyone who may have made it empty or
 * not empty, afterwards. */
void hak_pool_shard_sync_mt(unsigned ci, unsigned shard);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_SHARD_POOL_SHARD_INTERNAL_H_ */
