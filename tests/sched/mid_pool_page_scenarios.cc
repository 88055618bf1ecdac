/* boxes/pool_page, boxes/pool_shard, boxes/pool_cache: pages that are made, carved on and collected
 * while others look, and blocks on their way to a heap's inbox.
 */
#include "boxes/heap/heap.h"
#include "boxes/pool_cache/pool_cache.h"
#include "boxes/pool_page/pool_page.h"
#include "boxes/pool_shard/pool_shard.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
#include "registry/registry_inl.h"
}

namespace {

/* 32 KiB: two blocks fill a page. */
enum { CI = 4, SHARD = 3 };

hak_heap_t *heaps[2];
hak_pool_cache_t *caches[2];
hak_pool_page_t *pages[2];
hak_block_t *in_use[2];

hak_block_t *BlockOf(hak_pool_page_t *page, uint32_t i) {
    return hak_pool_page_block(CI, hak_pool_page_first_id(page) + i);
}
void Put(hak_block_t *block) {
    hak_block_link(block, nullptr);
    hak_pool_shard_put_mt(CI, block);
}
void PutPage(hak_pool_page_t *page) {
    hak_block_link(BlockOf(page, 1), BlockOf(page, 0));
    hak_block_link(BlockOf(page, 0), nullptr);
    hak_pool_shard_put_mt(CI, BlockOf(page, 1));
}
/* Carves `blocks`. */
hak_pool_page_t *NewPage(unsigned shard, uint32_t blocks) {
    hak_pool_page_t *page = nullptr;
    (void)hak_pool_page_take_mt(heaps[0], CI, shard, 1, &page);
    (void)hak_pool_page_carve_owner(page, CI, blocks);
    return page;
}
void Collect() {
    hak_pool_shard_lock();
    (void)hak_pool_shard_collect_locked(1000, 0, HAK_POOL_REGION_PAGES);
    hak_pool_shard_unlock();
}
void BuildNothing() {
    hak_testing::StartEngine();
    heaps[0] = hak_heap_acquire_mt();
    heaps[1] = hak_heap_acquire_mt();
}
void BooksAreRight() {
    hak_pool_shard_lock();
    HAK_SCHED_CHECK(hak_pool_shard_check_locked() == 0);
    HAK_SCHED_CHECK(hak_pool_page_check_locked() == 0);
    hak_pool_shard_unlock();
}
bool IsOpen(const hak_pool_page_t *page) {
    return hak_load_rlx(&page->state) != HAK_POOL_PAGE_FREE;
}

/* The collector looks at a region and a page that are just being made. */
void MakeAndCollect(int self) {
    if (self == 0) {
        PutPage(NewPage(SHARD, 2));
    } else {
        Collect();
    }
}
hak_sched::Add page_make_collect(
    {"page_make_collect", 2, {2, 2}, 2000, BuildNothing, MakeAndCollect, BooksAreRight});

/* All blocks of two pages are in their shard, but the heap of one carves its last block meanwhile:
 * only the other may be closed. */
void BuildHalf() {
    BuildNothing();
    pages[0] = NewPage(SHARD, 1);
    Put(BlockOf(pages[0], 0));
    pages[1] = NewPage(SHARD, 2);
    PutPage(pages[1]);
}
void CarveAndCollect(int self) {
    if (self == 0) {
        (void)hak_pool_page_carve_owner(pages[0], CI, 1);
    } else {
        Collect();
    }
}
void PageIsOpen() {
    HAK_SCHED_CHECK(IsOpen(pages[0]) && !IsOpen(pages[1]));
    HAK_SCHED_CHECK(hak_load_rlx(&pages[0]->shared) == 1);
    BooksAreRight();
}
hak_sched::Add page_carve_collect(
    {"page_carve_collect", 2, {2, 5}, 100, BuildHalf, CarveAndCollect, PageIsOpen});

/* The collector has a shard's list in hand while blocks of another page come back to it. */
void BuildTwoPages(unsigned other_shard) {
    BuildNothing();
    pages[0] = NewPage(SHARD, 2);
    pages[1] = NewPage(other_shard, 2);
}
void BuildFree() {
    BuildTwoPages(SHARD);
    PutPage(pages[0]);
}
void PutAndCollect(int self) {
    if (self == 0) {
        Collect();
    } else {
        PutPage(pages[1]);
    }
}
hak_sched::Add
    page_put_collect({"page_put_collect", 2, {2, 1}, 100, BuildFree, PutAndCollect, BooksAreRight});

/* Blocks come into two shards of a class, whose bits share a word. */
void BuildTwoShards() { BuildTwoPages(SHARD + 1); }
void PutEach(int self) { Put(BlockOf(pages[self], 0)); }
hak_sched::Add two_shards({"two_shards", 2, {2, 2}, 10, BuildTwoShards, PutEach, BooksAreRight});

/* One region more than are kept without an open page; but for `page` of it all pages are FREE. A
 * purge unmaps one as soon as that is, too. */
void CollectAndPurge() {
    hak_pool_shard_lock();
    (void)hak_pool_shard_collect_locked(1000, 0, UINT32_MAX);
    (void)hak_pool_page_purge_mt(UINT32_MAX, 0);
    hak_pool_shard_unlock();
}
uint64_t Mapped() { return hak_load_rlx(&hak_pool_page_counters.mapped); }
enum { KEPT = 4 };

void BuildSurplus() {
    hak_pool_page_t *others[(KEPT + 1) * HAK_POOL_REGION_PAGES];
    BuildNothing();
    unsigned count =
        hak_pool_page_take_mt(heaps[0], CI, SHARD, sizeof others / sizeof others[0], others);
    pages[0] = others[0];
    for (unsigned i = 1; i < count; i++) {
        hak_pool_page_park_mt(others[i]);
    }
    CollectAndPurge();
    (void)hak_pool_page_carve_owner(pages[0], CI, 2);
    HAK_SCHED_CHECK(Mapped() == KEPT + 1);
}
/* What is left after one more purge. */
void SurplusIsGone() {
    BooksAreRight();
    CollectAndPurge();
    BooksAreRight();
    HAK_SCHED_CHECK(Mapped() == KEPT);
}

/* The last blocks of the region come back, by way of the remote stack, while one thread looks
 * there, and another unmaps what is free. */
void SendAndUnmap(int self) {
    if (self == 0) {
        hak_pool_shard_send_mt(pages[0], CI, BlockOf(pages[0], 0));
        hak_pool_shard_send_mt(pages[0], CI, BlockOf(pages[0], 1));
    } else if (self == 1) {
        CollectAndPurge();
    } else {
        (void)hak_pool_shard_drain_mt(CI, SHARD);
    }
}
hak_sched::Add region_send_unmap(
    {"region_send_unmap", 3, {2, 0}, 100, BuildSurplus, SendAndUnmap, SurplusIsGone});

/* A block is taken from the list, used and put back while the region may be unmapped: either its
 * page was closed before or it waits. */
void BuildShared() {
    BuildSurplus();
    PutPage(pages[0]);
}
void UseAndUnmap(int self) {
    hak_block_t *block;
    if (self != 0) {
        CollectAndPurge();
    } else if (hak_pool_shard_take_mt(CI, SHARD, 1, &block, true) == 1) {
        HAK_SCHED_CHECK(hak_pool_page_of((uintptr_t)block) == pages[0]);
        Put(block);
    }
}
hak_sched::Add
    region_use_unmap({"region_use_unmap", 2, {2, 1}, 100, BuildShared, UseAndUnmap, SurplusIsGone});

/* A page is opened in the region that is about to go, and used. */
void TakeAndUnmap(int self) {
    if (self == 0) {
        PutPage(NewPage(SHARD, 2));
    } else {
        CollectAndPurge();
    }
}
hak_sched::Add region_take_unmap(
    {"region_take_unmap", 2, {2, 1}, 100, BuildShared, TakeAndUnmap, SurplusIsGone});

/* Heap 1 is just getting its cache while another thread checks all caches. */
size_t FaultsOf(hak_heap_t *heap) {
    const hak_pool_cache_t *cache = hak_pool_cache_find(heap);
    if (cache == nullptr) {
        return 0;
    }
    HAK_SCHED_CHECK(cache->heap == heap);
    return hak_pool_cache_check_locked(cache);
}
void MakeAndCheck(int self) {
    if (self == 0) {
        (void)hak_pool_cache_of_owner(heaps[1]);
    } else {
        HAK_SCHED_CHECK(FaultsOf(heaps[1]) == 0);
    }
}
hak_sched::Add cache_make_check(
    {"cache_make_check", 2, {2, 2}, 10, BuildNothing, MakeAndCheck, BooksAreRight});

/* T-05: blocks come into an inbox while its owner takes it in. */
void BuildInbox() {
    BuildNothing();
    caches[0] = hak_pool_cache_of_owner(heaps[0]);
    for (hak_block_t *&block : in_use) {
        block = hak_pool_cache_take_owner(caches[0], CI, 2);
    }
}
void SendAndTake(int self) {
    if (self == 0) {
        hak_owner_lock_take_owner(&heaps[0]->lock);
        (void)hak_pool_cache_take_owner(caches[0], CI, 2);
        hak_owner_lock_drop_owner(&heaps[0]->lock);
    } else {
        hak_block_t *block = in_use[self - 1];
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
        hak_pool_cache_send_mt(nullptr, hak_pool_page_of((uintptr_t)block), CI, block);
    }
}
/* What is flushed and collected leaves the block that thread 0 has. */
void OneIsOut() {
    HAK_SCHED_CHECK(FaultsOf(heaps[0]) == 0);
    hak_pool_cache_flush_owner(caches[0]);
    Collect();
    BooksAreRight();
    uint32_t carved = 0, shared = 0;
    for (uint32_t i = 0; i < HAK_POOL_REGION_PAGES; i++) {
        const hak_pool_page_t *page = &hak_pool_page_region_at(1)->page[i];
        carved += hak_load_rlx(&page->carved);
        shared += hak_load_rlx(&page->shared);
    }
    HAK_SCHED_CHECK(carved == shared + 1);
}
hak_sched::Add inbox_take({"inbox_take", 3, {2, 1}, 100, BuildInbox, SendAndTake, OneIsOut});

} // namespace
