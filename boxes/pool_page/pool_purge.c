/* Memory back to the kernel, and the box's own check. */
#include "backends/os/os.h"
#include "base/bits.h"
#include "base/poison.h"
#include "boxes/pool_page/pool_page_internal.h"

bool hak_pool_page_has_dirty(void) {
    return hak_load_rlx(&hak_pool_page_counters.dirty_pages) != 0; /* relaxed: a hint */
}

/* The first run of dirty pages, taken out of the masks so that nobody opens them meanwhile. */
static uint32_t hak_hold_run_locked(hak_pool_region_t *region, unsigned most) {
    if (region->dirty_mask == 0) {
        return 0;
    }
    unsigned first = hak_lowest_bit(region->dirty_mask);
    unsigned count = hak_lowest_bit(~((uint64_t)region->dirty_mask >> first));
    uint32_t run = hak_mask32(first, count < most ? count : most);
    region->dirty_mask &= ~run;
    hak_pool_pages_set_free_locked(region, region->free_mask & ~run);
    hak_count_add(&hak_pool_page_counters.dirty_pages, -(uint64_t)hak_bit_count32(run));
    return run;
}

static void hak_put_back_locked(hak_pool_region_t *region, uint32_t run, bool purged) {
    if (!purged) {
        region->dirty_mask |= run;
        hak_count_add(&hak_pool_page_counters.dirty_pages, (uint64_t)hak_bit_count32(run));
    }
    hak_pool_pages_set_free_locked(region, region->free_mask | run);
}

/* One system call. Returns the bytes, 0 if there was nothing or the kernel refused. */
static size_t hak_purge_run(hak_pool_region_t *region, unsigned most) {
    hak_lock_take(&hak_pool_pages.lock);
    uint32_t run = hak_hold_run_locked(region, most);
    hak_lock_drop(&hak_pool_pages.lock);
    if (run == 0) {
        return 0;
    }
    size_t bytes = (size_t)hak_bit_count32(run) << HAK_UNIT_SHIFT;
    char *base = (char *)hak_region_base(&region->region);
    bool purged = hak_os_purge(base + ((size_t)hak_lowest_bit(run) << HAK_UNIT_SHIFT), bytes);
    hak_lock_take(&hak_pool_pages.lock);
    hak_put_back_locked(region, run, purged);
    if (purged) {
        hak_count_add(&hak_pool_page_counters.purges, 1);
        hak_count_add(&hak_pool_page_counters.purged_bytes, bytes);
    }
    hak_lock_drop(&hak_pool_pages.lock);
    return purged ? bytes : 0;
}

/* Dirty pages beyond those that are to be kept. */
static uint64_t hak_dirty_over(size_t keep_bytes) {
    /* relaxed: others may add meanwhile */
    uint64_t dirty = hak_load_rlx(&hak_pool_page_counters.dirty_pages);
    uint64_t keep = keep_bytes >> HAK_UNIT_SHIFT;
    return dirty > keep ? dirty - keep : 0;
}

/* A region without an open page, if there are more than are kept and no more than `most` of its
 * pages are dirty; off the list, so that nobody opens one. No block of it is anywhere: a page is
 * FREE only once all its blocks have been in the collector's hand, and the lists lead to
 * descriptors alone. */
static hak_pool_region_t *hak_hold_surplus_locked(uint64_t most) {
    hak_pool_region_t *region = hak_pool_pages.avail[HAK_POOL_NONE_OPEN];
    if (hak_pool_pages.none_open <= HAK_POOL_KEPT_REGIONS ||
        hak_bit_count32(region->dirty_mask) > most) {
        return NULL;
    }
    uint64_t dirty = hak_bit_count32(region->dirty_mask);
    hak_count_add(&hak_pool_page_counters.dirty_pages, -dirty);
    hak_count_add(&hak_pool_page_counters.purges, 1);
    hak_count_add(&hak_pool_page_counters.purged_bytes, dirty << HAK_UNIT_SHIFT);
    region->dirty_mask = 0;
    region->mapped = false;
    hak_pool_pages_set_free_locked(region, 0);
    return region;
}

/* False if there is none to unmap. The check and a fork wait for the caller to be through, so they
 * find no region half gone. */
static bool hak_unmap_surplus(uint64_t most) {
    hak_lock_take(&hak_pool_pages.lock);
    hak_pool_region_t *region = hak_hold_surplus_locked(most);
    hak_lock_drop(&hak_pool_pages.lock);
    if (region == NULL) {
        return false;
    }
    void *base = (void *)hak_region_base(&region->region);
    hak_unpoison(base, HAK_WINDOW_BYTES);
    hak_registry_remove((uintptr_t)base, HAK_WINDOW_BYTES);
    hak_os_unmap(base, HAK_WINDOW_BYTES);
    hak_lock_take(&hak_pool_pages.lock);
    hak_count_add(&hak_pool_page_counters.mapped, -(uint64_t)1);
    region->next = hak_pool_pages.spare;
    hak_pool_pages.spare = region;
    hak_lock_drop(&hak_pool_pages.lock);
    return true;
}

size_t hak_pool_page_purge_mt(unsigned max_calls, size_t keep_bytes) {
    size_t done = 0;
    unsigned calls = 0;
    for (; calls < max_calls && hak_unmap_surplus(hak_dirty_over(keep_bytes)); calls++) {
        done += HAK_WINDOW_BYTES;
    }
    uint32_t regions = hak_pool_page_regions();
    for (uint32_t i = 1; i <= regions && calls < max_calls;) {
        uint64_t over = hak_dirty_over(keep_bytes);
        if (over == 0) {
            break;
        }
        size_t bytes = hak_purge_run(hak_pool_page_region_at(i), over > 32 ? 32 : (unsigned)over);
        done += bytes;
        calls += bytes != 0;
        i += bytes == 0;
    }
    return done;
}

static size_t hak_check_page(const hak_pool_region_t *region, const hak_pool_page_t *page) {
    /* relaxed, all: nobody changes them */
    uint32_t state = hak_load_rlx(&page->state), sc = hak_load_rlx(&page->sc);
    uint32_t carved = hak_load_rlx(&page->carved), shared = hak_load_rlx(&page->shared);
    const hak_heap_t *heap = (const hak_heap_t *)hak_load_rlx(&page->heap);
    bool is_free = state == HAK_POOL_PAGE_FREE;
    size_t faults = is_free != ((region->free_mask >> page->slot & 1) != 0);
    uint32_t tag = hak_registry_tag(hak_pool_page_base(page));
    if (is_free) {
        return faults + (sc != 0 || carved != 0 || shared != 0 || tag != HAK_TAG_NONE);
    }
    uint32_t most = HAK_UNIT_BYTES / hak_sc_bytes[sc];
    faults += shared > carved || carved > most;
    faults += (state == HAK_POOL_PAGE_FULL) != (carved == most);
    faults += heap == NULL || tag != (heap->tag | sc << HAK_BIN_SHIFT);
    return faults;
}

/* Walks one list of regions with a FREE page; `*count` becomes its length. */
static size_t hak_check_avail(unsigned list, uint32_t *count) {
    size_t faults = 0;
    uint32_t most = hak_pool_page_regions();
    const hak_pool_region_t *region = hak_pool_pages.avail[list];
    for (*count = 0; region != NULL && *count <= most; region = region->next) {
        ++*count;
        faults += !region->mapped || region->free_mask == 0;
        faults += (region->free_mask == UINT32_MAX) != (list == HAK_POOL_NONE_OPEN);
    }
    return faults;
}

size_t hak_pool_page_check_locked(void) {
    size_t faults = 0;
    uint64_t dirty = 0, parked = 0, listed = 0, mapped = 0, avail = 0;
    for (uint32_t i = 1; i <= hak_pool_page_regions(); i++) {
        const hak_pool_region_t *region = hak_pool_page_region_at(i);
        if (!region->mapped) { /* others may have memory where its was */
            faults += region->free_mask != 0 || region->dirty_mask != 0;
            continue;
        }
        faults += (region->dirty_mask & ~region->free_mask) != 0;
        avail += region->free_mask != 0;
        mapped++;
        dirty += hak_bit_count32(region->dirty_mask);
        for (unsigned p = 0; p < HAK_POOL_REGION_PAGES; p++) {
            faults += hak_check_page(region, &region->page[p]);
            /* relaxed: as above */
            parked += hak_load_rlx(&region->page[p].state) == HAK_POOL_PAGE_PARKED;
        }
    }
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        for (const hak_pool_page_t *p = hak_pool_pages.parked[ci]; p != NULL && listed <= parked;
             p = p->next) {
            listed++;
            faults += hak_load_rlx(&p->sc) != hak_pool_sc(ci);
        }
    }
    faults += parked != listed;
    uint32_t some_open, none_open;
    faults += hak_check_avail(HAK_POOL_SOME_OPEN, &some_open);
    faults += hak_check_avail(HAK_POOL_NONE_OPEN, &none_open);
    faults += some_open + none_open != avail || none_open != hak_pool_pages.none_open;
    faults += mapped != hak_load_rlx(&hak_pool_page_counters.mapped); /* relaxed: as above */
    return faults + (dirty != hak_load_rlx(&hak_pool_page_counters.dirty_pages));
}
