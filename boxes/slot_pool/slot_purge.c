/* Return. A slot is purged when two visits, half a delay apart, found it EMPTY: a slot that is
 * taken and given back in between starts anew. So memory in use is left alone without a time stamp
 * per slot, and the visit list, kept in order of time, makes each visit O(1). A superslab that is
 * wholly free goes back with munmap, but for a few that are kept purged: their address space,
 * registry entries and descriptors are then warm.
 */
#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"

enum { HAK_KEPT_SUPERSLABS = 4, HAK_REFUSED_PAUSE_MS = 10000 };

static unsigned hak_kept_locked(void) {
    unsigned n = 0;
    hak_superslab_t *ss = hak_pool.list[HAK_KIND_NONE][0][HAK_SUPERSLAB_SLOTS];
    for (; ss != NULL && n < HAK_KEPT_SUPERSLABS; ss = ss->next) {
        n++;
    }
    return n;
}

static hak_superslab_t *hak_next_visit_locked(uint64_t now_ms, uint64_t delay_ms) {
    hak_superslab_t *ss = hak_pool.visit_head;
    /* A time further off than the delay was set when the delay was longer. */
    if (ss == NULL || (ss->visit_at_ms > now_ms && ss->visit_at_ms - now_ms <= delay_ms)) {
        return NULL;
    }
    hak_pool.visit_head = ss->visit_next;
    if (hak_pool.visit_head == NULL) {
        hak_pool.visit_tail = NULL;
    }
    ss->visiting = false;
    hak_pool.visit_count--;
    return ss;
}

/* Gives the memory of a wholly free superslab back and keeps the descriptor. Drops the lock
 * meanwhile. */
static size_t hak_release_locked(hak_superslab_t *ss) {
    hak_pool_unlist_locked(ss);
    hak_pool_set_dirty_locked(ss, 0);
    ss->free_mask = 0;
    hak_store_rel(&ss->mapped, 0); /* pairs with the acquire of hak_slot_pool_each's visitors */
    hak_pool.stats.superslabs--;
    hak_pool.purges_in_flight++;
    hak_lock_drop(&hak_pool.lock);
    uintptr_t base = hak_region_base(&ss->region);
    hak_registry_remove(base, HAK_SUPERSLAB_BYTES);
    hak_os_unmap((void *)base, HAK_SUPERSLAB_BYTES);
    hak_lock_take(&hak_pool.lock);
    hak_pool.purges_in_flight--;
    ss->next = hak_pool.spare;
    hak_pool.spare = ss;
    return HAK_SUPERSLAB_BYTES;
}

/* Purges the slots in `mask`, which are EMPTY. Drops the lock meanwhile; nobody else can take the
 * slots then. */
static size_t hak_purge_slots_locked(hak_superslab_t *ss, uint32_t mask, uint64_t now_ms,
                                     unsigned *calls) {
    char *base = (char *)hak_region_base(&ss->region);
    hak_pool_unlist_locked(ss);
    ss->free_mask &= ~mask;
    ss->purging = true;
    hak_pool_set_dirty_locked(ss, ss->dirty_mask & ~mask);
    hak_pool_list_locked(ss);
    hak_pool.purges_in_flight++;
    hak_lock_drop(&hak_pool.lock);
    uint32_t done = 0;
    uint32_t left = mask;
    while (left != 0) {
        unsigned first = hak_lowest_bit(left);
        unsigned count = hak_lowest_bit(~((uint64_t)left >> first));
        uint32_t run = hak_mask32(first, count);
        if (hak_os_purge(base + ((size_t)first << HAK_UNIT_SHIFT),
                         (size_t)count << HAK_UNIT_SHIFT)) {
            done |= run;
        }
        left &= ~run;
        ++*calls;
    }
    hak_lock_take(&hak_pool.lock);
    hak_pool.purges_in_flight--;
    hak_pool_unlist_locked(ss);
    ss->purging = false;
    ss->free_mask |= mask;
    /* locked memory cannot be given back: it stays EMPTY and is tried again later */
    if (done != mask) {
        hak_pool_set_dirty_locked(ss, ss->dirty_mask | (mask & ~done));
        hak_pool.refused_until_ms = now_ms + HAK_REFUSED_PAUSE_MS;
    }
    hak_pool_list_locked(ss);
    return (size_t)hak_bit_count32(done) << HAK_UNIT_SHIFT;
}

/* One visit. Returns the bytes given back. */
static size_t hak_visit_locked(hak_superslab_t *ss, uint64_t now_ms, uint64_t delay_ms,
                               unsigned *calls) {
    if (ss->purging || ss->dirty_mask == 0) {
        if (ss->purging) { /* another thread is at it */
            hak_pool_visit_later_locked(ss, now_ms + 1);
        }
        return 0;
    }
    uint32_t mask = delay_ms == 0 ? ss->dirty_mask : ss->aged_mask;
    size_t bytes = 0;
    if (ss->free_mask == UINT32_MAX && mask == ss->dirty_mask &&
        hak_kept_locked() >= HAK_KEPT_SUPERSLABS) {
        ++*calls;
        return hak_release_locked(ss);
    }
    if (mask != 0) {
        bytes = hak_purge_slots_locked(ss, mask, now_ms, calls);
    }
    ss->aged_mask = ss->dirty_mask;
    if (ss->dirty_mask != 0) {
        hak_pool_visit_later_locked(ss, now_ms + delay_ms / 2 + 1);
    }
    return bytes;
}

size_t hak_slot_pool_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                              size_t keep_bytes) {
    size_t bytes = 0;
    unsigned calls = 0;
    hak_lock_take(&hak_pool.lock);
    /* Each at most once: a visit may put its superslab back at the end. */
    uint64_t visits = hak_pool.visit_count;
    /* Who asks for all gets another try. */
    bool refused = delay_ms != 0 && now_ms < hak_pool.refused_until_ms;
    while (!refused && visits-- != 0 && calls < max_calls &&
           /* relaxed: under the lock */
           (hak_load_rlx(&hak_pool.dirty_slots) << HAK_UNIT_SHIFT) > keep_bytes) {
        hak_superslab_t *ss = hak_next_visit_locked(now_ms, delay_ms);
        if (ss == NULL) {
            break;
        }
        bytes += hak_visit_locked(ss, now_ms, delay_ms, &calls);
    }
    hak_pool.stats.purges += calls;
    hak_pool.stats.purged_bytes += bytes;
    hak_lock_drop(&hak_pool.lock);
    return bytes;
}

static size_t hak_check_one(const hak_superslab_t *ss, uint32_t active) {
    size_t faults = 0;
    faults += (ss->dirty_mask & ~ss->free_mask) != 0;
    faults += (ss->aged_mask & ~ss->dirty_mask) != 0;
    faults += !ss->purging && (active & ss->free_mask) != 0;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        uintptr_t base = hak_region_base(&ss->region) + ((uintptr_t)i << HAK_UNIT_SHIFT);
        faults += (ss->free_mask >> i & 1u) != 0 && hak_registry_tag(base) != HAK_TAG_NONE;
        faults += hak_registry_region(base) != &ss->region;
    }
    return faults;
}

size_t hak_slot_pool_check_locked(void) {
    size_t faults = 0;
    uint64_t dirty = 0;
    /* pairs with its release store */
    hak_superslab_t *ss = (hak_superslab_t *)hak_load_acq(&hak_pool.all);
    for (; ss != NULL; ss = ss->all_next) {
        if (hak_load_rlx(&ss->mapped) == 0) { /* relaxed: written under the lock */
            continue;
        }
        uint32_t active = 0;
        for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
            if (ss->slab[i].units != 0) {
                faults += (active & hak_mask32(i, ss->slab[i].units)) != 0;
                active |= hak_mask32(i, ss->slab[i].units);
            }
        }
        faults += hak_check_one(ss, active);
        dirty += hak_bit_count32(ss->dirty_mask);
    }
    return faults + (dirty != hak_load_rlx(&hak_pool.dirty_slots)); /* relaxed: under the lock */
}
