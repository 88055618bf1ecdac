/* mf2_pool: the regions that mf2 pages are cut from, and their empty pages.
 *
 *   from     to       by                what happens to the memory
 *   UNUSED   open     take              reads as zero
 *   EMPTY    open     take              keeps old content
 *   open     EMPTY    give              stays resident until purged
 *   EMPTY    UNUSED   purge             madvise, or munmap of the whole region
 *
 * An empty page may become one of any class. Only a closed page is ever purged, and opening one
 * starts its free list and its carving anew: what the kernel wiped is never read.
 *
 * Owns       the pool part of hak_mf2_region_t, the list of all regions.
 * Threads    *_mt: any; take the pool's lock (HAK_RANK_MF2_POOL).
 * Invariant  dirty is part of free, aged is part of dirty. Descriptors are never unmapped.
 * Layer      4 (boxes). Uses boxes/mf2_page, registry, core, backends/os.
 */
#ifndef HAK_BOXES_MF2_POOL_MF2_POOL_H_
#define HAK_BOXES_MF2_POOL_MF2_POOL_H_

#include "boxes/mf2_page/mf2_page.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A page that is not open. NULL with errno ENOMEM. */
hak_mf2_page_t *hak_mf2_pool_take_mt(void);
/* Takes back a closed page. */
void hak_mf2_pool_give_mt(hak_mf2_page_t *page);

/* Purges pages that have been EMPTY for between half and all of `delay_ms`; delay 0: all of them.
 * Stops after `max_calls` system calls and leaves `keep_bytes` alone. Returns the bytes. */
size_t hak_mf2_pool_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                             size_t keep_bytes);
bool hak_mf2_pool_has_dirty(void);

/* Calls `visit` for every region descriptor ever made. No lock. */
void hak_mf2_pool_each(void (*visit)(hak_mf2_region_t *region, void *context), void *context);

typedef struct {
    uint64_t regions, regions_peak, regions_made;
    uint64_t dirty_pages;
    uint64_t purges, purged_bytes;
} hak_mf2_pool_stats_t;
void hak_mf2_pool_stats_mt(hak_mf2_pool_stats_t *out);

/* Checks masks and lists; the caller holds the lock by fork_take. Returns the faults. */
size_t hak_mf2_pool_check_locked(void);
void hak_mf2_pool_fork_take(void);
void hak_mf2_pool_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_POOL_MF2_POOL_H_ */
