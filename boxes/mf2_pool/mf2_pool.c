/* One lock, asked once for each 64 KiB. System calls are made under it, for one region at a time: a
 * purge of 2 MiB takes about as long as the page faults of the thread that would wait. Regions with
 * open pages are asked before wholly free ones, so that those can go back.
 */
#include "boxes/mf2_pool/mf2_pool.h"

#include <errno.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "core/errors/errors.h"
#include "core/lock/lock.h"
#include "core/meta/meta.h"
#include "core/options/options.h"

enum { HAK_KEPT_REGIONS = 4, HAK_REFUSED_PAUSE_MS = 10000 };
enum { HAK_SOME_OPEN, HAK_NONE_OPEN, HAK_LISTS };

static struct {
    hak_lock_t lock;
    hak_mf2_region_t *list[HAK_LISTS]; /* regions with a free page */
    hak_mf2_region_t *visit_head, *visit_tail;
    hak_mf2_region_t *spare; /* descriptors without memory */
    uint64_t none_open;      /* length of that list */
    hak_aptr_t all;
    hak_a64_t dirty_pages;
    hak_mf2_pool_stats_t stats;
} hak_pool = {.lock = HAK_LOCK_INIT(HAK_RANK_MF2_POOL)};

static unsigned hak_list_of(const hak_mf2_region_t *region) {
    return region->free_mask == UINT32_MAX ? HAK_NONE_OPEN : HAK_SOME_OPEN;
}

static void hak_list_locked(hak_mf2_region_t *region) {
    if (region->free_mask == 0) {
        return;
    }
    unsigned list = hak_list_of(region);
    hak_pool.none_open += list == HAK_NONE_OPEN;
    region->prev = NULL;
    region->next = hak_pool.list[list];
    if (region->next != NULL) {
        region->next->prev = region;
    }
    hak_pool.list[list] = region;
}

static void hak_unlist_locked(hak_mf2_region_t *region) {
    if (region->free_mask == 0) {
        return;
    }
    unsigned list = hak_list_of(region);
    hak_pool.none_open -= list == HAK_NONE_OPEN;
    if (region->prev != NULL) {
        region->prev->next = region->next;
    } else {
        hak_pool.list[list] = region->next;
    }
    if (region->next != NULL) {
        region->next->prev = region->prev;
    }
}

static void hak_set_dirty_locked(hak_mf2_region_t *region, uint32_t dirty_mask) {
    uint64_t count = hak_load_rlx(&hak_pool.dirty_pages); /* relaxed: written under the lock */
    count = count - hak_bit_count32(region->dirty_mask) + hak_bit_count32(dirty_mask);
    hak_store_rlx(&hak_pool.dirty_pages, count);
    region->dirty_mask = dirty_mask;
    region->aged_mask &= dirty_mask;
}

static void hak_visit_later_locked(hak_mf2_region_t *region, uint64_t at_ms) {
    if (region->visiting) {
        return;
    }
    region->visiting = true;
    region->visit_at_ms = at_ms;
    region->visit_next = NULL;
    if (hak_pool.visit_tail != NULL) {
        hak_pool.visit_tail->visit_next = region;
    } else {
        hak_pool.visit_head = region;
    }
    hak_pool.visit_tail = region;
}

static hak_mf2_region_t *hak_descriptor_locked(void) {
    hak_mf2_region_t *region = hak_pool.spare;
    if (region != NULL) {
        hak_pool.spare = region->next;
        return region;
    }
    region = hak_meta_alloc_mt(sizeof *region);
    if (region == NULL) {
        return NULL;
    }
    region->region.kind = HAK_REGION_MF2;
    for (unsigned i = 0; i < HAK_MF2_REGION_PAGES; i++) {
        region->page[i].slot = (uint8_t)i;
    }
    if (!hak_mf2_page_number_region(region)) {
        return NULL; /* out of memory or of numbers: the descriptor is lost, once */
    }
    /* relaxed: written under the lock only */
    region->all_next = (hak_mf2_region_t *)hak_load_rlx(&hak_pool.all);
    hak_store_rel(&hak_pool.all, (uintptr_t)region); /* pairs with the acquire in each */
    return region;
}

static hak_mf2_region_t *hak_region_new_locked(void) {
    hak_mf2_region_t *region = hak_descriptor_locked();
    if (region == NULL) {
        return NULL;
    }
    void *base = hak_os_map_aligned(HAK_MF2_REGION_BYTES, HAK_MF2_REGION_BYTES);
    hak_store_rlx(&region->region.base, (uintptr_t)base); /* relaxed: published by the registry */
    if (base == NULL || !hak_registry_add(&region->region, (uintptr_t)base, HAK_MF2_REGION_BYTES)) {
        if (base != NULL) {
            hak_os_unmap(base, HAK_MF2_REGION_BYTES);
        }
        region->next = hak_pool.spare;
        hak_pool.spare = region;
        return NULL;
    }
    if (hak_option(HAK_OPTION_THP) != HAK_THP_SYSTEM) {
        hak_os_no_huge(base, HAK_MF2_REGION_BYTES); /* a first touch would make 2 MiB resident */
    }
    region->free_mask = UINT32_MAX;
    region->dirty_mask = region->aged_mask = 0;
    hak_store_rel(&region->mapped, 1); /* pairs with the acquire of each's visitors */
    hak_pool.stats.regions_made++;
    if (++hak_pool.stats.regions > hak_pool.stats.regions_peak) {
        hak_pool.stats.regions_peak = hak_pool.stats.regions;
    }
    hak_list_locked(region);
    return region;
}

hak_mf2_page_t *hak_mf2_pool_take_mt(void) {
    hak_mf2_page_t *page = NULL;
    hak_lock_take(&hak_pool.lock);
    hak_mf2_region_t *region = hak_pool.list[HAK_SOME_OPEN];
    region = region != NULL ? region : hak_pool.list[HAK_NONE_OPEN];
    region = region != NULL ? region : hak_region_new_locked();
    if (region != NULL) {
        unsigned slot =
            hak_lowest_bit(region->dirty_mask != 0 ? region->dirty_mask : region->free_mask);
        hak_unlist_locked(region);
        region->free_mask &= ~(1u << slot);
        hak_set_dirty_locked(region, region->dirty_mask & ~(1u << slot));
        hak_list_locked(region);
        page = &region->page[slot];
    }
    hak_lock_drop(&hak_pool.lock);
    if (page == NULL) {
        errno = ENOMEM;
    }
    return page;
}

void hak_mf2_pool_give_mt(hak_mf2_page_t *page) {
    hak_mf2_region_t *region = hak_mf2_page_region(page);
    uint32_t bit = 1u << page->slot;
    uint64_t at_ms = hak_os_now_ms() + hak_option(HAK_OPTION_PURGE_DELAY_MS) / 2;
    hak_lock_take(&hak_pool.lock);
    hak_debug_assert((region->free_mask & bit) == 0);
    hak_unlist_locked(region);
    region->free_mask |= bit;
    hak_set_dirty_locked(region, region->dirty_mask | bit);
    hak_list_locked(region);
    hak_visit_later_locked(region, at_ms);
    hak_lock_drop(&hak_pool.lock);
}

static size_t hak_unmap_locked(hak_mf2_region_t *region) {
    uintptr_t base = hak_region_base(&region->region);
    hak_unlist_locked(region);
    hak_set_dirty_locked(region, 0);
    region->free_mask = 0;
    region->refused_until_ms = 0;
    hak_store_rlx(&region->mapped, 0); /* relaxed: publishes nothing */
    hak_pool.stats.regions--;
    hak_registry_remove(base, HAK_MF2_REGION_BYTES);
    hak_os_unmap((void *)base, HAK_MF2_REGION_BYTES);
    region->next = hak_pool.spare;
    hak_pool.spare = region;
    return HAK_MF2_REGION_BYTES;
}

static size_t hak_purge_pages_locked(hak_mf2_region_t *region, uint32_t mask, uint64_t now_ms,
                                     unsigned *calls) {
    char *base = (char *)hak_region_base(&region->region);
    uint32_t done = 0;
    while (mask != 0) {
        unsigned first = hak_lowest_bit(mask);
        unsigned count = hak_lowest_bit(~((uint64_t)mask >> first));
        uint32_t run = hak_mask32(first, count);
        ++*calls;
        hak_pool.stats.purges++;
        if (hak_os_purge(base + ((size_t)first << HAK_UNIT_SHIFT),
                         (size_t)count << HAK_UNIT_SHIFT)) {
            done |= run;
        } else { /* locked memory: it stays EMPTY and is tried again later */
            region->refused_until_ms = now_ms + HAK_REFUSED_PAUSE_MS;
        }
        mask &= ~run;
    }
    hak_set_dirty_locked(region, region->dirty_mask & ~done);
    return (size_t)hak_bit_count32(done) << HAK_UNIT_SHIFT;
}

static size_t hak_visit_locked(hak_mf2_region_t *region, uint64_t now_ms, uint64_t delay_ms,
                               unsigned *calls) {
    /* Who asks for all gets another try. */
    uint32_t mask = delay_ms == 0                       ? region->dirty_mask
                    : now_ms < region->refused_until_ms ? 0
                                                        : region->aged_mask;
    if (region->free_mask == UINT32_MAX && mask == region->dirty_mask && mask != 0 &&
        hak_pool.none_open > HAK_KEPT_REGIONS) {
        ++*calls;
        return hak_unmap_locked(region);
    }
    size_t bytes = hak_purge_pages_locked(region, mask, now_ms, calls);
    region->aged_mask = region->dirty_mask;
    if (region->dirty_mask != 0) {
        hak_visit_later_locked(region, now_ms + delay_ms / 2 + 1);
    }
    return bytes;
}

/* The next region that is due, off the list. */
static hak_mf2_region_t *hak_next_visit_locked(uint64_t now_ms, uint64_t delay_ms) {
    hak_mf2_region_t *region = hak_pool.visit_head;
    /* A time further off than the delay was set when the delay was longer. */
    if (region == NULL ||
        (region->visit_at_ms > now_ms && region->visit_at_ms - now_ms <= delay_ms)) {
        return NULL;
    }
    hak_pool.visit_head = region->visit_next;
    if (hak_pool.visit_head == NULL) {
        hak_pool.visit_tail = NULL;
    }
    region->visiting = false;
    return region;
}

size_t hak_mf2_pool_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                             size_t keep_bytes) {
    size_t bytes = 0;
    unsigned calls = 0;
    hak_lock_take(&hak_pool.lock);
    uint64_t visits = hak_pool.stats.regions; /* each one once */
    while (visits-- != 0 && calls < max_calls &&
           hak_load_rlx(&hak_pool.dirty_pages) << HAK_UNIT_SHIFT > keep_bytes) {
        hak_mf2_region_t *region = hak_next_visit_locked(now_ms, delay_ms);
        if (region == NULL) {
            break;
        }
        bytes += hak_visit_locked(region, now_ms, delay_ms, &calls);
        hak_lock_drop(&hak_pool.lock); /* lets those in who wait */
        hak_lock_take(&hak_pool.lock);
    }
    hak_pool.stats.purged_bytes += bytes;
    hak_lock_drop(&hak_pool.lock);
    return bytes;
}

bool hak_mf2_pool_has_dirty(void) {
    return hak_load_rlx(&hak_pool.dirty_pages) != 0; /* relaxed: a hint */
}

void hak_mf2_pool_each(void (*visit)(hak_mf2_region_t *region, void *context), void *context) {
    /* pairs with the release in hak_descriptor_locked */
    hak_mf2_region_t *region = (hak_mf2_region_t *)hak_load_acq(&hak_pool.all);
    for (; region != NULL; region = region->all_next) {
        visit(region, context);
    }
}

void hak_mf2_pool_stats_mt(hak_mf2_pool_stats_t *out) {
    hak_lock_take(&hak_pool.lock);
    *out = hak_pool.stats;
    out->dirty_pages = hak_load_rlx(&hak_pool.dirty_pages); /* relaxed: under the lock */
    hak_lock_drop(&hak_pool.lock);
}

static void hak_check_region(hak_mf2_region_t *region, void *context) {
    size_t *faults = context;
    if (hak_load_rlx(&region->mapped) == 0) { /* relaxed: written under the lock that we have */
        return;
    }
    *faults += (region->dirty_mask & ~region->free_mask) != 0;
    *faults += (region->aged_mask & ~region->dirty_mask) != 0;
    *faults += region->dirty_mask != 0 && !region->visiting;
    for (unsigned i = 0; i < HAK_MF2_REGION_PAGES; i++) {
        /* relaxed: who opens or closes the page has it, and it is not free then */
        bool open = hak_load_rlx(&region->page[i].sc) != 0;
        *faults += open && (region->free_mask >> i & 1u) != 0;
    }
}

size_t hak_mf2_pool_check_locked(void) {
    size_t faults = 0;
    hak_mf2_pool_each(hak_check_region, &faults);
    for (unsigned list = 0; list < HAK_LISTS; list++) {
        uint64_t length = 0;
        for (hak_mf2_region_t *r = hak_pool.list[list]; r != NULL; r = r->next) {
            faults += hak_list_of(r) != list || r->free_mask == 0;
            if (++length > hak_pool.stats.regions) {
                return faults + 1; /* a cycle */
            }
        }
        faults += list == HAK_NONE_OPEN && length != hak_pool.none_open;
    }
    return faults;
}

void hak_mf2_pool_fork_take(void) { hak_lock_take(&hak_pool.lock); }
void hak_mf2_pool_fork_drop(void) { hak_lock_drop(&hak_pool.lock); }
