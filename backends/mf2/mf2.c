/* The order in which a refill looks for blocks: the active page's free list, its remote stack, its
 * uncarved rest; up to 4 pages of the heap's own pending stack; what the policy finds; an empty
 * page of the pool; a new region. A page whose last block was taken is released: it belongs to
 * nobody, and all frees to it that a thread cache does not keep go to its remote stack, also those
 * of the thread that had it.
 */
#include "backends/mf2/mf2.h"

#include "backends/mf2/mf2_internal.h"
#include "backends/os/os.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_policy/mf2_policy.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "boxes/mf2_sweeper/mf2_sweeper.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"
#include "core/owner_lock/owner_lock_inl.h"

enum {
    HAK_OWN_PAGES = 4,       /* pages of the own stack to drain in one refill */
    HAK_CARVE_BYTES = 16384, /* carve about so much at once: what is not carved is not resident */
    HAK_FEW = 4,             /* a shorter list is joined with the next page's */
    HAK_PURGE_PAGES = 768,   /* to take in at once, which takes about a millisecond */
    HAK_PURGE_HEAPS = 16,    /* heaps to look at at once */
    HAK_CALLS_AT_ONCE = 48,  /* a pass that may make so many system calls takes in once */
    HAK_PURGE_CALLS = 512,   /* of madvise in a pass of the learner's thread */
    HAK_BREATH_MS = 1,       /* between two times: an owner that waits can go in */
    HAK_LEAST_LEASE_MS = 10, /* a purge that waits less waits for nobody */
};

/* A list of blocks on its way to the thread cache. */
typedef struct {
    hak_block_t *head;
    uint32_t count;
} hak_list_t;

static bool hak_new_page(hak_mf2_heap_t *mine, unsigned index) {
    hak_mf2_page_t *page = hak_mf2_pool_take_mt();
    if (page == NULL) {
        return false;
    }
    unsigned sc = hak_mf2_sc(index);
    hak_mf2_page_open(page, sc, mine, mine->heap->tag | sc << HAK_BIN_SHIFT);
    hak_mf2_heap_link_owner(mine, page, true);
    hak_mf2_count(&mine->counters.pages_allocated, 1);
    hak_count_add(&mine->heap->counters.slabs_made, 1);
    return true;
}

/* The list of the class is empty: puts a page there. */
static bool hak_find(hak_mf2_heap_t *mine, unsigned index) {
    unsigned reused = hak_mf2_adopt_drain_owner(mine, index, HAK_OWN_PAGES);
    if (reused == 0) {
        uint64_t now_ms = hak_os_now_ms();
        hak_store_rlx(&mine->heap->active_ms, now_ms); /* relaxed: a hint to others */
        reused = hak_mf2_policy_find_owner(mine, index, now_ms);
    }
    hak_mf2_count(&mine->counters.page_reuses, reused);
    return reused != 0 || hak_new_page(mine, index);
}

static uint32_t hak_carve_count(const hak_mf2_page_t *page) {
    uint32_t most = HAK_CARVE_BYTES / hak_mf2_page_stride(page);
    uint32_t left = page->cap - hak_load_rlx(&page->carved); /* relaxed: ours */
    most = most < 2 ? 2 : most;
    return left < most ? left : most;
}

/* What the page gives at once. */
static hak_list_t hak_take_from(hak_mf2_heap_t *mine, hak_mf2_page_t *page) {
    hak_list_t list;
    list.head = hak_mf2_page_take_owner(page, &list.count);
    if (list.head == NULL && hak_mf2_remote_count(page) != 0) {
        /* What is there counts as used already, and goes on to do so. */
        list.head = hak_mf2_remote_take_owner(page, &list.count);
        hak_mf2_count(&mine->counters.blocks_in, list.count);
    }
    if (list.head == NULL && hak_load_rlx(&page->carved) < page->cap) { /* relaxed: ours */
        list.count = hak_carve_count(page);
        list.head = hak_mf2_page_carve_owner(page, list.count);
    }
    if (hak_mf2_page_is_used_up(page)) {
        hak_mf2_heap_release_owner(mine, page);
    }
    return list;
}

static hak_list_t hak_take(hak_mf2_heap_t *mine, unsigned index) {
    hak_list_t list = {NULL, 0};
    /* a listed page has something to give, so this ends */
    while (list.head == NULL && (mine->list[index] != NULL || hak_find(mine, index))) {
        list = hak_take_from(mine, mine->list[index]);
    }
    return list;
}

/* Joins short lists: a page of 32 KiB blocks has two. */
static hak_list_t hak_take_several(hak_mf2_heap_t *mine, unsigned index) {
    hak_list_t list = hak_take(mine, index);
    for (unsigned i = 1; i < HAK_FEW && list.count != 0 && list.count < HAK_FEW; i++) {
        if (mine->list[index] == NULL) {
            unsigned reused = hak_mf2_adopt_drain_owner(mine, index, 1);
            hak_mf2_count(&mine->counters.page_reuses, reused);
        }
        if (mine->list[index] == NULL || mine->list[index]->free == NULL) {
            break;
        }
        hak_list_t more = hak_take_from(mine, mine->list[index]);
        hak_block_t *tail = list.head; /* fewer than HAK_FEW steps */
        while (hak_block_next(tail) != NULL) {
            tail = hak_block_next(tail);
        }
        hak_block_link(tail, more.head);
        list.count += more.count;
    }
    return list;
}

static void hak_count_refill(hak_mf2_heap_t *mine, uint32_t blocks) {
    hak_mf2_count(&mine->counters.blocks_out, blocks);
    hak_count_add(&mine->heap->counters.refills, 1);
    hak_count_add(&mine->heap->counters.refill_blocks, blocks);
}

static hak_block_t *hak_one(hak_mf2_heap_t *mine, unsigned index) {
    if (mine->list[index] == NULL && !hak_find(mine, index)) {
        return NULL;
    }
    hak_mf2_page_t *page = mine->list[index];
    hak_block_t *block = hak_mf2_page_take_one_owner(page);
    if (hak_mf2_page_is_used_up(page)) {
        hak_mf2_heap_release_owner(mine, page);
    }
    hak_count_refill(mine, 1);
    return block;
}

static hak_block_t *hak_refill_one(hak_heap_t *heap, unsigned sc) {
    hak_block_t *block = NULL;
    hak_owner_lock_take_owner(&heap->lock);
    hak_mf2_heap_t *mine = hak_mf2_heap_of_owner(heap);
    if (mine != NULL) {
        hak_mf2_policy_tick_owner(mine, hak_mf2_index(sc));
        block = hak_one(mine, hak_mf2_index(sc));
    }
    hak_owner_lock_drop_owner(&heap->lock);
    return block;
}

static hak_block_t *hak_refill(hak_heap_t *heap, unsigned sc) {
    if (hak_unlikely(!hak_cache_policy_keeps())) {
        return hak_refill_one(heap, sc);
    }
    hak_list_t list = {NULL, 0};
    hak_owner_lock_take_owner(&heap->lock);
    hak_mf2_heap_t *mine = hak_mf2_heap_of_owner(heap);
    if (hak_likely(mine != NULL)) {
        hak_mf2_policy_tick_owner(mine, hak_mf2_index(sc));
        list = hak_take_several(mine, hak_mf2_index(sc));
    }
    if (list.head != NULL) {
        hak_count_refill(mine, list.count);
        hak_cache_policy_fill_owner(heap, sc, hak_block_next(list.head), list.count - 1);
    }
    hak_owner_lock_drop_owner(&heap->lock);
    return list.head;
}

/* To the page's remote stack. */
static void hak_send(hak_heap_t *heap, hak_mf2_page_t *page, hak_block_t *block) {
    if (hak_mf2_remote_push_mt(page, block)) {
        hak_mf2_heap_t *mine = heap == NULL ? NULL : hak_mf2_heap_of(heap);
        hak_mf2_count(&hak_mf2_counters(mine)->pending_enqueued, 1);
        hak_mf2_pending_push_mt(page);
    }
    if (heap != NULL) {
        hak_count_add(&heap->counters.remote_blocks, 1);
        hak_count_add(&heap->counters.remote_batches, 1);
    }
}

/* The heap owns the page. */
static void hak_put_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page, hak_block_t *block) {
    hak_block_link(block, NULL);
    hak_mf2_page_put_owner(page, block, 1);
    hak_mf2_count(&mine->counters.blocks_in, 1);
    bool only_one = page->prev == NULL && page->next == NULL;
    if (!only_one) { /* the last one stays, for the next allocation */
        (void)hak_mf2_adopt_retire_owner(mine, page);
    }
}

/* A block that leaves the thread cache. The heap has been refilled before, or got the page's tag
 * when it was. */
static void hak_put_back(hak_heap_t *heap, hak_block_t *block, unsigned sc) {
    hak_mf2_page_t *page = hak_mf2_page_of((uintptr_t)block);
    hak_mf2_heap_t *mine = hak_mf2_heap_of(heap);
    hak_count_add(&heap->counters.flushed_blocks, 1);
    /* relaxed: a guess that saves the lock; that it is ours is asked again inside, and that it is
     * not cannot change while we are out here */
    if (mine != NULL && (hak_mf2_policy_ticks || hak_load_rlx(&page->owner) == (uintptr_t)mine)) {
        hak_owner_lock_take_owner(&heap->lock);
        if (hak_mf2_policy_ticks) {
            hak_mf2_policy_tick_owner(mine, hak_mf2_index(sc));
        }
        bool is_mine = hak_load_rlx(&page->owner) == (uintptr_t)mine; /* relaxed: inside the lock */
        if (is_mine) {
            hak_put_owner(mine, page, block);
        }
        hak_owner_lock_drop_owner(&heap->lock);
        if (is_mine) {
            return;
        }
    }
    hak_send(heap, page, block);
}

static void hak_take_back(hak_heap_t *heap, hak_block_t *block, unsigned sc) {
    hak_cache_policy_note_overflow_owner(heap, sc);
    hak_put_back(heap, block, sc);
}

static bool hak_take_back_remote(hak_heap_t *heap, hak_block_t *block, unsigned sc) {
    (void)sc;
    hak_mf2_page_t *page = hak_mf2_page_of((uintptr_t)block);
    /* relaxed: only grows */
    if (hak_mf2_page_block_index(page, (uintptr_t)block) >= hak_load_rlx(&page->carved)) {
        return false;
    }
    hak_send(heap, page, block);
    return true;
}

static void hak_flush_class(hak_heap_t *heap, unsigned sc) {
    hak_block_t *block = hak_tls_sll_take_all(sc, heap->bin_cap[sc]);
    while (block != NULL) {
        hak_block_t *next = hak_block_next(block);
        hak_put_back(heap, block, sc);
        block = next;
    }
}

static void hak_thread_flush(hak_heap_t *heap) {
    for (unsigned index = 0; index < hak_mf2_classes(); index++) {
        hak_flush_class(heap, hak_mf2_sc(index));
    }
}

/* No malloc takes from the bins of sizes that were given up, so they would hold their pages. */
static void hak_flush_given_up(hak_heap_t *heap) {
    for (unsigned index = HAK_MF2_FIXED; index < hak_mf2_classes(); index++) {
        if (!hak_dyn_class_is_current_mt(hak_mf2_sc(index))) {
            hak_flush_class(heap, hak_mf2_sc(index));
        }
    }
}

static void hak_thread_exit(hak_heap_t *heap) {
    hak_mf2_heap_t *mine = hak_mf2_heap_of(heap);
    if (mine == NULL) {
        return;
    }
    hak_owner_lock_take_owner(&heap->lock);
    if (hak_mf2_policy_orphans) {
        hak_mf2_adopt_leave_all_owner(mine);
    }
    hak_owner_lock_drop_owner(&heap->lock);
}

/* Lets the owners in whose heaps were settled: the thread is hakmem's own. */
static void hak_breathe(void) {
    uint32_t word = 0;
    hak_os_wait(&word, 0, HAK_BREATH_MS); /* nobody wakes it: it sleeps */
}

/* Other heaps. A pass that may make many system calls, which no malloc waits for, takes in as much
 * as its share of them, but not at once. */
static bool hak_settle_others(const hak_mf2_heap_t *mine, const hak_purge_order_t *order) {
    bool all = order->delay_ms == 0;
    uint64_t lease_ms = order->delay_ms < HAK_LEAST_LEASE_MS ? 0 : order->delay_ms;
    unsigned heaps = all ? HAK_OWNER_MAX : HAK_PURGE_HEAPS;
    unsigned pages = all ? UINT32_MAX : HAK_PURGE_PAGES;
    unsigned times = order->max_calls / HAK_CALLS_AT_ONCE;
    while (hak_mf2_adopt_collect_mt(mine, order->now_ms, lease_ms, heaps, pages,
                                    hak_mf2_policy_orphans) == pages) {
        if (times <= 1) {
            return true;
        }
        times--;
        hak_breathe();
    }
    return false;
}

/* True if more waits than one call takes in. */
static bool hak_settle(hak_heap_t *heap, const hak_purge_order_t *order) {
    hak_mf2_heap_t *mine = heap == NULL ? NULL : hak_mf2_heap_of(heap);
    bool is_cut = false;
    if (mine != NULL) {
        unsigned pages = order->delay_ms == 0 ? UINT32_MAX : HAK_PURGE_PAGES;
        hak_flush_given_up(heap);
        hak_owner_lock_take_owner(&heap->lock);
        is_cut = hak_mf2_adopt_settle_owner(mine, pages) == pages;
        hak_owner_lock_drop_owner(&heap->lock);
    }
    return hak_settle_others(mine, order) || is_cut;
}

/* Also what the sweeper has in hand. */
static bool hak_settle_all(hak_heap_t *heap, const hak_purge_order_t *order) {
    hak_mf2_sweeper_pause();
    (void)hak_settle(heap, order);
    (void)hak_settle(heap, order); /* the first round moved pages to stacks that it had passed */
    hak_mf2_sweeper_go_on();
    return false;
}

static size_t hak_purge(hak_heap_t *heap, const hak_purge_order_t *order) {
    bool is_cut = (order->delay_ms == 0 ? hak_settle_all : hak_settle)(heap, order);
    return is_cut + hak_mf2_pool_purge_mt(order->now_ms, order->delay_ms, order->max_calls,
                                          order->keep_bytes);
}

void hak_mf2_learn_purge(uint64_t now_ms, bool turned) {
    hak_purge_order_t order = {now_ms, hak_option(HAK_OPTION_PURGE_DELAY_MS), HAK_PURGE_CALLS, 0};
    if (turned) { /* pages of the old size wait with remote frees, and nobody asks for them */
        (void)hak_mf2_adopt_collect_mt(NULL, now_ms, 0, HAK_OWNER_MAX, UINT32_MAX,
                                       hak_mf2_policy_orphans);
    }
    (void)hak_purge(NULL, &order);
}

static bool hak_set_size(unsigned which, hak_option_id_t id, bool warn) {
    if (hak_dyn_class_assign_mt(which, hak_option(id))) {
        return true;
    }
    hak_options_refuse(id, hak_dyn_class_size_mt(which),
                       warn ? "taken, or not between 2 and 32 KiB" : NULL);
    return false;
}

static bool hak_configure(bool warn) {
    hak_learn_configure(&hak_mf2_learn, warn);
    bool first = hak_set_size(0, HAK_OPTION_MID_DYN1, warn);
    return hak_set_size(1, HAK_OPTION_MID_DYN2, warn) && first;
}

static void hak_start(void) {
    hak_mf2_sweeper_start();
    hak_learn_start(&hak_mf2_learn);
}

const hak_backend_t hak_backend_mf2 = {
    .name = "mf2",
    .refill = hak_refill,
    .refill_one = hak_refill_one,
    .take_back = hak_take_back,
    .take_back_remote = hak_take_back_remote,
    .thread_flush = hak_thread_flush,
    .thread_exit = hak_thread_exit,
    .configure = hak_configure,
    .start = hak_start,
    .purge = hak_purge,
    .has_garbage = hak_mf2_pool_has_dirty,
    .describe = hak_mf2_describe,
    .stats = hak_mf2_stats,
    .counters = hak_mf2_fill_counters,
    .pause = hak_mf2_sweeper_pause,
    .go_on = hak_mf2_sweeper_go_on,
    .fork_take = hak_mf2_fork_take,
    .fork_drop = hak_mf2_fork_drop,
    .check = hak_mf2_check,
};
