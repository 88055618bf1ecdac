/* Memory back to the kernel, and the box's own check. */
#include "backends/os/os.h"
#include "base/bits.h"
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
    region->free_mask &= ~run;
    region->dirty_mask &= ~run;
    hak_count_add(&hak_pool_page_counters.dirty_pages, -(uint64_t)hak_bit_count32(run));
    return run;
}

static void hak_put_back_locked(hak_pool_region_t *region, uint32_t run, bool purged) {
    region->free_mask |= run;
    if (!purged) {
        region->dirty_mask |= run;
        hak_count_add(&hak_pool_page_counters.dirty_pages, (uint64_t)hak_bit_count32(run));
    }
    hak_pool_pages_list_locked(region);
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

size_t hak_pool_page_purge_mt(unsigned max_calls, size_t keep_bytes) {
    size_t done = 0;
    unsigned calls = 0;
    uint32_t regions = hak_pool_page_regions();
    for (uint32_t i = 1; i <= regions && calls < max_calls;) {
        /* relaxed: others may add meanwhile */
        uint64_t dirty = hak_load_rlx(&hak_pool_page_counters.dirty_pages);
        uint64_t over = dirty - (keep_bytes >> HAK_UNIT_SHIFT);
        if (dirty <= keep_bytes >> HAK_UNIT_SHIFT) {
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

size_t hak_pool_page_check_locked(void) {
    size_t faults = 0;
    uint64_t dirty = 0, parked = 0, listed = 0;
    for (uint32_t i = 1; i <= hak_pool_page_regions(); i++) {
        const hak_pool_region_t *region = hak_pool_page_region_at(i);
        faults += (region->dirty_mask & ~region->free_mask) != 0;
        faults += region->free_mask != 0 && !region->listed;
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
    return faults + (dirty != hak_load_rlx(&hak_pool_page_counters.dirty_pages));
}
