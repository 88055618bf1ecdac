#include "tests/sched/mf2_world.h"

#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace hak_sched {

Mf2World mf2;

hak_mf2_page_t *HandOutMf2Page(hak_block_t *blocks[4]) {
    hak_mf2_heap_t *heap = mf2.heap[0];
    unsigned sc = hak_mf2_sc(kMf2Index);
    hak_mf2_page_t *page = hak_mf2_pool_take_mt();
    hak_mf2_page_open(page, sc, heap, heap->heap->tag | sc << HAK_BIN_SHIFT);
    hak_mf2_heap_link_owner(heap, page, true);
    for (int i = 0; i < 4; i++) {
        blocks[i] = hak_mf2_page_take_one_owner(page);
    }
    hak_mf2_heap_release_owner(heap, page);
    return page;
}

void BuildMf2() {
    hak_testing::StartEngine();
    for (hak_mf2_heap_t *&heap : mf2.heap) {
        hak_heap_t *mine = hak_heap_acquire_mt();
        heap = hak_mf2_heap_of_owner(mine);
        hak_store_rlx(&mine->active_ms, kMf2Now);
    }
    for (int p = 0; p < 2; p++) {
        mf2.page[p] = HandOutMf2Page(mf2.block[p]);
    }
}

void BuildActiveMf2() {
    BuildMf2();
    FreeMf2(0, 0);
    (void)hak_mf2_adopt_drain_owner(mf2.heap[0], kMf2Index, 4);
}

void FreeRemote(hak_mf2_page_t *page, hak_block_t *block) {
    if (hak_mf2_remote_push_mt(page, block)) {
        hak_mf2_pending_push_mt(page);
    }
}

void FreeMf2(int page, int block) { FreeRemote(mf2.page[page], mf2.block[page][block]); }

static uint32_t CountFree(const hak_mf2_page_t *page) {
    uint32_t on_list = 0;
    for (hak_block_t *b = page->free; b != nullptr && on_list < 5; b = hak_block_next(b)) {
        on_list++;
    }
    return on_list;
}

bool RefillMf2(hak_mf2_heap_t *mine, uint64_t now_ms) {
    hak_owner_lock_take_owner(&mine->heap->lock);
    bool found = hak_mf2_adopt_drain_owner(mine, kMf2Index, 4) != 0 ||
                 hak_mf2_adopt_find_owner(mine, kMf2Index, now_ms);
    if (found) {
        hak_mf2_page_t *page = mine->list[kMf2Index];
        HAK_SCHED_CHECK(hak_load_rlx(&page->owner) == (uintptr_t)mine);
        HAK_SCHED_CHECK(!hak_mf2_page_is_used_up(page));
        HAK_SCHED_CHECK(hak_load_rlx(&page->used) + CountFree(page) == 4);
    }
    hak_owner_lock_drop_owner(&mine->heap->lock);
    return found;
}

void UseUpMf2(hak_mf2_heap_t *mine, hak_mf2_page_t *page) {
    hak_owner_lock_take_owner(&mine->heap->lock);
    while (!hak_mf2_page_is_used_up(page)) {
        (void)hak_mf2_page_take_one_owner(page);
    }
    hak_mf2_heap_release_owner(mine, page);
    hak_owner_lock_drop_owner(&mine->heap->lock);
}

void FreeAsOwnerMf2(hak_mf2_heap_t *mine, hak_mf2_page_t *page, hak_block_t *block) {
    hak_owner_lock_take_owner(&mine->heap->lock);
    bool is_mine = hak_load_rlx(&page->owner) == (uintptr_t)mine;
    if (is_mine) {
        hak_block_link(block, nullptr);
        hak_mf2_page_put_owner(page, block, 1);
    }
    hak_owner_lock_drop_owner(&mine->heap->lock);
    if (!is_mine) {
        FreeRemote(page, block);
    }
}

void CheckMf2(uint32_t in_use) {
    uint32_t used = 0;
    /* Twice: the first round may put a page on a stack that was looked at. */
    for (int round = 0; round < 2; round++) {
        for (hak_mf2_heap_t *h = hak_mf2_heap_first(); h != nullptr; h = h->all_next) {
            (void)hak_mf2_adopt_drain_owner(h, kMf2Index, 4);
        }
    }
    for (hak_mf2_page_t *page : mf2.page) {
        HAK_SCHED_CHECK(hak_load_rlx(&page->remote) == 0);
        if (hak_load_rlx(&page->sc) == 0) {
            continue; /* closed, for all its blocks were free */
        }
        HAK_SCHED_CHECK(hak_load_rlx(&page->used) + CountFree(page) == 4);
        HAK_SCHED_CHECK((hak_load_rlx(&page->owner) == 0) == hak_mf2_page_is_used_up(page));
        used += hak_load_rlx(&page->used);
    }
    HAK_SCHED_CHECK(used == in_use);
    HAK_SCHED_CHECK(hak_mf2_pool_check_locked() == 0); /* all threads have ended: no lock */
    for (hak_mf2_heap_t *h = hak_mf2_heap_first(); h != nullptr; h = h->all_next) {
        HAK_SCHED_CHECK(!hak_mf2_pending_has(h, kMf2Index));
    }
}

} // namespace hak_sched
