/* Wholly free pages out of the shards, and the box's own check.
 *
 * The shard's blocks are taken whole, counted per page, and put back but for those of pages that
 * are complete. Another thread that looks meanwhile finds the shard empty and goes on to the next
 * or to a new page; nothing waits.
 */
#include "boxes/pool_shard/pool_shard_internal.h"

static hak_lock_t hak_collect_lock = HAK_LOCK_INIT(HAK_RANK_MID_COLLECT);
static uint32_t hak_next_region; /* where the next look begins; under the lock */

void hak_pool_shard_lock(void) { hak_lock_take(&hak_collect_lock); }
bool hak_pool_shard_try_lock(void) { return hak_lock_try(&hak_collect_lock); }
void hak_pool_shard_unlock(void) { hak_lock_drop(&hak_collect_lock); }

/* True if the page should be taken out now. Notes since when it is free. */
static bool hak_is_due(hak_pool_page_t *page, uint64_t now_ms, uint64_t delay_ms) {
    /* relaxed, all: a guess, the collector counts by hand */
    uint32_t state = hak_load_rlx(&page->state), carved = hak_load_rlx(&page->carved);
    if ((state != HAK_POOL_PAGE_FULL && state != HAK_POOL_PAGE_PARKED) ||
        hak_load_rlx(&page->shared) != carved) {
        return false;
    }
    uint64_t since_ms = hak_load_rlx(&page->free_since_ms);
    if (since_ms == 0) {
        hak_store_rlx(&page->free_since_ms, now_ms | 1);
        since_ms = now_ms;
    }
    return since_ms + delay_ms <= now_ms + 1;
}

enum { HAK_SET_ASIDE = 1u << 31 };

/* A chain of ids. */
typedef struct {
    uint32_t first, last, count;
} hak_chain_t;

static void hak_chain_add(hak_chain_t *chain, uint32_t id) {
    /* release: pairs with the acquire in tagged_stack's take, which may see it before the push */
    hak_store_rel(hak_pool_page_link(id), chain->first);
    chain->last = chain->first == 0 ? id : chain->last;
    chain->first = id;
    chain->count++;
}

/* Splits the chain that begins with `id`: blocks of complete pages are dropped and their pages
 * listed, the others are kept. Nobody else may open a page before its last block is out of the
 * chain: its links would change under us. */
static hak_pool_page_t *hak_split(uint32_t id, uint64_t now_ms, uint64_t delay_ms,
                                  hak_chain_t *keep) {
    hak_pool_page_t *complete = NULL;
    while (id != 0) {
        hak_pool_page_t *page = hak_pool_page_of_id(id);
        uint32_t next = hak_load_rlx(hak_pool_page_link(id)); /* relaxed: in our hand */
        /* relaxed: closing looks again */
        if (page->in_hand == hak_load_rlx(&page->carved) && hak_is_due(page, now_ms, delay_ms)) {
            page->in_hand |= HAK_SET_ASIDE;
            page->due_next = complete;
            complete = page;
        } else if ((page->in_hand & HAK_SET_ASIDE) == 0) {
            page->in_hand = 0; /* not complete, and so for its other blocks */
            hak_chain_add(keep, id);
        }
        id = next;
    }
    return complete;
}

/* Closes the pages of a list. One that a heap has begun to carve further gets its blocks back: all
 * that it had carved when it was set aside. */
static unsigned hak_close_pages(hak_pool_page_t *page, hak_chain_t *keep) {
    unsigned closed = 0;
    while (page != NULL) {
        hak_pool_page_t *next = page->due_next;
        uint32_t blocks = page->in_hand & ~HAK_SET_ASIDE;
        page->in_hand = 0;
        if (hak_pool_page_close_mt(page, blocks)) {
            closed++;
        } else {
            uint32_t id = hak_pool_page_first_id(page);
            for (uint32_t i = 0; i < blocks; i++) {
                hak_chain_add(keep, id + i);
            }
        }
        page = next;
    }
    return closed;
}

/* Finds out, by hand, which pages of the shard are complete, and closes them. */
static unsigned hak_collect_shard_locked(unsigned ci, unsigned shard, uint64_t now_ms,
                                         uint64_t delay_ms) {
    uint32_t count = 0;
    (void)hak_pool_shard_drain_mt(ci, shard);
    hak_pool_list_t *list = &hak_pool_shards[ci][shard].list;
    uint32_t first = hak_pool_list_take_all_mt(list, hak_pool_page_link, &count);
    for (uint32_t id = first; id != 0; id = hak_load_rlx(hak_pool_page_link(id))) {
        hak_pool_page_of_id(id)->in_hand++; /* the link above: relaxed, in our hand */
    }
    hak_chain_t keep = {0, 0, 0};
    hak_pool_page_t *complete = hak_split(first, now_ms, delay_ms, &keep);
    unsigned closed = hak_close_pages(complete, &keep);
    if (keep.count != 0) {
        hak_pool_list_push_mt(list, hak_pool_page_link, keep.first, keep.last, keep.count);
    }
    hak_pool_shard_sync_mt(ci, shard);
    return closed;
}

unsigned hak_pool_shard_collect_locked(uint64_t now_ms, uint64_t delay_ms, uint32_t most_pages) {
    uint64_t due[HAK_POOL_CLASSES] = {0};
    uint32_t regions = hak_pool_page_regions();
    uint32_t looks = most_pages / HAK_POOL_REGION_PAGES;
    for (uint32_t i = 0; i < regions && i < looks; i++) {
        hak_next_region = hak_next_region >= regions ? 1 : hak_next_region + 1;
        hak_pool_region_t *region = hak_pool_page_region_at(hak_next_region);
        for (unsigned p = 0; p < HAK_POOL_REGION_PAGES; p++) {
            hak_pool_page_t *page = &region->page[p];
            unsigned sc = hak_load_acq(&page->sc); /* pairs with hak_pool_page_take_mt */
            if (sc != 0 && hak_is_due(page, now_ms, delay_ms)) {
                due[hak_pool_class(sc)] |= 1ull << page->shard;
            }
        }
    }
    unsigned closed = 0;
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        for (uint64_t left = due[ci]; left != 0; left &= left - 1) {
            closed += hak_collect_shard_locked(ci, hak_lowest_bit(left), now_ms, delay_ms);
        }
    }
    return closed;
}

/* Counts the blocks of one shard into their pages' `in_hand`. */
static size_t hak_count_shard(unsigned ci, unsigned s) {
    const hak_pool_shard_t *shard = &hak_pool_shards[ci][s];
    uint64_t most =
        hak_load_rlx(&shard->list.count); /* relaxed, here and below: all stands still */
    uint64_t count = 0;
    size_t faults = 0;
    uint32_t id = hak_pool_list_top(&shard->list);
    for (; id != 0 && count <= most; id = hak_load_rlx(hak_pool_page_link(id))) {
        hak_pool_page_t *page = hak_pool_page_of_id(id);
        faults += page->shard != s || hak_load_rlx(&page->sc) != hak_pool_sc(ci);
        page->in_hand++;
        count++;
    }
    faults += count != most;
    most = hak_mpsc_stack_count(&shard->remote);
    count = 0;
    for (hak_block_t *b = hak_mpsc_stack_head(&shard->remote); b != NULL && count <= most;
         b = hak_block_next(b)) {
        hak_pool_page_t *page = hak_pool_page_of((uintptr_t)b);
        if (page == NULL || page->shard != s || hak_load_rlx(&page->sc) != hak_pool_sc(ci)) {
            return faults + 1;
        }
        page->in_hand++;
        count++;
    }
    bool bit = (hak_load_rlx(&hak_pool_masks[ci].bits) >> s & 1) != 0;
    bool holds = hak_pool_list_top(&shard->list) != 0 || most != 0;
    return faults + (count != most) + (bit != holds);
}

size_t hak_pool_shard_check_locked(void) {
    size_t faults = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t i = 1; i <= hak_pool_page_regions(); i++) {
            hak_pool_region_t *region = hak_pool_page_region_at(i);
            for (unsigned p = 0; p < HAK_POOL_REGION_PAGES; p++) {
                hak_pool_page_t *page = &region->page[p];
                faults += pass == 1 && page->in_hand != hak_load_rlx(&page->shared);
                page->in_hand = 0;
            }
        }
        for (unsigned ci = 0; pass == 0 && ci < HAK_POOL_CLASSES; ci++) {
            for (unsigned s = 0; s < hak_cfg_pool_shards; s++) {
                faults += hak_count_shard(ci, s);
            }
        }
    }
    return faults;
}
