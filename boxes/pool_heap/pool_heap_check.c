/* Nobody is inside a heap while this runs: plain walks over lists that other files keep. */
#include "boxes/pool_heap/pool_heap_internal.h"
#include "config/hak_config.h"
#include "registry/registry_inl.h"

/* relaxed, everywhere here: nobody is inside the heap */
static size_t hak_check_chunks(const hak_pool_heap_t *pool, const hak_pool_chunk_t *list,
                               bool is_open, uint32_t *count, uint32_t *dirty, uint64_t *used) {
    size_t faults = 0;
    const hak_pool_chunk_t *prev = NULL;
    for (const hak_pool_chunk_t *c = list; c != NULL && *count <= pool->chunks; c = c->next) {
        faults += c->prev != prev || hak_pool_chunk_heap(c) != pool;
        faults += c->is_open != (uint32_t)is_open;
        faults += is_open != (hak_pool_chunk_free_units(c) != 0);
        faults += hak_load_rlx(&c->units) == 0;
        faults += hak_pool_chunk_faults_owner(c, pool->heap->tag);
        *dirty += hak_pool_chunk_dirty_units(c);
        for (unsigned i = 0; i < hak_load_rlx(&c->units); i++) {
            if (hak_load_rlx(&c->unit[i].sc) != 0) {
                *used += hak_load_rlx(&c->unit[i].used);
            }
        }
        ++*count;
        prev = c;
    }
    return faults;
}

/* Every listed unit is there once, and no other. */
static size_t hak_check_units(const hak_pool_heap_t *pool) {
    size_t faults = 0;
    uint32_t most = pool->chunks * HAK_POOL_CHUNK_UNITS;
    for (unsigned class_index = 0; class_index < HAK_POOL_CLASSES; class_index++) {
        const hak_pool_unit_t *prev = NULL;
        uint32_t count = 0;
        for (const hak_pool_unit_t *u = pool->partial[class_index]; u != NULL && count <= most;
             u = u->next) {
            faults += !u->listed || u->prev != prev;
            faults += hak_load_rlx(&u->sc) != hak_pool_sc(class_index);
            faults += hak_pool_chunk_heap(hak_pool_unit_chunk(u)) != pool;
            faults += hak_load_rlx(&u->used) == 0 && prev != NULL;
            prev = u;
            count++;
        }
        bool offered = (hak_load_rlx(&pool->offers) >> class_index & 1u) != 0;
        faults += count > most || offered != (count != 0);
    }
    return faults;
}

/* The queue may hold blocks of chunks that moved: they belong to some unit in use. Blocks that are
 * still this heap's are not more than it has out. */
static size_t hak_check_queue(const hak_pool_heap_t *pool, uintptr_t head, uint64_t used) {
    uint64_t own = 0;
    for (const hak_block_t *b = (const hak_block_t *)head; b != NULL; b = hak_block_next(b)) {
        const hak_pool_unit_t *unit = hak_pool_unit_of((uintptr_t)b);
        unsigned sc = unit == NULL ? 0 : hak_load_rlx(&unit->sc);
        if (sc == 0 ||
            hak_pool_unit_block_index(unit, sc, (uintptr_t)b) >= hak_load_rlx(&unit->carved) ||
            (hak_cfg_check_double_free &&
             !hak_block_has_mark(b, hak_registry_mark((uintptr_t)b)))) {
            return 1; /* what follows it cannot be trusted */
        }
        own += hak_pool_chunk_heap(hak_pool_unit_chunk(unit)) == pool;
        if (own > used) {
            return 1;
        }
    }
    return 0;
}

size_t hak_pool_heap_check_locked(const hak_pool_heap_t *pool, uint64_t *chunks) {
    uint32_t count = 0, dirty = 0;
    uint64_t used = 0;
    size_t faults = hak_check_chunks(pool, pool->open, true, &count, &dirty, &used);
    faults += hak_check_chunks(pool, pool->full, false, &count, &dirty, &used);
    faults += pool->grown > pool->chunks;
    faults += count != pool->chunks || dirty != hak_load_rlx(&pool->dirty_units);
    faults += hak_check_units(pool);
    if (faults == 0) {
        /* acquire: pairs with the release of the push; pushes go on without a lock */
        faults += hak_check_queue(pool, hak_load_acq(&pool->remote.head), used);
        faults += hak_check_queue(pool, hak_load_rlx(&pool->drain_next), used);
    }
    *chunks += count;
    return faults;
}
