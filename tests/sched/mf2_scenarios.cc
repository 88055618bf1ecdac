/* boxes/mf2_remote, mf2_pending, mf2_adopt, mf2_orphans: every block of an mf2 page comes back
 * whoever takes the page meanwhile (T-05, T-07, T-17, T-20).
 */
#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_orphans/mf2_orphans.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "boxes/mf2_remote/mf2_remote.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

constexpr unsigned kIndex = 3; /* 16 KiB: four blocks a page */
constexpr uint64_t kNow = 1000;

/* Two heaps at work; two pages of heap 0, handed out whole and so released. */
struct Mf2World {
    hak_mf2_heap_t *heap[2];
    hak_mf2_page_t *page[2];
    hak_block_t *block[2][4];
};
Mf2World mf2;

void BuildMf2() {
    hak_testing::StartEngine();
    for (hak_mf2_heap_t *&heap : mf2.heap) {
        hak_heap_t *mine = hak_heap_acquire_mt();
        heap = hak_mf2_heap_of_owner(mine);
        hak_store_rlx(&mine->active_ms, kNow);
    }
    unsigned sc = hak_mf2_sc(kIndex);
    for (int p = 0; p < 2; p++) {
        hak_mf2_page_t *page = hak_mf2_pool_take_mt();
        hak_mf2_page_open(page, sc, mf2.heap[0], mf2.heap[0]->heap->tag | sc << HAK_BIN_SHIFT);
        hak_mf2_heap_link_owner(mf2.heap[0], page, true);
        for (hak_block_t *&block : mf2.block[p]) {
            block = hak_mf2_page_take_one_owner(page);
        }
        hak_mf2_heap_release_owner(mf2.heap[0], page);
        mf2.page[p] = page;
    }
}

void Free(int page, int block) {
    if (hak_mf2_remote_push_mt(mf2.page[page], mf2.block[page][block])) {
        hak_mf2_pending_push_mt(mf2.page[page]);
    }
}

uint32_t CountFree(const hak_mf2_page_t *page) {
    uint32_t on_list = 0;
    for (hak_block_t *b = page->free; b != nullptr && on_list < 5; b = hak_block_next(b)) {
        on_list++;
    }
    return on_list;
}

/* One turn of a thread that needs blocks: drains what is its own, else adopts; hands out all. */
void Allocate(int heap) {
    hak_mf2_heap_t *mine = mf2.heap[heap];
    hak_owner_lock_take_owner(&mine->heap->lock);
    if (hak_mf2_adopt_drain_owner(mine, kIndex, 4) != 0 ||
        hak_mf2_adopt_find_owner(mine, kIndex, kNow)) {
        hak_mf2_page_t *page = mine->list[kIndex];
        HAK_SCHED_CHECK(hak_load_rlx(&page->owner) == (uintptr_t)mine);
        HAK_SCHED_CHECK(!hak_mf2_page_is_used_up(page));
        HAK_SCHED_CHECK(hak_load_rlx(&page->used) + CountFree(page) == 4);
    }
    hak_owner_lock_drop_owner(&mine->heap->lock);
}

/* After all: what is pending is drained, no page is lost, and `in_use` blocks are at users. */
void CheckMf2(uint32_t in_use) {
    uint32_t used = 0;
    for (int round = 0; round < 2; round++) {
        for (hak_mf2_heap_t *heap : mf2.heap) {
            (void)hak_mf2_adopt_drain_owner(heap, kIndex, 4);
        }
    }
    for (hak_mf2_page_t *page : mf2.page) {
        HAK_SCHED_CHECK(hak_load_rlx(&page->remote) == 0);
        HAK_SCHED_CHECK(hak_load_rlx(&page->used) + CountFree(page) == 4);
        HAK_SCHED_CHECK((hak_load_rlx(&page->owner) == 0) == hak_mf2_page_is_used_up(page));
        used += hak_load_rlx(&page->used);
    }
    HAK_SCHED_CHECK(used == in_use);
    for (hak_mf2_heap_t *heap : mf2.heap) {
        HAK_SCHED_CHECK(!hak_mf2_pending_has(heap, kIndex));
    }
}
void SixOut() { CheckMf2(6); }
void FiveOut() { CheckMf2(5); }

/* The edge: two frees of one page while its home drains. */
void FreeAndDrain(int self) {
    if (self == 0) {
        Allocate(0);
    } else {
        Free(0, 0);
        Free(0, 1);
    }
}
hak_sched::Add mf2_free({"mf2_free", 2, {3, 1}, 100, BuildMf2, FreeAndDrain, SixOut});

/* The old home drains while another heap adopts, and blocks come back. */
void DrainAdoptFree(int self) {
    if (self < 2) {
        Allocate(self);
    } else {
        Free(0, 0);
        Free(0, 1);
    }
}
hak_sched::Add mf2_adopt({"mf2_adopt", 3, {2, 1}, 300, BuildMf2, DrainAdoptFree, SixOut});

/* Two pages on a stack, taken by two threads while one of them comes back: T-17. */
void BuildTwoPending() {
    BuildMf2();
    Free(0, 0);
    Free(1, 0);
}
void PopAndPush(int self) {
    hak_mf2_page_t *page = hak_mf2_pending_pop_mt(mf2.heap[0], kIndex);
    if (self == 0 && page != nullptr) {
        hak_mf2_page_t *other = hak_mf2_pending_pop_mt(mf2.heap[0], kIndex);
        HAK_SCHED_CHECK(other != page);
        hak_mf2_pending_push_mt(page);
        page = other;
    }
    if (page != nullptr) {
        hak_mf2_pending_push_mt(page);
    }
}
hak_sched::Add mf2_stack({"mf2_stack", 2, {4, 1}, 100, BuildTwoPending, PopAndPush, SixOut});

/* The thread ends, and leaves its page, while others free into it and adopt it. */
void BuildActive() {
    BuildMf2();
    Free(0, 0);
    (void)hak_mf2_adopt_drain_owner(mf2.heap[0], kIndex, 4);
}
void LeaveAdoptFree(int self) {
    if (self == 0) {
        hak_owner_lock_take_owner(&mf2.heap[0]->heap->lock);
        hak_mf2_adopt_leave_all_owner(mf2.heap[0]);
        hak_owner_lock_drop_owner(&mf2.heap[0]->heap->lock);
    } else if (self == 1) {
        Allocate(1);
    } else {
        Free(0, 1);
        Free(1, 0);
    }
}
hak_sched::Add mf2_orphans({"mf2_orphans", 3, {2, 1}, 300, BuildActive, LeaveAdoptFree, FiveOut});

} // namespace
