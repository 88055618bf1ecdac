/* mf2_world: heaps and pages for scenarios of MF2. Built anew by each `setup`.
 *
 * Layer      tests only.
 */
#ifndef HAK_TESTS_SCHED_MF2_WORLD_H_
#define HAK_TESTS_SCHED_MF2_WORLD_H_

#include "boxes/block/block.h"
#include "boxes/mf2_heap/mf2_heap.h"

namespace hak_sched {

constexpr unsigned kMf2Index = 3; /* 16 KiB: four blocks a page */
constexpr uint64_t kMf2Now = 1000;
constexpr uint64_t kMf2Later = 2000; /* past every lease */

/* Two heaps at work; two pages of heap 0, handed out whole and so released. */
struct Mf2World {
    hak_mf2_heap_t *heap[2];
    hak_mf2_page_t *page[2];
    hak_block_t *block[2][4];
};
extern Mf2World mf2;
void BuildMf2();
/* Heap 0 has page 0 back, with block 0 free. */
void BuildActiveMf2();

/* A page of heap 0 whose blocks are all handed out. */
hak_mf2_page_t *HandOutMf2Page(hak_block_t *blocks[4]);
/* One block, as a thread that does not own the page. */
void FreeRemote(hak_mf2_page_t *page, hak_block_t *block);
void FreeMf2(int page, int block);
/* A refill: drains what is pending at the heap, else adopts; the page is its own then. */
bool RefillMf2(hak_mf2_heap_t *mine, uint64_t now_ms);
/* A refill that takes all blocks that the page has, so that it is released. As its owner. */
void UseUpMf2(hak_mf2_heap_t *mine, hak_mf2_page_t *page);
/* One block, as a thread that may own the page: to its free list then, else as a remote one. */
void FreeAsOwnerMf2(hak_mf2_heap_t *mine, hak_mf2_page_t *page, hak_block_t *block);

/* After all threads: what is pending is drained, no page is lost, and `in_use` blocks are at users.
 */
void CheckMf2(uint32_t in_use);

} // namespace hak_sched

#endif /* HAK_TESTS_SCHED_MF2_WORLD_H_ */
