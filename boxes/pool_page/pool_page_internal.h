/* pool_page_internal: the pool's state, for the files of this box and their tests. */
#ifndef HAK_BOXES_POOL_PAGE_POOL_PAGE_INTERNAL_H_
#define HAK_BOXES_POOL_PAGE_POOL_PAGE_INTERNAL_H_

#include "boxes/pool_page/pool_page.h"
#include "core/lock/lock.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    hak_lock_t lock;
    hak_a32_t regions;        /* made; written under the lock */
    hak_pool_region_t *avail; /* listed: each region with a FREE page, and some without */
    hak_pool_region_t *spare; /* a descriptor whose mapping failed */
    hak_pool_page_t *parked[HAK_POOL_CLASSES];
} hak_pool_pages_t;

extern hak_pool_pages_t hak_pool_pages;

/* Lists a region that has a FREE page, if it is not listed. */
void hak_pool_pages_list_locked(hak_pool_region_t *region);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_PAGE_POOL_PAGE_INTERNAL_H_ */
