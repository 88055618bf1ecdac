#include "boxes/mf2_heap/mf2_heap.h"

#include <errno.h>

#include "core/errors/errors.h"
#include "core/meta/meta.h"

static hak_aptr_t hak_all; /* hak_mf2_heap_t */
static hak_mf2_counters_t hak_nobodys;

hak_mf2_heap_t *hak_mf2_heap_of_owner(hak_heap_t *heap) {
    hak_mf2_heap_t *mine = hak_mf2_heap_of(heap);
    if (hak_likely(mine != NULL)) {
        return mine;
    }
    mine = hak_meta_alloc_mt(sizeof *mine);
    if (mine == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    mine->heap = heap;
    uintptr_t first = hak_load_rlx(&hak_all); /* relaxed: a guess, the CAS checks it */
    do {
        mine->all_next = (hak_mf2_heap_t *)first;
        /* release: publishes the heap. Pairs with the acquire in hak_mf2_heap_first, which gets the
         * older ones too: each of these writes goes on with the release of the one before. */
    } while (!hak_cas_weak_rel(&hak_all, &first, (uintptr_t)mine));
    hak_store_rlx(&heap->backend[HAK_HEAP_MF2], (uintptr_t)mine); /* relaxed: see hak_mf2_heap_of */
    return mine;
}

hak_mf2_heap_t *hak_mf2_heap_first(void) {
    return (hak_mf2_heap_t *)hak_load_acq(&hak_all); /* pairs with the release above */
}

static hak_mf2_page_t **hak_list_of(hak_mf2_heap_t *mine, const hak_mf2_page_t *page) {
    /* relaxed: fixed while the page is open */
    return &mine->list[hak_mf2_index(hak_load_rlx(&page->sc))];
}

void hak_mf2_heap_link_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page, bool in_front) {
    hak_mf2_page_t **list = hak_list_of(mine, page);
    hak_mf2_page_t *first = *list;
    hak_debug_assert(!page->listed && hak_load_rlx(&page->owner) == (uintptr_t)mine);
    page->listed = 1;
    hak_count_add(&mine->pages, 1);
    if (first == NULL || in_front) {
        page->prev = NULL;
        page->next = first;
        *list = page;
    } else {
        page->prev = first;
        page->next = first->next;
        first->next = page;
    }
    if (page->next != NULL) {
        page->next->prev = page;
    }
}

void hak_mf2_heap_unlink_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page) {
    hak_debug_assert(page->listed && hak_load_rlx(&page->owner) == (uintptr_t)mine);
    if (page->prev != NULL) {
        page->prev->next = page->next;
    } else {
        *hak_list_of(mine, page) = page->next;
    }
    if (page->next != NULL) {
        page->next->prev = page->prev;
    }
    page->listed = 0;
    hak_count_add(&mine->pages, -1u);
}

void hak_mf2_heap_release_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page) {
    hak_debug_assert(hak_mf2_page_is_used_up(page));
    hak_mf2_heap_unlink_owner(mine, page);
    /* release: all that we did to the page. Pairs with the acquire of the next owner's CAS. */
    hak_store_rel(&page->owner, 0);
}

hak_mf2_counters_t *hak_mf2_counters(hak_mf2_heap_t *mine) {
    return mine != NULL ? &mine->counters : &hak_nobodys;
}

static void hak_add(hak_mf2_counters_t *sum, const hak_mf2_counters_t *c) {
    enum { WORDS = sizeof *c / sizeof(hak_a64_t) };
    hak_a64_t *to = &sum->pages_allocated;
    const hak_a64_t *from = &c->pages_allocated;
    for (unsigned i = 0; i < WORDS; i++) {
        hak_count_add(&to[i], hak_load_rlx(&from[i])); /* relaxed: statistics */
    }
}

void hak_mf2_counters_sum(hak_mf2_counters_t *out) {
    *out = (hak_mf2_counters_t){0};
    hak_add(out, &hak_nobodys);
    for (const hak_mf2_heap_t *h = hak_mf2_heap_first(); h != NULL; h = h->all_next) {
        hak_add(out, &h->counters);
    }
}
