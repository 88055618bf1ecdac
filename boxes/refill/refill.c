#include "boxes/refill/refill.h"

#include "backends/os/os.h"
#include "boxes/adoption/adoption.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/drain/drain.h"
#include "boxes/flush/flush.h"
#include "boxes/free_local/free_local.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
#include "boxes/slab/slab_inl.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/transfer/transfer.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/owner_lock/owner_lock_inl.h"

enum {
    /* carve at most this much at once: what is not carved is not resident */
    HAK_CARVE_BYTES = 4096,
    HAK_DRAIN_SLABS = 8, /* slabs to drain in one refill */
    HAK_FEW = 8,         /* a list shorter than this is joined with the next slab's */
    HAK_JOIN_SLABS = 4,
};

/* A list of blocks on its way to the thread cache. */
typedef struct {
    hak_block_t *head;
    uint32_t count;
} hak_list_t;

/* How far it is from each block to the next at the start of a list of three or more, if it was
 * carved or its blocks were freed in order; 0 if it is in disorder. */
static intptr_t hak_step(hak_list_t list) {
    const hak_block_t *second = hak_block_next(list.head), *third = hak_block_next(second);
    intptr_t step = (intptr_t)third - (intptr_t)second;
    return step == (intptr_t)second - (intptr_t)list.head ? step : 0;
}

/* malloc learns the address of the next block from the block before, so a thread would wait for
 * each block in turn. If half the blocks of a slab are wanted, they are fetched at once: those of a
 * list in disorder, such as random frees leave, all; of one in order one for each OS page, where
 * the walk comes upon it, for within a page the processor foresees it. */
static void hak_prefetch(hak_list_t list) {
    enum { OS_PAGE = 4096, TO_WRITE = 1, INTO_L2 = 2 };
    if (list.count < HAK_FEW) {
        return;
    }
    const hak_slab_t *slab = hak_slab_of_block(list.head);
    if (2 * list.count < slab->cap) {
        return;
    }
    size_t bytes = hak_slab_block_bytes(slab);
    size_t pace = bytes < HAK_CACHE_LINE ? HAK_CACHE_LINE : bytes;
    const char *at = (const char *)hak_slab_base(slab);
    const char *end = (const char *)hak_slab_carved_end(slab);
    intptr_t step = hak_step(list);
    if (step != 0 && bytes < OS_PAGE) {
        pace = OS_PAGE / bytes * bytes;
        at += step < 0 ? pace - bytes : 0;
    }
    for (; at < end; at += pace) {
        __builtin_prefetch(at, TO_WRITE, INTO_L2);
    }
}

/* Small blocks that a slab kept in disorder are carved again: that costs no more than to fetch
 * them, and who walks over his data afterwards finds them in address order. */
static void hak_keep_order(hak_slab_t *slab) {
    hak_list_t list = {slab->free, hak_load_rlx(&slab->carved)}; /* relaxed: nobody else has it */
    if (slab->kept && hak_slab_block_bytes(slab) <= HAK_SC_SMALL_MAX_BYTES &&
        list.count >= HAK_FEW && hak_step(list) == 0) {
        hak_slab_forget(slab);
    }
}

static hak_slab_t *hak_open_slab(hak_heap_t *mine, unsigned sc) {
    uint64_t now_ms = hak_os_now_ms();
    hak_store_rlx(&mine->active_ms, now_ms); /* relaxed: a hint to others */
    hak_slab_t *slab = hak_adoption_take_owner(mine, sc, now_ms);
    if (slab == NULL) {
        hak_flush_opening_locked(mine, sc, now_ms);
        slab = hak_slot_pool_take_warm_mt(sc);
        if (slab == NULL) { /* all that is resident is in use, or seems to be */
            if (hak_flush_growing_locked(mine)) {
                hak_cache_policy_growing_locked(mine);
            }
            slab = hak_slot_pool_take_mt(sc);
        }
        if (slab == NULL) {
            return NULL;
        }
        hak_keep_order(slab);
        hak_slab_open(slab, sc);
        hak_slab_set_heap_owner(slab, mine, hak_heap_slab_tag(mine, sc));
        hak_count_add(&mine->counters.slabs_made, 1);
    }
    if (hak_unlikely(sc > HAK_SC_FIXED) &&
        hak_cache_policy_resize_owner(mine, sc, hak_slab_block_bytes(slab))) {
        mine->carve_step[sc] = 1;
    }
    hak_cache_policy_wants_owner(mine, sc);
    hak_heap_list_owner(mine, slab, HAK_HEAP_FIRST);
    return slab;
}

/* The slab's free list as a whole; its length is known without a walk. */
static hak_list_t hak_take_free(hak_slab_t *slab) {
    /* relaxed, here and below: written inside the lock */
    uint32_t used = hak_load_rlx(&slab->used), left = hak_load_rlx(&slab->left);
    hak_list_t list = {slab->free, hak_load_rlx(&slab->carved) - used - left};
    if (list.head != NULL) {
        slab->free = NULL;
        hak_store_rlx(&slab->used, used + list.count);
    } else if (!hak_free_remote_is_empty(slab)) {
        /* What came to the remote list since the last drain counts as used already. */
        list.head = hak_free_remote_take_owner(slab, &list.count);
        hak_store_rlx(&slab->used, used + left);
        hak_store_rlx(&slab->left, 0);
    }
    return list;
}

static hak_list_t hak_carve(hak_heap_t *mine, hak_slab_t *slab, unsigned sc) {
    uint32_t carved = hak_load_rlx(&slab->carved);
    uint32_t most = HAK_CARVE_BYTES / hak_slab_block_bytes(slab);
    uint32_t count = mine->carve_step[sc];
    most = most == 0 ? 1 : most;
    mine->carve_step[sc] = (uint16_t)(2 * count < most ? 2 * count : most);
    count = count < slab->cap - carved ? count : slab->cap - carved;
    hak_list_t list = {hak_slab_carve_owner(slab, count, NULL), count};
    hak_store_rlx(&slab->used, hak_load_rlx(&slab->used) + count);
    return list;
}

/* Something from the first partial slab that has anything, or from a new one. Lists are finite and
 * each step that finds nothing shortens one; a listed slab has something but for those that were
 * just emptied by an adoption. */
static hak_list_t hak_take(hak_heap_t *mine, unsigned sc, bool may_open) {
    for (;;) {
        hak_slab_t *slab = mine->partial[sc];
        if (slab == NULL) {
            slab = may_open ? hak_open_slab(mine, sc) : NULL;
            if (slab == NULL) {
                return (hak_list_t){NULL, 0};
            }
        }
        hak_list_t list = hak_take_free(slab);
        if (list.head == NULL && hak_load_rlx(&slab->carved) < slab->cap) {
            list = hak_carve(mine, slab, sc);
        }
        if (hak_load_rlx(&slab->carved) == slab->cap && hak_load_rlx(&slab->left) == 0) {
            hak_heap_unlist_owner(mine, slab);
        }
        if (list.head != NULL) {
            return list;
        }
    }
}

/* Joins short lists, so that a heap of nearly full slabs does not make a trip for each block. */
static hak_list_t hak_take_several(hak_heap_t *mine, unsigned sc) {
    hak_list_t list = hak_take(mine, sc, true);
    hak_prefetch(list);
    for (int i = 1; i < HAK_JOIN_SLABS && list.count != 0 && list.count < HAK_FEW; i++) {
        hak_slab_t *slab = mine->partial[sc];
        if (slab == NULL || (slab->free == NULL && hak_load_rlx(&slab->left) == 0)) {
            break;
        }
        hak_list_t more = hak_take(mine, sc, false);
        hak_prefetch(more);
        hak_block_t *tail = list.head; /* fewer than HAK_FEW steps */
        while (hak_block_next(tail) != NULL) {
            tail = hak_block_next(tail);
        }
        hak_block_link(tail, more.head);
        list.count += more.count;
    }
    return list;
}

/* What another thread had no room for. */
static hak_block_t *hak_take_passed_on(hak_heap_t *mine, unsigned sc) {
    hak_list_t list;
    list.head = hak_transfer_take_mt(sc, &list.count);
    if (list.head != NULL) {
        if (hak_pending_has_any(mine)) { /* nobody else does it while the thread is busy */
            hak_owner_lock_take_owner(&mine->lock);
            (void)hak_drain_pending_owner(mine, HAK_DRAIN_SLABS);
            hak_owner_lock_drop_owner(&mine->lock);
        }
        hak_cache_policy_wants_owner(mine, sc);
        hak_count_add(&mine->counters.refills, 1);
        hak_count_add(&mine->counters.refill_blocks, list.count);
        hak_cache_policy_fill_owner(mine, sc, hak_block_next(list.head), list.count - 1);
    }
    return list.head;
}

hak_block_t *hak_refill_owner(hak_heap_t *mine, unsigned sc) {
    if (hak_unlikely(!hak_cache_policy_keeps())) {
        return hak_refill_one_owner(mine, sc);
    }
    if (hak_transfer_has_any(sc)) {
        hak_block_t *block = hak_take_passed_on(mine, sc);
        if (block != NULL) {
            return block;
        }
    }
    hak_owner_lock_take_owner(&mine->lock);
    if (hak_pending_has_any(mine)) {
        (void)hak_drain_pending_owner(mine, HAK_DRAIN_SLABS);
    }
    hak_list_t list = hak_take_several(mine, sc);
    if (list.head != NULL) {
        hak_count_add(&mine->counters.refills, 1);
        hak_count_add(&mine->counters.refill_blocks, list.count);
        hak_cache_policy_fill_owner(mine, sc, hak_block_next(list.head), list.count - 1);
    }
    hak_owner_lock_drop_owner(&mine->lock);
    return list.head;
}

hak_block_t *hak_refill_one_owner(hak_heap_t *mine, unsigned sc) {
    hak_owner_lock_take_owner(&mine->lock);
    if (hak_pending_has_any(mine)) {
        (void)hak_drain_pending_owner(mine, HAK_DRAIN_SLABS);
    }
    hak_list_t list = hak_take(mine, sc, true);
    if (list.head != NULL) {
        hak_count_add(&mine->counters.refills, 1);
        hak_count_add(&mine->counters.refill_blocks, 1);
        hak_block_t *rest = hak_block_next(list.head);
        if (rest != NULL) {
            hak_slab_t *slab = hak_slab_of((uintptr_t)rest);
            hak_free_local_push_list_owner(mine, slab, rest, list.count - 1);
        }
    }
    hak_owner_lock_drop_owner(&mine->lock);
    return list.head;
}
