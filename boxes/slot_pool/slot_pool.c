/* Supply. One lock: a slab is at least 64 KiB, so the pool is asked once in many refills; under it
 * nothing loops over superslabs.
 */
#include "boxes/slot_pool/slot_pool.h"

#include <errno.h>
#include <string.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "boxes/slot_policy/slot_policy.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "core/errors/errors.h"
#include "core/options/options.h"

enum { HAK_LOOK_AT_WARM = 4 }; /* superslabs on one list to look at */

hak_pool_t hak_pool = {.lock = HAK_LOCK_INIT(HAK_RANK_POOL)};

void hak_pool_lock_take(void) {
    if (hak_unlikely(!hak_lock_try(&hak_pool.lock))) {
        hak_lock_take(&hak_pool.lock);
        hak_pool.stats.lock_waits++;
    }
    hak_pool.stats.locks++;
}

/* Positions where a slab of `units` may begin, given the free slots: aligned to its size. */
static uint32_t hak_starts(uint32_t free_mask, unsigned units) {
    static const uint32_t aligned[17] = {[1] = UINT32_MAX, [2] = 0x55555555u, [16] = 0x00010001u};
    return hak_runs32(free_mask, units) & aligned[units];
}

static unsigned hak_kind_units(unsigned kind) {
    return kind == HAK_KIND_1 ? 1 : kind == HAK_KIND_2 ? 2 : 16;
}
static unsigned hak_units_kind(unsigned units) {
    return units == 1 ? HAK_KIND_1 : units == 2 ? HAK_KIND_2 : HAK_KIND_16;
}

/* How many slabs of its kind a superslab can still give. */
unsigned hak_pool_room(const hak_superslab_t *ss) {
    return hak_bit_count32(hak_starts(ss->free_mask, hak_kind_units(ss->kind)));
}

static void hak_list_locked(hak_superslab_t *ss) {
    hak_ss_bins_put_locked(&hak_pool.bins[ss->kind], ss, hak_pool_room(ss), ss->dirty_mask != 0);
}

void hak_pool_enter_locked(hak_superslab_t *ss, unsigned kind, unsigned sc) {
    hak_debug_assert(ss->kind == HAK_KIND_LOOSE);
    ss->kind = (uint8_t)kind;
    if (kind == HAK_KIND_TINY) {
        ss->kept_mask = 0; /* the policy may forget which classes there were */
        hak_slot_policy_add_locked(ss, sc);
    } else {
        hak_list_locked(ss);
    }
}

void hak_pool_leave_locked(hak_superslab_t *ss) {
    if (ss->kind == HAK_KIND_TINY) {
        hak_slot_policy_remove_locked(ss);
    } else {
        hak_ss_bins_remove_locked(&hak_pool.bins[ss->kind], ss);
    }
    ss->kind = HAK_KIND_LOOSE;
}

void hak_pool_show_locked(void) {
    const uint64_t *slots = hak_pool.slots;
    /* relaxed, both: hints */
    hak_store_rlx(&hak_pool.dirty_slots, slots[HAK_SLOT_EMPTY]);
    hak_store_rlx(&hak_pool.touched_slots,
                  slots[HAK_SLOT_ACTIVE] + slots[HAK_SLOT_EMPTY] + slots[HAK_SLOT_PURGING]);
}

/* Slots stop to be EMPTY: the slabs that began in them are no more as they were left, nor is a
 * larger one that covered some of them. */
static void hak_forget_kept_locked(hak_superslab_t *ss, uint32_t slots) {
    uint32_t low = (slots & 0xffffu) != 0, high = (slots >> 16) != 0;
    uint32_t before = (slots >> 1 & 0x55555555u) | low | high << 16; /* where one may begin */
    ss->kept_mask &= ~slots;
    for (before &= ss->kept_mask; before != 0; before &= before - 1) {
        unsigned first = hak_lowest_bit(before);
        /* relaxed: written under the lock */
        uint32_t mask = hak_mask32(first, hak_load_rlx(&ss->slab[first].last_units));
        ss->kept_mask &= (mask & slots) != 0 ? ~(1u << first) : UINT32_MAX;
    }
}

void hak_pool_move_locked(hak_superslab_t *ss, uint32_t slots, hak_slot_state_t from,
                          hak_slot_state_t to) {
    if (slots == 0) {
        return;
    }
    bool in_bins = ss->kind < HAK_KINDS_IN_BINS;
    if (in_bins) {
        hak_ss_bins_remove_locked(&hak_pool.bins[ss->kind], ss);
    }
    if (from == HAK_SLOT_EMPTY) {
        hak_forget_kept_locked(ss, slots);
    }
    hak_slot_state_move_locked(ss, slots, from, to);
    hak_pool.slots[from] -= hak_bit_count32(slots);
    hak_pool.slots[to] += hak_bit_count32(slots);
    hak_pool_show_locked();
    if (in_bins) {
        hak_list_locked(ss);
    } else if (ss->kind == HAK_KIND_TINY) {
        hak_slot_policy_moved_locked(ss, slots, from, to);
    }
}

/* A superslab of the kind that has room for a slab. */
static hak_superslab_t *hak_find_locked(unsigned kind, bool for_tiny) {
    hak_superslab_t *ss = hak_ss_bins_find_locked(&hak_pool.bins[kind], 1);
    if (ss == NULL) {
        ss = hak_pool_supply_locked(for_tiny);
        if (ss != NULL) {
            hak_pool_enter_locked(ss, kind, 0);
        }
    }
    return ss;
}

/* Makes slots first..first+units ACTIVE. Returns true if they read as zero. */
static bool hak_activate_locked(hak_superslab_t *ss, unsigned first, unsigned units, unsigned sc) {
    uint32_t mask = hak_mask32(first, units);
    uint32_t empty = mask & ss->dirty_mask;
    hak_slab_t *slab = &ss->slab[first];
    bool kept = (ss->kept_mask >> first & 1u) != 0 && slab->last_sc == sc &&
                hak_load_rlx(&slab->last_units) <= units; /* relaxed: written under the lock */
    hak_pool_move_locked(ss, empty, HAK_SLOT_EMPTY, HAK_SLOT_ACTIVE);
    hak_pool_move_locked(ss, mask & ~empty, HAK_SLOT_UNUSED, HAK_SLOT_ACTIVE);
    if (empty == 0) {
        hak_pool.stats.from_unused++;
    } else {
        hak_pool.stats.from_empty++;
    }
    for (unsigned i = first; i < first + units; i++) {
        hak_store_rlx(&ss->head[i], first); /* relaxed: the block's own way publishes it */
        ss->slab[i].units = 0;
    }
    /* relaxed, all: written under the lock, read by statistics */
    hak_store_rlx(&ss->warm_mask, (hak_load_rlx(&ss->warm_mask) & ~mask) | empty);
    slab->units = (uint8_t)units;
    hak_store_rlx(&slab->last_units, units);
    slab->last_sc = (uint8_t)sc;
    slab->kept = kept;
    if (!kept) {
        hak_slab_forget(slab);
    }
    hak_pool.stats.taken++;
    hak_pool.class_slabs[sc]++;
    return empty == 0;
}

static void hak_count_tiny_locked(unsigned sc, hak_slot_stage_t stage) {
    hak_slot_pool_stats_t *stats = &hak_pool.stats;
    uint64_t *const taken[HAK_STAGES] = {&stats->tiny_from_empty, &stats->tiny_from_cross,
                                         &stats->tiny_from_unused, &stats->tiny_from_new};
    ++*taken[stage];
    hak_pool.tiny_classes |= 1ull << hak_sc_tiny_index(sc);
    if (++stats->tiny_slabs_active > stats->tiny_slabs_peak) {
        stats->tiny_slabs_peak = stats->tiny_slabs_active;
    }
}

/* By the policy. */
static hak_slab_t *hak_take_tiny_locked(unsigned sc, bool warm) {
    hak_slot_stage_t stage;
    hak_superslab_t *supplied = NULL;
    hak_slab_t *slab = hak_slot_policy_find_locked(sc, &stage);
    if (warm && (slab == NULL || stage == HAK_STAGE_UNUSED)) {
        return NULL;
    }
    if (slab == NULL) {
        supplied = hak_pool_supply_locked(true);
        if (supplied == NULL) {
            return NULL;
        }
        hak_pool_enter_locked(supplied, HAK_KIND_TINY, sc);
        slab = hak_slot_policy_find_locked(sc, &stage);
        hak_debug_assert(slab != NULL);
        stage = HAK_STAGE_NEW;
    }
    (void)hak_activate_locked(hak_slab_superslab(slab), slab->slot, 1, sc);
    hak_count_tiny_locked(sc, stage);
    /* The policy may have preferred one that another thread got while the lock was dropped. */
    if (supplied != NULL && supplied->free_mask == UINT32_MAX) {
        hak_pool_settle_locked(supplied, hak_os_now_ms());
    }
    return slab;
}

/* Where a slab of `units` finds nothing but EMPTY slots in a superslab. For one unit: outside the
 * places that a slab of two could have, if it can be. */
static uint32_t hak_warm_starts(const hak_superslab_t *ss, unsigned units) {
    uint32_t starts = hak_starts(ss->dirty_mask, units);
    uint32_t broken = units == 1 ? starts & ~(hak_starts(ss->free_mask, 2) * 3u) : 0;
    return broken != 0 ? broken : starts;
}

/* The first of a few superslabs on a list that has room for the slab in EMPTY slots. */
static hak_superslab_t *hak_first_warm(hak_superslab_t *ss, unsigned units) {
    for (int i = 0; ss != NULL && i < HAK_LOOK_AT_WARM; i++, ss = ss->next) {
        if (hak_warm_starts(ss, units) != 0) {
            return ss;
        }
    }
    return NULL;
}

/* A superslab that can hold the slab in EMPTY slots: of its own kind; of another, because what
 * sizes of one kind left is resident, and sizes of another would else touch new memory beside it;
 * a wholly free one. One unit goes where the least is free, so that it spoils no larger place;
 * more go where the most is. */
static hak_superslab_t *hak_find_warm_for_locked(unsigned units) {
    unsigned kind = hak_units_kind(units);
    hak_superslab_t *ss = hak_ss_bins_find_locked(&hak_pool.bins[kind], 1);
    if (ss != NULL && hak_warm_starts(ss, units) != 0) {
        return ss;
    }
    for (unsigned other = 0; other < HAK_KINDS_IN_BINS; other++) {
        ss = hak_ss_bins_find_warm_locked(&hak_pool.bins[other], units == 1);
        ss = hak_first_warm(ss, units);
        if (ss != NULL) {
            return ss;
        }
    }
    ss = hak_ss_lru_pop_warm_locked(&hak_pool.lru);
    if (ss != NULL) {
        ss->kind = HAK_KIND_LOOSE;
        hak_pool_enter_locked(ss, kind, 0);
    }
    return ss;
}

/* The same for the longest slab of the class that finds a place, and its length. One that is
 * shorter than others of the class is better than memory that becomes resident beside EMPTY slots,
 * if it holds two blocks. */
static hak_superslab_t *hak_find_warm_locked(unsigned sc, unsigned *units) {
    static const uint8_t shorter[17] = {[2] = 1, [16] = 2};
    for (unsigned u = *units; u != 0 && u * HAK_UNIT_BYTES >= 2 * hak_sc_bytes[sc];
         u = shorter[u]) {
        hak_superslab_t *ss = hak_find_warm_for_locked(u);
        if (ss != NULL) {
            *units = u;
            return ss;
        }
    }
    return NULL;
}

/* By the pool's own lists. */
static hak_slab_t *hak_take_slab_locked(unsigned sc, bool warm) {
    unsigned units = hak_sc_units(sc);
    bool is_tiny = hak_sc_is_tiny(sc);
    uint64_t supplied = hak_pool.lru.hits + hak_pool.stats.from_new;
    hak_superslab_t *ss = hak_find_warm_locked(sc, &units);
    if (ss == NULL && !warm) {
        ss = hak_find_locked(hak_units_kind(units), is_tiny);
    }
    if (ss == NULL) {
        return NULL;
    }
    uint32_t starts = hak_warm_starts(ss, units);
    unsigned first = hak_lowest_bit(starts != 0 ? starts : hak_starts(ss->free_mask, units));
    bool zeroed = hak_activate_locked(ss, first, units, sc);
    if (is_tiny) {
        bool is_new = hak_pool.lru.hits + hak_pool.stats.from_new != supplied;
        hak_count_tiny_locked(sc, is_new   ? HAK_STAGE_NEW
                                  : zeroed ? HAK_STAGE_UNUSED
                                           : HAK_STAGE_EMPTY);
    }
    return &ss->slab[first];
}

static hak_slab_t *hak_take_mt(unsigned sc, bool warm) {
    hak_pool_lock_take();
    hak_slab_t *slab = hak_slot_policy_serves(sc) ? hak_take_tiny_locked(sc, warm)
                                                  : hak_take_slab_locked(sc, warm);
    hak_lock_drop(&hak_pool.lock);
    return slab;
}

hak_slab_t *hak_slot_pool_take_mt(unsigned sc) { return hak_take_mt(sc, false); }
hak_slab_t *hak_slot_pool_take_warm_mt(unsigned sc) { return hak_take_mt(sc, true); }

void hak_slot_pool_give_mt(hak_slab_t *slab) {
    hak_superslab_t *ss = hak_slab_superslab(slab);
    uint64_t now_ms = hak_os_now_ms();
    hak_pool_lock_take();
    unsigned units = slab->units;
    hak_debug_assert(units != 0);
    slab->units = 0;
    hak_pool.stats.tiny_slabs_active -= hak_sc_is_tiny(slab->last_sc);
    hak_pool_move_locked(ss, hak_mask32(slab->slot, units), HAK_SLOT_ACTIVE, HAK_SLOT_EMPTY);
    ss->kept_mask |= 1u << slab->slot;
    hak_pool_visit_later_locked(ss, now_ms + hak_option(HAK_OPTION_PURGE_DELAY_MS) / 2);
    hak_pool.stats.given++;
    hak_pool.class_slabs[slab->last_sc]--;
    hak_pool_settle_locked(ss, now_ms);
    hak_lock_drop(&hak_pool.lock);
}

bool hak_slot_pool_has_dirty(void) {
    return hak_load_rlx(&hak_pool.dirty_slots) != 0; /* relaxed: a hint */
}

uint64_t hak_slot_pool_touched(void) {
    return hak_load_rlx(&hak_pool.touched_slots); /* relaxed: a hint */
}

void hak_slot_pool_each(void (*visit)(hak_superslab_t *ss, void *context), void *context) {
    /* pairs with hak_descriptor_locked */
    hak_superslab_t *ss = (hak_superslab_t *)hak_load_acq(&hak_pool.all);
    for (; ss != NULL; ss = ss->all_next) {
        visit(ss, context);
    }
}

void hak_slot_pool_stats_mt(hak_slot_pool_stats_t *out) {
    hak_pool_lock_take();
    *out = hak_pool.stats;
    out->active_slots = hak_pool.slots[HAK_SLOT_ACTIVE];
    out->dirty_slots = hak_pool.slots[HAK_SLOT_EMPTY];
    out->stock_superslabs = (hak_pool.stock_end - hak_pool.stock) / HAK_SUPERSLAB_BYTES;
    out->tiny_classes_used = (uint64_t)__builtin_popcountll(hak_pool.tiny_classes);
    out->lru_hits = hak_pool.lru.hits;
    out->lru_misses = hak_pool.lru.misses;
    out->lru_pushes = hak_pool.lru.pushes;
    out->lru_evictions = hak_pool.lru.evictions;
    out->lru_superslabs = hak_pool.lru.count;
    hak_lock_drop(&hak_pool.lock);
}

void hak_slot_pool_class_slabs_mt(uint32_t slabs[HAK_SC_COUNT]) {
    hak_pool_lock_take();
    memcpy(slabs, hak_pool.class_slabs, sizeof hak_pool.class_slabs);
    hak_lock_drop(&hak_pool.lock);
}

/* A purge drops the lock during its system calls; the child must not inherit one half done. */
void hak_slot_pool_fork_take(void) {
    hak_lock_take_quiet(&hak_pool.lock, &hak_pool.calls_in_flight, &hak_pool.fork_waits);
}
void hak_slot_pool_fork_drop(void) { hak_lock_drop(&hak_pool.lock); }
