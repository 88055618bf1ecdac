#include "boxes/adoption/adoption.h"

#include "boxes/drain/drain.h"
#include "boxes/free_local/free_local.h"
#include "boxes/left_bins/left_bins.h"
#include "boxes/pending/pending.h"
#include "core/options/options.h"

/* 640 slabs take one or two milliseconds, and at one pass in 100 ms a GiB is through in 3 s. */
enum { HAK_LOOK_AT = 8, HAK_ENTER = 2, HAK_DRAIN_SLABS = 64, HAK_COLLECT_SLABS = 640 };

static hak_aptr_t hak_cursor; /* hak_heap_t: where the next look begins; any value is right */

static bool hak_is_idle(const hak_heap_t *heap, uint64_t now_ms, unsigned lease_ms) {
    /* relaxed: hints, the lock decides */
    return hak_load_rlx(&heap->idle) != 0 || hak_load_rlx(&heap->active_ms) + lease_ms <= now_ms;
}

/* True if nobody has used the heap for so long that even memory would have been given back. */
static bool hak_sleeps(const hak_heap_t *heap, uint64_t now_ms) {
    return hak_is_idle(heap, now_ms, (unsigned)hak_option(HAK_OPTION_PURGE_DELAY_MS));
}

/* The first of a few partial slabs that has something to give. */
static hak_slab_t *hak_pick(hak_heap_t *heap, unsigned sc) {
    hak_slab_t *slab = heap->partial[sc];
    for (unsigned i = 0; slab != NULL && i < 4; i++, slab = slab->next) {
        /* relaxed: inside the lock */
        if (slab->free != NULL || slab->left != 0 || hak_load_rlx(&slab->carved) < slab->cap) {
            return slab;
        }
    }
    return NULL;
}

static hak_slab_t *hak_take_from(hak_heap_t *heap, hak_heap_t *mine, unsigned sc) {
    if (!hak_owner_lock_try_guest(&heap->lock)) {
        return NULL;
    }
    (void)hak_drain_pending_owner(heap, HAK_DRAIN_SLABS);
    hak_slab_t *slab = hak_pick(heap, sc);
    if (slab == NULL && hak_left_bins_flush_class_locked(heap, sc)) {
        slab = hak_pick(heap, sc);
    }
    if (slab != NULL) {
        hak_heap_unlist_owner(heap, slab);
        hak_slab_set_heap_owner(slab, mine, hak_heap_slab_tag(mine, sc));
        hak_count_add(&mine->counters.adopted_slabs, 1);
    }
    hak_owner_lock_drop_guest(&heap->lock);
    return slab;
}

hak_slab_t *hak_adoption_take_owner(hak_heap_t *mine, unsigned sc, uint64_t now_ms) {
    unsigned entered = 0;
    for (unsigned i = 0; i < HAK_LOOK_AT && entered < HAK_ENTER; i++) {
        hak_heap_t *heap = hak_heap_step_mt(&hak_cursor);
        if (heap == NULL || heap == mine || !hak_is_idle(heap, now_ms, HAK_ADOPTION_LEASE_MS)) {
            continue;
        }
        bool has_partial = hak_sleeps(heap, now_ms) &&
                           (hak_heap_has_partial(heap, sc) || hak_left_bins_has(heap, sc));
        if (!has_partial && !hak_pending_has_any(heap)) {
            continue;
        }
        entered++;
        hak_slab_t *slab = hak_take_from(heap, mine, sc);
        if (slab != NULL) {
            return slab;
        }
    }
    return NULL;
}

/* Of a heap whose thread is at work only the frees that wait there. `*flushed` becomes true if bins
 * were emptied: blocks of other heaps among theirs have gone to heaps that may have been looked at
 * before. True if more waits there than one call takes in. */
static bool hak_collect(hak_heap_t *heap, uint64_t now_ms, unsigned lease_ms, bool *flushed) {
    uint64_t active_ms = hak_load_rlx(&heap->active_ms); /* relaxed: a hint */
    bool idle = hak_is_idle(heap, now_ms, lease_ms);
    bool old = idle && (hak_left_bins_old(heap, now_ms, lease_ms) ||
                        hak_load_rlx(&heap->collected_ms) != active_ms); /* something happened */
    if ((!old && !hak_pending_has_any(heap)) || !hak_owner_lock_try_guest(&heap->lock)) {
        return false;
    }
    unsigned most = lease_ms == 0 ? UINT32_MAX : HAK_COLLECT_SLABS;
    bool is_cut = hak_drain_pending_owner(heap, most) == most;
    if (idle) {
        if (hak_left_bins_old(heap, now_ms, lease_ms)) {
            hak_left_bins_flush_locked(heap);
            *flushed = true;
        }
        (void)hak_free_local_retire_kept_owner(heap);
        hak_store_rlx(&heap->collected_ms, active_ms); /* relaxed: a hint */
    }
    hak_owner_lock_drop_guest(&heap->lock);
    return is_cut;
}

/* A trim shall be complete: it looks twice if bins were emptied. Else a later pass sees to it. */
unsigned hak_adoption_collect_mt(const hak_heap_t *mine, uint64_t now_ms, unsigned lease_ms,
                                 unsigned max_heaps) {
    unsigned unfinished = 0;
    bool again = true;
    uint64_t made, idle;
    hak_heap_counts(&made, &idle);
    for (int round = 0; round < 2 && again; round++) {
        bool flushed = false;
        for (unsigned i = 0; i < max_heaps && i < made; i++) {
            hak_heap_t *heap = hak_heap_step_mt(&hak_cursor);
            if (heap != NULL && heap != mine) {
                unfinished += hak_collect(heap, now_ms, lease_ms, &flushed);
            }
        }
        again = flushed && lease_ms == 0;
    }
    return unfinished;
}
