#include "boxes/mid_supply/mid_supply.h"

#include <errno.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "core/lock/lock.h"
#include "core/meta/meta.h"
#include "core/options/options.h"

enum {
    HAK_SIZES = HAK_MID_MOST_CHUNK_SHIFT - HAK_MID_LEAST_CHUNK_SHIFT + 1,
    HAK_UNMAP_COST = 16, /* system calls that take about as long as unmapping a full chunk */
};

static struct {
    hak_lock_t lock;
    hak_aptr_t all;                    /* hak_mid_chunk_t; pushed to under the lock */
    hak_mid_chunk_t *spare[HAK_SIZES]; /* by size, last given first */
    hak_mid_chunk_t *without_memory;   /* descriptors */
    hak_a32_t spares;
    hak_mid_supply_stats_t stats;
} hak_supply = {.lock = HAK_LOCK_INIT(HAK_RANK_MID_SUPPLY)};

static unsigned hak_size_index(uint64_t bytes) {
    return hak_log2_floor(bytes) - HAK_MID_LEAST_CHUNK_SHIFT;
}

static uint64_t hak_size(const hak_mid_chunk_t *chunk) {
    return hak_load_rlx(&chunk->segment.chunk_size); /* relaxed: fixed while it has memory */
}

static uint64_t hak_dirty_bytes(const hak_mid_chunk_t *chunk) {
    /* relaxed: nobody has a spare chunk */
    return (uint64_t)hak_bit_count64(hak_load_rlx(&chunk->dirty)) << HAK_UNIT_SHIFT;
}

static void hak_count_spare_locked(const hak_mid_chunk_t *chunk, int step) {
    hak_store_rlx(&hak_supply.spares, hak_load_rlx(&hak_supply.spares) + (uint32_t)step);
    hak_supply.stats.spare += (uint64_t)(int64_t)step;
    hak_supply.stats.spare_bytes += (uint64_t)(int64_t)step * hak_dirty_bytes(chunk);
}

static hak_mid_chunk_t *hak_take_spare_locked(size_t bytes) {
    for (unsigned i = hak_size_index(bytes); i < HAK_SIZES; i++) {
        hak_mid_chunk_t *chunk = hak_supply.spare[i];
        if (chunk != NULL) {
            hak_supply.spare[i] = chunk->next;
            hak_count_spare_locked(chunk, -1);
            hak_supply.stats.reused++;
            return chunk;
        }
    }
    return NULL;
}

/* A descriptor without memory. */
static hak_mid_chunk_t *hak_take_descriptor_locked(void) {
    hak_mid_chunk_t *chunk = hak_supply.without_memory;
    if (chunk != NULL) {
        hak_supply.without_memory = chunk->next;
        return chunk;
    }
    chunk = hak_meta_alloc_mt(sizeof *chunk);
    if (chunk != NULL) {
        chunk->region.kind = HAK_REGION_MID_MT;
        /* relaxed: written under the lock */
        chunk->all_next = (hak_mid_chunk_t *)hak_load_rlx(&hak_supply.all);
        /* pairs with the acquire in hak_mid_supply_each */
        hak_store_rel(&hak_supply.all, (uintptr_t)chunk);
    }
    return chunk;
}

static void hak_give_descriptor(hak_mid_chunk_t *chunk) {
    hak_lock_take(&hak_supply.lock);
    chunk->next = hak_supply.without_memory;
    hak_supply.without_memory = chunk;
    hak_lock_drop(&hak_supply.lock);
}

/* Maps memory for a descriptor and lets the page registry lead there. */
static bool hak_map(hak_mid_chunk_t *chunk, size_t bytes) {
    void *base = hak_os_map_aligned(bytes, HAK_WINDOW_BYTES);
    if (base == NULL) {
        return false;
    }
    /* relaxed, here and below: the registry publishes the descriptor */
    hak_store_rlx(&chunk->region.base, (uintptr_t)base);
    hak_store_rlx(&chunk->segment.chunk_size, bytes);
    hak_store_rlx(&chunk->dirty, 0);
    if (!hak_registry_add(&chunk->region, (uintptr_t)base, bytes)) {
        hak_store_rlx(&chunk->segment.chunk_size, 0);
        hak_os_unmap(base, bytes);
        errno = ENOMEM;
        return false;
    }
    if (hak_option(HAK_OPTION_THP) != HAK_THP_SYSTEM) {
        hak_os_no_huge(base, bytes);
    }
    return true;
}

hak_mid_chunk_t *hak_mid_supply_take_mt(size_t bytes) {
    hak_lock_take(&hak_supply.lock);
    hak_mid_chunk_t *chunk = hak_take_spare_locked(bytes);
    bool is_mapped = chunk != NULL;
    if (!is_mapped) {
        chunk = hak_take_descriptor_locked();
    }
    hak_lock_drop(&hak_supply.lock);
    if (is_mapped || chunk == NULL) {
        return chunk;
    }
    if (!hak_map(chunk, bytes)) {
        hak_give_descriptor(chunk);
        return NULL;
    }
    hak_lock_take(&hak_supply.lock);
    hak_mid_supply_stats_t *stats = &hak_supply.stats;
    stats->made++;
    stats->mapped_bytes += bytes;
    if (stats->mapped_peak_bytes < stats->mapped_bytes) {
        stats->mapped_peak_bytes = stats->mapped_bytes;
    }
    hak_lock_drop(&hak_supply.lock);
    return chunk;
}

void hak_mid_supply_give_mt(hak_mid_chunk_t *chunk, uint64_t now_ms) {
    hak_lock_take(&hak_supply.lock);
    hak_mid_chunk_t **list = &hak_supply.spare[hak_size_index(hak_size(chunk))];
    chunk->visit_at_ms = now_ms;
    chunk->next = *list;
    *list = chunk;
    hak_count_spare_locked(chunk, 1);
    hak_lock_drop(&hak_supply.lock);
}

/* The chunk that was spare for longest, at least `delay_ms`; off its list. With no delay the time
 * does not matter: chunks may have come in since the caller read the clock. */
static hak_mid_chunk_t *hak_oldest_locked(uint64_t now_ms, uint64_t delay_ms) {
    hak_mid_chunk_t **oldest = NULL;
    for (unsigned i = 0; i < HAK_SIZES; i++) {
        for (hak_mid_chunk_t **at = &hak_supply.spare[i]; *at != NULL; at = &(*at)->next) {
            if ((delay_ms == 0 || (*at)->visit_at_ms + delay_ms <= now_ms) &&
                (oldest == NULL || (*at)->visit_at_ms <= (*oldest)->visit_at_ms)) {
                oldest = at;
            }
        }
    }
    if (oldest == NULL) {
        return NULL;
    }
    hak_mid_chunk_t *chunk = *oldest;
    *oldest = chunk->next;
    hak_count_spare_locked(chunk, -1);
    return chunk;
}

static size_t hak_unmap(hak_mid_chunk_t *chunk) {
    uintptr_t base = hak_region_base(&chunk->region);
    size_t bytes = hak_size(chunk);
    hak_registry_remove(base, bytes);
    /* relaxed: nobody has the chunk */
    hak_store_rlx(&chunk->segment.chunk_size, 0);
    hak_os_unmap((void *)base, bytes);
    return bytes;
}

size_t hak_mid_supply_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                               size_t keep_bytes) {
    size_t given = 0;
    hak_lock_take(&hak_supply.lock);
    for (unsigned calls = 0; calls < max_calls; calls += HAK_UNMAP_COST) {
        if (hak_supply.stats.spare_bytes <= keep_bytes && keep_bytes != 0) {
            break;
        }
        hak_mid_chunk_t *chunk = hak_oldest_locked(now_ms, delay_ms);
        if (chunk == NULL) {
            break;
        }
        hak_supply.stats.mapped_bytes -= hak_size(chunk);
        hak_supply.stats.purges++;
        hak_supply.stats.purged_bytes += hak_dirty_bytes(chunk);
        hak_lock_drop(&hak_supply.lock);
        given += hak_dirty_bytes(chunk);
        (void)hak_unmap(chunk);
        hak_give_descriptor(chunk);
        hak_lock_take(&hak_supply.lock);
    }
    hak_lock_drop(&hak_supply.lock);
    return given;
}

void hak_mid_supply_each(void (*visit)(hak_mid_chunk_t *chunk, void *context), void *context) {
    /* pairs with the release in hak_take_descriptor_locked */
    hak_mid_chunk_t *chunk = (hak_mid_chunk_t *)hak_load_acq(&hak_supply.all);
    for (; chunk != NULL; chunk = chunk->all_next) {
        visit(chunk, context);
    }
}

void hak_mid_supply_stats_mt(hak_mid_supply_stats_t *out) {
    hak_lock_take(&hak_supply.lock);
    *out = hak_supply.stats;
    hak_lock_drop(&hak_supply.lock);
}

bool hak_mid_supply_has_spare(void) {
    return hak_load_rlx(&hak_supply.spares) != 0; /* relaxed: a hint */
}

void hak_mid_supply_fork_take(void) { hak_lock_take(&hak_supply.lock); }
void hak_mid_supply_fork_drop(void) { hak_lock_drop(&hak_supply.lock); }

static size_t hak_check_spare(const hak_mid_chunk_t *chunk) {
    uintptr_t base = hak_region_base(&chunk->region);
    size_t faults = hak_load_rlx(&chunk->sc) != 0; /* relaxed: nobody has it */
    for (uintptr_t a = base; a < base + hak_size(chunk); a += HAK_UNIT_BYTES) {
        faults += hak_registry_tag(a) != HAK_TAG_NONE;
        faults += hak_registry_region(a) != &chunk->region;
    }
    return faults;
}

size_t hak_mid_supply_check_locked(void) {
    size_t faults = 0;
    uint64_t spare = 0;
    for (unsigned i = 0; i < HAK_SIZES; i++) {
        for (const hak_mid_chunk_t *chunk = hak_supply.spare[i]; chunk != NULL;
             chunk = chunk->next) {
            faults += hak_size_index(hak_size(chunk)) != i;
            faults += hak_check_spare(chunk);
            spare++;
        }
    }
    return faults + (spare != hak_supply.stats.spare);
}
