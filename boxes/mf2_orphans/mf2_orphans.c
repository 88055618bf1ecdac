#include "boxes/mf2_orphans/mf2_orphans.h"

#include "boxes/mf2_remote/mf2_remote.h"
#include "core/errors/errors.h"
#include "core/lock/lock.h"

static struct {
    hak_lock_t lock;
    hak_mf2_page_t *list[HAK_MF2_CLASSES];
    hak_a64_t count[HAK_MF2_CLASSES];
} hak_orphans = {.lock = HAK_LOCK_INIT(HAK_RANK_MF2_ORPHANS)};

static unsigned hak_index_of(const hak_mf2_page_t *page) {
    return hak_mf2_index(hak_load_rlx(&page->sc)); /* relaxed: fixed while the page is open */
}

static void hak_link_locked(hak_mf2_page_t *page) {
    unsigned index = hak_index_of(page);
    page->prev = NULL;
    page->next = hak_orphans.list[index];
    if (page->next != NULL) {
        page->next->prev = page;
    }
    hak_orphans.list[index] = page;
    page->listed = 1;
    hak_count_add(&hak_orphans.count[index], 1);
}

static void hak_unlink_locked(hak_mf2_page_t *page) {
    unsigned index = hak_index_of(page);
    if (page->prev != NULL) {
        page->prev->next = page->next;
    } else {
        hak_orphans.list[index] = page->next;
    }
    if (page->next != NULL) {
        page->next->prev = page->prev;
    }
    page->listed = 0;
    hak_count_add(&hak_orphans.count[index], -1ull);
}

void hak_mf2_orphans_leave_owner(hak_mf2_heap_t *mine, hak_mf2_page_t *page) {
    hak_debug_assert(!page->listed && hak_load_rlx(&page->owner) == (uintptr_t)mine);
    (void)mine;
    hak_lock_take(&hak_orphans.lock);
    hak_link_locked(page);
    /* relaxed: who reads this value asks again under the lock */
    hak_store_rlx(&page->owner, HAK_MF2_ORPHAN);
    hak_lock_drop(&hak_orphans.lock);
}

hak_mf2_page_t *hak_mf2_orphans_take_mt(hak_mf2_heap_t *mine, unsigned index) {
    if (hak_load_rlx(&hak_orphans.count[index]) == 0) { /* relaxed: a hint that saves the lock */
        return NULL;
    }
    hak_lock_take(&hak_orphans.lock);
    hak_mf2_page_t *page = hak_orphans.list[index];
    if (page != NULL) {
        hak_unlink_locked(page);
        /* release: publishes `mine`, which may be new, to who has the page in hand meanwhile. Pairs
         * with the acquire in mf2_adopt. */
        hak_store_rel(&page->owner, (uintptr_t)mine);
    }
    hak_lock_drop(&hak_orphans.lock);
    return page;
}

bool hak_mf2_orphans_claim_mt(hak_mf2_heap_t *mine, hak_mf2_page_t *page) {
    hak_lock_take(&hak_orphans.lock);
    bool here = hak_load_rlx(&page->owner) == HAK_MF2_ORPHAN; /* relaxed: written under the lock */
    if (here) {
        hak_unlink_locked(page);
        /* relaxed: it is in our hand, and who has it next comes after our drain */
        hak_store_rlx(&page->owner, (uintptr_t)mine);
    }
    hak_lock_drop(&hak_orphans.lock);
    return here;
}

static hak_mf2_absorb_t hak_absorb_locked(hak_mf2_page_t *page, uint32_t *count) {
    /* acquire: pairs with the release in hak_mf2_heap_release_owner and below. 0 stays, for the
     * page is in our hand, and ORPHAN stays under the lock: a store is enough. */
    uintptr_t owner = hak_load_acq(&page->owner);
    if (owner != 0 && owner != HAK_MF2_ORPHAN) {
        return HAK_MF2_OWNED;
    }
    hak_store_rlx(&page->owner, HAK_MF2_ORPHAN); /* relaxed: as in hak_mf2_orphans_leave_owner */
    hak_block_t *list = hak_mf2_remote_take_unqueue_owner(page, count);
    hak_mf2_page_put_owner(page, list, *count);
    bool was_here = owner == HAK_MF2_ORPHAN;
    if (hak_load_rlx(&page->used) == 0) { /* relaxed: the lock makes us the owner */
        if (was_here) {
            hak_unlink_locked(page);
        }
        return HAK_MF2_EMPTIED;
    }
    if (!was_here && hak_mf2_page_is_used_up(page)) {
        /* its blocks had been taken while it was queued; release: pairs with the acquires of who
         * owns it next, who may have it in hand already */
        hak_store_rel(&page->owner, 0);
    } else if (!was_here) {
        hak_link_locked(page);
    }
    return HAK_MF2_ABSORBED;
}

hak_mf2_absorb_t hak_mf2_orphans_absorb_mt(hak_mf2_page_t *page, uint32_t *count) {
    hak_lock_take(&hak_orphans.lock);
    hak_mf2_absorb_t result = hak_absorb_locked(page, count);
    hak_lock_drop(&hak_orphans.lock);
    return result;
}

uint64_t hak_mf2_orphans_count(void) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < HAK_MF2_CLASSES; i++) {
        sum += hak_load_rlx(&hak_orphans.count[i]); /* relaxed: a statistic */
    }
    return sum;
}

size_t hak_mf2_orphans_check_locked(uint64_t count) {
    size_t faults = 0;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HAK_MF2_CLASSES; i++) {
        for (const hak_mf2_page_t *p = hak_orphans.list[i]; p != NULL && seen <= count;
             p = p->next) {
            faults += hak_load_rlx(&p->owner) != HAK_MF2_ORPHAN || hak_index_of(p) != i; /* relaxed:
                                                                                 under the lock */
            seen++;
        }
    }
    return faults + (seen != count) + (hak_mf2_orphans_count() != count);
}

void hak_mf2_orphans_fork_take(void) { hak_lock_take(&hak_orphans.lock); }
void hak_mf2_orphans_fork_drop(void) { hak_lock_drop(&hak_orphans.lock); }
