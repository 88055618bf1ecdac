#include "boxes/mf2_remote/mf2_remote.h"

#include "core/errors/errors.h"

#define HAK_QUEUED 1ull
#define HAK_HEAD_MASK 0x0000fffffffffff0ull
enum { HAK_COUNT_SHIFT = 48 };

static hak_block_t *hak_head(uint64_t word) {
    return (hak_block_t *)(uintptr_t)(word & HAK_HEAD_MASK);
}

bool hak_mf2_remote_push_mt(hak_mf2_page_t *page, hak_block_t *block) {
    uint64_t old = hak_load_rlx(&page->remote); /* relaxed: a guess, the CAS checks it */
    uint64_t word;
    do {
        hak_block_link(block, hak_head(old));
        word = ((old >> HAK_COUNT_SHIFT) + 1) << HAK_COUNT_SHIFT | (uintptr_t)block | HAK_QUEUED;
        /* release: publishes the link. Pairs with the acquire of the takes. acquire: who queues the
         * page must see its home; pairs with take_unqueue of an earlier owner. */
    } while (!hak_cas_weak_acq_rel(&page->remote, &old, word));
    return (old & HAK_QUEUED) == 0;
}

hak_block_t *hak_mf2_remote_take_owner(hak_mf2_page_t *page, uint32_t *count) {
    uint64_t old = hak_load_rlx(&page->remote); /* relaxed: a guess, the CAS checks it */
    /* acquire: pairs with the release in push. release: keeps push's chain of publication whole. */
    while (!hak_cas_weak_acq_rel(&page->remote, &old, old & HAK_QUEUED)) {
    }
    *count = (uint32_t)(old >> HAK_COUNT_SHIFT);
    return hak_head(old);
}

hak_block_t *hak_mf2_remote_take_unqueue_owner(hak_mf2_page_t *page, uint32_t *count) {
    /* acquire: pairs with the release in push. release: the home that we set comes before the next
     * push's look at it. */
    uint64_t old = hak_swap_acq_rel(&page->remote, 0);
    hak_debug_assert((old & HAK_QUEUED) != 0);
    *count = (uint32_t)(old >> HAK_COUNT_SHIFT);
    return hak_head(old);
}
