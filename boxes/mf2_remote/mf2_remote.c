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
         * page hands on, by its stack, all that was done to it up to its last drain; pairs with
         * take_unqueue. */
    } while (!hak_cas_weak_acq_rel(&page->remote, &old, word));
    return (old & HAK_QUEUED) == 0;
}

hak_block_t *hak_mf2_remote_take_owner(hak_mf2_page_t *page, uint32_t *count) {
    uint64_t old = hak_load_rlx(&page->remote); /* relaxed: a guess, the CAS checks it */
    /* acquire: pairs with the release in push. No release: a push that follows pairs with the
     * take_unqueue before, which this does not break. */
    while (!hak_cas_weak_acq(&page->remote, &old, old & HAK_QUEUED)) {
    }
    *count = (uint32_t)(old >> HAK_COUNT_SHIFT);
    return hak_head(old);
}

hak_block_t *hak_mf2_remote_take_unqueue_owner(hak_mf2_page_t *page, uint32_t *count) {
    /* acquire: pairs with the release in push. release: who has the page in hand next, by way of
     * the next push, comes after us; pairs with the acquire there. */
    uint64_t old = hak_swap_acq_rel(&page->remote, 0);
    hak_debug_assert((old & HAK_QUEUED) != 0);
    *count = (uint32_t)(old >> HAK_COUNT_SHIFT);
    return hak_head(old);
}
