#include "boxes/mf2_pending/mf2_pending.h"

#define HAK_TAG_STEP (1ull << 32)

/* The head after one more change: the next tag, another page. */
static uint64_t hak_next_head(uint64_t old, uint32_t first) {
    return ((old + HAK_TAG_STEP) & ~(HAK_TAG_STEP - 1)) | first;
}

void hak_mf2_pending_push_on_mt(hak_mf2_heap_t *heap, hak_mf2_page_t *page) {
    /* relaxed: fixed while the page is open */
    hak_a64_t *head = &heap->pending[hak_mf2_index(hak_load_rlx(&page->sc))];
    uint64_t old = hak_load_rlx(head); /* relaxed: a guess, the CAS checks it */
    do {
        hak_store_rlx(&page->pending_next, (uint32_t)old); /* relaxed: published by the CAS */
        /* release: publishes the link and what we did to the page while it was in our hand. Pairs
         * with the acquire in pop. */
    } while (!hak_cas_weak_rel(head, &old, hak_next_head(old, hak_mf2_page_number(page) + 1)));
}

void hak_mf2_pending_push_mt(hak_mf2_page_t *page) {
    /* relaxed: an old home does as well, its stack is looked at too; of the heap only the stack is
     * touched, whose first value is the kernel's zero */
    hak_mf2_pending_push_on_mt((hak_mf2_heap_t *)hak_load_rlx(&page->home), page);
}

hak_mf2_page_t *hak_mf2_pending_pop_mt(hak_mf2_heap_t *heap, unsigned index) {
    hak_a64_t *head = &heap->pending[index];
    for (;;) {
        uint64_t old = hak_load_acq(head); /* pairs with the release in push */
        if ((uint32_t)old == 0) {
            return NULL;
        }
        hak_mf2_page_t *page = hak_mf2_page_numbered((uint32_t)old - 1);
        /* relaxed: stale if the page was popped meanwhile; the tag then makes the CAS fail */
        uint32_t next = hak_load_rlx(&page->pending_next);
        /* relaxed: by its tag this is the value that the load has acquired */
        if (hak_cas_rlx(head, &old, hak_next_head(old, next))) {
            return page;
        }
    }
}

void hak_mf2_pending_forget(hak_mf2_heap_t *heap) {
    for (unsigned i = 0; i < HAK_MF2_CLASSES; i++) {
        hak_store_rlx(&heap->pending[i], 0); /* relaxed: one thread left */
    }
}

uint32_t hak_mf2_pending_count(const hak_mf2_heap_t *heap, unsigned index, uint32_t most) {
    uint32_t count = 0;
    uint32_t number = (uint32_t)hak_load_rlx(&heap->pending[index]); /* relaxed: alone */
    while (number != 0 && count < most) {
        number = hak_load_rlx(&hak_mf2_page_numbered(number - 1)->pending_next); /* relaxed: same */
        count++;
    }
    return count;
}
