/* Superslabs come from the LRU, else from the stock, and go to the LRU, else back. mmap runs under
 * the lock: two threads that both find the pool empty would else map two superslabs where one is
 * enough, as they do where one is about to become a huge page. munmap does not: it may have 2 MiB
 * to free.
 */
#include <errno.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/slot_pool/slot_pool_internal.h"
#include "core/errors/errors.h"
#include "core/meta/meta.h"
#include "core/options/options.h"

enum {
    HAK_EVICT_AT_ONCE = 32, /* a limit that was lowered far is reached in steps */
    /* Mapped at a time: as many superslabs as this part of those that there are. A
     * mapping keeps the page faults of all threads waiting. */
    HAK_STOCK_PART = 8, /* HAK_STOCK_MOST at most */
};

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
    ss->kind = HAK_KIND_LOOSE;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        ss->slab[i].slot = (uint8_t)i;
        hak_store_rlx(&ss->head[i], i); /* relaxed: published with the descriptor */
    }
    /* relaxed: written under the lock only */
    ss->all_next = (hak_superslab_t *)hak_load_rlx(&hak_pool.all);
    /* pairs with the acquire in hak_slot_pool_each */
    hak_store_rel(&hak_pool.all, (uintptr_t)ss);
    return ss;
}

static void hak_put_spare_locked(hak_superslab_t *ss) {
    ss->next = hak_pool.spare;
    hak_pool.spare = ss;
}

static bool hak_fill_stock_locked(void) {
    size_t count = hak_pool.stats.superslabs / HAK_STOCK_PART;
    count = count < 1 ? 1 : count > HAK_STOCK_MOST ? HAK_STOCK_MOST : count;
    void *base = hak_os_map_aligned(count * HAK_SUPERSLAB_BYTES, HAK_SUPERSLAB_BYTES);
    if (base == NULL && count > 1) {
        count = 1;
        base = hak_os_map_aligned(HAK_SUPERSLAB_BYTES, HAK_SUPERSLAB_BYTES);
    }
    if (base == NULL) {
        return false;
    }
    if (hak_option(HAK_OPTION_THP) != HAK_THP_SYSTEM) {
        /* a first touch would make 2 MiB resident */
        hak_os_no_huge(base, count * HAK_SUPERSLAB_BYTES);
    }
    hak_pool.stock = (uintptr_t)base;
    hak_pool.stock_end = hak_pool.stock + count * HAK_SUPERSLAB_BYTES;
    uint64_t mapped = hak_pool.stats.superslabs + count;
    if (hak_pool.stats.mapped_superslabs_peak < mapped) {
        hak_pool.stats.mapped_superslabs_peak = mapped;
    }
    return true;
}

size_t hak_pool_release_stock_locked(void) {
    size_t bytes = hak_pool.stock_end - hak_pool.stock;
    if (bytes != 0) {
        hak_os_unmap((void *)hak_pool.stock, bytes);
        hak_pool.stock = hak_pool.stock_end = 0;
    }
    return bytes;
}

static hak_superslab_t *hak_superslab_new_locked(void) {
    hak_superslab_t *ss = hak_descriptor_locked();
    if (ss == NULL) {
        return NULL;
    }
    if (hak_pool.stock == hak_pool.stock_end && !hak_fill_stock_locked()) {
        hak_put_spare_locked(ss);
        return NULL;
    }
    uintptr_t base = hak_pool.stock;
    hak_store_rlx(&ss->region.base, base); /* relaxed: published by the registry */
    if (!hak_registry_add(&ss->region, base, HAK_SUPERSLAB_BYTES)) {
        (void)hak_pool_release_stock_locked();
        hak_put_spare_locked(ss);
        return NULL;
    }
    hak_pool.stock += HAK_SUPERSLAB_BYTES;
    hak_slot_state_init_locked(ss);
    hak_pool.slots[HAK_SLOT_UNUSED] += HAK_SUPERSLAB_SLOTS;
    hak_store_rel(&ss->mapped, 1); /* pairs with the acquire of hak_slot_pool_each's visitors */
    hak_pool.stats.superslabs++;
    hak_pool.stats.superslabs_made++;
    return ss;
}

hak_superslab_t *hak_pool_supply_locked(bool for_tiny) {
    hak_superslab_t *ss = hak_ss_lru_pop_locked(&hak_pool.lru);
    if (ss != NULL) {
        ss->kind = HAK_KIND_LOOSE;
    } else {
        ss = hak_superslab_new_locked();
        if (ss == NULL) {
            errno = ENOMEM;
            return NULL;
        }
        hak_pool.stats.from_new++;
        hak_pool.stats.tiny_superslabs_made += for_tiny;
    }
    if (for_tiny) {
        hak_pool_touch_huge_locked(ss);
    }
    return ss;
}

void hak_pool_release_locked(hak_superslab_t *ss) {
    hak_debug_assert(ss->kind == HAK_KIND_LOOSE && ss->free_mask == UINT32_MAX);
    unsigned dirty = hak_bit_count32(ss->dirty_mask);
    hak_pool.slots[HAK_SLOT_EMPTY] -= dirty;
    hak_pool.slots[HAK_SLOT_UNUSED] -= HAK_SUPERSLAB_SLOTS - dirty;
    hak_pool_show_locked();
    hak_slot_state_init_locked(ss); /* nothing for a visit that is still due */
    ss->kept_mask = 0;
    ss->refused_until_ms = 0;
    ss->huge = false;
    hak_store_rlx(&ss->mapped, 0); /* relaxed: a visitor that sees it looks at nothing else */
    hak_pool.stats.superslabs--;
    hak_pool.stats.purges++;
    hak_pool.stats.purged_bytes += (uint64_t)dirty << HAK_UNIT_SHIFT;
    hak_pool.calls_in_flight++;
    hak_lock_drop(&hak_pool.lock);
    uintptr_t base = hak_region_base(&ss->region);
    hak_registry_remove(base, HAK_SUPERSLAB_BYTES);
    hak_os_unmap((void *)base, HAK_SUPERSLAB_BYTES);
    hak_pool_lock_take();
    hak_pool.calls_in_flight--;
    hak_put_spare_locked(ss);
}

void hak_pool_settle_locked(hak_superslab_t *ss, uint64_t now_ms) {
    if (ss->free_mask != UINT32_MAX || ss->kind == HAK_KIND_CACHED) {
        return;
    }
    hak_pool_leave_locked(ss);
    if (!hak_ss_lru_is_on()) {
        hak_pool_release_locked(ss);
    } else {
        ss->kind = HAK_KIND_CACHED;
        hak_ss_lru_push_locked(&hak_pool.lru, ss, now_ms);
    }
    for (int i = 0; i < HAK_EVICT_AT_ONCE; i++) {
        hak_superslab_t *oldest = hak_ss_lru_evict_locked(&hak_pool.lru);
        if (oldest == NULL) {
            return;
        }
        oldest->kind = HAK_KIND_LOOSE;
        hak_pool_release_locked(oldest);
    }
}
