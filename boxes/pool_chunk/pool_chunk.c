#include "boxes/pool_chunk/pool_chunk.h"

#include <errno.h>

#include "backends/os/os.h"
#include "boxes/page_arena/page_arena.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/meta/meta.h"
#include "core/options/options.h"
#include "core/text/text.h"
#include "registry/registry_inl.h"

static struct {
    hak_aptr_t all; /* hak_pool_chunk_t; pushed to by anyone, never popped */
    hak_a64_t made, failed, mapped_bytes, mapped_peak_bytes, purges, purged_bytes;
} hak_chunks;

/* Debug builds say it at once; release builds count it. */
static hak_cold void hak_note_failure(size_t bytes) {
    hak_add_rlx(&hak_chunks.failed, 1); /* relaxed: a statistic */
    if (hak_cfg_debug) {
        int saved = errno;
        hak_text_t text;
        hak_text_init(&text, 2);
        hak_text_put(&text, "hakmem: pool_tls: no chunk of ");
        hak_text_put_u64(&text, bytes >> 20);
        hak_text_put(&text, " MiB\n");
        (void)hak_text_flush(&text);
        errno = saved;
    }
}

/* Another piece than the shelf's would do as well, but only 2 MiB are kept there. */
static void *hak_map(size_t *bytes) {
    void *base = hak_page_arena_take_mt(HAK_WINDOW_BYTES);
    if (base != NULL) {
        *bytes = HAK_WINDOW_BYTES;
        return base;
    }
    for (; *bytes >= HAK_POOL_LEAST_BYTES; *bytes /= 2) {
        base = hak_os_map_aligned(*bytes, HAK_WINDOW_BYTES);
        if (base != NULL) {
            if (hak_option(HAK_OPTION_THP) != HAK_THP_SYSTEM) {
                hak_os_no_huge(base, *bytes); /* a first touch would make 2 MiB resident */
            }
            return base;
        }
        hak_note_failure(*bytes);
    }
    errno = ENOMEM;
    return NULL;
}

static hak_pool_chunk_t *hak_new_descriptor(void) {
    hak_pool_chunk_t *chunk = hak_meta_alloc_mt(sizeof *chunk);
    if (chunk == NULL) {
        hak_note_failure(sizeof *chunk);
        return NULL;
    }
    chunk->region.kind = HAK_REGION_POOL_TLS;
    for (unsigned i = 0; i < HAK_POOL_CHUNK_UNITS; i++) {
        chunk->unit[i].index = (uint16_t)i;
    }
    uintptr_t all = hak_load_rlx(&hak_chunks.all); /* relaxed: a guess, the CAS checks it */
    do {
        chunk->all_next = (hak_pool_chunk_t *)all;
        /* release: publishes the descriptor. Pairs with the acquire in hak_pool_chunk_each. */
    } while (!hak_cas_weak_rel(&hak_chunks.all, &all, (uintptr_t)chunk));
    return chunk;
}

static void hak_count_mapped(uint64_t bytes) {
    /* relaxed, all of them: statistics */
    uint64_t now = hak_add_rlx(&hak_chunks.mapped_bytes, bytes) + bytes;
    uint64_t peak = hak_load_rlx(&hak_chunks.mapped_peak_bytes);
    while (now > peak && !hak_cas_rlx(&hak_chunks.mapped_peak_bytes, &peak, now)) {
    }
    hak_add_rlx(&hak_chunks.made, 1);
}

/* Bits of the first `units` units in mask `word`. */
static uint64_t hak_all_units(uint32_t units, unsigned word) {
    return units >= 64 * (word + 1) ? UINT64_MAX
           : units <= 64 * word     ? 0
                                    : (1ull << (units - 64 * word)) - 1;
}

hak_pool_chunk_t *hak_pool_chunk_map(hak_pool_chunk_t **spares, size_t bytes) {
    if (*spares == NULL) {
        *spares = hak_new_descriptor();
    }
    hak_pool_chunk_t *chunk = *spares;
    void *base = chunk == NULL ? NULL : hak_map(&bytes);
    if (base == NULL) {
        return NULL;
    }
    hak_store_rlx(&chunk->region.base, (uintptr_t)base); /* relaxed: see hak_region_base */
    if (!hak_registry_add(&chunk->region, (uintptr_t)base, bytes)) {
        hak_note_failure(bytes);
        hak_os_unmap(base, bytes);
        return NULL;
    }
    *spares = chunk->next;
    uint32_t units = (uint32_t)(bytes >> HAK_UNIT_SHIFT);
    for (unsigned w = 0; w < HAK_POOL_MASKS; w++) {
        /* relaxed: the owner lock orders them; others only count bits */
        hak_store_rlx(&chunk->free_mask[w], hak_all_units(units, w));
        hak_store_rlx(&chunk->dirty_mask[w], 0);
        hak_store_rlx(&chunk->aged_mask[w], 0);
    }
    /* relaxed: the registry and the list of all chunks have published what never changes of the
     * descriptor; of the rest visitors read atomic words, each for itself */
    hak_store_rlx(&chunk->units, units);
    hak_count_mapped(bytes);
    return chunk;
}

void hak_pool_chunk_unmap_owner(hak_pool_chunk_t *chunk) {
    uintptr_t base = hak_region_base(&chunk->region);
    size_t bytes = (size_t)hak_load_rlx(&chunk->units) << HAK_UNIT_SHIFT; /* relaxed: our own */
    hak_debug_assert(hak_pool_chunk_free_units(chunk) == bytes >> HAK_UNIT_SHIFT);
    for (unsigned w = 0; w < HAK_POOL_MASKS; w++) {
        hak_store_rlx(&chunk->free_mask[w], 0); /* relaxed: as in hak_pool_chunk_map */
        hak_store_rlx(&chunk->dirty_mask[w], 0);
        hak_store_rlx(&chunk->aged_mask[w], 0);
    }
    hak_store_rlx(&chunk->units, 0); /* relaxed: as above */
    hak_registry_remove(base, bytes);
    hak_sub_rlx(&hak_chunks.mapped_bytes, bytes); /* relaxed: a statistic */
    hak_page_arena_give_mt((void *)base, bytes);
}

void hak_pool_chunk_set_heap_owner(hak_pool_chunk_t *chunk, struct hak_pool_heap *heap) {
    hak_store_rel(&chunk->heap,
                  (uintptr_t)heap); /* pairs with the acquire in hak_pool_chunk_heap */
}

static void hak_set_bit(hak_a64_t *mask, unsigned index, bool on) {
    hak_a64_t *word = &mask[index / 64];
    uint64_t bit = 1ull << index % 64;
    uint64_t old = hak_load_rlx(word); /* relaxed: written inside the lock */
    hak_store_rlx(word, on ? old | bit : old & ~bit);
}

/* Lowest bit that is set, or HAK_POOL_CHUNK_UNITS. */
static unsigned hak_first_bit(const hak_a64_t *mask) {
    for (unsigned w = 0; w < HAK_POOL_MASKS; w++) {
        uint64_t bits = hak_load_rlx(&mask[w]); /* relaxed: written inside the lock */
        if (bits != 0) {
            return w * 64 + hak_lowest_bit(bits);
        }
    }
    return HAK_POOL_CHUNK_UNITS;
}

hak_pool_unit_t *hak_pool_chunk_open_owner(hak_pool_chunk_t *chunk, unsigned sc, uint32_t tag) {
    unsigned index = hak_first_bit(chunk->dirty_mask);
    if (index == HAK_POOL_CHUNK_UNITS) {
        index = hak_first_bit(chunk->free_mask);
    }
    if (index == HAK_POOL_CHUNK_UNITS) {
        return NULL;
    }
    hak_set_bit(chunk->free_mask, index, false);
    hak_set_bit(chunk->dirty_mask, index, false);
    hak_set_bit(chunk->aged_mask, index, false);
    hak_pool_unit_t *unit = &chunk->unit[index];
    hak_debug_assert(hak_load_rlx(&unit->sc) == 0 && !unit->listed);
    unit->free = NULL;
    hak_store_rlx(&unit->used, 0); /* relaxed, here and below: no block of it is out yet */
    hak_store_rlx(&unit->carved, 0);
    hak_poison((void *)hak_pool_unit_base(unit), HAK_UNIT_BYTES);
    hak_store_rel(&unit->sc, sc); /* pairs with the acquire of visitors */
    hak_registry_set_tags(hak_pool_unit_base(unit), 1, tag);
    return unit;
}

void hak_pool_chunk_close_owner(hak_pool_unit_t *unit) {
    hak_pool_chunk_t *chunk = hak_pool_unit_chunk(unit);
    hak_debug_assert(hak_load_rlx(&unit->used) == 0 && !unit->listed);
    hak_registry_set_tags(hak_pool_unit_base(unit), 1, HAK_TAG_NONE);
    hak_store_rlx(&unit->sc, 0); /* relaxed: a reader that still sees the class finds used == 0 */
    hak_unpoison((void *)hak_pool_unit_base(unit), HAK_UNIT_BYTES);
    hak_set_bit(chunk->free_mask, unit->index, true);
    hak_set_bit(chunk->dirty_mask, unit->index, true);
}

hak_block_t *hak_pool_chunk_carve_owner(hak_pool_unit_t *unit, uint32_t count, hak_block_t *tail) {
    uint32_t carved = hak_load_rlx(&unit->carved); /* relaxed: written inside the lock */
    unsigned sc = hak_load_rlx(&unit->sc);
    size_t bytes = hak_sc_bytes[sc];
    hak_debug_assert(carved + count <= hak_pool_capacity(sc));
    char *block = (char *)hak_pool_unit_base(unit) + (size_t)(carved + count) * bytes;
    hak_block_t *head = tail;
    for (uint32_t i = 0; i < count; i++) {
        block -= bytes;
        hak_block_link((hak_block_t *)block, head);
        if (hak_cfg_check_double_free) {
            hak_block_set_mark((hak_block_t *)block, hak_registry_mark((uintptr_t)block));
        }
        head = (hak_block_t *)block;
    }
    hak_store_rlx(&unit->carved, carved + count);
    return head;
}

static unsigned hak_count_bits(const hak_a64_t *mask) {
    unsigned count = 0;
    for (unsigned w = 0; w < HAK_POOL_MASKS; w++) {
        uint64_t bits = hak_load_rlx(&mask[w]); /* relaxed: inside the lock, or a statistic */
        count += hak_bit_count32((uint32_t)bits) + hak_bit_count32((uint32_t)(bits >> 32));
    }
    return count;
}

unsigned hak_pool_chunk_free_units(const hak_pool_chunk_t *chunk) {
    return hak_count_bits(chunk->free_mask);
}
unsigned hak_pool_chunk_dirty_units(const hak_pool_chunk_t *chunk) {
    return hak_count_bits(chunk->dirty_mask);
}

bool hak_pool_chunk_can_go_owner(const hak_pool_chunk_t *chunk, bool at_once) {
    /* relaxed: only changes while nobody else has the chunk */
    return hak_pool_chunk_free_units(chunk) == hak_load_rlx(&chunk->units) &&
           (at_once || hak_count_bits(chunk->aged_mask) == hak_count_bits(chunk->dirty_mask));
}

/* Bits of a run of units that lies in one mask word. */
static void hak_run_is_clean(hak_pool_chunk_t *chunk, unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++) {
        hak_set_bit(chunk->dirty_mask, i, false);
        hak_set_bit(chunk->aged_mask, i, false);
    }
}

unsigned hak_pool_chunk_purge_owner(hak_pool_chunk_t *chunk, bool at_once, unsigned *calls,
                                    unsigned max_calls, bool *refused) {
    unsigned purged = 0;
    char *base = (char *)hak_region_base(&chunk->region);
    for (unsigned w = 0; w < HAK_POOL_MASKS; w++) {
        /* relaxed: inside the lock */
        uint64_t left = hak_load_rlx(at_once ? &chunk->dirty_mask[w] : &chunk->aged_mask[w]);
        while (left != 0 && *calls < max_calls) {
            unsigned first = hak_lowest_bit(left);
            uint64_t rest = ~(left >> first);
            unsigned count = rest == 0 ? 64 : hak_lowest_bit(rest);
            char *at = base + ((size_t)(w * 64 + first) << HAK_UNIT_SHIFT);
            ++*calls;
            if (hak_os_purge(at, (size_t)count << HAK_UNIT_SHIFT)) {
                hak_add_rlx(&hak_chunks.purges, 1); /* relaxed: statistics */
                hak_add_rlx(&hak_chunks.purged_bytes, (uint64_t)count << HAK_UNIT_SHIFT);
                hak_run_is_clean(chunk, w * 64 + first, count);
                purged += count;
            } else {
                *refused = true;
            }
            left &= count == 64 ? 0 : ~(((1ull << count) - 1) << first);
        }
        hak_store_rlx(&chunk->aged_mask[w], hak_load_rlx(&chunk->dirty_mask[w]));
    }
    return purged;
}

hak_pool_unit_t *hak_pool_unit_of(uintptr_t address) {
    hak_region_t *region = hak_registry_find_region(address);
    if (region == NULL || region->kind != HAK_REGION_POOL_TLS) {
        return NULL;
    }
    hak_pool_chunk_t *chunk = (hak_pool_chunk_t *)region;
    uintptr_t index = (address - hak_region_base(region)) >> HAK_UNIT_SHIFT;
    /* relaxed: fixed while a block is in use. The last window of a chunk of 1 MiB is half empty. */
    return index < hak_load_rlx(&chunk->units) ? &chunk->unit[index] : NULL;
}

uint32_t hak_pool_unit_block_index(const hak_pool_unit_t *unit, unsigned sc, uintptr_t address) {
    uint32_t offset = (uint32_t)(address - hak_pool_unit_base(unit));
    return offset % hak_sc_bytes[sc] != 0 ? UINT32_MAX : offset / hak_sc_bytes[sc];
}

void hak_pool_chunk_each(void (*visit)(hak_pool_chunk_t *chunk, void *context), void *context) {
    /* acquire: pairs with the release in hak_new_descriptor */
    hak_pool_chunk_t *chunk = (hak_pool_chunk_t *)hak_load_acq(&hak_chunks.all);
    for (; chunk != NULL; chunk = chunk->all_next) {
        visit(chunk, context);
    }
}

/* relaxed, all of them: nobody is inside the heap */
static size_t hak_unit_faults(const hak_pool_unit_t *unit, uint32_t owner_tag) {
    unsigned sc = hak_load_rlx(&unit->sc);
    if (!hak_pool_has_class(sc)) {
        return 1;
    }
    uint32_t carved = hak_load_rlx(&unit->carved), used = hak_load_rlx(&unit->used);
    uint32_t capacity = hak_pool_capacity(sc);
    uint32_t on_list = 0;
    for (const hak_block_t *b = unit->free; b != NULL && on_list <= carved; b = hak_block_next(b)) {
        if ((uintptr_t)b - hak_pool_unit_base(unit) >= HAK_UNIT_BYTES ||
            hak_pool_unit_block_index(unit, sc, (uintptr_t)b) >= carved) {
            return 1; /* what follows it cannot be trusted */
        }
        on_list++;
    }
    bool has_something = on_list != 0 || carved < capacity;
    uint32_t tag = hak_registry_tag(hak_pool_unit_base(unit));
    return (used + on_list != carved) + (carved > capacity) + (has_something && !unit->listed) +
           (tag != (owner_tag | sc << HAK_BIN_SHIFT));
}

size_t hak_pool_chunk_faults_owner(const hak_pool_chunk_t *chunk, uint32_t owner_tag) {
    size_t faults = 0;
    uint32_t units = hak_load_rlx(&chunk->units);
    for (unsigned w = 0; w < HAK_POOL_MASKS; w++) {
        uint64_t free = hak_load_rlx(&chunk->free_mask[w]);
        uint64_t dirty = hak_load_rlx(&chunk->dirty_mask[w]);
        uint64_t aged = hak_load_rlx(&chunk->aged_mask[w]);
        faults += (free & ~hak_all_units(units, w)) != 0;
        faults += (dirty & ~free) != 0;
        faults += (aged & ~dirty) != 0;
    }
    for (unsigned i = 0; i < units; i++) {
        const hak_pool_unit_t *unit = &chunk->unit[i];
        /* relaxed: as above */
        bool is_free = (hak_load_rlx(&chunk->free_mask[i / 64]) >> i % 64 & 1u) != 0;
        if (is_free) {
            faults += hak_load_rlx(&unit->sc) != 0 || unit->listed ||
                      hak_registry_tag(hak_pool_unit_base(unit)) != HAK_TAG_NONE;
        } else {
            faults += hak_unit_faults(unit, owner_tag);
        }
    }
    return faults;
}

void hak_pool_chunk_stats(hak_pool_chunk_stats_t *out) {
    /* relaxed, all of them: statistics */
    out->made = hak_load_rlx(&hak_chunks.made);
    out->failed = hak_load_rlx(&hak_chunks.failed);
    out->mapped_bytes = hak_load_rlx(&hak_chunks.mapped_bytes);
    out->mapped_peak_bytes = hak_load_rlx(&hak_chunks.mapped_peak_bytes);
    out->purges = hak_load_rlx(&hak_chunks.purges);
    out->purged_bytes = hak_load_rlx(&hak_chunks.purged_bytes);
}
