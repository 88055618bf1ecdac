#include "boxes/mf2_adopt/mf2_adopt.h"

#include "boxes/mf2_orphans/mf2_orphans.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "core/errors/errors.h"
#include "core/options/options.h"

enum {
    HAK_LOOK_AT = 64, /* heaps; a look is one load */
    HAK_ENTER = 4,    /* heaps whose stack is tried */
    HAK_POP = 4,      /* pages of one stack */
    HAK_LISTED = 64,  /* pages of one list to look at, beside those just drained */
};

/* One attempt of a thread to get pages. */
typedef struct {
    hak_mf2_heap_t *mine;
    uint64_t now_ms;
    bool may_enter;  /* another heap as a guest, which costs a system call */
    unsigned popped; /* pages that came to its hand */
} hak_attempt_t;

static bool hak_is_idle(const hak_mf2_heap_t *heap, uint64_t now_ms, uint64_t lease_ms) {
    const hak_heap_t *h = heap->heap;
    /* relaxed: hints, the lock decides */
    return hak_load_rlx(&h->idle) != 0 || hak_load_rlx(&h->active_ms) + lease_ms <= now_ms;
}

/* Another heap owns the page: if its thread is idle, takes the page away as a guest. */
static bool hak_take_over(hak_attempt_t *attempt, hak_mf2_heap_t *owner, hak_mf2_page_t *page) {
    if (!attempt->may_enter ||
        !hak_is_idle(owner, attempt->now_ms, hak_option(HAK_OPTION_MF2_LEASE_MS))) {
        return false;
    }
    attempt->may_enter = false;
    if (!hak_owner_lock_try_guest(&owner->heap->lock)) {
        return false;
    }
    /* relaxed: only who is inside that lock can change it from this value */
    bool is_its = hak_load_rlx(&page->owner) == (uintptr_t)owner;
    if (is_its) {
        hak_mf2_heap_unlink_owner(owner, page);
        /* relaxed: who has the page in hand next comes after the drain that follows here */
        hak_store_rlx(&page->owner, (uintptr_t)attempt->mine);
    }
    hak_owner_lock_drop_guest(&owner->heap->lock);
    return is_its;
}

static bool hak_is_leased(const hak_mf2_heap_t *mine, const hak_mf2_page_t *page, uint64_t now_ms) {
    /* relaxed: it is in our hand, which the pop made ours */
    uint64_t moved_ms = hak_load_rlx(&page->transfer_ms);
    uint64_t lease_ms = hak_option(HAK_OPTION_MF2_LEASE_MS);
    return hak_load_rlx(&page->home) != (uintptr_t)mine && moved_ms != 0 &&
           now_ms < moved_ms + lease_ms;
}

/* Makes the page in our hand ours; then it is on no list. The pop came after all that was done to
 * the page up to its last drain, this load comes after what its owner did since. */
static bool hak_claim(hak_attempt_t *attempt, hak_mf2_page_t *page, bool leased) {
    hak_mf2_heap_t *mine = attempt->mine;
    /* acquire: pairs with the releases of hak_mf2_heap_release_owner and hak_absorb_locked, and
     * with that of hak_mf2_orphans_take_mt, without which a new heap could not be looked at */
    uintptr_t owner = hak_load_acq(&page->owner);
    if (owner == (uintptr_t)mine) {
        hak_mf2_heap_unlink_owner(mine, page);
        return true;
    }
    if (owner == HAK_MF2_ORPHAN) {
        return hak_mf2_orphans_claim_mt(mine, page);
    }
    if (leased) {
        hak_mf2_count(&mine->counters.lease_skips, 1);
        return false;
    }
    if (owner != 0) {
        return hak_take_over(attempt, (hak_mf2_heap_t *)owner, page);
    }
    /* relaxed: the load has acquired, and the next to have it in hand comes after our drain. That
     * nobody else takes this step follows from the hand alone; the exchange says it once more, so
     * that a page which got on two stacks would still have one owner. */
    return hak_cas_rlx(&page->owner, &owner, (uintptr_t)mine);
}

/* The page is ours: from here on its remote frees come to us. */
static void hak_settle_in(hak_mf2_heap_t *mine, hak_mf2_page_t *page, uint64_t now_ms) {
    if (hak_load_rlx(&page->home) == (uintptr_t)mine) { /* relaxed: written by owners */
        return;
    }
    /* relaxed: who reads it only pushes to the heap's stack, whose first value is the kernel's zero
     */
    hak_store_rlx(&page->home, (uintptr_t)mine);
    hak_store_rlx(&page->transfer_ms, now_ms); /* relaxed: read by who has it in hand */
    uint32_t tag = mine->heap->tag | hak_load_rlx(&page->sc) << HAK_BIN_SHIFT;
    hak_registry_set_tags(hak_mf2_page_base(page), 1, tag);
    hak_mf2_count(&mine->counters.adoptions, 1);
    hak_count_add(&mine->heap->counters.adopted_slabs, 1);
}

/* The remote blocks of a page that we own and have in hand become free. */
static void hak_drain(hak_mf2_heap_t *mine, hak_mf2_page_t *page) {
    uint32_t count;
    hak_block_t *list = hak_mf2_remote_take_unqueue_owner(page, &count);
    hak_mf2_page_put_owner(page, list, count);
    hak_mf2_count(&mine->counters.pending_drained, 1);
    hak_mf2_count(&mine->counters.blocks_in, count);
    hak_count_add(&mine->heap->counters.drained_blocks, count);
}

/* A page in our hand: true if it is ours now and on our list, with free blocks. False and `*keep`:
 * it could not be had and is still in our hand. */
static bool hak_try(hak_attempt_t *attempt, hak_mf2_page_t *page, bool leased, bool *keep) {
    hak_mf2_heap_t *mine = attempt->mine;
    *keep = !hak_claim(attempt, page, leased);
    if (*keep) {
        return false;
    }
    hak_settle_in(mine, page, attempt->now_ms);
    hak_drain(mine, page);
    hak_mf2_heap_link_owner(mine, page, true);
    if (hak_mf2_page_is_used_up(page)) {
        /* its owner had taken the blocks while the page was queued */
        hak_mf2_heap_release_owner(mine, page);
        return false;
    }
    return true;
}

/* Up to `max_pages` pages of a stack; stops after `wanted` with free blocks. What cannot be had
 * goes back at the end, so that it does not hide what lies below; or at once, if it belongs on
 * another stack: a page that was an orphan while it was queued stands on that of its old home. */
static unsigned hak_work_off(hak_attempt_t *attempt, hak_mf2_heap_t *from, unsigned index,
                             unsigned max_pages, unsigned wanted) {
    hak_mf2_page_t *kept[HAK_POP];
    unsigned held = 0, got = 0;
    for (unsigned i = 0; i < max_pages && held < HAK_POP && got < wanted; i++) {
        hak_mf2_page_t *page = hak_mf2_pending_pop_mt(from, index);
        if (page == NULL) {
            break;
        }
        attempt->popped++;
        bool keep;
        bool leased = from != attempt->mine && hak_is_leased(attempt->mine, page, attempt->now_ms);
        got += hak_try(attempt, page, leased, &keep);
        if (!keep) {
            continue;
        }
        hak_mf2_count(&attempt->mine->counters.requeues, 1);
        if (hak_load_rlx(&page->home) ==
            (uintptr_t)from) { /* relaxed: a guess, any stack is right */
            kept[held++] = page;
        } else {
            hak_mf2_pending_push_mt(page);
        }
    }
    while (held != 0) {
        hak_mf2_pending_push_mt(kept[--held]);
    }
    return got;
}

unsigned hak_mf2_adopt_drain_owner(hak_mf2_heap_t *mine, unsigned index, unsigned max_pages) {
    if (!hak_mf2_pending_has(mine, index)) {
        return 0;
    }
    hak_attempt_t attempt = {mine, 0, false, 0};
    return hak_work_off(&attempt, mine, index, max_pages, max_pages);
}

bool hak_mf2_adopt_from_owner(hak_mf2_heap_t *mine, hak_mf2_heap_t *victim, unsigned index,
                              uint64_t now_ms) {
    hak_attempt_t attempt = {mine, now_ms, true, 0};
    return hak_mf2_pending_has(victim, index) &&
           hak_work_off(&attempt, victim, index, HAK_POP, 1) != 0;
}

static hak_mf2_heap_t *hak_next(hak_mf2_heap_t *mine) {
    hak_mf2_heap_t *heap = mine->cursor;
    if (heap == NULL) {
        heap = hak_mf2_heap_first();
    }
    mine->cursor = heap->all_next;
    return heap;
}

bool hak_mf2_adopt_find_owner(hak_mf2_heap_t *mine, unsigned index, uint64_t now_ms) {
    hak_mf2_page_t *page = hak_mf2_orphans_take_mt(mine, index);
    if (page != NULL) {
        hak_settle_in(mine, page, now_ms);
        hak_mf2_heap_link_owner(mine, page, true);
        return true;
    }
    hak_attempt_t attempt = {mine, now_ms, true, 0};
    unsigned entered = 0;
    hak_mf2_heap_t *first = NULL;
    for (unsigned i = 0; i < HAK_LOOK_AT && entered < HAK_ENTER; i++) {
        hak_mf2_heap_t *heap = hak_next(mine);
        if (heap == first) {
            break; /* once round */
        }
        first = first == NULL ? heap : first;
        if (heap == mine || !hak_mf2_pending_has(heap, index)) {
            continue;
        }
        entered++;
        if (hak_work_off(&attempt, heap, index, HAK_POP, 1) != 0) {
            return true;
        }
    }
    return false;
}

unsigned hak_mf2_adopt_drain_for_mt(hak_mf2_heap_t *other, unsigned index, unsigned max_pages) {
    if (!hak_mf2_pending_has(other, index) || !hak_owner_lock_try_guest(&other->heap->lock)) {
        return 0;
    }
    unsigned drained = hak_mf2_adopt_drain_owner(other, index, max_pages);
    hak_owner_lock_drop_guest(&other->heap->lock);
    return drained;
}

bool hak_mf2_adopt_retire_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page) {
    /* relaxed: inside the lock */
    if (hak_load_rlx(&page->used) != 0 || hak_mf2_remote_is_queued(page)) {
        return false;
    }
    hak_mf2_heap_unlink_owner(mine, page);
    hak_mf2_page_close(page);
    hak_count_add(&mine->heap->counters.slabs_retired, 1);
    hak_mf2_pool_give_mt(page);
    return true;
}

/* Returns the pages that it took in. They are in front of the list then: a long one hides none of
 * them. */
static unsigned hak_settle_class(hak_mf2_heap_t *mine, unsigned index, unsigned max_pages) {
    hak_attempt_t attempt = {mine, 0, false, 0};
    if (hak_mf2_pending_has(mine, index)) {
        (void)hak_work_off(&attempt, mine, index, max_pages, max_pages);
    }
    unsigned most = max_pages == UINT32_MAX ? UINT32_MAX : attempt.popped + HAK_LISTED;
    hak_mf2_page_t *page = mine->list[index];
    for (unsigned i = 0; page != NULL && i < most; i++) {
        hak_mf2_page_t *next = page->next;
        (void)hak_mf2_adopt_retire_owner(mine, page);
        page = next;
    }
    return attempt.popped;
}

unsigned hak_mf2_adopt_settle_owner(hak_mf2_heap_t *mine, unsigned max_pages) {
    unsigned taken = 0;
    unsigned first = mine->settles++; /* so that no class takes the others' share for ever */
    for (unsigned i = 0; i < hak_mf2_classes(); i++) {
        unsigned most = max_pages == UINT32_MAX ? UINT32_MAX : max_pages - taken;
        taken += hak_settle_class(mine, (first + i) % hak_mf2_classes(), most);
    }
    return taken;
}

void hak_mf2_adopt_leave_all_owner(hak_mf2_heap_t *mine) {
    for (unsigned index = 0; index < hak_mf2_classes(); index++) {
        while (mine->list[index] != NULL) {
            hak_mf2_page_t *page = mine->list[index];
            if (!hak_mf2_adopt_retire_owner(mine, page)) {
                hak_mf2_heap_unlink_owner(mine, page);
                hak_mf2_orphans_leave_owner(mine, page);
            }
        }
    }
}

/* A hint that there is something to settle. Of a heap whose thread is at work that is only what is
 * pending: the thread may leave it there for long, and passes are made by whoever comes first. */
static bool hak_has_something(const hak_mf2_heap_t *heap, uint64_t now_ms, uint64_t lease_ms) {
    bool pending = false;
    for (unsigned index = 0; index < hak_mf2_classes(); index++) {
        pending |= hak_mf2_pending_has(heap, index);
    }
    /* relaxed: a hint */
    return pending || (hak_load_rlx(&heap->pages) != 0 && hak_is_idle(heap, now_ms, lease_ms));
}

static hak_aptr_t hak_collected; /* hak_mf2_heap_t: where the next collection begins */

unsigned hak_mf2_adopt_collect_mt(const hak_mf2_heap_t *mine, uint64_t now_ms, uint64_t lease_ms,
                                  unsigned max_heaps, unsigned max_pages, bool orphan) {
    unsigned taken = 0;
    /* pairs with the release below */
    hak_mf2_heap_t *heap = (hak_mf2_heap_t *)hak_load_acq(&hak_collected);
    hak_mf2_heap_t *first = NULL;
    for (unsigned i = 0; i < max_heaps && taken < max_pages; i++, heap = heap->all_next) {
        heap = heap != NULL ? heap : hak_mf2_heap_first();
        if (heap == NULL || heap == first) {
            break;
        }
        first = first == NULL ? heap : first;
        if (heap != mine && hak_has_something(heap, now_ms, lease_ms) &&
            hak_owner_lock_try_guest(&heap->heap->lock)) {
            unsigned most = max_pages == UINT32_MAX ? UINT32_MAX : max_pages - taken;
            taken += hak_mf2_adopt_settle_owner(heap, most);
            if (orphan && hak_load_rlx(&heap->heap->idle) != 0) { /* relaxed: a hint */
                hak_mf2_adopt_leave_all_owner(heap);
            }
            hak_owner_lock_drop_guest(&heap->heap->lock);
        }
    }
    hak_store_rel(&hak_collected, (uintptr_t)heap); /* pairs with the acquire above */
    return taken;
}
