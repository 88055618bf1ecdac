#include "backends/mid_pool/mid_pool_internal.h"
#include "boxes/pool_cache/pool_cache.h"
#include "boxes/pool_shard/pool_shard.h"
#include "include/hakmem.h"

static void hak_add_page(const hak_pool_page_t *page, hak_backend_stats_t *out) {
    uint64_t bytes = hak_sc_bytes[hak_load_acq(&page->sc)]; /* pairs with pool_page's release */
    /* relaxed: exact when nobody works on the page; `shared` is counted before a push */
    uint64_t carved = hak_load_rlx(&page->carved), shared = hak_load_rlx(&page->shared);
    shared = shared < carved ? shared : carved;
    hak_stats_add_run(out, HAK_UNIT_BYTES, carved * bytes, carved - shared, bytes);
}

void hak_mid_pool_stats(hak_backend_stats_t *out) {
    uint32_t regions = hak_pool_page_regions();
    for (uint32_t i = 1; i <= regions; i++) {
        const hak_pool_region_t *region = hak_pool_page_region_at(i);
        for (unsigned p = 0; p < HAK_POOL_REGION_PAGES; p++) {
            hak_add_page(&region->page[p], out);
        }
    }
    const hak_pool_page_counters_t *c = &hak_pool_page_counters;
    /* relaxed, all: statistics */
    out->mapped_bytes += hak_load_rlx(&c->mapped) << HAK_WINDOW_SHIFT;
    out->mapped_peak_bytes += hak_load_rlx(&c->mapped_peak) << HAK_WINDOW_SHIFT;
    out->empty_dirty_bytes += hak_load_rlx(&c->dirty_pages) << HAK_UNIT_SHIFT;
    out->purges += hak_load_rlx(&c->purges);
    out->purged_bytes += hak_load_rlx(&c->purged_bytes);
}

static void hak_add_bin(const hak_pool_bin_counters_t *c, hak_stats_t *out) {
    /* relaxed, all: statistics */
    out->pool_hits += hak_load_rlx(&c->hits);
    out->pool_misses += hak_load_rlx(&c->misses);
    out->pool_frees += hak_load_rlx(&c->frees);
    out->pool_refills += hak_load_rlx(&c->refills);
    out->pool_steals += hak_load_rlx(&c->steals);
    out->pool_inbox_sent += hak_load_rlx(&c->inbox_sent);
    out->pool_inbox_drained += hak_load_rlx(&c->inbox_drained);
}

static void hak_add_caches(hak_stats_t *out) {
    out->pool_hits = out->pool_misses = out->pool_frees = out->pool_refills = 0;
    out->pool_steals = out->pool_inbox_sent = out->pool_inbox_drained = 0;
    for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        const hak_pool_cache_t *cache = hak_pool_cache_find(heap);
        for (unsigned ci = 0; cache != NULL && ci < HAK_POOL_CLASSES; ci++) {
            hak_add_bin(&cache->bin[ci].counters, out);
        }
    }
}

static void hak_collect(hak_learner_totals_t *out) {
    for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        const hak_pool_cache_t *cache = hak_pool_cache_find(heap);
        for (unsigned ci = 0; cache != NULL && ci < HAK_POOL_CLASSES; ci++) {
            /* relaxed, both: statistics */
            out->hits[ci] += hak_load_rlx(&cache->bin[ci].counters.hits);
            out->misses[ci] += hak_load_rlx(&cache->bin[ci].counters.misses);
        }
    }
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        out->ace.count[HAK_ACE_MID_HIT] += out->hits[ci];
        out->ace.count[HAK_ACE_MID_MISS] += out->misses[ci];
        out->class_bytes[ci] = hak_pool_bytes(ci);
    }
}

const hak_learn_pool_t hak_mid_pool_learn = {
    .has_caps = true, .collect = hak_collect, .purge = hak_mid_pool_learn_purge};

void hak_mid_pool_counters(struct hak_stats *out) {
    hak_add_caches(out);
    const hak_a64_t *opened = hak_pool_page_counters.opened;
    /* relaxed, all: statistics */
    out->pool_pages_two_kib = hak_load_rlx(&opened[0]);
    out->pool_pages_four_kib = hak_load_rlx(&opened[1]);
    out->pool_pages_eight_kib = hak_load_rlx(&opened[2]);
    out->pool_pages_sixteen_kib = hak_load_rlx(&opened[3]);
    out->pool_pages_thirtytwo_kib = hak_load_rlx(&opened[4]);
    out->pool_pages = out->pool_pages_two_kib + out->pool_pages_four_kib +
                      out->pool_pages_eight_kib + out->pool_pages_sixteen_kib +
                      out->pool_pages_thirtytwo_kib;
    out->pool_page_bytes = out->pool_pages << HAK_UNIT_SHIFT;
    out->pool_pages_closed = hak_load_rlx(&hak_pool_page_counters.closed);
    out->pool_remote_sent = hak_load_rlx(&hak_pool_shard_counters.sent);
    out->pool_remote_drained = hak_load_rlx(&hak_pool_shard_counters.drained);
    hak_pool_shard_stats_t shards;
    hak_pool_shard_stats(&shards);
    out->pool_freelist_blocks = shards.listed;
    out->pool_remote_blocks = shards.remote;
    out->pool_nonempty_shards = shards.nonempty;
    if (hak_pool_list_uses_cas) {
        out->pool_cas_tries = shards.tries;
        out->pool_cas_retries = shards.failures;
    } else {
        out->pool_trylock_tries = shards.tries;
        out->pool_trylock_failures = shards.failures;
    }
    hak_learn_counters(out);
}
