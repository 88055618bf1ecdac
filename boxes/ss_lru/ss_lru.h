/* ss_lru: superslabs that are wholly free, kept mapped for the next one who needs one.
 *
 * It keeps address space, registry entries and descriptors; the memory in a cached superslab is
 * purged like any other when the purge delay has passed. Three limits, settable at any time: a
 * number (HAKMEM_SUPERSLAB_MAX_CACHED, 0 turns the cache off), address space
 * (HAKMEM_SUPERSLAB_MAX_MEMORY_MB) and age (HAKMEM_SUPERSLAB_TTL_SEC).
 *
 * The newest is given out first, because its memory is the most likely to be resident still; the
 * oldest leaves first. A superslab with slots in a purge's hand does neither; since each purging
 * thread has one superslab in hand, few are ever stepped over, and at most HAK_SS_LRU_LOOK.
 *
 * Owns       `next`, `prev` and `cached_ms` of the superslabs in it.
 * Threads    *_locked: under the lock of the pool. Time comes in: no clock is read here.
 * Invariant  no slot of a cached superslab is ACTIVE; older ones are nearer to `oldest`.
 * Layer      4 (boxes). Uses boxes/slab, core/options. Used by boxes/slot_pool.
 */
#ifndef HAK_BOXES_SS_LRU_SS_LRU_H_
#define HAK_BOXES_SS_LRU_SS_LRU_H_

#include "boxes/slab/slab.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_SS_LRU_LOOK = 32 };

/* Zeroed: empty. `next` leads from newest to oldest. */
typedef struct {
    hak_superslab_t *newest, *oldest;
    uint64_t count;
    uint64_t hits, misses; /* of pop */
    uint64_t pushes;
    uint64_t evictions; /* superslabs that left because of a limit or a trim */
} hak_ss_lru_t;

/* False if the options turn the cache off: nothing may be pushed. */
bool hak_ss_lru_is_on(void);
void hak_ss_lru_push_locked(hak_ss_lru_t *lru, hak_superslab_t *ss, uint64_t now_ms);
/* Takes the newest out, or NULL. */
hak_superslab_t *hak_ss_lru_pop_locked(hak_ss_lru_t *lru);
/* The same if all of its slots are EMPTY, else NULL, which is no miss. */
hak_superslab_t *hak_ss_lru_pop_warm_locked(hak_ss_lru_t *lru);

/* Take the oldest out if there are more than the limits allow; if it is older than the limit; if
 * there are more than `keep`. Else NULL. The caller unmaps it, and calls again. */
hak_superslab_t *hak_ss_lru_evict_locked(hak_ss_lru_t *lru);
hak_superslab_t *hak_ss_lru_expire_locked(hak_ss_lru_t *lru, uint64_t now_ms);
hak_superslab_t *hak_ss_lru_trim_locked(hak_ss_lru_t *lru, uint64_t keep);

/* The number of faults in the list: links, count, order. */
size_t hak_ss_lru_check_locked(const hak_ss_lru_t *lru);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_SS_LRU_SS_LRU_H_ */
