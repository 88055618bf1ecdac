/* The way of an allocation, station by station: see the head of pool_cache.h. */
#include "boxes/policy/policy.h"
#include "boxes/pool_cache/pool_cache_internal.h"
#include "boxes/pool_shard/pool_shard.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/options/options.h"
#include "registry/registry_inl.h"

enum { HAK_STEAL_LOOKS = 8 }; /* shards that one allocation tries */

static void hak_trace(const hak_pool_cache_t *cache, hak_pool_station_t station) {
    if (hak_cfg_debug && cache->trace != NULL) {
        cache->trace(cache->trace_context, station);
    }
}

uint32_t hak_pool_cache_batch(unsigned ci) {
    uint32_t blocks = hak_pool_blocks(ci);
    return blocks < HAK_POOL_RING_MOST / 2 ? blocks : HAK_POOL_RING_MOST / 2;
}

static void hak_mark(char *block) {
    if (hak_cfg_check_double_free) {
        hak_block_set_mark((hak_block_t *)block, hak_registry_mark((uintptr_t)block));
    }
}

/* What an allocation that missed may take along. */
typedef struct {
    uint32_t blocks; /* from lifo or runs */
    uint32_t shared; /* from a shard */
    unsigned pages;  /* of a refill */
    unsigned looks;  /* at other shards */
} hak_ration_t;

/* Without a cap, and at it, a shard gives `most`: a learner must not make that worse. */
static hak_ration_t hak_ration(hak_pool_bin_t *bin, unsigned ci, uint32_t most) {
    uint32_t cap = hak_policy_cap(ci);
    unsigned pages = most != 0 ? (unsigned)hak_option(HAK_OPTION_POOL_REFILL_BATCH) : 1;
    hak_ration_t ration = {1, most != 0 ? most : 1, pages, HAK_STEAL_LOOKS};
    if (hak_likely(cap == 0) || most == 0) {
        return ration;
    }
    uint64_t in_use = hak_load_rlx(&hak_pool_page_counters.in_use[ci]); /* relaxed: a hint */
    uint32_t slack = in_use < cap ? cap - (uint32_t)in_use : 0;
    uint32_t blocks = hak_policy_bundle(slack, bin->missed++);
    ration.blocks = blocks < HAK_POOL_RING_MOST / 2 ? blocks : HAK_POOL_RING_MOST / 2;
    ration.shared = ration.blocks < most ? most : ration.blocks;
    if (slack == 0) {
        ration.pages = 1;
        ration.looks = HAK_POOL_SHARDS_MOST;
    } else if (slack < pages) {
        ration.pages = slack;
    }
    return ration;
}

/* Of blocks[], the first is for the caller and the others go to the ring, which is empty. */
static hak_block_t *hak_keep(hak_pool_cache_t *cache, unsigned ci, hak_block_t **blocks,
                             uint32_t count) {
    for (uint32_t i = count; i > 1; i--) {
        hak_pool_cache_put_owner(cache, ci, blocks[i - 1]);
    }
    return blocks[0];
}

/* The next blocks of the first page that has some. */
static hak_block_t *hak_take_from_runs(hak_pool_cache_t *cache, unsigned ci, uint32_t most) {
    hak_pool_run_t *runs = cache->bin[ci].run;
    hak_block_t *blocks[HAK_POOL_RING_MOST];
    for (unsigned i = 0; i < cache->runs; i++) {
        hak_pool_run_t *run = &runs[i];
        if (run->page == NULL) {
            continue;
        }
        uint32_t count = most < run->count ? most : run->count;
        blocks[0] = hak_pool_page_carve_owner(run->page, ci, count);
        hak_debug_assert((char *)blocks[0] == run->bump);
        for (uint32_t k = 1; k < count; k++) {
            blocks[k] = (hak_block_t *)(run->bump + (size_t)k * hak_pool_bytes(ci));
            hak_mark((char *)blocks[k]);
        }
        run->bump += (size_t)count * hak_pool_bytes(ci);
        run->count -= count;
        if (run->count == 0) { /* not a comparison of addresses: a tail is no block */
            run->page = NULL;
        }
        return hak_keep(cache, ci, blocks, count);
    }
    return NULL;
}

static hak_block_t *hak_take_from_lifo(hak_pool_cache_t *cache, unsigned ci, uint32_t most) {
    hak_pool_bin_t *bin = &cache->bin[ci];
    hak_block_t *blocks[HAK_POOL_RING_MOST];
    uint32_t count = 0;
    while (count < most && bin->lifo != NULL) {
        blocks[count++] = bin->lifo;
        bin->lifo = hak_block_next(bin->lifo);
    }
    bin->lifo_count -= count;
    return count == 0 ? NULL : hak_keep(cache, ci, blocks, count);
}

/* Takes from a shard's free list, then from what was sent to it. `*busy` becomes true if another
 * thread was inside. */
static hak_block_t *hak_take_from_shard(hak_pool_cache_t *cache, unsigned ci, unsigned shard,
                                        uint32_t most, bool wait, bool *busy) {
    hak_block_t *blocks[HAK_POOL_TAKE_MOST];
    bool is_home = shard == cache->home;
    uint32_t count = hak_pool_shard_take_mt(ci, shard, most, blocks, wait);
    if (count == HAK_POOL_LIST_BUSY) {
        *busy = true;
        return NULL;
    }
    if (is_home && count == 0) {
        hak_trace(cache, HAK_POOL_AT_REMOTE);
    }
    if (count == 0 && hak_pool_shard_drain_mt(ci, shard) != 0) {
        count = hak_pool_shard_take_mt(ci, shard, most, blocks, wait);
        count = count == HAK_POOL_LIST_BUSY ? 0 : count;
    }
    if (count == 0) {
        return NULL;
    }
    if (!is_home) {
        hak_count_add(&cache->bin[ci].counters.steals, 1);
    }
    return hak_keep(cache, ci, blocks, count);
}

static uint64_t hak_rotate(uint64_t mask, unsigned by) {
    return by == 0 ? mask : mask >> by | mask << (64 - by);
}

/* Other shards that have something, from the home shard on round. */
static hak_block_t *hak_steal(hak_pool_cache_t *cache, unsigned ci, uint32_t most, unsigned looks,
                              bool *busy, unsigned *busy_shard) {
    uint64_t left = hak_rotate(hak_pool_shard_mask(ci) & ~(1ull << cache->home), cache->home);
    for (unsigned i = 0; i < looks && left != 0; i++, left &= left - 1) {
        unsigned shard = (hak_lowest_bit(left) + cache->home) % 64;
        bool was_busy = false;
        hak_block_t *block = hak_take_from_shard(cache, ci, shard, most, false, &was_busy);
        if (block != NULL) {
            return block;
        }
        if (was_busy) {
            *busy = true;
            *busy_shard = shard;
        }
    }
    return NULL;
}

/* Home first, then the others. If all that might have had something were busy, waits for one: new
 * pages instead would let contention grow the heap. */
static hak_block_t *hak_take_shared(hak_pool_cache_t *cache, unsigned ci, uint32_t most,
                                    unsigned looks) {
    bool busy = false;
    unsigned busy_shard = cache->home;
    hak_block_t *block = NULL;
    hak_trace(cache, HAK_POOL_AT_LOCK);
    if ((hak_pool_shard_mask(ci) >> cache->home & 1) != 0) {
        block = hak_take_from_shard(cache, ci, cache->home, most, false, &busy);
    } else {
        hak_trace(cache, HAK_POOL_AT_REMOTE); /* its bit says that both are empty */
    }
    if (block == NULL) {
        hak_trace(cache, HAK_POOL_AT_STEAL);
        block = hak_steal(cache, ci, most, looks, &busy, &busy_shard);
    }
    if (block == NULL && busy) {
        block = hak_take_from_shard(cache, ci, busy_shard, most, true, &busy);
    }
    return block;
}

/* All blocks of the page's rest into ring, lifo and, if that is full, the shards. */
static void hak_split_page(hak_pool_cache_t *cache, unsigned ci, hak_pool_page_t *page) {
    /* relaxed: we carve it */
    uint32_t count = hak_pool_blocks(ci) - hak_load_rlx(&page->carved);
    char *block = (char *)hak_pool_page_carve_owner(page, ci, count);
    for (uint32_t i = 0; i < count; i++) {
        hak_mark(block);
        hak_pool_cache_put_owner(cache, ci, (hak_block_t *)block);
        block += hak_pool_bytes(ci);
    }
}

/* Pages from the pool: empty slots for runs first, then the ring. */
static bool hak_refill(hak_pool_cache_t *cache, unsigned ci, unsigned batch) {
    hak_pool_page_t *pages[HAK_POOL_BATCH_MOST];
    hak_pool_run_t *runs = cache->bin[ci].run;
    unsigned count = hak_pool_page_take_mt(cache->heap, ci, cache->home, batch, pages);
    unsigned slot = 0;
    for (unsigned i = 0; i < count; i++) {
        while (slot < cache->runs && runs[slot].page != NULL) {
            slot++;
        }
        if (slot == cache->runs) {
            hak_split_page(cache, ci, pages[i]);
            continue;
        }
        uint32_t carved = hak_load_rlx(&pages[i]->carved); /* relaxed: we carve it */
        char *bump = (char *)hak_pool_page_base(pages[i]) + (size_t)carved * hak_pool_bytes(ci);
        runs[slot] = (hak_pool_run_t){pages[i], bump, hak_pool_blocks(ci) - carved};
    }
    if (count != 0) {
        hak_count_add(&cache->bin[ci].counters.refills, 1);
    }
    return count != 0;
}

static hak_block_t *hak_take_missed(hak_pool_cache_t *cache, unsigned ci, uint32_t most) {
    hak_ration_t ration = hak_ration(&cache->bin[ci], ci, most);
    hak_trace(cache, HAK_POOL_AT_LIFO);
    hak_block_t *block = hak_take_from_lifo(cache, ci, ration.blocks);
    if (block != NULL) {
        return block;
    }
    hak_trace(cache, HAK_POOL_AT_RUNS);
    block = hak_take_from_runs(cache, ci, ration.blocks);
    if (block == NULL) {
        block = hak_take_shared(cache, ci, ration.shared, ration.looks);
    }
    if (block == NULL) {
        hak_trace(cache, HAK_POOL_AT_REFILL);
        block = hak_refill(cache, ci, ration.pages) ? hak_take_from_runs(cache, ci, ration.blocks)
                                                    : NULL;
    }
    return block;
}

hak_block_t *hak_pool_cache_take_owner(hak_pool_cache_t *cache, unsigned ci, uint32_t most) {
    hak_pool_bin_t *bin = &cache->bin[ci];
    hak_pool_cache_touch(cache);
    if (bin->top < HAK_POOL_INBOX_LOW && !hak_mpsc_stack_seems_empty(&bin->inbox)) {
        hak_trace(cache, HAK_POOL_AT_INBOX);
        hak_pool_cache_drain_inbox_owner(cache, ci);
    }
    hak_trace(cache, HAK_POOL_AT_RING);
    if (hak_likely(bin->top != 0)) {
        hak_count_add(&bin->counters.hits, 1);
        return bin->ring[--bin->top];
    }
    hak_count_add(&bin->counters.misses, 1);
    return hak_take_missed(cache, ci, most);
}
