#include "backends/os/os.h"
#include "boxes/pool_list/pool_list.h"
#include "core/options/options.h"

const char hak_pool_list_name[] = "lockfree";
const bool hak_pool_list_uses_cas = true;

enum { HAK_PATIENCE = 100, HAK_BACKOFF_MOST = 10 };

/* What one call has gone through. */
typedef struct {
    uint32_t failures;
    bool has_lock;
} hak_patience_t;

static void hak_back_off(uint32_t rounds) {
    unsigned shift = rounds < HAK_BACKOFF_MOST ? rounds : HAK_BACKOFF_MOST;
    for (uint32_t i = 0; i < 1u << shift; i++) {
        hak_compiler_fence(); /* time passes, nothing else */
    }
    if (rounds > HAK_BACKOFF_MOST) {
        hak_os_yield();
    }
}

/* After a compare-and-swap that failed. All that is lock-free stays so under each policy: `mutex`
 * lets one of those who lost patience try at a time. */
static void hak_lose(hak_pool_list_t *list, hak_patience_t *patience) {
    if (++patience->failures <= HAK_PATIENCE) {
        return;
    }
    switch ((hak_pool_cas_policy_t)hak_option(HAK_OPTION_POOL_CAS_POLICY)) {
    case HAK_POOL_CAS_BACKOFF:
        hak_back_off(patience->failures - HAK_PATIENCE);
        break;
    case HAK_POOL_CAS_MUTEX:
        if (!patience->has_lock) {
            hak_lock_take(&list->lock);
            patience->has_lock = true;
        }
        break;
    case HAK_POOL_CAS_SPIN:
    default:
        break;
    }
}

static void hak_settle(hak_pool_list_t *list, const hak_patience_t *patience) {
    if (patience->has_lock) {
        hak_lock_drop(&list->lock);
    }
    hak_add_rlx(&list->tries, patience->failures + 1); /* relaxed, both: statistics */
    if (patience->failures != 0) {
        hak_add_rlx(&list->failures, patience->failures);
    }
}

void hak_pool_list_push_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of, uint32_t first,
                           uint32_t last, uint32_t count) {
    hak_patience_t patience = {0, false};
    hak_a32_t *link = link_of(last);
    uint64_t seen = hak_tagged_stack_look(&list->stack);
    /* relaxed: a statistic. Before the push, so that a take never makes it negative. */
    hak_add_rlx(&list->count, count);
    while (!hak_tagged_stack_try_push_mt(&list->stack, &seen, first, link)) {
        hak_lose(list, &patience);
    }
    hak_settle(list, &patience);
}

uint32_t hak_pool_list_take_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of, uint32_t most,
                               uint32_t *ids, bool wait) {
    (void)wait; /* nobody is ever inside */
    hak_patience_t patience = {0, false};
    uint64_t seen = hak_tagged_stack_look(&list->stack);
    uint32_t count = 0;
    while (hak_tagged_stack_top(seen) != 0) {
        count = hak_tagged_stack_try_take_mt(&list->stack, &seen, link_of, most, ids);
        if (count != 0) {
            break;
        }
        hak_lose(list, &patience);
    }
    hak_settle(list, &patience);
    hak_sub_rlx(&list->count, count); /* relaxed: a statistic */
    return count;
}

uint32_t hak_pool_list_take_all_mt(hak_pool_list_t *list, hak_tagged_link_fn *link_of,
                                   uint32_t *count) {
    uint32_t first = hak_tagged_stack_take_all_mt(&list->stack);
    *count = 0;
    for (uint32_t id = first; id != 0; id = hak_load_rlx(link_of(id))) { /* relaxed: ours now */
        ++*count;
    }
    hak_sub_rlx(&list->count, *count); /* relaxed: a statistic */
    return first;
}
