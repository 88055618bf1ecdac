/* The pool against itself: masks, slabs, counts, lists and the registry tell the same story. Not on
 * any path of malloc or free. */
#include "base/bits.h"
#include "boxes/slot_policy/slot_policy.h"
#include "boxes/slot_pool/slot_pool_internal.h"

typedef struct {
    uint64_t slots[HAK_SLOT_STATES];
    uint64_t listed; /* superslabs of the kinds that the pool lists itself */
    uint64_t cached;
    size_t faults;
} hak_census_t;

/* The slots that slabs cover. */
static uint32_t hak_covered(const hak_superslab_t *ss, size_t *faults) {
    uint32_t covered = 0;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        if (ss->slab[i].units != 0) {
            uint32_t mask = hak_mask32(i, ss->slab[i].units);
            *faults += (covered & mask) != 0;
            covered |= mask;
            /* relaxed, both: written under the lock */
            *faults += hak_load_rlx(&ss->slab[i].last_units) != ss->slab[i].units;
            for (; mask != 0; mask &= mask - 1) {
                *faults += hak_load_rlx(&ss->head[hak_lowest_bit(mask)]) != i;
            }
        }
    }
    return covered;
}

/* The free list that a slab keeps: as many blocks as were carved, each of them a carved one. A
 * block that is there twice makes the list endless, or too short. */
static size_t hak_check_kept_list(const hak_slab_t *slab) {
    uint32_t carved = hak_load_rlx(&slab->carved); /* relaxed: under the lock */
    uint32_t bytes = hak_slab_block_bytes(slab), count = 0;
    size_t faults = 0;
    for (hak_block_t *b = slab->free; b != NULL && faults == 0 && count <= carved; count++) {
        uintptr_t offset = (uintptr_t)b - hak_slab_base(slab);
        faults += offset / bytes >= carved || offset % bytes != 0;
        b = faults == 0 ? hak_block_next(b) : NULL;
    }
    return faults + (count != carved);
}

/* Slabs whose memory was kept: all of it is EMPTY, and no two overlap. */
static size_t hak_check_kept(const hak_superslab_t *ss) {
    size_t faults = 0;
    uint32_t covered = 0;
    for (uint32_t kept = ss->kept_mask; kept != 0; kept &= kept - 1) {
        unsigned first = hak_lowest_bit(kept);
        /* relaxed: written under the lock */
        uint32_t mask = hak_mask32(first, hak_load_rlx(&ss->slab[first].last_units));
        faults += (mask & ~ss->dirty_mask) != 0 || (mask & covered) != 0;
        faults += hak_check_kept_list(&ss->slab[first]);
        covered |= mask;
    }
    return faults;
}

static void hak_check_superslab(const hak_superslab_t *ss, hak_census_t *census) {
    census->faults += hak_slot_state_check_locked(ss);
    unsigned sum = 0;
    for (int state = 0; state < HAK_SLOT_STATES; state++) {
        unsigned count = hak_bit_count32(hak_slot_state_mask(ss, (hak_slot_state_t)state));
        census->slots[state] += count;
        sum += count;
    }
    census->faults += sum != HAK_SUPERSLAB_SLOTS;
    uint32_t active = hak_slot_state_mask(ss, HAK_SLOT_ACTIVE);
    census->faults += hak_covered(ss, &census->faults) != active;
    census->faults += ss->kind >= HAK_KIND_LOOSE;
    census->faults += hak_check_kept(ss);
    census->faults += ss->huge && hak_slot_state_mask(ss, HAK_SLOT_UNUSED) != 0;
    census->faults +=
        (ss->kind == HAK_KIND_CACHED) != ((active | ss->purge_mask) == 0) && ss->purge_mask == 0;
    census->faults += ss->kind == HAK_KIND_CACHED && active != 0;
    census->faults += ss->dirty_mask != 0 && !ss->visiting;
    census->listed += ss->kind < HAK_KINDS_IN_BINS;
    census->cached += ss->kind == HAK_KIND_CACHED;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        uintptr_t base = hak_region_base(&ss->region) + ((uintptr_t)i << HAK_UNIT_SHIFT);
        census->faults += (active >> i & 1u) == 0 && hak_registry_tag(base) != HAK_TAG_NONE;
        census->faults += hak_registry_region(base) != &ss->region;
    }
}

static size_t hak_check_listed(const hak_superslab_t *ss, unsigned room, bool warm, void *context) {
    ++*(uint64_t *)context;
    return room != hak_pool_room(ss) || warm != (ss->dirty_mask != 0);
}

/* Whole superslabs that are mapped and no one's: no descriptor may lie there. */
static size_t hak_check_stock_locked(void) {
    uintptr_t begin = hak_pool.stock, end = hak_pool.stock_end;
    size_t faults = begin > end || begin % HAK_SUPERSLAB_BYTES != 0 ||
                    end % HAK_SUPERSLAB_BYTES != 0 ||
                    (end - begin) / HAK_SUPERSLAB_BYTES > HAK_STOCK_MOST;
    for (uintptr_t base = begin; faults == 0 && base < end; base += HAK_SUPERSLAB_BYTES) {
        faults += hak_registry_region(base) != NULL;
    }
    return faults;
}

size_t hak_slot_pool_check_locked(void) {
    hak_census_t census = {0};
    /* relaxed: written under the lock */
    hak_superslab_t *ss = (hak_superslab_t *)hak_load_rlx(&hak_pool.all);
    for (; ss != NULL; ss = ss->all_next) {
        if (hak_load_rlx(&ss->mapped) != 0) { /* relaxed: as above */
            hak_check_superslab(ss, &census);
        }
    }
    for (int state = 0; state < HAK_SLOT_STATES; state++) {
        census.faults += census.slots[state] != hak_pool.slots[state];
    }
    /* relaxed: under the lock */
    census.faults += hak_load_rlx(&hak_pool.dirty_slots) != hak_pool.slots[HAK_SLOT_EMPTY];
    uint64_t listed = 0;
    for (unsigned kind = 0; kind < HAK_KINDS_IN_BINS; kind++) {
        census.faults += hak_ss_bins_check_locked(&hak_pool.bins[kind], hak_check_listed, &listed);
    }
    census.faults += listed != census.listed || hak_pool.lru.count != census.cached;
    census.faults += hak_ss_lru_check_locked(&hak_pool.lru);
    census.faults += hak_check_stock_locked();
    return census.faults + hak_slot_policy_check_locked();
}
