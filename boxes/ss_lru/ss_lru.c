/* A clock that is read by several threads before each takes the lock may seem to go back by a tick;
 * a push then counts as being as old as the one before it, so that the list stays sorted. */
#include "boxes/ss_lru/ss_lru.h"

#include "core/errors/errors.h"
#include "core/options/options.h"

enum { HAK_MIB_SHIFT = 20, HAK_MS_PER_SECOND = 1000 };

static uint64_t hak_most(void) {
    uint64_t count = hak_option(HAK_OPTION_SUPERSLAB_MAX_CACHED);
    uint64_t bytes = hak_option(HAK_OPTION_SUPERSLAB_MAX_MEMORY_MB) << HAK_MIB_SHIFT;
    return count < bytes / HAK_SUPERSLAB_BYTES ? count : bytes / HAK_SUPERSLAB_BYTES;
}

static hak_superslab_t *hak_take_out(hak_ss_lru_t *lru, hak_superslab_t *ss) {
    *(ss->prev != NULL ? &ss->prev->next : &lru->newest) = ss->next;
    *(ss->next != NULL ? &ss->next->prev : &lru->oldest) = ss->prev;
    ss->next = ss->prev = NULL;
    lru->count--;
    return ss;
}

/* The oldest that no purge has in hand. */
static hak_superslab_t *hak_oldest(const hak_ss_lru_t *lru) {
    hak_superslab_t *ss = lru->oldest;
    for (int i = 0; ss != NULL && ss->purge_mask != 0; i++) {
        ss = i < HAK_SS_LRU_LOOK ? ss->prev : NULL;
    }
    return ss;
}

static hak_superslab_t *hak_evict(hak_ss_lru_t *lru, hak_superslab_t *ss) {
    if (ss == NULL) {
        return NULL;
    }
    lru->evictions++;
    return hak_take_out(lru, ss);
}

bool hak_ss_lru_is_on(void) { return hak_most() != 0; }

void hak_ss_lru_push_locked(hak_ss_lru_t *lru, hak_superslab_t *ss, uint64_t now_ms) {
    hak_debug_assert(ss->free_mask == UINT32_MAX);
    hak_superslab_t *before = lru->newest;
    ss->cached_ms = before != NULL && before->cached_ms > now_ms ? before->cached_ms : now_ms;
    ss->prev = NULL;
    ss->next = before;
    *(before != NULL ? &before->prev : &lru->oldest) = ss;
    lru->newest = ss;
    lru->count++;
    lru->pushes++;
}

hak_superslab_t *hak_ss_lru_pop_locked(hak_ss_lru_t *lru) {
    hak_superslab_t *ss = lru->newest;
    for (int i = 0; ss != NULL && ss->purge_mask != 0; i++) {
        ss = i < HAK_SS_LRU_LOOK ? ss->next : NULL;
    }
    if (ss == NULL) {
        lru->misses++;
        return NULL;
    }
    lru->hits++;
    hak_debug_assert(ss->free_mask == UINT32_MAX);
    return hak_take_out(lru, ss);
}

hak_superslab_t *hak_ss_lru_pop_warm_locked(hak_ss_lru_t *lru) {
    bool is_warm = lru->newest != NULL && lru->newest->dirty_mask == UINT32_MAX;
    return is_warm ? hak_ss_lru_pop_locked(lru) : NULL;
}

hak_superslab_t *hak_ss_lru_evict_locked(hak_ss_lru_t *lru) {
    return lru->count > hak_most() ? hak_evict(lru, hak_oldest(lru)) : NULL;
}

hak_superslab_t *hak_ss_lru_expire_locked(hak_ss_lru_t *lru, uint64_t now_ms) {
    hak_superslab_t *ss = hak_oldest(lru);
    uint64_t most_ms = hak_option(HAK_OPTION_SUPERSLAB_TTL_SEC) * HAK_MS_PER_SECOND;
    bool is_old = ss != NULL && now_ms > ss->cached_ms && now_ms - ss->cached_ms > most_ms;
    return is_old ? hak_evict(lru, ss) : NULL;
}

hak_superslab_t *hak_ss_lru_trim_locked(hak_ss_lru_t *lru, uint64_t keep) {
    return lru->count > keep ? hak_evict(lru, hak_oldest(lru)) : NULL;
}

size_t hak_ss_lru_check_locked(const hak_ss_lru_t *lru) {
    size_t faults = 0;
    uint64_t count = 0;
    const hak_superslab_t *before = NULL;
    for (const hak_superslab_t *ss = lru->newest; ss != NULL && count <= lru->count;
         ss = ss->next) {
        faults += ss->prev != before;
        faults += before != NULL && before->cached_ms < ss->cached_ms;
        faults += (ss->free_mask | ss->purge_mask) != UINT32_MAX;
        before = ss;
        count++;
    }
    return faults + (count != lru->count) + (lru->oldest != before);
}
