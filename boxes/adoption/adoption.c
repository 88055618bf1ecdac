#include "boxes/adoption/adoption.h"

#include "backends/os/os.h"
#include "boxes/drain/drain.h"
#include "boxes/free_local/free_local.h"
#include "boxes/left_bins/left_bins.h"
#include "boxes/pending/pending.h"
#include "core/options/options.h"

/* A unit that is taken in costs a microsecond or two, and for each 32 of them the pool may have to
 * unmap a superslab, which takes a tenth of a millisecond. So a pass of 16 heaps takes three
 * milliseconds at most, and at one pass in 100 ms a GiB is through in 3 s. */
enum {
    HAK_LOOK_AT = 8,
    HAK_ENTER = 2,
    HAK_DRAIN_SLABS = 64,
    HAK_COLLECT_LOOKS = 1024, /* heaps that a pass looks at: a fifth of a millisecond */
    HAK_UNITS_A_HEAP = 48,    /* that a pass takes in for each heap which it may enter */
    HAK_UNITS_AT_ONCE = 768,  /* from one heap, whose owner may have to wait */
    HAK_BREATH_MS = 1,        /* between two such parts: an owner that waits can go in */
};

static hak_aptr_t hak_cursor; /* hak_heap_t: where the next look begins; any value is right */
/* Heaps to look at before it is known that none was left with something; a hint. */
static hak_a64_t hak_unseen;

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
        if (slab->free != NULL || hak_load_rlx(&slab->left) != 0 ||
            hak_load_rlx(&slab->carved) < slab->cap) {
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

typedef struct {
    uint64_t now_ms;
    unsigned lease_ms;
    unsigned heaps, units; /* that may still be entered and taken in */
    bool found;            /* something in a heap whose thread sleeps */
    bool flushed; /* bins: their blocks went to heaps that may have been looked at before */
} hak_collection_t;

/* Of a heap whose thread is at work only the frees that wait there. True if more of them wait than
 * are taken in at once. */
static bool hak_collect(hak_heap_t *heap, hak_collection_t *all) {
    uint64_t active_ms = hak_load_rlx(&heap->active_ms); /* relaxed: a hint */
    bool idle = hak_is_idle(heap, all->now_ms, all->lease_ms);
    bool old = idle && (hak_left_bins_old(heap, all->now_ms, all->lease_ms) ||
                        hak_load_rlx(&heap->collected_ms) != active_ms); /* something happened */
    if ((!old && !hak_pending_has_any(heap)) || !hak_owner_lock_try_guest(&heap->lock)) {
        return false;
    }
    unsigned most =
        all->units < HAK_UNITS_AT_ONCE || all->lease_ms == 0 ? all->units : HAK_UNITS_AT_ONCE;
    unsigned units = hak_drain_pending_units_owner(heap, most);
    if (idle) {
        if (hak_left_bins_old(heap, all->now_ms, all->lease_ms)) {
            hak_left_bins_flush_locked(heap);
            all->flushed = true;
        }
        (void)hak_free_local_retire_kept_owner(heap);
        hak_store_rlx(&heap->collected_ms, active_ms); /* relaxed: a hint */
    }
    hak_owner_lock_drop_guest(&heap->lock);
    all->heaps--;
    all->units -= units < all->units ? units : all->units;
    all->found |= idle;
    return units >= most;
}

/* Else the same heap would be entered again before an owner that waits for it is awake. No malloc
 * waits for this: a pass that may take more than HAK_UNITS_AT_ONCE is one of hakmem's own thread,
 * and a trim cuts nothing. */
static void hak_breathe(void) {
    uint32_t word = 0;
    hak_os_wait(&word, 0, HAK_BREATH_MS); /* nobody wakes it: it sleeps */
}

/* Each heap once, again after one that was cut. True if something waits, as far as is known. */
static bool hak_collect_round(const hak_heap_t *mine, hak_collection_t *all) {
    uint64_t made, idle, looks = 0;
    hak_heap_counts(&made, &idle);
    uint64_t most = all->lease_ms == 0 ? UINT64_MAX : HAK_COLLECT_LOOKS;
    uint64_t unseen = hak_load_rlx(&hak_unseen); /* relaxed: a hint */
    uint64_t left = made;
    while (left != 0 && looks < most && all->heaps != 0 && all->units != 0) {
        hak_heap_t *heap = hak_heap_step_mt(&hak_cursor);
        looks++;
        left--;
        unseen -= unseen != 0;
        if (heap != NULL && heap != mine && hak_collect(heap, all)) {
            left = unseen = made;
            if (all->units != 0 && all->heaps != 0) {
                hak_breathe();
            }
        }
    }
    if (left == 0) {
        unseen = 0;
    } else if (all->found && unseen < left) {
        unseen = left; /* it went well so far: this time around at least */
    }
    hak_store_rlx(&hak_unseen, unseen); /* relaxed: a hint */
    return unseen != 0;
}

/* A trim shall be complete: it looks twice if bins were emptied. Else a later pass sees to it. */
bool hak_adoption_collect_mt(const hak_heap_t *mine, uint64_t now_ms, unsigned lease_ms,
                             unsigned max_heaps) {
    hak_collection_t all = {.now_ms = now_ms, .lease_ms = lease_ms};
    bool more = false;
    for (int round = 0; round == 0 || (round < 2 && all.flushed && lease_ms == 0); round++) {
        all.flushed = false;
        all.heaps = max_heaps;
        all.units = lease_ms == 0 ? UINT32_MAX : max_heaps * HAK_UNITS_A_HEAP;
        more = hak_collect_round(mine, &all);
    }
    return more;
}
