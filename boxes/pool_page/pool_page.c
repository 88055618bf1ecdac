#include "boxes/pool_page/pool_page.h"

#include <errno.h>

#include "backends/os/os.h"
#include "boxes/pool_page/pool_page_internal.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/meta/meta.h"
#include "core/options/options.h"
#include "registry/registry_inl.h"

enum { HAK_TABLE_SHIFT = 11, HAK_TABLE_ENTRIES = 1 << HAK_TABLE_SHIFT };

hak_pool_pages_t hak_pool_pages = {.lock = HAK_LOCK_INIT(HAK_RANK_MID_PAGES)};
hak_pool_page_counters_t hak_pool_page_counters;

/* Regions by number, in two levels; entries never change. */
static hak_aptr_t hak_region_table[HAK_POOL_REGIONS >> HAK_TABLE_SHIFT];

hak_pool_region_t *hak_pool_page_region_at(uint32_t number) {
    /* relaxed, both: the caller has got the number from hak_pool_page_regions or has an id of the
     * region, and both are handed over by a release that comes after hak_enter_locked */
    hak_aptr_t *entries = (hak_aptr_t *)hak_load_rlx(&hak_region_table[number >> HAK_TABLE_SHIFT]);
    return (hak_pool_region_t *)hak_load_rlx(&entries[number % HAK_TABLE_ENTRIES]);
}

uint32_t hak_pool_page_regions(void) {
    return hak_load_acq(&hak_pool_pages.regions); /* pairs with the release in hak_enter_locked */
}

hak_pool_page_t *hak_pool_page_of(uintptr_t address) {
    hak_region_t *region = hak_registry_region(address);
    if (region == NULL || region->kind != HAK_REGION_MID_POOL) {
        return NULL;
    }
    hak_pool_region_t *own = (hak_pool_region_t *)region;
    return &own->page[(address >> HAK_UNIT_SHIFT) % HAK_POOL_REGION_PAGES];
}

hak_pool_page_t *hak_pool_page_of_id(uint32_t id) {
    uint32_t page = id / HAK_POOL_PAGE_BLOCKS;
    return &hak_pool_page_region_at(page / HAK_POOL_REGION_PAGES)
                ->page[page % HAK_POOL_REGION_PAGES];
}

uint32_t hak_pool_page_id(unsigned ci, const hak_block_t *block) {
    uint32_t offset = (uint32_t)((uintptr_t)block % HAK_UNIT_BYTES);
    return hak_pool_page_first_id(hak_pool_page_of((uintptr_t)block)) + offset / hak_pool_bytes(ci);
}

hak_block_t *hak_pool_page_block(unsigned ci, uint32_t id) {
    uintptr_t base = hak_pool_page_base(hak_pool_page_of_id(id));
    return (hak_block_t *)(base + (uintptr_t)(id % HAK_POOL_PAGE_BLOCKS) * hak_pool_bytes(ci));
}

hak_a32_t *hak_pool_page_link(uint32_t id) {
    return &hak_pool_page_of_id(id)->link[id % HAK_POOL_PAGE_BLOCKS];
}

/* Gives a new region its number. */
static bool hak_enter_locked(hak_pool_region_t *region) {
    uint32_t number = hak_load_rlx(&hak_pool_pages.regions) + 1; /* relaxed: under the lock */
    if (number >= HAK_POOL_REGIONS) {
        return false;
    }
    hak_aptr_t *root = &hak_region_table[number >> HAK_TABLE_SHIFT];
    hak_aptr_t *entries = (hak_aptr_t *)hak_load_rlx(root); /* relaxed: as above */
    if (entries == NULL) {
        entries = hak_meta_alloc_mt(HAK_TABLE_ENTRIES * sizeof *entries);
        if (entries == NULL) {
            return false;
        }
        hak_store_rlx(root, (uintptr_t)entries); /* relaxed, also below: as region_at says */
    }
    region->number = number;
    hak_store_rlx(&entries[number % HAK_TABLE_ENTRIES], (uintptr_t)region);
    hak_store_rel(&hak_pool_pages.regions, number); /* pairs with hak_pool_page_regions */
    return true;
}

/* A descriptor without memory. */
static hak_pool_region_t *hak_descriptor_locked(void) {
    hak_pool_region_t *region = hak_pool_pages.spare;
    if (region != NULL) {
        hak_pool_pages.spare = region->next;
        return region;
    }
    region = hak_meta_alloc_mt(sizeof *region);
    if (region == NULL) {
        return NULL;
    }
    region->region.kind = HAK_REGION_MID_POOL;
    for (unsigned i = 0; i < HAK_POOL_REGION_PAGES; i++) {
        region->page[i].slot = (uint8_t)i;
    }
    return region;
}

/* Of a region with these FREE pages. */
static unsigned hak_list_of(uint32_t free_mask) {
    return free_mask == 0            ? HAK_POOL_LISTS
           : free_mask == UINT32_MAX ? HAK_POOL_NONE_OPEN
                                     : HAK_POOL_SOME_OPEN;
}

static void hak_list_locked(hak_pool_region_t *region, unsigned list) {
    hak_pool_pages.none_open += list == HAK_POOL_NONE_OPEN;
    region->prev = NULL;
    region->next = hak_pool_pages.avail[list];
    if (region->next != NULL) {
        region->next->prev = region;
    }
    hak_pool_pages.avail[list] = region;
}

static void hak_unlist_locked(hak_pool_region_t *region, unsigned list) {
    hak_pool_pages.none_open -= list == HAK_POOL_NONE_OPEN;
    if (region->prev != NULL) {
        region->prev->next = region->next;
    } else {
        hak_pool_pages.avail[list] = region->next;
    }
    if (region->next != NULL) {
        region->next->prev = region->prev;
    }
}

void hak_pool_pages_set_free_locked(hak_pool_region_t *region, uint32_t free_mask) {
    unsigned before = hak_list_of(region->free_mask), after = hak_list_of(free_mask);
    region->free_mask = free_mask;
    if (before == after) {
        return;
    }
    if (before != HAK_POOL_LISTS) {
        hak_unlist_locked(region, before);
    }
    if (after != HAK_POOL_LISTS) {
        hak_list_locked(region, after);
    }
}

static void hak_count_mapped_locked(void) {
    hak_pool_page_counters_t *c = &hak_pool_page_counters;
    hak_count_add(&c->mapped, 1);
    uint64_t mapped = hak_load_rlx(&c->mapped); /* relaxed, all: written under the lock */
    if (mapped > hak_load_rlx(&c->mapped_peak)) {
        hak_store_rlx(&c->mapped_peak, mapped);
    }
}

static hak_pool_region_t *hak_region_new_locked(void) {
    hak_pool_region_t *region = hak_descriptor_locked();
    if (region == NULL) {
        return NULL;
    }
    void *base = hak_os_map_aligned(HAK_WINDOW_BYTES, HAK_WINDOW_BYTES);
    hak_store_rlx(&region->region.base, (uintptr_t)base); /* relaxed: published by the registry */
    bool entered =
        base != NULL && hak_registry_add(&region->region, (uintptr_t)base, HAK_WINDOW_BYTES);
    if (entered && region->number == 0 && !hak_enter_locked(region)) {
        hak_registry_remove((uintptr_t)base, HAK_WINDOW_BYTES);
        entered = false;
    }
    if (!entered) {
        if (base != NULL) {
            hak_os_unmap(base, HAK_WINDOW_BYTES);
        }
        region->next = hak_pool_pages.spare;
        hak_pool_pages.spare = region;
        return NULL;
    }
    if (hak_option(HAK_OPTION_THP) != HAK_THP_SYSTEM) {
        hak_os_no_huge(base, HAK_WINDOW_BYTES); /* a first touch would make 2 MiB resident */
    }
    hak_poison(base, HAK_WINDOW_BYTES);
    region->mapped = true;
    hak_count_mapped_locked();
    hak_pool_pages_set_free_locked(region, UINT32_MAX);
    return region;
}

/* A FREE page, dirty ones of the region first: they are resident already. Regions without an open
 * page come last, so that those can go back. */
static hak_pool_page_t *hak_free_page_locked(void) {
    hak_pool_region_t *region = hak_pool_pages.avail[HAK_POOL_SOME_OPEN];
    region = region != NULL ? region : hak_pool_pages.avail[HAK_POOL_NONE_OPEN];
    region = region != NULL ? region : hak_region_new_locked();
    if (region == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    uint32_t mask = region->dirty_mask != 0 ? region->dirty_mask : region->free_mask;
    uint32_t bit = mask & -mask;
    if ((region->dirty_mask & bit) != 0) {
        region->dirty_mask &= ~bit;
        hak_count_add(&hak_pool_page_counters.dirty_pages, -1ull);
    }
    hak_pool_pages_set_free_locked(region, region->free_mask & ~bit);
    return &region->page[hak_lowest_bit(bit)];
}

static void hak_unpark_locked(hak_pool_page_t *page, unsigned ci) {
    if (page->prev != NULL) {
        page->prev->next = page->next;
    } else {
        hak_pool_pages.parked[ci] = page->next;
    }
    if (page->next != NULL) {
        page->next->prev = page->prev;
    }
    page->next = page->prev = NULL;
}

static hak_pool_page_t *hak_take_page_locked(unsigned ci, unsigned shard) {
    hak_pool_page_t *page = hak_pool_pages.parked[ci];
    if (page != NULL) {
        hak_unpark_locked(page, ci);
        hak_count_add(&hak_pool_page_counters.unparked, 1);
        return page;
    }
    page = hak_free_page_locked();
    if (page != NULL) {
        page->shard = (uint8_t)shard;
        /* relaxed, all: nobody else has the page; the tag leads others to it */
        hak_store_rlx(&page->carved, 0);
        hak_store_rlx(&page->shared, 0);
        hak_store_rlx(&page->free_since_ms, 0);
        hak_store_rel(&page->sc, hak_pool_sc(ci)); /* pairs with the acquire of describe */
        hak_count_add(&hak_pool_page_counters.opened[ci], 1);
        hak_count_add(&hak_pool_page_counters.in_use[ci], 1);
    }
    return page;
}

unsigned hak_pool_page_take_mt(hak_heap_t *heap, unsigned ci, unsigned shard, unsigned count,
                               hak_pool_page_t **pages) {
    unsigned taken = 0;
    hak_lock_take(&hak_pool_pages.lock);
    while (taken < count) {
        hak_pool_page_t *page = hak_take_page_locked(ci, shard);
        if (page == NULL) {
            break;
        }
        /* relaxed: as pool_cache says of its load */
        hak_store_rlx(&page->heap, (uintptr_t)heap);
        hak_store_rlx(&page->state, HAK_POOL_PAGE_ACTIVE); /* relaxed: read under the lock */
        hak_registry_set_tags(hak_pool_page_base(page), 1,
                              heap->tag | hak_pool_sc(ci) << HAK_BIN_SHIFT);
        pages[taken++] = page;
    }
    hak_lock_drop(&hak_pool_pages.lock);
    return taken;
}

static void hak_close_locked(hak_pool_page_t *page) {
    hak_pool_region_t *region = hak_pool_page_region(page);
    unsigned ci = hak_pool_class(hak_load_rlx(&page->sc)); /* relaxed: fixed while open */
    hak_count_add(&hak_pool_page_counters.in_use[ci], -(uint64_t)1);
    hak_registry_set_tags(hak_pool_page_base(page), 1, HAK_TAG_NONE);
    /* relaxed: nobody has a block of it; statistics may see either */
    hak_store_rlx(&page->state, HAK_POOL_PAGE_FREE);
    hak_store_rlx(&page->sc, 0);
    hak_store_rlx(&page->carved, 0);
    hak_store_rlx(&page->shared, 0);
    region->dirty_mask |= 1u << page->slot;
    hak_count_add(&hak_pool_page_counters.dirty_pages, 1);
    hak_count_add(&hak_pool_page_counters.closed, 1);
    hak_pool_pages_set_free_locked(region, region->free_mask | 1u << page->slot);
}

void hak_pool_page_park_mt(hak_pool_page_t *page) {
    hak_lock_take(&hak_pool_pages.lock);
    hak_debug_assert(hak_load_rlx(&page->state) == HAK_POOL_PAGE_ACTIVE);
    /* relaxed: the caller carved it */
    if (hak_load_rlx(&page->carved) == 0) {
        hak_close_locked(page);
    } else {
        unsigned ci = hak_pool_class(hak_load_rlx(&page->sc)); /* relaxed: fixed while open */
        hak_store_rlx(&page->state, HAK_POOL_PAGE_PARKED);     /* relaxed: read under the lock */
        page->prev = NULL;
        page->next = hak_pool_pages.parked[ci];
        if (page->next != NULL) {
            page->next->prev = page;
        }
        hak_pool_pages.parked[ci] = page;
    }
    hak_lock_drop(&hak_pool_pages.lock);
}

hak_block_t *hak_pool_page_carve_owner(hak_pool_page_t *page, unsigned ci, uint32_t count) {
    uint32_t carved = hak_load_rlx(&page->carved); /* relaxed: only we write */
    hak_debug_assert(count != 0 && carved + count <= hak_pool_blocks(ci));
    char *first = (char *)hak_pool_page_base(page) + (size_t)carved * hak_pool_bytes(ci);
    hak_store_rlx(&page->carved, carved + count);
    if (carved + count == hak_pool_blocks(ci)) {
        /* pairs with the acquire in hak_pool_page_close_mt: `carved` is final */
        hak_store_rel(&page->state, HAK_POOL_PAGE_FULL);
    }
    return (hak_block_t *)first;
}

bool hak_pool_page_close_mt(hak_pool_page_t *page, uint32_t blocks) {
    hak_lock_take(&hak_pool_pages.lock);
    /* pairs with the release in hak_pool_page_carve_owner */
    uint32_t state = hak_load_acq(&page->state);
    /* relaxed: carving has ended */
    bool all = state != HAK_POOL_PAGE_ACTIVE && hak_load_rlx(&page->carved) == blocks;
    if (all) {
        if (state == HAK_POOL_PAGE_PARKED) {
            hak_unpark_locked(page, hak_pool_class(hak_load_rlx(&page->sc)));
        }
        hak_close_locked(page);
    }
    hak_lock_drop(&hak_pool_pages.lock);
    return all;
}
