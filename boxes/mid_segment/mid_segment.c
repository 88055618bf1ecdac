#include "boxes/mid_segment/mid_segment.h"

#include "backends/os/os.h"
#include "base/bits.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "registry/registry_inl.h"

/* All fields that are atomic are written inside the owner lock only; they are so for statistics,
 * which read them at any time. So the accesses here are relaxed. */

static unsigned hak_unit_of(const hak_mid_chunk_t *chunk, uintptr_t address) {
    return (unsigned)((address - chunk->segment.chunk_base) >> HAK_UNIT_SHIFT);
}

static void hak_add_used(hak_mid_segment_t *segment, uint32_t count) {
    hak_store_rlx(&segment->used_count, hak_load_rlx(&segment->used_count) + count);
}

static void hak_set_bits(hak_a64_t *mask, uint64_t bits) {
    hak_store_rlx(mask, hak_load_rlx(mask) | bits);
}
static void hak_clear_bits(hak_a64_t *mask, uint64_t bits) {
    hak_store_rlx(mask, hak_load_rlx(mask) & ~bits);
}

/* A block leaves the free list: its unit is not wholly free any more. */
static void hak_leave_list(hak_mid_chunk_t *chunk, const hak_block_t *block) {
    unsigned unit = hak_unit_of(chunk, (uintptr_t)block);
    chunk->free_in_unit[unit]--;
    chunk->full &= ~(1ull << unit);
    chunk->aged &= ~(1ull << unit);
}

static uint32_t hak_take_free(hak_mid_chunk_t *chunk, uint32_t want, hak_block_t **list) {
    hak_mid_segment_t *segment = &chunk->segment;
    hak_block_t *last = segment->free_list;
    hak_leave_list(chunk, last);
    uint32_t count = 1;
    while (count < want && hak_block_next(last) != NULL) {
        last = hak_block_next(last);
        hak_leave_list(chunk, last);
        count++;
    }
    *list = segment->free_list;
    segment->free_list = hak_block_next(last);
    hak_block_link(last, NULL);
    hak_add_used(segment, count);
    return count;
}

static void hak_mark(hak_block_t *block) {
    if (hak_cfg_check_double_free) {
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
    }
}

static uint32_t hak_bump(hak_mid_chunk_t *chunk, hak_block_t **list) {
    hak_mid_segment_t *segment = &chunk->segment;
    uintptr_t place = hak_load_rlx(&segment->current);
    hak_store_rlx(&segment->current, place + segment->block_size);
    hak_set_bits(&chunk->dirty, 1ull << hak_unit_of(chunk, place));
    *list = (hak_block_t *)place;
    hak_block_link(*list, NULL);
    hak_mark(*list);
    hak_add_used(segment, 1);
    return 1;
}

/* Puts the blocks of a purged unit back on the free list, in address order. */
static void hak_list_unit(hak_mid_chunk_t *chunk, unsigned unit) {
    hak_mid_segment_t *segment = &chunk->segment;
    uintptr_t base = segment->chunk_base + ((uintptr_t)unit << HAK_UNIT_SHIFT);
    for (uint32_t i = segment->unit_blocks; i-- != 0;) {
        hak_block_t *block = (hak_block_t *)(base + (uintptr_t)i * segment->block_size);
        hak_block_link(block, segment->free_list);
        hak_mark(block);
        segment->free_list = block;
    }
    chunk->free_in_unit[unit] = (uint8_t)segment->unit_blocks;
    chunk->full |= 1ull << unit;
    hak_clear_bits(&chunk->purged, 1ull << unit);
    hak_set_bits(&chunk->dirty, 1ull << unit);
    hak_registry_set_tags(base, 1, chunk->tag);
}

uint32_t hak_mid_segment_take_owner(hak_mid_chunk_t *chunk, uint32_t want, hak_block_t **list) {
    hak_mid_segment_t *segment = &chunk->segment;
    if (hak_likely(segment->free_list != NULL)) {
        return hak_take_free(chunk, want, list);
    }
    if (hak_load_rlx(&segment->current) < hak_load_rlx(&segment->end)) {
        return hak_bump(chunk, list);
    }
    uint64_t purged = hak_load_rlx(&chunk->purged);
    if (purged == 0) {
        return 0;
    }
    hak_list_unit(chunk, hak_lowest_bit(purged));
    return hak_take_free(chunk, want, list);
}

void hak_mid_segment_put_owner(hak_mid_chunk_t *chunk, hak_block_t *block) {
    hak_mid_segment_t *segment = &chunk->segment;
    unsigned unit = hak_unit_of(chunk, (uintptr_t)block);
    hak_debug_assert(hak_load_rlx(&segment->used_count) != 0);
    hak_debug_assert(chunk->free_in_unit[unit] < segment->unit_blocks);
    hak_block_link(block, segment->free_list);
    segment->free_list = block;
    if (++chunk->free_in_unit[unit] == segment->unit_blocks) {
        chunk->full |= 1ull << unit;
    }
    hak_add_used(segment, UINT32_MAX); /* minus one */
}

bool hak_mid_segment_has_any_owner(const hak_mid_chunk_t *chunk) {
    const hak_mid_segment_t *segment = &chunk->segment;
    return segment->free_list != NULL ||
           hak_load_rlx(&segment->current) < hak_load_rlx(&segment->end) ||
           hak_load_rlx(&chunk->purged) != 0;
}

/* Units that lie wholly at or above `current`. */
static uint64_t hak_untaken(const hak_mid_chunk_t *chunk) {
    uintptr_t taken = hak_load_rlx(&chunk->segment.current) - chunk->segment.chunk_base;
    unsigned first = (unsigned)((taken + HAK_UNIT_BYTES - 1) >> HAK_UNIT_SHIFT);
    return first == HAK_MID_MOST_UNITS ? 0 : UINT64_MAX << first;
}

/* The lowest run of ones in `mask`. */
static uint64_t hak_lowest_run(uint64_t mask) {
    unsigned first = hak_lowest_bit(mask);
    uint64_t from_first = mask >> first;
    uint64_t length = from_first == UINT64_MAX ? 64 : hak_lowest_bit(~from_first);
    return (length == 64 ? UINT64_MAX : (1ull << length) - 1) << first;
}

/* The lowest runs of `mask`, `most` at most. */
static uint64_t hak_some_runs(uint64_t mask, unsigned most) {
    uint64_t some = 0;
    for (; mask != 0 && most != 0; most--) {
        uint64_t run = hak_lowest_run(mask);
        some |= run;
        mask &= ~run;
    }
    return some;
}

/* Rebuilds the free list without the blocks of `units`, all of which are on it. */
static void hak_unlist_units(hak_mid_chunk_t *chunk, uint64_t units) {
    hak_block_t *kept = NULL;
    hak_block_t *last = NULL;
    hak_block_t *next;
    for (hak_block_t *block = chunk->segment.free_list; block != NULL; block = next) {
        next = hak_block_next(block);
        if ((units >> hak_unit_of(chunk, (uintptr_t)block) & 1u) != 0) {
            continue;
        }
        if (last == NULL) {
            kept = block;
        } else {
            hak_block_link(last, block);
        }
        last = block;
    }
    if (last != NULL) {
        hak_block_link(last, NULL);
    }
    chunk->segment.free_list = kept;
    chunk->full &= ~units;
    hak_set_bits(&chunk->purged, units);
    for (uint64_t left = units; left != 0; left &= left - 1) {
        unsigned unit = hak_lowest_bit(left);
        chunk->free_in_unit[unit] = 0;
        uintptr_t base = chunk->segment.chunk_base + ((uintptr_t)unit << HAK_UNIT_SHIFT);
        hak_registry_set_tags(base, 1, HAK_TAG_NONE);
    }
}

static size_t hak_give_run(hak_mid_chunk_t *chunk, uint64_t run) {
    unsigned first = hak_lowest_bit(run);
    size_t bytes = (size_t)hak_bit_count64(run) << HAK_UNIT_SHIFT;
    uintptr_t base = chunk->segment.chunk_base + ((uintptr_t)first << HAK_UNIT_SHIFT);
    if (hak_os_purge((void *)base, bytes)) {
        hak_clear_bits(&chunk->dirty, run);
        return bytes;
    }
    /* The memory stays as it was, so the blocks may as well be used again. */
    for (uint64_t left = run & hak_load_rlx(&chunk->purged); left != 0; left &= left - 1) {
        hak_list_unit(chunk, hak_lowest_bit(left));
    }
    return 0;
}

size_t hak_mid_segment_purge_owner(hak_mid_chunk_t *chunk, hak_mid_purge_t *purge) {
    uint64_t idle = chunk->full | (hak_load_rlx(&chunk->dirty) & hak_untaken(chunk));
    uint64_t now = hak_some_runs(purge->all ? idle : idle & chunk->aged, purge->max_calls);
    chunk->aged = idle & ~now;
    purge->more |= chunk->aged != 0;
    if ((now & chunk->full) != 0) {
        hak_unlist_units(chunk, now & chunk->full);
    }
    size_t bytes = 0;
    while (now != 0) {
        uint64_t run = hak_lowest_run(now);
        size_t given = hak_give_run(chunk, run);
        purge->refused |= given == 0;
        bytes += given;
        purge->max_calls--;
        now &= ~run;
    }
    return bytes;
}
