#include "boxes/pool_heap/pool_heap.h"

#include <errno.h>

#include "backends/os/os.h"
#include "boxes/pool_heap/pool_heap_internal.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/meta/meta.h"

hak_pool_heap_t *hak_pool_heap_make_owner(hak_heap_t *heap) {
    hak_pool_heap_t *pool = hak_pool_heap_of(heap);
    if (hak_likely(pool != NULL)) {
        return pool;
    }
    pool = hak_meta_alloc_mt(sizeof *pool);
    if (pool != NULL) {
        pool->heap = heap;
        hak_pool_remote_init(&pool->remote);
        /* relaxed: as in hak_pool_heap_of */
        hak_store_rlx(&heap->backend[HAK_HEAP_POOL_TLS], (uintptr_t)pool);
    }
    return pool;
}

static void hak_set_offer(hak_pool_heap_t *pool, uint32_t bit, bool on) {
    uint32_t old = hak_load_rlx(&pool->offers); /* relaxed: written inside the lock */
    hak_store_rlx(&pool->offers, on ? old | bit : old & ~bit);
}

void hak_pool_list_unit_owner(hak_pool_heap_t *pool, hak_pool_unit_t *unit, bool in_front) {
    unsigned class_index = hak_pool_class(hak_load_rlx(&unit->sc)); /* relaxed: fixed in use */
    hak_pool_unit_t *first = pool->partial[class_index];
    hak_debug_assert(!unit->listed);
    if (first == NULL || in_front) {
        unit->prev = NULL;
        unit->next = first;
        pool->partial[class_index] = unit;
    } else {
        unit->prev = first;
        unit->next = first->next;
        first->next = unit;
    }
    if (unit->next != NULL) {
        unit->next->prev = unit;
    }
    unit->listed = 1;
    hak_set_offer(pool, 1u << class_index, true);
}

void hak_pool_unlist_unit_owner(hak_pool_heap_t *pool, hak_pool_unit_t *unit) {
    unsigned class_index = hak_pool_class(hak_load_rlx(&unit->sc)); /* relaxed: as above */
    hak_debug_assert(unit->listed);
    if (unit->prev != NULL) {
        unit->prev->next = unit->next;
    } else {
        pool->partial[class_index] = unit->next;
        hak_set_offer(pool, 1u << class_index, unit->next != NULL);
    }
    if (unit->next != NULL) {
        unit->next->prev = unit->prev;
    }
    unit->listed = 0;
}

/* In front: a chunk that just got its first free unit is nearly full, and is to be filled before
 * those that have a chance to become empty. */
void hak_pool_list_chunk_owner(hak_pool_heap_t *pool, hak_pool_chunk_t *chunk) {
    chunk->is_open = hak_pool_chunk_free_units(chunk) != 0;
    hak_pool_chunk_t **list = chunk->is_open ? &pool->open : &pool->full;
    chunk->prev = NULL;
    chunk->next = *list;
    if (*list != NULL) {
        (*list)->prev = chunk;
    }
    *list = chunk;
    hak_set_offer(pool, HAK_POOL_OFFERS_UNITS, pool->open != NULL);
    pool->chunks++;
}

void hak_pool_unlist_chunk_owner(hak_pool_heap_t *pool, hak_pool_chunk_t *chunk) {
    if (chunk->prev != NULL) {
        chunk->prev->next = chunk->next;
    } else if (chunk->is_open) {
        pool->open = chunk->next;
    } else {
        pool->full = chunk->next;
    }
    if (chunk->next != NULL) {
        chunk->next->prev = chunk->prev;
    }
    hak_set_offer(pool, HAK_POOL_OFFERS_UNITS, pool->open != NULL);
    pool->chunks--;
}

/* After units of it came or went. */
static void hak_relist_chunk(hak_pool_heap_t *pool, hak_pool_chunk_t *chunk) {
    if (chunk->is_open != (hak_pool_chunk_free_units(chunk) != 0)) {
        hak_pool_unlist_chunk_owner(pool, chunk);
        hak_pool_list_chunk_owner(pool, chunk);
    }
}

void hak_pool_retire_owner(hak_pool_heap_t *pool, hak_pool_unit_t *unit) {
    hak_pool_chunk_t *chunk = hak_pool_unit_chunk(unit);
    hak_pool_unlist_unit_owner(pool, unit);
    hak_pool_chunk_close_owner(unit);
    hak_pool_count_dirty(pool, 1);
    hak_store_rlx(&pool->has_work, 1); /* relaxed: a hint */
    hak_relist_chunk(pool, chunk);
    hak_count_add(&pool->heap->counters.slabs_retired, 1);
}

static bool hak_grow(hak_pool_heap_t *pool) {
    size_t bytes = (size_t)HAK_POOL_LEAST_BYTES << (pool->grown < 3 ? pool->grown : 3);
    hak_pool_chunk_t *chunk = hak_pool_chunk_map(&pool->spares, bytes);
    if (chunk == NULL) {
        return false;
    }
    pool->grown++;
    hak_pool_chunk_set_heap_owner(chunk, pool);
    hak_pool_list_chunk_owner(pool, chunk);
    return true;
}

static hak_pool_unit_t *hak_open_unit(hak_pool_heap_t *pool, unsigned sc) {
    hak_pool_chunk_t *chunk = pool->open;
    uint32_t dirty = hak_pool_chunk_dirty_units(chunk);
    hak_pool_unit_t *unit =
        hak_pool_chunk_open_owner(chunk, sc, pool->heap->tag | sc << HAK_BIN_SHIFT);
    hak_pool_count_dirty(pool, hak_pool_chunk_dirty_units(chunk) - dirty);
    hak_pool_list_unit_owner(pool, unit, true);
    hak_relist_chunk(pool, chunk);
    hak_count_add(&pool->heap->counters.slabs_made, 1);
    return unit;
}

/* A unit with something to give; a new chunk only if `may_grow`. */
static hak_pool_unit_t *hak_find_unit(hak_pool_heap_t *pool, unsigned sc, bool may_grow) {
    unsigned class_index = hak_pool_class(sc);
    if (pool->partial[class_index] == NULL && pool->open == NULL && may_grow) {
        uint64_t now_ms = hak_os_now_ms();
        hak_store_rlx(&pool->heap->active_ms, now_ms); /* relaxed: a hint to others */
        if (!hak_pool_heap_adopt_owner(pool, sc, now_ms) && !hak_grow(pool)) {
            return NULL;
        }
    }
    if (pool->partial[class_index] != NULL) {
        return pool->partial[class_index];
    }
    return pool->open != NULL ? hak_open_unit(pool, sc) : NULL;
}

/* Up to `want` blocks of the unit in front of `tail`; at most 32 steps. */
static uint32_t hak_take_from(hak_pool_unit_t *unit, unsigned sc, uint32_t want,
                              hak_pool_list_t *list) {
    uint32_t count = 0;
    while (count < want && unit->free != NULL) {
        hak_block_t *block = unit->free;
        unit->free = hak_block_next(block);
        hak_block_link(block, list->head);
        list->head = block;
        count++;
    }
    uint32_t room = hak_pool_capacity(sc) - hak_load_rlx(&unit->carved); /* relaxed: in the lock */
    if (count < want && room != 0) {
        uint32_t carve = want - count < room ? want - count : room;
        list->head = hak_pool_chunk_carve_owner(unit, carve, list->head);
        count += carve;
        room -= carve;
    }
    hak_store_rlx(&unit->used, hak_load_rlx(&unit->used) + count); /* relaxed: as above */
    list->count += count;
    return room;
}

hak_pool_list_t hak_pool_heap_take_owner(hak_pool_heap_t *pool, unsigned sc, uint32_t want) {
    hak_pool_list_t list = {NULL, 0};
    while (list.count < want) {
        hak_pool_unit_t *unit = hak_find_unit(pool, sc, list.count == 0);
        if (unit == NULL) {
            break;
        }
        uint32_t room = hak_take_from(unit, sc, want - list.count, &list);
        if (room == 0 && unit->free == NULL) {
            hak_pool_unlist_unit_owner(pool, unit);
        }
    }
    if (list.count == 0) {
        hak_count_add(&pool->refill_failures, 1);
        errno = ENOMEM;
    }
    return list;
}

void hak_pool_heap_put_back_owner(hak_pool_heap_t *pool, hak_pool_unit_t *unit,
                                  hak_block_t *block) {
    uint32_t used = hak_load_rlx(&unit->used) - 1; /* relaxed: written inside the owner lock */
    hak_debug_assert(used < HAK_UNIT_BYTES);
    hak_debug_assert(hak_pool_chunk_heap(hak_pool_unit_chunk(unit)) == pool);
    hak_block_link(block, unit->free);
    unit->free = block;
    hak_store_rlx(&unit->used, used);
    if (!unit->listed) {
        hak_pool_list_unit_owner(pool, unit, false);
    }
    if (used == 0) {
        if (unit->prev != NULL || unit->next != NULL) {
            hak_pool_retire_owner(pool, unit);
        } else {
            hak_store_rlx(&pool->has_work, 1); /* relaxed: a hint */
        }
    }
}

/* Between the look at the heap and the push the chunk may move: then the old heap sends the block
 * on when it drains its queue. */
void hak_pool_heap_send_mt(hak_pool_unit_t *unit, hak_block_t *block) {
    hak_pool_remote_push_mt(&hak_pool_chunk_heap(hak_pool_unit_chunk(unit))->remote, block);
}

unsigned hak_pool_heap_drain_owner(hak_pool_heap_t *pool, unsigned max_blocks) {
    unsigned done = 0, sent_on = 0;
    /* relaxed: written inside the lock */
    hak_block_t *block = (hak_block_t *)hak_load_rlx(&pool->drain_next);
    while (done < max_blocks) {
        if (block == NULL && (block = hak_pool_remote_take_owner(&pool->remote)) == NULL) {
            break;
        }
        hak_block_t *next = hak_block_next(block);
        hak_pool_unit_t *unit = hak_pool_unit_of((uintptr_t)block);
        if (hak_likely(hak_pool_chunk_heap(hak_pool_unit_chunk(unit)) == pool)) {
            hak_pool_heap_put_back_owner(pool, unit, block);
        } else {
            hak_pool_heap_send_mt(unit, block);
            sent_on++;
        }
        block = next;
        done++;
    }
    hak_store_rlx(&pool->drain_next, (uintptr_t)block);
    if (done != 0) {
        hak_store_rlx(&pool->takes_in, 1); /* relaxed: a hint */
    }
    hak_count_add(&pool->heap->counters.drained_blocks, done - sent_on);
    return done;
}
