/* mf2_orphans: pages with free blocks that no thread owns.
 *
 * A thread that ends leaves its pages here, the sweeper puts here what it drained. Any thread that
 * needs a page of the class takes one. While a page is here its owner is HAK_MF2_ORPHAN and this
 * box's lock is what allows to touch it.
 *
 * Owns       the lists; hak_mf2_page.listed, next, prev while the owner is HAK_MF2_ORPHAN.
 * Threads    *_mt: any; take the lock (HAK_RANK_MF2_ORPHANS), under which nothing waits.
 * Invariant  owner == HAK_MF2_ORPHAN exactly if the page is on one of the lists here.
 * Layer      4 (boxes). Uses boxes/mf2_heap, boxes/mf2_remote, core/lock.
 */
#ifndef HAK_BOXES_MF2_ORPHANS_MF2_ORPHANS_H_
#define HAK_BOXES_MF2_ORPHANS_MF2_ORPHANS_H_

#include "boxes/mf2_heap/mf2_heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gives a page that `mine` owns away. Inside the lock of `mine`; the page is off its list. */
void hak_mf2_orphans_leave_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page);
/* Takes any page of the class for `mine`, off the lists, or NULL. */
hak_mf2_page_t *hak_mf2_orphans_take_mt(hak_mf2_heap_t *mine, unsigned index);
/* Takes this page for `mine` if it is still here. */
bool hak_mf2_orphans_claim_mt(hak_mf2_heap_t *mine, hak_mf2_page_t *page);

typedef enum {
    HAK_MF2_ABSORBED, /* its remote blocks are free now and it is on a list here */
    HAK_MF2_EMPTIED,  /* all its blocks are free: it is the caller's to close */
    HAK_MF2_OWNED     /* some heap owns it: nothing changed, it is still queued */
} hak_mf2_absorb_t;
/* Drains a page that the caller holds in hand and that no heap owns; `*count` tells the blocks. */
hak_mf2_absorb_t hak_mf2_orphans_absorb_mt(hak_mf2_page_t *page, uint32_t *count);

/* Pages here. */
uint64_t hak_mf2_orphans_count(void);

/* Compares the lists with `count`, the pages whose owner is HAK_MF2_ORPHAN; between fork_take and
 * fork_drop. Returns the faults. */
size_t hak_mf2_orphans_check_locked(uint64_t count);
void hak_mf2_orphans_fork_take(void);
void hak_mf2_orphans_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_ORPHANS_MF2_ORPHANS_H_ */
