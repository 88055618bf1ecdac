#include "backends/slabs/slabs.h"

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/adoption/adoption.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/drain/drain.h"
#include "boxes/exact_sizes/exact_sizes.h"
#include "boxes/flush/flush.h"
#include "boxes/free_local/free_local.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
#include "boxes/refill/refill.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/transfer/transfer.h"
#include "config/hak_config.h"
#include "core/dyn_class/dyn_class.h"
#include "core/owner_lock/owner_lock_inl.h"

enum {
    HAK_CALLS_A_HEAP = 3, /* entering one may take a barrier, and its slabs that go back unmaps */
    HAK_PURGE_SLABS = 64, /* slabs of the own heap to drain in one pass */
};

static bool hak_take_back_remote(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_slab_t *slab = hak_slab_of((uintptr_t)block);
    if (mine != NULL) {
        bool added = hak_free_remote_add(mine, slab, block, sc);
        if (hak_unlikely(hak_free_remote_was_crowded(mine))) {
            hak_cache_policy_wants_owner(mine, sc);
        }
        return added;
    }
    /* relaxed: only grows while a block is in use */
    if (hak_slab_block_index(slab, (uintptr_t)block) >= hak_load_rlx(&slab->carved)) {
        return false;
    }
    hak_free_remote_push_mt(slab, block, block, 1);
    return true;
}

static void hak_thread_exit(hak_heap_t *mine) {
    hak_owner_lock_take_owner(&mine->lock);
    (void)hak_drain_pending_owner(mine, UINT32_MAX);
    (void)hak_free_local_retire_kept_owner(mine);
    hak_owner_lock_drop_owner(&mine->lock);
}

/* The caller's own heap, which adoption leaves out: its remote frees may be all that keeps slabs in
 * use. True if more wait than one call takes in. */
static bool hak_settle_own(hak_heap_t *mine, const hak_purge_order_t *order) {
    hak_flush_idle_owner(mine, order->now_ms, order->delay_ms);
    hak_free_remote_flush(mine);
    hak_owner_lock_take_owner(&mine->lock);
    bool is_cut = hak_drain_pending_owner(mine, HAK_PURGE_SLABS) == HAK_PURGE_SLABS;
    (void)hak_free_local_retire_kept_owner(mine);
    hak_owner_lock_drop_owner(&mine->lock);
    return is_cut;
}

static void hak_send_home(hak_block_t *list, unsigned sc, void *unused) {
    (void)sc;
    (void)unused;
    hak_flush_list_mt(list);
}

static void hak_flush_shared(void) { (void)hak_transfer_purge_mt(0, 0, hak_send_home, NULL); }

static size_t hak_purge(hak_heap_t *mine, const hak_purge_order_t *order) {
    (void)hak_transfer_purge_mt(order->now_ms, order->delay_ms, hak_send_home, NULL);
    size_t more = mine != NULL && hak_settle_own(mine, order);
    unsigned lease_ms = order->delay_ms < HAK_ADOPTION_LEASE_MS ? 0 : (unsigned)order->delay_ms;
    unsigned heaps = order->delay_ms == 0 ? HAK_OWNER_MAX : order->max_calls / HAK_CALLS_A_HEAP;
    more += hak_adoption_collect_mt(mine, order->now_ms, lease_ms, heaps);
    return more + hak_slot_pool_purge_mt(order->now_ms, order->delay_ms, order->max_calls,
                                         order->keep_bytes);
}

static bool hak_starts(uintptr_t address, unsigned sc) {
    const hak_slab_t *slab = hak_slab_of(address);
    uint32_t bytes = hak_dyn_class_bytes(sc);
    if (slab == NULL || bytes == 0) {
        return false;
    }
    uint32_t offset = (uint32_t)(address - hak_slab_base(slab));
    /* relaxed: fixed while a block of the slab lives */
    uint32_t end = hak_load_rlx(&slab->last_units) << HAK_UNIT_SHIFT;
    return offset % bytes == 0 && offset + bytes <= end;
}

static bool hak_describe(uintptr_t address, hak_block_info_t *info) {
    hak_slab_t *slab = hak_slab_of(address);
    if (slab == NULL) {
        return false;
    }
    /* pairs with the release in hak_slab_open */
    bool is_slab = hak_load_acq(&slab->sc) != 0;
    uint32_t bytes = hak_slab_block_bytes(slab);
    uintptr_t offset = address - hak_slab_base(slab);
    if (!is_slab || bytes == 0 || offset / bytes >= slab->cap) {
        return false;
    }
    info->block = address - offset % bytes;
    info->bytes = bytes;
    /* relaxed: only read to explain an error */
    info->handed_out = offset / bytes < hak_load_rlx(&slab->carved);
    return true;
}

static void hak_add_superslab(hak_superslab_t *ss, void *context) {
    hak_backend_stats_t *out = context;
    if (hak_load_acq(&ss->mapped) == 0) { /* pairs with the release of slot_pool */
        return;
    }
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        hak_slab_t *slab = &ss->slab[i];
        unsigned sc = hak_load_acq(&slab->sc); /* pairs with the release in hak_slab_open */
        if (sc == 0) {
            continue;
        }
        uint64_t bytes = hak_slab_block_bytes(slab);
        /* relaxed: exact when nobody works on the slab */
        uint64_t used = hak_load_rlx(&slab->used);
        uint64_t carved = hak_load_rlx(&slab->carved);
        unsigned units = hak_load_rlx(&slab->last_units);
        uint64_t touched = hak_slab_touched_bytes(slab, units, carved * bytes);
        /* freed by other threads and not taken in yet */
        uint64_t remote = hak_load_rlx(&slab->remote) >> 48, left = hak_load_rlx(&slab->left);
        uint64_t waiting = remote > left ? remote - left : 0;
        used -= waiting < used ? waiting : used;
        hak_stats_add_run(out, (uint64_t)units << HAK_UNIT_SHIFT, touched, used, bytes);
    }
}

static void hak_stats(hak_backend_stats_t *out) { hak_slot_pool_each(hak_add_superslab, out); }

/* Remote frees that no heap counts; elsewhere the spare classes are another backend's. */
static void hak_counters(struct hak_stats *stats) {
    hak_flush_stats_mt(stats);
    if (!hak_cfg_mid_ids) {
        hak_exact_sizes_stats_mt(stats);
    }
}

/* Counts the free list and the remote list of each slab and compares them with its numbers. */
static void hak_check_superslab(hak_superslab_t *ss, void *context) {
    size_t *faults = context;
    if (hak_load_acq(&ss->mapped) == 0) { /* as above */
        return;
    }
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        hak_slab_t *slab = &ss->slab[i];
        unsigned sc = hak_load_acq(&slab->sc); /* as above */
        if (sc == 0) {
            continue;
        }
        uint32_t used = hak_load_rlx(&slab->used);
        uint32_t carved = hak_load_rlx(&slab->carved);
        uint32_t left = hak_load_rlx(&slab->left);
        uint32_t on_list = 0;
        for (hak_block_t *b = slab->free; b != NULL && on_list <= carved; b = hak_block_next(b)) {
            uint32_t index = hak_slab_block_index(slab, (uintptr_t)b);
            if (index >= carved) {
                ++*faults;
                break;
            }
            on_list++;
        }
        uint64_t remote = hak_load_rlx(&slab->remote) >> 48;
        const hak_heap_t *heap = hak_slab_heap(slab);
        *faults += used + left + on_list != carved;
        *faults += carved > slab->cap || left > remote || remote - left > used;
        *faults += (used != carved || carved < slab->cap) && !slab->listed;
        *faults += hak_registry_tag(hak_slab_base(slab)) != hak_heap_slab_tag(heap, sc);
    }
}

static size_t hak_check(void) {
    size_t faults = hak_slot_pool_check_locked();
    hak_slot_pool_each(hak_check_superslab, &faults);
    return faults;
}

static void hak_queue_again(hak_superslab_t *ss, void *unused) {
    (void)unused;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        hak_slab_t *slab = &ss->slab[i];
        /* relaxed: one thread left */
        if (hak_load_rlx(&slab->sc) != 0 && hak_free_remote_is_queued(slab)) {
            hak_pending_push_mt(hak_slab_heap(slab), slab);
        }
    }
}

/* A thread that is gone may have turned `queued` on and not yet pushed the slab: the stacks are
 * built anew. */
static void hak_fork_drop(bool in_child) {
    if (in_child) {
        for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
            hak_pending_forget_owner(heap);
        }
        hak_slot_pool_each(hak_queue_again, NULL);
    }
    hak_slot_pool_fork_drop();
    hak_exact_sizes_fork_drop();
    hak_transfer_fork_drop();
}

/* The lock of core/dyn_class is free then: it is taken under these two or a heap's alone. */
static void hak_fork_take(void) {
    hak_transfer_fork_take();
    hak_exact_sizes_fork_take();
    hak_slot_pool_fork_take();
}

const hak_backend_t hak_backend_slabs = {
    .name = "slabs",
    .configure = hak_exact_sizes_configure_mt,
    .counters = hak_counters,
    .refill = hak_refill_owner,
    .refill_one = hak_refill_one_owner,
    .take_back = hak_cache_policy_overflow_owner,
    .take_back_remote = hak_take_back_remote,
    .thread_flush = hak_flush_all_owner,
    .flush_shared = hak_flush_shared,
    .thread_exit = hak_thread_exit,
    .purge = hak_purge,
    .has_garbage = hak_slot_pool_has_dirty,
    .starts = hak_starts,
    .describe = hak_describe,
    .stats = hak_stats,
    .fork_take = hak_fork_take,
    .fork_drop = hak_fork_drop,
    .check = hak_check,
};
