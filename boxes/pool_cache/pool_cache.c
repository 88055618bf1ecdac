#include "boxes/pool_cache/pool_cache.h"

#include "boxes/pool_cache/pool_cache_internal.h"
#include "boxes/pool_shard/pool_shard.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/meta/meta.h"
#include "core/options/options.h"
#include "registry/registry_inl.h"

hak_pool_cache_t *hak_pool_cache_of_owner(hak_heap_t *heap) {
    hak_pool_cache_t *cache = hak_pool_cache_find(heap);
    if (hak_likely(cache != NULL)) {
        return cache;
    }
    cache = hak_meta_alloc_mt(sizeof *cache);
    if (cache == NULL) {
        return NULL;
    }
    cache->heap = heap;
    cache->ring_cap = (uint32_t)hak_option(HAK_OPTION_POOL_RING_CAP);
    cache->runs = (uint32_t)hak_option(HAK_OPTION_POOL_TLS_PAGES);
    cache->home = ((heap->tag >> HAK_TAG_OWNER_SHIFT) - 1) % hak_cfg_pool_shards;
    /* pairs with the acquire in hak_pool_cache_find */
    hak_store_rel(&heap->backend[HAK_HEAP_MID_POOL], (uintptr_t)cache);
    return cache;
}

void hak_pool_cache_put_owner(hak_pool_cache_t *cache, unsigned ci, hak_block_t *block) {
    hak_pool_bin_t *bin = &cache->bin[ci];
    hak_pool_cache_touch(cache);
    if (hak_likely(bin->top < cache->ring_cap)) {
        bin->ring[bin->top++] = block;
        return;
    }
    if (bin->lifo_count == hak_pool_blocks(ci)) {
        hak_block_t *list = bin->lifo;
        bin->lifo = NULL;
        bin->lifo_count = 0;
        hak_pool_shard_put_mt(ci, list);
    }
    hak_block_link(block, bin->lifo);
    bin->lifo = block;
    bin->lifo_count++;
}

void hak_pool_cache_drain_inbox_owner(hak_pool_cache_t *cache, unsigned ci) {
    hak_pool_bin_t *bin = &cache->bin[ci];
    uint32_t count;
    hak_block_t *list = hak_mpsc_stack_take_mt(&bin->inbox, &count);
    while (list != NULL) {
        hak_block_t *next = hak_block_next(list);
        hak_pool_cache_put_owner(cache, ci, list);
        list = next;
    }
    hak_count_add(&bin->counters.inbox_drained, count);
}

void hak_pool_cache_send_mt(hak_pool_cache_t *mine, hak_pool_page_t *page, unsigned ci,
                            hak_block_t *block) {
    /* relaxed: of the heap only atomic words are looked at, and their first value is the kernel's
     * zero */
    hak_heap_t *owner = (hak_heap_t *)hak_load_rlx(&page->heap);
    /* relaxed: a hint. If the thread has just ended, its heap's next thread or a purge finds the
     * block. */
    hak_pool_cache_t *other = hak_load_rlx(&owner->idle) == 0 ? hak_pool_cache_find(owner) : NULL;
    if (other != NULL && other != mine &&
        hak_mpsc_stack_push_mt(&other->bin[ci].inbox, block, block, 1, HAK_POOL_INBOX_MOST)) {
        hak_pool_cache_touch(other);
        if (mine != NULL) {
            hak_count_add(&mine->bin[ci].counters.inbox_sent, 1);
        }
        return;
    }
    hak_pool_shard_send_mt(page, ci, block);
}

/* The ring becomes a list in front of the lifo. */
static hak_block_t *hak_ring_to_list(hak_pool_bin_t *bin) {
    hak_block_t *list = bin->lifo;
    while (bin->top != 0) {
        hak_block_t *block = bin->ring[--bin->top];
        hak_block_link(block, list);
        list = block;
    }
    bin->lifo = NULL;
    bin->lifo_count = 0;
    return list;
}

void hak_pool_cache_flush_owner(hak_pool_cache_t *cache) {
    /* relaxed: before we look; what comes later sets it again */
    hak_store_rlx(&cache->touched, 0);
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        hak_pool_bin_t *bin = &cache->bin[ci];
        uint32_t count;
        hak_pool_shard_put_mt(ci, hak_ring_to_list(bin));
        hak_pool_shard_put_mt(ci, hak_mpsc_stack_take_mt(&bin->inbox, &count));
        hak_count_add(&bin->counters.inbox_drained, count);
        for (unsigned i = 0; i < HAK_POOL_RUNS_MOST; i++) {
            if (bin->run[i].page != NULL) {
                hak_pool_page_park_mt(bin->run[i].page);
                bin->run[i] = (hak_pool_run_t){NULL, NULL, 0};
            }
        }
    }
}

/* A free block of this class. */
static bool hak_is_sound(const hak_block_t *block, unsigned ci) {
    const hak_pool_page_t *page = hak_pool_page_of((uintptr_t)block);
    uint32_t offset = (uint32_t)((uintptr_t)block % HAK_UNIT_BYTES);
    /* relaxed: everything stands still */
    return page != NULL && hak_load_rlx(&page->sc) == hak_pool_sc(ci) &&
           offset % hak_pool_bytes(ci) == 0 &&
           offset / hak_pool_bytes(ci) < hak_load_rlx(&page->carved) &&
           (!hak_cfg_check_double_free ||
            hak_block_has_mark(block, hak_registry_mark((uintptr_t)block)));
}

static size_t hak_check_list(const hak_block_t *block, uint64_t most, unsigned ci) {
    uint64_t count = 0;
    for (; block != NULL && count <= most; block = hak_block_next(block)) {
        if (!hak_is_sound(block, ci)) {
            return 1;
        }
        count++;
    }
    return count != most;
}

size_t hak_pool_cache_check_locked(const hak_pool_cache_t *cache) {
    size_t faults = 0;
    for (unsigned ci = 0; ci < HAK_POOL_CLASSES; ci++) {
        const hak_pool_bin_t *bin = &cache->bin[ci];
        for (uint32_t i = 0; i < bin->top; i++) {
            faults += !hak_is_sound(bin->ring[i], ci);
        }
        faults += bin->top > cache->ring_cap || bin->lifo_count > hak_pool_blocks(ci);
        faults += hak_check_list(bin->lifo, bin->lifo_count, ci);
        faults +=
            hak_check_list(hak_mpsc_stack_head(&bin->inbox), hak_mpsc_stack_count(&bin->inbox), ci);
        for (unsigned i = 0; i < HAK_POOL_RUNS_MOST; i++) {
            const hak_pool_run_t *run = &bin->run[i];
            /* relaxed: as above */
            faults += run->page != NULL &&
                      (hak_load_rlx(&run->page->state) != HAK_POOL_PAGE_ACTIVE ||
                       hak_load_rlx(&run->page->carved) + run->count != hak_pool_blocks(ci));
        }
    }
    return faults;
}
