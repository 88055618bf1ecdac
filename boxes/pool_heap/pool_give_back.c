/* How memory leaves a heap: to another heap that needs it, or to the kernel. */
#include "backends/os/os.h"
#include "boxes/adoption/adoption.h"
#include "boxes/pool_heap/pool_heap_internal.h"
#include "config/hak_config.h"
#include "core/owner_lock/owner_lock.h"

enum {
    HAK_LOOK_AT = 16,        /* heaps, in one adoption */
    HAK_ENTER = 4,           /* of them, under their lock */
    HAK_ROUNDS = 8,          /* if another guest was in the way */
    HAK_LOOK_AT_CHUNKS = 8,  /* of the heap that is to give one */
    HAK_DRAIN_BLOCKS = 4096, /* in each; a new chunk would cost more than taking these in */
    HAK_WORTH_UNITS = 8,     /* so much free memory of a heap that sleeps is worth a look */
    HAK_REFUSED_PAUSE_MS = 10000
};

static hak_aptr_t hak_pool_cursor; /* hak_heap_t: where the next look begins; any value is right */

/* From a heap without a thread whatever it has; from one whose thread sleeps what others freed. */
static bool hak_is_worth(const hak_heap_t *heap, const hak_pool_heap_t *other, unsigned sc,
                         uint64_t now_ms) {
    /* relaxed, all of them: hints, the lock decides */
    if (hak_pool_heap_has_remote(other)) {
        return hak_load_rlx(&heap->idle) != 0 ||
               hak_load_rlx(&heap->active_ms) + HAK_ADOPTION_LEASE_MS <= now_ms;
    }
    uint32_t offers = hak_load_rlx(&other->offers);
    if (hak_load_rlx(&heap->idle) != 0) {
        return (offers & (HAK_POOL_OFFERS_UNITS | 1u << hak_pool_class(sc))) != 0;
    }
    return hak_load_rlx(&heap->active_ms) + HAK_ADOPTION_LEASE_MS <= now_ms &&
           hak_load_rlx(&other->dirty_units) >= HAK_WORTH_UNITS;
}

/* All of a chunk's units change lists and tags. At most HAK_POOL_CHUNK_UNITS steps. */
static void hak_move_chunk(hak_pool_heap_t *from, hak_pool_heap_t *to, hak_pool_chunk_t *chunk) {
    uint32_t dirty = hak_pool_chunk_dirty_units(chunk);
    hak_pool_unlist_chunk_owner(from, chunk);
    from->grown -= from->grown != 0;
    hak_pool_count_dirty(from, -dirty);
    hak_pool_chunk_set_heap_owner(chunk, to);
    hak_pool_list_chunk_owner(to, chunk);
    hak_pool_count_dirty(to, dirty);
    hak_store_rlx(&to->has_work, 1);              /* relaxed: a hint */
    uint32_t units = hak_load_rlx(&chunk->units); /* relaxed: fixed while it has memory */
    for (unsigned i = 0; i < units; i++) {
        hak_pool_unit_t *unit = &chunk->unit[i];
        unsigned sc = hak_load_rlx(&unit->sc); /* relaxed: inside the lock */
        if (sc == 0) {
            continue;
        }
        hak_registry_set_tags(hak_pool_unit_base(unit), 1, to->heap->tag | sc << HAK_BIN_SHIFT);
        if (unit->listed) {
            hak_pool_unlist_unit_owner(from, unit);
            hak_pool_list_unit_owner(to, unit, false);
            /* relaxed: inside the lock */
            if (hak_load_rlx(&unit->used) == 0) {
                hak_pool_retire_owner(to, unit);
            }
        }
    }
    hak_count_add(&to->adopted_chunks, 1);
}

/* The one with the most to give, so that the next need is far off; or one with a unit of the
 * class. */
static hak_pool_chunk_t *hak_pick_chunk(const hak_pool_heap_t *other, unsigned sc) {
    hak_pool_chunk_t *best = NULL;
    unsigned most = 0;
    hak_pool_chunk_t *chunk = other->open;
    for (unsigned i = 0; chunk != NULL && i < HAK_LOOK_AT_CHUNKS; i++, chunk = chunk->next) {
        unsigned units = hak_pool_chunk_free_units(chunk);
        if (units > most) {
            most = units;
            best = chunk;
        }
    }
    const hak_pool_unit_t *unit = other->partial[hak_pool_class(sc)];
    return best == NULL && unit != NULL ? hak_pool_unit_chunk(unit) : best;
}

/* `*busy` is set if somebody is inside that heap. */
static bool hak_take_from_heap(hak_heap_t *heap, hak_pool_heap_t *other, hak_pool_heap_t *pool,
                               unsigned sc, bool *busy) {
    if (!hak_owner_lock_try_guest(&heap->lock)) {
        *busy = true;
        return false;
    }
    (void)hak_pool_heap_drain_owner(other, HAK_DRAIN_BLOCKS);
    hak_pool_chunk_t *chunk = hak_pick_chunk(other, sc);
    if (chunk != NULL) {
        hak_move_chunk(other, pool, chunk);
    }
    hak_owner_lock_drop_guest(&heap->lock);
    return chunk != NULL;
}

static bool hak_look_around(hak_pool_heap_t *pool, unsigned sc, uint64_t now_ms, bool *busy) {
    unsigned entered = 0;
    uint64_t made, idle;
    hak_heap_counts(&made, &idle);
    for (unsigned i = 0; i < HAK_LOOK_AT && i < made && entered < HAK_ENTER; i++) {
        hak_heap_t *heap = hak_heap_step_mt(&hak_pool_cursor);
        hak_pool_heap_t *other = heap == NULL ? NULL : hak_pool_heap_of(heap);
        if (other == NULL || other == pool || !hak_is_worth(heap, other, sc, now_ms)) {
            continue;
        }
        entered++;
        if (hak_take_from_heap(heap, other, pool, sc, busy)) {
            return true;
        }
    }
    return false;
}

/* Several threads may want a chunk of the same heap. Who comes second tries again rather than map
 * new memory; not for ever, because it waits inside its own lock. */
bool hak_pool_heap_adopt_owner(hak_pool_heap_t *pool, unsigned sc, uint64_t now_ms) {
    bool busy = true;
    for (unsigned round = 0; busy && round < HAK_ROUNDS; round++) {
        busy = false;
        if (hak_look_around(pool, sc, now_ms, &busy)) {
            return true;
        }
        if (busy) {
            hak_os_yield();
        }
    }
    return false;
}

/* Only the first of a class can be empty: the others went back at once. */
static void hak_retire_kept(hak_pool_heap_t *pool) {
    for (unsigned class_index = 0; class_index < HAK_POOL_CLASSES; class_index++) {
        hak_pool_unit_t *unit = pool->partial[class_index];
        if (unit != NULL && hak_load_rlx(&unit->used) == 0) { /* relaxed: inside the lock */
            hak_pool_retire_owner(pool, unit);
        }
    }
}

static size_t hak_visit_chunk(hak_pool_heap_t *pool, hak_pool_chunk_t *chunk,
                              hak_pool_visit_t *visit, bool *refused) {
    bool at_once = visit->delay_ms == 0;
    uint32_t dirty = hak_pool_chunk_dirty_units(chunk);
    size_t bytes;
    if (hak_pool_chunk_can_go_owner(chunk, at_once)) {
        bytes = (size_t)hak_pool_chunk_free_units(chunk) << HAK_UNIT_SHIFT;
        visit->calls++;
        hak_pool_unlist_chunk_owner(pool, chunk);
        hak_pool_chunk_unmap_owner(chunk);
        pool->grown -= pool->grown != 0;
        chunk->next = pool->spares;
        pool->spares = chunk;
    } else {
        bytes = (size_t)hak_pool_chunk_purge_owner(chunk, at_once, &visit->calls, visit->max_calls,
                                                   refused)
                << HAK_UNIT_SHIFT;
    }
    hak_pool_count_dirty(pool, hak_pool_chunk_dirty_units(chunk) - dirty);
    return bytes;
}

bool hak_pool_heap_is_due(const hak_pool_heap_t *pool, uint64_t now_ms, uint64_t delay_ms) {
    /* relaxed, all of them: hints */
    uint64_t at_ms = hak_load_rlx(&pool->visit_at_ms);
    /* A time further off than the delay was set when the delay was longer. */
    return hak_load_rlx(&pool->has_work) != 0 &&
           (delay_ms == 0 || at_ms <= now_ms || at_ms - now_ms > delay_ms + HAK_REFUSED_PAUSE_MS);
}

static void hak_take_in(hak_pool_heap_t *pool, hak_pool_visit_t *visit) {
    unsigned most = visit->delay_ms == 0 ? UINT32_MAX : HAK_DRAIN_BLOCKS;
    visit->is_cut |= hak_pool_heap_drain_owner(pool, most) == most;
    hak_store_rlx(&pool->takes_in, 0); /* relaxed: a hint */
}

size_t hak_pool_heap_visit_owner(hak_pool_heap_t *pool, hak_pool_visit_t *visit) {
    size_t bytes = 0;
    bool refused = false;
    hak_take_in(pool, visit);
    if (!hak_pool_heap_is_due(pool, visit->now_ms, visit->delay_ms)) {
        return 0;
    }
    hak_retire_kept(pool);
    hak_pool_chunk_t *chunk = pool->open;
    while (chunk != NULL && visit->calls < visit->max_calls && visit->excess_bytes != 0) {
        hak_pool_chunk_t *next = chunk->next;
        size_t gone = hak_visit_chunk(pool, chunk, visit, &refused);
        visit->excess_bytes -= gone < visit->excess_bytes ? gone : visit->excess_bytes;
        bytes += gone;
        chunk = next;
    }
    /* relaxed: written inside the lock */
    if (chunk == NULL && hak_load_rlx(&pool->dirty_units) == 0) {
        hak_store_rlx(&pool->has_work, 0);
    }
    /* half a delay, rounded up: none if there was no delay */
    uint64_t pause_ms = refused ? HAK_REFUSED_PAUSE_MS : (visit->delay_ms + 1) / 2;
    hak_store_rlx(&pool->visit_at_ms, visit->now_ms + (chunk != NULL ? 0 : pause_ms));
    return bytes;
}
