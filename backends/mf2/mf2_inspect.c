/* What looks at all pages: statistics, checks, fork. */
#include "backends/mf2/mf2_internal.h"
#include "boxes/audit/audit.h"
#include "boxes/mf2_heap/mf2_heap.h"
#include "boxes/mf2_orphans/mf2_orphans.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "boxes/mf2_sweeper/mf2_sweeper.h"
#include "core/dyn_class/dyn_class.h"
#include "include/hakmem.h"

/* Calls `visit` for every open page. */
typedef struct {
    void (*visit)(hak_mf2_page_t *page, void *context);
    void *context;
} hak_visitor_t;

static void hak_visit_region(hak_mf2_region_t *region, void *context) {
    const hak_visitor_t *visitor = context;
    if (hak_load_acq(&region->mapped) == 0) { /* pairs with the release of mf2_pool */
        return;
    }
    for (unsigned i = 0; i < HAK_MF2_REGION_PAGES; i++) {
        if (hak_load_acq(&region->page[i].sc) != 0) { /* pairs with hak_mf2_page_open */
            visitor->visit(&region->page[i], visitor->context);
        }
    }
}

static void hak_each_page(void (*visit)(hak_mf2_page_t *page, void *context), void *context) {
    hak_visitor_t visitor = {visit, context};
    hak_mf2_pool_each(hak_visit_region, &visitor);
}

bool hak_mf2_describe(uintptr_t address, hak_block_info_t *info) {
    hak_mf2_page_t *page = hak_mf2_page_of(address);
    unsigned sc = page == NULL ? 0 : hak_load_acq(&page->sc); /* pairs with hak_mf2_page_open */
    if (sc == 0) {
        return false;
    }
    uint32_t stride = hak_mf2_page_stride(page);
    uintptr_t index = (address - hak_mf2_page_base(page)) / stride;
    if (index >= HAK_MF2_PAGE_BYTES / stride) {
        return false;
    }
    info->block = hak_mf2_page_base(page) + index * stride + (uintptr_t)hak_cfg_mf2_header;
    info->bytes = stride - (uint32_t)hak_cfg_mf2_header;
    info->handed_out = index < hak_load_rlx(&page->carved); /* relaxed: to explain an error */
    return true;
}

static void hak_add_page(hak_mf2_page_t *page, void *context) {
    hak_backend_stats_t *out = context;
    /* relaxed: exact when nobody works on the page */
    unsigned sc = hak_load_rlx(&page->sc);
    /* what waits on the remote stack has been freed */
    uint32_t remote = hak_mf2_remote_count(page);
    uint64_t used = hak_load_rlx(&page->used);
    used = used > remote ? used - remote : 0;
    uint64_t bytes = hak_mf2_page_bytes(page);
    uint64_t carved = (uint64_t)hak_load_rlx(&page->carved) * hak_mf2_page_stride(page);
    if (sc != 0) { /* else closed meanwhile; headers count as free */
        hak_stats_add_run(out, HAK_MF2_PAGE_BYTES, carved, used, bytes);
    }
}

void hak_mf2_stats(hak_backend_stats_t *out) {
    hak_mf2_pool_stats_t pool;
    hak_each_page(hak_add_page, out);
    hak_mf2_pool_stats_mt(&pool);
    out->mapped_bytes = pool.regions << HAK_WINDOW_SHIFT;
    out->mapped_peak_bytes = pool.regions_peak << HAK_WINDOW_SHIFT;
    out->empty_dirty_bytes = pool.dirty_pages << HAK_UNIT_SHIFT;
    out->purges = pool.purges;
    out->purged_bytes = pool.purged_bytes;
}

/* What the notes' verification report printed: each page must stand at a multiple of 64 KiB, and
 * the registry must lead from its first and its last byte to it and to its class. */
typedef struct {
    uint64_t pages, skewed, collisions, found, used;
} hak_verify_t;

static void hak_verify_page(hak_mf2_page_t *page, void *context) {
    hak_verify_t *v = context;
    uintptr_t base = hak_mf2_page_base(page);
    unsigned sc = hak_load_rlx(&page->sc); /* relaxed, here and below: a statistic */
    unsigned tagged = (hak_registry_tag(base) & (HAK_TAG_CLASSES - 1)) >> HAK_BIN_SHIFT;
    bool first = hak_mf2_page_of(base) == page;
    bool last = hak_mf2_page_of(base + HAK_MF2_PAGE_BYTES - 1) == page;
    v->pages++;
    v->skewed += (base & (HAK_MF2_PAGE_BYTES - 1)) != 0;
    v->collisions += !first || !last;
    v->found += first && last && tagged == sc;
    v->used += hak_load_rlx(&page->used);
}

void hak_mf2_fill_counters(struct hak_stats *stats) {
    hak_verify_t v = {0};
    hak_mf2_counters_t sum;
    hak_each_page(hak_verify_page, &v);
    hak_mf2_counters_sum(&sum);
    /* relaxed, all of them: a snapshot of our own */
    stats->mf2_pages_allocated = hak_load_rlx(&sum.pages_allocated);
    stats->mf2_page_reuses = hak_load_rlx(&sum.page_reuses);
    stats->mf2_adoptions = hak_load_rlx(&sum.adoptions);
    stats->mf2_pending_enqueued = hak_load_rlx(&sum.pending_enqueued);
    stats->mf2_pending_drained = hak_load_rlx(&sum.pending_drained);
    stats->mf2_requeues = hak_load_rlx(&sum.requeues);
    stats->mf2_lease_skips = hak_load_rlx(&sum.lease_skips);
    stats->mf2_drain_tries = hak_load_rlx(&sum.drain_tries);
    stats->mf2_drain_other = hak_load_rlx(&sum.drain_other);
    stats->mf2_handoffs = hak_load_rlx(&sum.handoffs);
    stats->mf2_orphan_pages = hak_mf2_orphans_count();
    stats->mf2_alignment_bugs = v.skewed;
    stats->mf2_registry_collisions = v.collisions;
    stats->mf2_lookup_success_percent = v.pages == 0 ? 100 : v.found * 100 / v.pages;
    /* Blocks that left the pages, came back or are still out: kept apart from `used`, so that a
     * free that vanished would show. While threads run the three are read at different moments. */
    uint64_t out = hak_load_rlx(&sum.blocks_out) - hak_load_rlx(&sum.blocks_in);
    stats->mf2_silent_drops = out > v.used ? out - v.used : v.used - out;
    hak_learn_counters(stats);
}

/* A block that a page gave without being opened for it is a hit. */
static void hak_collect(hak_learner_totals_t *out) {
    hak_mf2_counters_t sum;
    hak_mf2_counters_sum(&sum);
    /* relaxed, both: a snapshot of our own */
    uint64_t blocks = hak_load_rlx(&sum.blocks_out), pages = hak_load_rlx(&sum.pages_allocated);
    out->ace.count[HAK_ACE_MID_HIT] += blocks > pages ? blocks - pages : 0;
    out->ace.count[HAK_ACE_MID_MISS] += pages;
}

const hak_learn_pool_t hak_mf2_learn = {
    .has_dyn = true, .collect = hak_collect, .purge = hak_mf2_learn_purge};

typedef struct {
    size_t faults;
    uint64_t orphans, queued;
} hak_check_t;

static void hak_check_owner(const hak_mf2_page_t *page, unsigned sc, hak_check_t *check) {
    /* relaxed, here and below: the heaps stand still */
    uintptr_t owner = hak_load_rlx(&page->owner);
    if (owner == 0) {
        check->faults += page->listed || !hak_mf2_page_is_used_up(page);
        return;
    }
    check->faults += !page->listed || hak_mf2_page_is_used_up(page);
    if (owner == HAK_MF2_ORPHAN) {
        check->orphans++;
        return;
    }
    const hak_mf2_heap_t *heap = (const hak_mf2_heap_t *)owner;
    uint32_t tag = heap->heap->tag | sc << HAK_BIN_SHIFT;
    check->faults += hak_load_rlx(&page->home) != owner;
    check->faults += hak_registry_tag(hak_mf2_page_base(page)) != tag;
}

static void hak_check_page(hak_mf2_page_t *page, void *context) {
    hak_check_t *check = context;
    unsigned sc = hak_load_rlx(&page->sc);
    uint32_t used = hak_load_rlx(&page->used);
    uint32_t carved = hak_load_rlx(&page->carved);
    uint32_t on_list = 0;
    for (hak_block_t *b = page->free; b != NULL && on_list <= carved; b = hak_block_next(b)) {
        if (hak_mf2_page_block_index(page, (uintptr_t)b) >= carved) {
            check->faults++;
            break;
        }
        on_list++;
    }
    check->faults += used + on_list != carved || carved > page->cap;
    check->faults += hak_mf2_remote_count(page) > used;
    check->queued += hak_mf2_remote_is_queued(page);
    hak_check_owner(page, sc, check);
}

size_t hak_mf2_check(void) {
    hak_check_t check = {0};
    hak_each_page(hak_check_page, &check);
    check.faults += hak_mf2_pool_check_locked();
    check.faults += hak_mf2_orphans_check_locked(check.orphans);
    if (hak_audit_is_alone()) { /* else a push may be on its way */
        uint64_t stacked = 0;
        for (const hak_mf2_heap_t *h = hak_mf2_heap_first(); h != NULL; h = h->all_next) {
            for (unsigned i = 0; i < HAK_MF2_CLASSES; i++) {
                stacked += hak_mf2_pending_count(h, i, (uint32_t)check.queued + 1);
            }
        }
        check.faults += stacked != check.queued;
    }
    return check.faults;
}

void hak_mf2_fork_take(void) {
    hak_mf2_orphans_fork_take();
    hak_mf2_pool_fork_take();
    hak_learn_fork_take();
    hak_dyn_class_fork_take();
}

static void hak_queue_again(hak_mf2_page_t *page, void *unused) {
    (void)unused;
    if (hak_mf2_remote_is_queued(page)) {
        hak_mf2_pending_push_mt(page);
    }
}

/* A thread that is gone may have turned `queued` on and not yet pushed the page: the stacks are
 * built anew. */
void hak_mf2_fork_drop(bool in_child) {
    if (in_child) {
        for (hak_mf2_heap_t *heap = hak_mf2_heap_first(); heap != NULL; heap = heap->all_next) {
            hak_mf2_pending_forget(heap);
        }
        hak_each_page(hak_queue_again, NULL);
        hak_mf2_sweeper_forget();
    }
    hak_dyn_class_fork_drop();
    hak_learn_fork_drop(in_child);
    hak_mf2_pool_fork_drop();
    hak_mf2_orphans_fork_drop();
}
