#include "boxes/pool_shard/pool_shard_internal.h"

#define L                                                                                          \
    {                                                                                              \
        HAK_POOL_LIST_INIT, {                                                                      \
            { 0 }                                                                                  \
        }                                                                                          \
    }
#define L8 L, L, L, L, L, L, L, L
#define L64                                                                                        \
    { L8, L8, L8, L8, L8, L8, L8, L8 }

hak_pool_shard_t hak_pool_shards[HAK_POOL_CLASSES][HAK_POOL_SHARDS_MOST] = {L64, L64, L64, L64,
                                                                            L64};
enum { HAK_DRAIN_BLOCKS = 64 };

hak_pool_mask_t hak_pool_masks[HAK_POOL_CLASSES];
hak_pool_shard_counters_t hak_pool_shard_counters;

uint64_t hak_pool_shard_mask(unsigned ci) {
    return hak_load_rlx(&hak_pool_masks[ci].bits); /* relaxed: taking is what synchronises */
}

static bool hak_holds(const hak_pool_shard_t *shard) {
    return hak_pool_list_top(&shard->list) != 0 || hak_mpsc_stack_count(&shard->remote) != 0;
}

/* Why this suffices: say A makes the last change to the bit, and its look afterwards agrees. If B
 * changes the shard after that look, B comes here later, sees A's bit (all these accesses are in
 * one order) and changes it, against the assumption. If B changed the shard before, A saw it. So
 * the bit cannot be cleared for good while a block is there, as a count that is read and then
 * acted upon would allow. */
void hak_pool_shard_sync_mt(unsigned ci, unsigned shard) {
    hak_a64_t *bits = &hak_pool_masks[ci].bits;
    uint64_t bit = 1ull << shard;
    const hak_pool_shard_t *at = &hak_pool_shards[ci][shard];
    bool holds = hak_holds(at);
    bool again = true;
    while (again) {
        uint64_t old = hak_load_seq(bits); /* pairs with the CAS below in another thread */
        while (((old & bit) != 0) != holds && !hak_cas_seq(bits, &old, old ^ bit)) {
        }
        bool now = hak_holds(at);
        again = now != holds;
        holds = now;
    }
}

/* A block is about to be pushed. Counted before, so that `shared` is never less than what is
 * there: if it says that a page is wholly shared, then that may be early, but it cannot wrap. */
static void hak_count_in(hak_pool_page_t *page) {
    hak_add_rlx(&page->shared, 1); /* relaxed: the collector counts again by hand */
}

static void hak_count_out(hak_pool_page_t *page) {
    hak_sub_rlx(&page->shared, 1); /* relaxed: as above */
    if (hak_load_rlx(&page->free_since_ms) != 0) {
        hak_store_rlx(&page->free_since_ms, 0); /* relaxed: a time, no data behind it */
    }
}

static void hak_push_chain(unsigned ci, unsigned shard, uint32_t first, uint32_t last,
                           uint32_t count) {
    hak_pool_list_push_mt(&hak_pool_shards[ci][shard].list, hak_pool_page_link, first, last, count);
    hak_pool_shard_sync_mt(ci, shard);
}

/* Blocks that follow each other and have one shard go together. */
void hak_pool_shard_put_mt(unsigned ci, hak_block_t *list) {
    uint32_t first = 0, last = 0, count = 0;
    unsigned shard = 0;
    while (list != NULL) {
        hak_block_t *next = hak_block_next(list);
        hak_pool_page_t *page = hak_pool_page_of((uintptr_t)list);
        uint32_t id = hak_pool_page_id(ci, list);
        if (count != 0 && page->shard != shard) {
            hak_push_chain(ci, shard, first, last, count);
            count = 0;
        }
        if (count == 0) {
            last = id;
            shard = page->shard;
        } else {
            hak_store_rel(hak_pool_page_link(id), first); /* pairs with tagged_stack's take */
        }
        hak_count_in(page);
        first = id;
        count++;
        list = next;
    }
    if (count != 0) {
        hak_push_chain(ci, shard, first, last, count);
    }
}

void hak_pool_shard_send_mt(hak_pool_page_t *page, unsigned ci, hak_block_t *block) {
    unsigned shard = page->shard;
    hak_count_in(page);
    if (!hak_mpsc_stack_push_mt(&hak_pool_shards[ci][shard].remote, block, block, 1,
                                HAK_MPSC_STACK_MOST)) {
        /* as many as the stack can count wait there */
        uint32_t id = hak_pool_page_id(ci, block);
        hak_push_chain(ci, shard, id, id, 1);
        return;
    }
    hak_add_rlx(&hak_pool_shard_counters.sent, 1); /* relaxed: a statistic */
    hak_pool_shard_sync_mt(ci, shard);
}

/* What was sent is in our hand meanwhile, where nobody finds it: so it goes to the list a little at
 * a time, else others open new pages for as long as it takes to walk through all of it. */
uint32_t hak_pool_shard_drain_mt(unsigned ci, unsigned shard) {
    uint32_t count = 0;
    hak_block_t *list = hak_mpsc_stack_take_mt(&hak_pool_shards[ci][shard].remote, &count);
    hak_add_rlx(&hak_pool_shard_counters.drained, count); /* relaxed: a statistic */
    while (list != NULL) {
        uint32_t last = hak_pool_page_id(ci, list);
        uint32_t first = last, chain = 1;
        list = hak_block_next(list);
        for (; list != NULL && chain < HAK_DRAIN_BLOCKS; chain++) {
            uint32_t id = hak_pool_page_id(ci, list);
            hak_store_rel(hak_pool_page_link(id), first); /* as above */
            first = id;
            list = hak_block_next(list);
        }
        hak_push_chain(ci, shard, first, last, chain);
    }
    return count;
}

uint32_t hak_pool_shard_take_mt(unsigned ci, unsigned shard, uint32_t most, hak_block_t **blocks,
                                bool wait) {
    uint32_t ids[HAK_POOL_TAKE_MOST];
    hak_pool_list_t *list = &hak_pool_shards[ci][shard].list;
    uint32_t count = hak_pool_list_take_mt(list, hak_pool_page_link, most, ids, wait);
    if (count == HAK_POOL_LIST_BUSY) {
        return count;
    }
    for (uint32_t i = 0; i < count; i++) {
        hak_count_out(hak_pool_page_of_id(ids[i]));
        blocks[i] = hak_pool_page_block(ci, ids[i]);
    }
    if (hak_pool_list_top(list) == 0) {
        hak_pool_shard_sync_mt(ci, shard);
    }
    return count;
}

void hak_pool_shard_stats(hak_pool_shard_stats_t *out) {
    *out = (hak_pool_shard_stats_t){0, 0, 0, 0, 0};
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        /* relaxed, all: statistics */
        out->nonempty += (uint64_t)__builtin_popcountll(hak_load_rlx(&hak_pool_masks[ci].bits));
        for (unsigned s = 0; s < hak_cfg_pool_shards; s++) {
            const hak_pool_shard_t *shard = &hak_pool_shards[ci][s];
            out->listed += hak_load_rlx(&shard->list.count);
            out->remote += hak_mpsc_stack_count(&shard->remote);
            out->tries += hak_load_rlx(&shard->list.tries);
            out->failures += hak_load_rlx(&shard->list.failures);
        }
    }
}
