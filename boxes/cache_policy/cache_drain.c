/* Periodic drain: the tiny notes' "Option B", with "drain all" as the default of the batch. The
 * free that reaches the interval is part of what is drained, so after it the bin is empty.
 */
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"
#include "core/owner_lock/owner_lock_inl.h"

/* The interval is meant for blocks up to this size. Above, it shrinks with the size, so that no
 * bin may hold more bytes than one of these. */
enum { HAK_FULL_INTERVAL_BYTES = 1024 };

const char hak_cache_policy_name[] = "drain";

bool hak_cache_policy_keeps(void) { return hak_option(HAK_OPTION_TINY_TLS_SLL) != 0; }

/* Frees that a bin takes before the one that drains it. */
static uint32_t hak_room(unsigned sc) {
    if (!hak_cache_policy_keeps()) {
        return 0;
    }
    if (hak_option(HAK_OPTION_TINY_SLL_DRAIN_ENABLE) == 0) {
        return INT32_MAX;
    }
    uint64_t interval = hak_option(HAK_OPTION_TINY_SLL_DRAIN_INTERVAL);
    uint32_t bytes = hak_dyn_class_bytes(sc);
    if (bytes > HAK_FULL_INTERVAL_BYTES) {
        interval = interval * HAK_FULL_INTERVAL_BYTES / bytes;
    }
    return interval == 0 ? 0 : (uint32_t)interval - 1;
}

static void hak_note_most(hak_heap_t *mine, unsigned sc, uint64_t most) {
    uint32_t bound = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    if (hak_load_rlx(&mine->cached_max[sc]) < bound) { /* relaxed: a statistic */
        hak_store_rlx(&mine->cached_max[sc], bound);
    }
}

void hak_cache_policy_start_owner(hak_heap_t *mine) {
    for (unsigned sc = 0; sc < HAK_SC_COUNT; sc++) {
        uint32_t bytes = hak_dyn_class_bytes(sc);
        mine->bin_cap[sc] = bytes == 0 ? 0 : hak_room(sc);
        if (sc > HAK_SC_FIXED) {
            mine->spare_bytes[sc - HAK_SC_FIXED - 1] = bytes;
        }
        /* the heap has slabs of the class: frees may fill the bin */
        if (hak_load_rlx(&mine->cached_max[sc]) != 0) {
            hak_store_rlx(&mine->cached_max[sc], mine->bin_cap[sc]); /* relaxed: a statistic */
        }
    }
}

bool hak_cache_policy_resize_owner(hak_heap_t *mine, unsigned sc, uint32_t bytes) {
    uint32_t *known = &mine->spare_bytes[sc - HAK_SC_FIXED - 1];
    if (*known == bytes) {
        return false;
    }
    *known = bytes;
    mine->bin_cap[sc] = hak_room(sc);
    if (hak_tls.heap == mine) { /* else it is borrowed */
        hak_tls_sll_resize(sc, bytes, mine->bin_cap[sc]);
    }
    hak_store_rlx(&mine->cached_max[sc], 0); /* relaxed: a statistic */
    return true;
}

/* This policy has no limits for all threads. */
void hak_cache_policy_end_owner(hak_heap_t *mine) { (void)mine; }

void hak_cache_policy_fill_owner(hak_heap_t *mine, unsigned sc, hak_block_t *list, uint32_t count) {
    hak_tls.bin[sc].head = list;
    bool drains = hak_option(HAK_OPTION_TINY_SLL_DRAIN_ENABLE) != 0;
    hak_note_most(mine, sc, drains ? (uint64_t)mine->bin_cap[sc] + count : UINT32_MAX);
}

void hak_cache_policy_note_overflow_owner(hak_heap_t *mine, unsigned sc) {
    mine->bin_cap[sc] = hak_room(sc); /* options may have changed */
    hak_tls.bin[sc].room = (int32_t)mine->bin_cap[sc];
}

/* Nothing: a drain is due after so many frees of own blocks. */
void hak_cache_policy_wants_owner(hak_heap_t *mine, unsigned sc) {
    (void)mine;
    (void)sc;
}
void hak_cache_policy_share_owner(const hak_heap_t *mine) { (void)mine; }

void hak_cache_policy_overflow_owner(hak_heap_t *mine, hak_block_t *block, unsigned sc) {
    hak_bin_t *bin = &hak_tls.bin[sc];
    hak_cache_policy_note_overflow_owner(mine, sc);
    hak_block_link(block, bin->head);
    bin->head = block;
    bool keeps = hak_cache_policy_keeps();
    if (keeps && hak_option(HAK_OPTION_TINY_SLL_DRAIN_ENABLE) == 0) {
        return; /* 2^31 frees, and no drain is wanted */
    }
    uint64_t batch = hak_option(HAK_OPTION_TINY_SLL_DRAIN_BATCH);
    bool all = batch == 0 || batch > UINT32_MAX || !keeps;
    hak_owner_lock_take_owner(&mine->lock);
    (void)hak_flush_list_locked(mine, sc, &bin->head, all ? UINT32_MAX : (uint32_t)batch);
    hak_count_add(&mine->counters.cache_drains, keeps);
    hak_owner_lock_drop_owner(&mine->lock);
}

/* All blocks go home now and then anyway. */
void hak_cache_policy_growing_locked(hak_heap_t *mine) { (void)mine; }
