#include "boxes/mid_chunk/mid_chunk.h"

#include <string.h>

#include "boxes/mid_registry/mid_registry.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/options/options.h"

static hak_mid_chunk_t *hak_by_search(uintptr_t address) {
    hak_mid_entry_t entry;
    return hak_mid_registry_lookup_mt(address, &entry) ? entry.chunk : NULL;
}

hak_mid_chunk_t *hak_mid_chunk_of(uintptr_t address) {
    if (hak_option(HAK_OPTION_MID_REGISTRY) == HAK_MID_REGISTRY_SORTED) {
        return hak_by_search(address);
    }
    hak_region_t *region = hak_registry_region(address);
    if (region == NULL || region->kind != HAK_REGION_MID_MT) {
        return NULL;
    }
    hak_mid_chunk_t *chunk = (hak_mid_chunk_t *)region;
    /* relaxed: fixed while a block is in use. A window may be larger than its chunk. */
    uint64_t bytes = hak_load_rlx(&chunk->segment.chunk_size);
    return address - hak_region_base(region) < bytes ? chunk : NULL;
}

static uint64_t hak_bytes(const hak_mid_chunk_t *chunk) {
    return hak_load_rlx(&chunk->segment.chunk_size); /* relaxed: fixed while it has memory */
}

void hak_mid_chunk_open(hak_mid_chunk_t *chunk, unsigned sc) {
    hak_mid_segment_t *segment = &chunk->segment;
    uintptr_t base = hak_region_base(&chunk->region);
    segment->free_list = NULL;
    segment->chunk_base = base;
    segment->block_size = hak_sc_bytes[sc];
    segment->unit_blocks = HAK_UNIT_BYTES / hak_sc_bytes[sc];
    /* relaxed, here and below: nobody else has the chunk yet */
    hak_store_rlx(&segment->current, base);
    hak_store_rlx(&segment->end, base + hak_bytes(chunk));
    hak_store_rlx(&segment->used_count, 0);
    hak_store_rlx(&chunk->purged, 0);
    hak_store_rlx(&chunk->remote, 0);
    chunk->full = chunk->aged = 0;
    chunk->visit_at_ms = 0;
    chunk->listed = false;
    memset(chunk->free_in_unit, 0, sizeof chunk->free_in_unit);
    hak_poison((void *)base, hak_bytes(chunk));
    hak_store_rel(&chunk->sc, sc); /* pairs with the acquire of statistics and describe */
}

void hak_mid_chunk_set_owner(hak_mid_chunk_t *chunk, struct hak_mid_heap *owner,
                             uint32_t owner_tag) {
    chunk->tag = owner_tag | hak_load_rlx(&chunk->sc) << HAK_BIN_SHIFT;
    hak_store_rel(&chunk->owner, (uintptr_t)owner); /* pairs with hak_mid_chunk_owner */
    uint64_t purged = hak_load_rlx(&chunk->purged); /* relaxed: inside the lock */
    unsigned units = (unsigned)(hak_bytes(chunk) >> HAK_UNIT_SHIFT);
    for (unsigned i = 0; i < units; i++) {
        if ((purged >> i & 1u) == 0) {
            uintptr_t unit = chunk->segment.chunk_base + ((uintptr_t)i << HAK_UNIT_SHIFT);
            hak_registry_set_tags(unit, 1, chunk->tag);
        }
    }
}

void hak_mid_chunk_close(hak_mid_chunk_t *chunk) {
    hak_debug_assert(hak_load_rlx(&chunk->segment.used_count) == 0);
    hak_debug_assert(hak_load_rlx(&chunk->remote) == 0);
    uintptr_t base = chunk->segment.chunk_base;
    hak_registry_set_tags(base, (unsigned)(hak_bytes(chunk) >> HAK_UNIT_SHIFT), HAK_TAG_NONE);
    /* relaxed: a reader that still sees the class finds no block in use */
    hak_store_rlx(&chunk->sc, 0);
    hak_unpoison((void *)base, hak_bytes(chunk));
}

uint32_t hak_mid_chunk_carved(const hak_mid_chunk_t *chunk) {
    uintptr_t base = hak_region_base(&chunk->region);
    /* relaxed: the caller has the chunk, or has seen it open. `current` only grows meanwhile. */
    uint32_t bytes = hak_sc_bytes[hak_load_rlx(&chunk->sc)];
    return bytes == 0 ? 0 : (uint32_t)((hak_load_rlx(&chunk->segment.current) - base) / bytes);
}

uint32_t hak_mid_chunk_block_index(const hak_mid_chunk_t *chunk, uintptr_t address) {
    uint32_t bytes = hak_sc_bytes[hak_load_rlx(&chunk->sc)]; /* as above */
    uintptr_t offset = address - hak_region_base(&chunk->region);
    if (bytes == 0 || offset >= hak_bytes(chunk) || offset % bytes != 0) {
        return UINT32_MAX;
    }
    return (uint32_t)(offset / bytes);
}
