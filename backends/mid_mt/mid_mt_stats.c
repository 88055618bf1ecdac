/* What concerns the whole process: statistics, the check of all structures, any address. */
#include "backends/mid_mt/mid_mt_internal.h"
#include "boxes/mid_registry/mid_registry.h"
#include "boxes/mid_remote/mid_remote.h"
#include "boxes/mid_segment/mid_segment.h"
#include "boxes/mid_supply/mid_supply.h"
#include "include/hakmem.h"

bool hak_mid_mt_describe(uintptr_t address, hak_block_info_t *info) {
    hak_mid_chunk_t *chunk = hak_mid_chunk_of(address);
    if (chunk == NULL) {
        return false;
    }
    /* pairs with the release in hak_mid_chunk_open */
    uint32_t bytes = hak_sc_bytes[hak_load_acq(&chunk->sc)];
    if (bytes == 0) {
        return false;
    }
    uintptr_t offset = address - hak_region_base(&chunk->region);
    info->block = address - offset % bytes;
    info->bytes = bytes;
    /* relaxed: only grows while the chunk is open */
    info->handed_out = info->block < hak_load_rlx(&chunk->segment.current);
    return true;
}

/* The loads here are relaxed: each value is exact when nobody works on the chunk. */
static void hak_add_chunk(hak_mid_chunk_t *chunk, void *context) {
    hak_backend_stats_t *out = context;
    uint64_t bytes = hak_sc_bytes[hak_load_acq(&chunk->sc)]; /* as above */
    if (bytes == 0) {
        return;
    }
    /* what waits on the remote stack has been freed */
    uint64_t used = hak_load_rlx(&chunk->segment.used_count);
    uint64_t waiting = hak_mid_remote_count(chunk);
    used -= waiting < used ? waiting : used;
    uint64_t size = hak_load_rlx(&chunk->segment.chunk_size);
    uint64_t touched = (uint64_t)hak_bit_count64(hak_load_rlx(&chunk->dirty)) << HAK_UNIT_SHIFT;
    out->slabs++;
    out->blocks += used;
    out->bytes += used * bytes;
    out->free_bytes += touched > used * bytes ? touched - used * bytes : 0;
    out->uncarved_bytes += size > touched ? size - touched : 0;
}

void hak_mid_mt_stats(hak_backend_stats_t *out) {
    hak_mid_supply_stats_t supply;
    hak_mid_supply_stats_mt(&supply);
    hak_mid_supply_each(hak_add_chunk, out);
    out->empty_dirty_bytes = supply.spare_bytes;
    out->mapped_bytes = supply.mapped_bytes;
    out->mapped_peak_bytes = supply.mapped_peak_bytes;
    out->purges = supply.purges;
    out->purged_bytes = supply.purged_bytes;
    for (const hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        const hak_mid_heap_t *mid = hak_mid_heap_of(heap);
        if (mid != NULL) {
            out->purges += hak_load_rlx(&mid->purges);
            out->purged_bytes += hak_load_rlx(&mid->purged_bytes);
        }
    }
}

typedef struct {
    uint64_t allocs, bumped, local, remote, refills, used;
} hak_sum_t;

typedef struct {
    hak_sum_t sum[HAK_MID_CLASSES];
    uint64_t adopted, open;
} hak_sums_t;

static void hak_sum_chunk(hak_mid_chunk_t *chunk, void *context) {
    hak_sums_t *sums = context;
    unsigned sc = hak_load_acq(&chunk->sc); /* as above */
    if (sc == 0) {
        return;
    }
    hak_sum_t *sum = &sums->sum[hak_mid_index(sc)];
    uint64_t waiting = hak_mid_remote_count(chunk);
    sums->open++;
    sum->remote += waiting; /* freed, and not yet taken in by the owner */
    sum->used += hak_load_rlx(&chunk->segment.used_count) - waiting;
}

static void hak_sum_heap(const hak_mid_heap_t *heap, hak_sums_t *sums) {
    for (unsigned i = 0; i < HAK_MID_CLASSES; i++) {
        const hak_mid_counters_t *counters = &heap->counters[i];
        sums->sum[i].allocs += hak_load_rlx(&counters->allocs);
        sums->sum[i].bumped += hak_load_rlx(&counters->bumped);
        sums->sum[i].local += hak_load_rlx(&counters->local_frees);
        sums->sum[i].remote += hak_load_rlx(&counters->remote_frees);
        sums->sum[i].refills += hak_load_rlx(&counters->refills);
    }
    sums->adopted += hak_load_rlx(&heap->adopted);
}

static uint64_t hak_frees(const hak_sum_t *sum) { return sum->local + sum->remote; }

void hak_mid_mt_counters(struct hak_stats *stats) {
    hak_sums_t sums = {0};
    for (const hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        const hak_mid_heap_t *mid = hak_mid_heap_of(heap);
        if (mid != NULL) {
            hak_sum_heap(mid, &sums);
        }
    }
    hak_mid_supply_each(hak_sum_chunk, &sums);
    const hak_sum_t *a = &sums.sum[0];
    const hak_sum_t *b = &sums.sum[1];
    const hak_sum_t *c = &sums.sum[2];
    hak_mid_supply_stats_t supply;
    hak_mid_supply_stats_mt(&supply);
    stats->mid_mt_allocs = a->allocs + b->allocs + c->allocs;
    stats->mid_mt_bump_allocs = a->bumped + b->bumped + c->bumped;
    stats->mid_mt_local_frees = a->local + b->local + c->local;
    stats->mid_mt_remote_frees = a->remote + b->remote + c->remote;
    stats->mid_mt_frees = hak_frees(a) + hak_frees(b) + hak_frees(c);
    stats->mid_mt_refills = a->refills + b->refills + c->refills;
    stats->mid_mt_allocs_per_refill =
        stats->mid_mt_refills == 0 ? 0 : stats->mid_mt_allocs / stats->mid_mt_refills;
    stats->mid_mt_registry_lookups = hak_mid_registry_lookups();
    stats->mid_mt_8k_allocs = a->allocs;
    stats->mid_mt_8k_frees = hak_frees(a);
    stats->mid_mt_8k_refills = a->refills;
    stats->mid_mt_8k_used = a->used;
    stats->mid_mt_16k_allocs = b->allocs;
    stats->mid_mt_16k_frees = hak_frees(b);
    stats->mid_mt_16k_refills = b->refills;
    stats->mid_mt_16k_used = b->used;
    stats->mid_mt_32k_allocs = c->allocs;
    stats->mid_mt_32k_frees = hak_frees(c);
    stats->mid_mt_32k_refills = c->refills;
    stats->mid_mt_32k_used = c->used;
    stats->mid_mt_chunks = sums.open;
    stats->mid_mt_chunks_spare = supply.spare;
    stats->mid_mt_chunks_made = supply.made;
    stats->mid_mt_chunks_reused = supply.reused;
    stats->mid_mt_chunks_adopted = sums.adopted;
}

/* Walks the free list; in `seen` each block may be once. Returns its length, or UINT32_MAX if
 * something on it does not belong there. */
static uint32_t hak_walk(const hak_mid_chunk_t *chunk, uint8_t *in_unit) {
    uint32_t carved = hak_mid_chunk_carved(chunk);
    uint64_t purged = hak_load_rlx(&chunk->purged);
    uint32_t count = 0;
    for (const hak_block_t *b = chunk->segment.free_list; b != NULL; b = hak_block_next(b)) {
        uint32_t index = hak_mid_chunk_block_index(chunk, (uintptr_t)b);
        if (index >= carved || count == carved) {
            return UINT32_MAX;
        }
        uint32_t unit = index / chunk->segment.unit_blocks;
        if ((purged >> unit & 1u) != 0) {
            return UINT32_MAX;
        }
        in_unit[unit]++;
        count++;
    }
    return count;
}

static size_t hak_check_units(const hak_mid_chunk_t *chunk, const uint8_t *in_unit) {
    const hak_mid_segment_t *segment = &chunk->segment;
    uint64_t purged = hak_load_rlx(&chunk->purged);
    unsigned units = (unsigned)(hak_load_rlx(&segment->chunk_size) >> HAK_UNIT_SHIFT);
    const hak_mid_heap_t *heap = hak_mid_chunk_owner(chunk);
    uint32_t own = heap->heap->tag | hak_load_rlx(&chunk->sc) << HAK_BIN_SHIFT;
    size_t faults = 0;
    for (unsigned i = 0; i < units; i++) {
        uintptr_t unit = segment->chunk_base + ((uintptr_t)i << HAK_UNIT_SHIFT);
        bool is_purged = (purged >> i & 1u) != 0;
        faults += hak_registry_tag(unit) != (is_purged ? HAK_TAG_NONE : own);
        faults += in_unit[i] != chunk->free_in_unit[i];
        faults += (chunk->full >> i & 1u) != (in_unit[i] == segment->unit_blocks);
    }
    return faults;
}

static void hak_check_chunk(hak_mid_chunk_t *chunk, void *context) {
    size_t *faults = context;
    if (hak_load_acq(&chunk->sc) == 0) { /* as above */
        return;
    }
    uint8_t in_unit[HAK_MID_MOST_UNITS] = {0};
    uint32_t on_list = hak_walk(chunk, in_unit);
    if (on_list == UINT32_MAX) {
        ++*faults;
        return;
    }
    uint32_t used = hak_load_rlx(&chunk->segment.used_count);
    uint32_t given_back =
        hak_bit_count64(hak_load_rlx(&chunk->purged)) * chunk->segment.unit_blocks;
    hak_mid_entry_t entry;
    *faults += used + on_list + given_back != hak_mid_chunk_carved(chunk);
    *faults += hak_mid_remote_count(chunk) > used;
    *faults += hak_mid_segment_has_any_owner(chunk) && !chunk->listed;
    *faults += hak_check_units(chunk, in_unit);
    *faults +=
        !hak_mid_registry_find_locked(chunk->segment.chunk_base, &entry) || entry.chunk != chunk;
}

static void hak_count_chunk(hak_mid_chunk_t *chunk, void *context) {
    *(size_t *)context += hak_load_acq(&chunk->sc) != 0; /* as above */
}

size_t hak_mid_mt_check(void) {
    size_t faults = hak_mid_supply_check_locked();
    size_t open = 0;
    hak_mid_supply_each(hak_check_chunk, &faults);
    hak_mid_supply_each(hak_count_chunk, &open);
    faults += hak_mid_registry_check_locked();
    return faults + (hak_mid_registry_count_locked() != open);
}
