#include "boxes/mid_adoption/mid_adoption.h"

#include "boxes/mid_remote/mid_remote.h"
#include "boxes/mid_segment/mid_segment.h"

enum { HAK_LOOK_AT = 8, HAK_ENTER = 2, HAK_DRAIN_CHUNKS = 64 };

static hak_aptr_t hak_cursor; /* hak_heap_t: where the next look begins; any value is right */

static bool hak_is_idle(const hak_heap_t *heap, uint64_t now_ms, uint64_t lease_ms) {
    /* relaxed: hints, the lock decides */
    return hak_load_rlx(&heap->idle) != 0 || hak_load_rlx(&heap->active_ms) + lease_ms <= now_ms;
}

static hak_mid_chunk_t *hak_take_from(hak_mid_heap_t *from, hak_mid_heap_t *mine, unsigned sc) {
    if (!hak_owner_lock_try_guest(&from->heap->lock)) {
        return NULL;
    }
    hak_mid_return_drain_owner(from, HAK_DRAIN_CHUNKS);
    hak_mid_chunk_t *chunk = from->partial[hak_mid_index(sc)];
    if (chunk != NULL) {
        hak_mid_heap_unlist_owner(from, chunk);
        hak_mid_chunk_set_owner(chunk, mine, mine->heap->tag);
        hak_count_add(&mine->adopted, 1);
    }
    hak_owner_lock_drop_guest(&from->heap->lock);
    return chunk;
}

hak_mid_chunk_t *hak_mid_adoption_take_owner(hak_mid_heap_t *mine, unsigned sc, uint64_t now_ms) {
    unsigned entered = 0;
    for (unsigned i = 0; i < HAK_LOOK_AT && entered < HAK_ENTER; i++) {
        hak_heap_t *heap = hak_heap_step_mt(&hak_cursor);
        hak_mid_heap_t *from = heap != NULL && heap != mine->heap ? hak_mid_heap_of(heap) : NULL;
        if (from == NULL || !hak_is_idle(heap, now_ms, HAK_MID_ADOPTION_LEASE_MS)) {
            continue;
        }
        if (!hak_mid_heap_has_partial(from, hak_mid_index(sc)) &&
            !hak_mid_remote_has_pending(from)) {
            continue;
        }
        entered++;
        hak_mid_chunk_t *chunk = hak_take_from(from, mine, sc);
        if (chunk != NULL) {
            return chunk;
        }
    }
    return NULL;
}

void hak_mid_adoption_purge_mt(const hak_heap_t *mine, hak_mid_visit_t *visit, unsigned max_heaps) {
    uint64_t made, idle;
    hak_heap_counts(&made, &idle);
    bool all = visit->delay_ms == 0;
    for (unsigned i = 0; i < max_heaps && i < made; i++) {
        hak_heap_t *heap = hak_heap_step_mt(&hak_cursor);
        hak_mid_heap_t *from = heap != NULL && heap != mine ? hak_mid_heap_of(heap) : NULL;
        if (from == NULL) {
            continue;
        }
        bool takes_in = hak_mid_return_takes_in_mt(from);
        bool drains = hak_mid_remote_has_pending(from) &&
                      (all || !takes_in || hak_is_idle(heap, visit->now_ms, visit->delay_ms));
        if ((!drains && !hak_mid_return_is_due(from, visit)) ||
            !hak_owner_lock_try_guest(&heap->lock)) {
            continue;
        }
        if (drains) {
            hak_mid_return_drain_owner(from, all ? UINT32_MAX : HAK_DRAIN_CHUNKS);
            (void)hak_mid_return_takes_in_mt(from); /* that was not its thread */
        }
        hak_mid_return_purge_owner(from, visit);
        hak_owner_lock_drop_guest(&heap->lock);
    }
}
