/* pool_page_internal: the pool's state, for the files of this box and their tests. */
#ifndef HAK_BOXES_POOL_PAGE_POOL_PAGE_INTERNAL_H_
#define HAK_BOXES_POOL_PAGE_POOL_PAGE_INTERNAL_H_

#include "boxes/pool_page/pool_page.h"
#include "core/lock/lock.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_POOL_SOME_OPEN,
    HAK_POOL_NONE_OPEN,
    HAK_POOL_LISTS, /* a region without a FREE page is on none */
    HAK_POOL_KEPT_REGIONS = 4
};

typedef struct {
    hak_lock_t lock;
    hak_a32_t regions;                        /* made; written under the lock */
    hak_pool_region_t *avail[HAK_POOL_LISTS]; /* regions with a FREE page */
    uint32_t none_open;                       /* length of that list */
    hak_pool_region_t *spare;                 /* descriptors without memory */
    hak_pool_page_t *parked[HAK_POOL_CLASSES];
} hak_pool_pages_t;

extern hak_pool_pages_t hak_pool_pages;

/* Sets which pages of the region may be taken, and puts it on the list where it belongs then. */
void hak_pool_pages_set_free_locked(hak_pool_region_t *region, uint32_t free_mask);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_PAGE_POOL_PAGE_INTERNAL_H_ */
