#include "boxes/pool_list/pool_list.h"

const char hak_pool_list_name[] = "mutex";
const bool hak_pool_list_uses_cas = false;

/* Inside the lock. Seq_cst, because who looks for blocks reads the top without the lock: it comes
 * before the own look at the shard's mask, in the one order of all seq_cst accesses. */
static void hak_set_top_locked(hak_pool_list_t *list, uint64_t id) {
    hak_store_seq(&list->stack.word, id); /* pairs with hak_tagged_stack_look */
}

static uint32_t hak_top_locked(const hak_pool_list_t *list) {
    return hak_tagged_stack_top(hak_load_rlx(&list->stack.word)); /* relaxed: under the lock */
}

void hak_pool_list_push_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of, uint32_t first,
                           uint32_t last, uint32_t count) {
    hak_a32_t *link = link_of(last);
    hak_lock_take(&list->lock);
    hak_store_rlx(link, hak_top_locked(list)); /* relaxed: the lock publishes it */
    hak_set_top_locked(list, first);
    hak_count_add(&list->count, count);
    hak_lock_drop(&list->lock);
}

static bool hak_enter(hak_pool_list_t *list, bool wait) {
    if (wait) {
        hak_lock_take(&list->lock);
        return true;
    }
    hak_add_rlx(&list->tries, 1); /* relaxed, both: statistics */
    if (hak_lock_try(&list->lock)) {
        return true;
    }
    hak_add_rlx(&list->failures, 1);
    return false;
}

uint32_t hak_pool_list_take_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of, uint32_t most,
                               uint32_t *ids, bool wait) {
    if (!hak_enter(list, wait)) {
        return HAK_POOL_LIST_BUSY;
    }
    uint32_t count = 0;
    uint32_t id = hak_top_locked(list);
    while (id != 0 && count < most) {
        ids[count++] = id;
        id = hak_load_rlx(link_of(id)); /* relaxed: under the lock */
    }
    if (count != 0) {
        hak_set_top_locked(list, id);
        hak_count_add(&list->count, -(uint64_t)count);
    }
    hak_lock_drop(&list->lock);
    return count;
}

uint32_t hak_pool_list_take_all_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of,
                                   uint32_t *count) {
    (void)link_of; /* the other implementation has to count */
    hak_lock_take(&list->lock);
    uint32_t first = hak_top_locked(list);
    *count = (uint32_t)hak_load_rlx(&list->count); /* relaxed: under the lock */
    hak_set_top_locked(list, 0);
    hak_store_rlx(&list->count, 0);
    hak_lock_drop(&list->lock);
    return first;
}
