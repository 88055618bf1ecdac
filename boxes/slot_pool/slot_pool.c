/* Supply. One lock: a slab is at least 64 KiB, so the pool is asked once in many refills; under it
 * nothing loops over superslabs. Per-class lists of EMPTY slots (SP-SLOT of the tiny notes) are
 * not kept here: any class may take any EMPTY slot, which leaves none stranded.
 */
#include "boxes/slot_pool/slot_pool.h"

#include <errno.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/meta/meta.h"
#include "core/options/options.h"

hak_pool_t hak_pool = {.lock = HAK_LOCK_INIT(HAK_RANK_POOL)};

/* Positions where a slab of `units` may begin, given the free slots: aligned to its size. */
static uint32_t hak_starts(uint32_t free_mask, unsigned units) {
    static const uint32_t aligned[17] = {[1] = UINT32_MAX, [4] = 0x11111111u, [16] = 0x00010001u};
    return hak_runs32(free_mask, units) & aligned[units];
}

static unsigned hak_kind_units(unsigned kind) {
    return kind == HAK_KIND_1 ? 1 : kind == HAK_KIND_4 ? 4 : 16;
}

/* What a superslab can still give: slabs of its kind, or for runs the length of the longest. */
static unsigned hak_pool_room(const hak_superslab_t *ss) {
    if (ss->kind >= HAK_KIND_RUN) {
        return hak_longest_run32(ss->free_mask);
    }
    return hak_bit_count32(hak_starts(ss->free_mask, hak_kind_units(ss->kind)));
}

void hak_pool_list_locked(hak_superslab_t *ss) {
    if (ss->free_mask == UINT32_MAX) {
        ss->kind = HAK_KIND_NONE;
    }
    unsigned dirty = ss->dirty_mask != 0;
    ss->bin = (uint8_t)hak_pool_room(ss);
    hak_superslab_t **list = &hak_pool.list[ss->kind][dirty][ss->bin];
    ss->prev = NULL;
    ss->next = *list;
    if (*list != NULL) {
        (*list)->prev = ss;
    }
    *list = ss;
    hak_pool.bins[ss->kind][dirty] |= 1ull << ss->bin;
}

void hak_pool_unlist_locked(hak_superslab_t *ss) {
    unsigned dirty = ss->dirty_mask != 0;
    hak_superslab_t **list = &hak_pool.list[ss->kind][dirty][ss->bin];
    if (ss->prev != NULL) {
        ss->prev->next = ss->next;
    } else {
        *list = ss->next;
    }
    if (ss->next != NULL) {
        ss->next->prev = ss->prev;
    }
    if (*list == NULL) {
        hak_pool.bins[ss->kind][dirty] &= ~(1ull << ss->bin);
    }
}

void hak_pool_set_dirty_locked(hak_superslab_t *ss, uint32_t dirty_mask) {
    /* relaxed: written under the lock, read as a hint */
    uint64_t count = hak_load_rlx(&hak_pool.dirty_slots);
    count = count - hak_bit_count32(ss->dirty_mask) + hak_bit_count32(dirty_mask);
    hak_store_rlx(&hak_pool.dirty_slots, count);
    ss->dirty_mask = dirty_mask;
    ss->aged_mask &= dirty_mask;
}

void hak_pool_visit_later_locked(hak_superslab_t *ss, uint64_t at_ms) {
    if (ss->visiting) {
        return;
    }
    ss->visiting = true;
    hak_pool.visit_count++;
    ss->visit_at_ms = at_ms;
    ss->visit_next = NULL;
    if (hak_pool.visit_tail != NULL) {
        hak_pool.visit_tail->visit_next = ss;
    } else {
        hak_pool.visit_head = ss;
    }
    hak_pool.visit_tail = ss;
}

/* A descriptor: a spare one, or a new one on the list of all. */
static hak_superslab_t *hak_descriptor_locked(void) {
    hak_superslab_t *ss = hak_pool.spare;
    if (ss != NULL) {
        hak_pool.spare = ss->next;
        return ss;
    }
    ss = hak_meta_alloc_mt(sizeof *ss);
    if (ss == NULL) {
        return NULL;
    }
    ss->region.kind = HAK_REGION_SUPERSLAB;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        ss->slab[i].slot = (uint8_t)i;
        ss->head[i] = (uint8_t)i;
    }
    /* relaxed: written under the lock only */
    ss->all_next = (hak_superslab_t *)hak_load_rlx(&hak_pool.all);
    /* pairs with the acquire in hak_slot_pool_each */
    hak_store_rel(&hak_pool.all, (uintptr_t)ss);
    return ss;
}

static hak_superslab_t *hak_superslab_new_locked(void) {
    hak_superslab_t *ss = hak_descriptor_locked();
    if (ss == NULL) {
        return NULL;
    }
    void *base = hak_os_map_aligned(HAK_SUPERSLAB_BYTES, HAK_SUPERSLAB_BYTES);
    hak_store_rlx(&ss->region.base, (uintptr_t)base); /* relaxed: published by the registry */
    if (base == NULL || !hak_registry_add(&ss->region, (uintptr_t)base, HAK_SUPERSLAB_BYTES)) {
        if (base != NULL) {
            hak_os_unmap(base, HAK_SUPERSLAB_BYTES);
        }
        ss->next = hak_pool.spare;
        hak_pool.spare = ss;
        return NULL;
    }
    if (hak_option(HAK_OPTION_THP) == 0) {
        hak_os_no_huge(base, HAK_SUPERSLAB_BYTES); /* a first touch would make 2 MiB resident */
    }
    ss->free_mask = UINT32_MAX;
    ss->dirty_mask = ss->aged_mask = 0;
    ss->purging = false;
    hak_store_rel(&ss->mapped, 1); /* pairs with the acquire of hak_slot_pool_each's visitors */
    hak_pool.stats.superslabs++;
    if (hak_pool.stats.superslabs_peak < hak_pool.stats.superslabs) {
        hak_pool.stats.superslabs_peak = hak_pool.stats.superslabs;
    }
    hak_pool.stats.superslabs_made++;
    return ss;
}

/* Finds a superslab that can give `room`, takes it off its list and sets its kind. */
static hak_superslab_t *hak_find_locked(unsigned kind, unsigned room) {
    for (int dirty = 1; dirty >= 0; dirty--) {
        uint64_t bins = hak_pool.bins[kind][dirty] >> room << room;
        if (bins != 0) {
            hak_superslab_t *ss = hak_pool.list[kind][dirty][hak_lowest_bit(bins)];
            hak_pool_unlist_locked(ss);
            return ss;
        }
    }
    hak_superslab_t *ss = hak_pool.list[HAK_KIND_NONE][1][HAK_SUPERSLAB_SLOTS];
    if (ss == NULL) {
        ss = hak_pool.list[HAK_KIND_NONE][0][HAK_SUPERSLAB_SLOTS];
    }
    if (ss != NULL) {
        hak_pool_unlist_locked(ss);
    } else {
        ss = hak_superslab_new_locked();
        if (ss == NULL) {
            errno = ENOMEM;
            return NULL;
        }
        hak_pool.stats.from_new++;
    }
    ss->kind = (uint8_t)kind;
    return ss;
}

/* Makes slots first..first+units of an unlisted superslab ACTIVE and lists it again. */
static hak_slab_t *hak_activate_locked(hak_superslab_t *ss, unsigned first, unsigned units,
                                       bool *zeroed) {
    uint32_t mask = hak_mask32(first, units);
    hak_debug_assert((ss->free_mask & mask) == mask);
    *zeroed = (ss->dirty_mask & mask) == 0;
    if (*zeroed) {
        hak_pool.stats.from_unused++;
    } else {
        hak_pool.stats.from_empty++;
    }
    hak_pool_set_dirty_locked(ss, ss->dirty_mask & ~mask);
    ss->free_mask &= ~mask;
    for (unsigned i = first; i < first + units; i++) {
        ss->head[i] = (uint8_t)first;
        ss->slab[i].units = 0;
    }
    ss->slab[first].units = (uint8_t)units;
    hak_pool_list_locked(ss);
    hak_pool.stats.active_slots += units;
    hak_pool.stats.taken++;
    return &ss->slab[first];
}

hak_slab_t *hak_slot_pool_take_mt(unsigned units) {
    hak_lock_take(&hak_pool.lock);
    unsigned kind = units == 1 ? HAK_KIND_1 : units == 4 ? HAK_KIND_4 : HAK_KIND_16;
    hak_superslab_t *ss = hak_find_locked(kind, 1);
    hak_slab_t *slab = NULL;
    if (ss != NULL) {
        uint32_t starts = hak_starts(ss->free_mask, units);
        /* EMPTY first: a start whose first slot is dirty. */
        uint32_t warm = starts & ss->dirty_mask;
        bool zeroed;
        slab = hak_activate_locked(ss, hak_lowest_bit(warm != 0 ? warm : starts), units, &zeroed);
    }
    hak_lock_drop(&hak_pool.lock);
    return slab;
}

hak_slab_t *hak_slot_pool_take_run_mt(unsigned units, bool *zeroed) {
    hak_lock_take(&hak_pool.lock);
    hak_superslab_t *ss = hak_find_locked(HAK_KIND_RUN, units);
    hak_slab_t *run = NULL;
    if (ss != NULL) {
        uint32_t warm = hak_runs32(ss->dirty_mask, units);
        uint32_t starts = warm != 0 ? warm : hak_runs32(ss->free_mask, units);
        run = hak_activate_locked(ss, hak_lowest_bit(starts), units, zeroed);
    }
    hak_lock_drop(&hak_pool.lock);
    return run;
}

/* Makes slots of an ACTIVE run or slab EMPTY. */
static void hak_deactivate_locked(hak_superslab_t *ss, unsigned first, unsigned units) {
    uint32_t mask = hak_mask32(first, units);
    hak_debug_assert((ss->free_mask & mask) == 0);
    hak_pool_unlist_locked(ss);
    ss->free_mask |= mask;
    hak_pool_set_dirty_locked(ss, ss->dirty_mask | mask);
    hak_pool_list_locked(ss);
    hak_pool.stats.active_slots -= units;
    hak_pool_visit_later_locked(ss, hak_os_now_ms() + hak_option(HAK_OPTION_PURGE_DELAY_MS) / 2);
}

void hak_slot_pool_give_mt(hak_slab_t *slab) {
    hak_superslab_t *ss = hak_slab_superslab(slab);
    hak_lock_take(&hak_pool.lock);
    unsigned units = slab->units;
    slab->units = 0;
    hak_deactivate_locked(ss, slab->slot, units);
    hak_pool.stats.given++;
    hak_lock_drop(&hak_pool.lock);
}

bool hak_slot_pool_grow_run_mt(hak_slab_t *run, unsigned units) {
    hak_superslab_t *ss = hak_slab_superslab(run);
    if (run->slot + units > HAK_SUPERSLAB_SLOTS) {
        return false;
    }
    hak_lock_take(&hak_pool.lock);
    uint32_t more = hak_mask32(run->slot, units) & ~hak_mask32(run->slot, run->units);
    bool grown = (ss->free_mask & more) == more;
    if (grown) {
        hak_pool_unlist_locked(ss);
        hak_pool_set_dirty_locked(ss, ss->dirty_mask & ~more);
        ss->free_mask &= ~more;
        hak_pool.stats.active_slots += units - run->units;
        for (unsigned i = run->units; i < units; i++) {
            ss->head[run->slot + i] = run->slot;
        }
        run->units = (uint8_t)units;
        hak_pool_list_locked(ss);
    }
    hak_lock_drop(&hak_pool.lock);
    return grown;
}

void hak_slot_pool_shrink_run_mt(hak_slab_t *run, unsigned units) {
    hak_lock_take(&hak_pool.lock);
    unsigned old_units = run->units;
    run->units = (uint8_t)units;
    hak_deactivate_locked(hak_slab_superslab(run), run->slot + units, old_units - units);
    hak_lock_drop(&hak_pool.lock);
}

bool hak_slot_pool_has_dirty(void) {
    return hak_load_rlx(&hak_pool.dirty_slots) != 0; /* relaxed: a hint */
}

void hak_slot_pool_each(void (*visit)(hak_superslab_t *ss, void *context), void *context) {
    /* pairs with hak_descriptor_locked */
    hak_superslab_t *ss = (hak_superslab_t *)hak_load_acq(&hak_pool.all);
    for (; ss != NULL; ss = ss->all_next) {
        visit(ss, context);
    }
}

void hak_slot_pool_stats_mt(hak_slot_pool_stats_t *out) {
    hak_lock_take(&hak_pool.lock);
    *out = hak_pool.stats;
    out->dirty_slots = hak_load_rlx(&hak_pool.dirty_slots);
    hak_lock_drop(&hak_pool.lock);
}

/* A purge drops the lock during its system calls; the child must not inherit one half done. */
void hak_slot_pool_fork_take(void) {
    hak_lock_take(&hak_pool.lock);
    while (hak_pool.purges_in_flight != 0) {
        hak_lock_drop(&hak_pool.lock);
        hak_os_yield();
        hak_lock_take(&hak_pool.lock);
    }
}
void hak_slot_pool_fork_drop(void) { hak_lock_drop(&hak_pool.lock); }
