/* world: heaps and slabs for scenarios of the boxes. Built anew by each `setup`.
 *
 * Layer      tests only.
 */
#ifndef HAK_TESTS_SCHED_WORLD_H_
#define HAK_TESTS_SCHED_WORLD_H_

#include "boxes/block/block.h"
#include "boxes/heap/heap.h"

namespace hak_sched {

constexpr unsigned kClass = 36; /* any that has slabs of one unit */

/* Registry and locks; two heaps, each with a slab of which a few blocks are in use. */
struct World {
    hak_heap_t *heap[2];
    hak_slab_t *slab[2];
    hak_block_t *block[2][4]; /* in use */
};
extern World world;
void BuildWorld();

/* One block, as the thread that frees it. */
void PushOne(hak_slab_t *slab, hak_block_t *block);
/* As the thread that has the heap. */
void DrainAsOwner(hak_heap_t *heap, unsigned slabs);
/* After all threads: takes every remote list in. Then `in_use` blocks are in use in all slabs of
 * the class, and all that the boxes promise of slabs holds. */
void CheckWorld(uint64_t in_use);

} // namespace hak_sched

#endif /* HAK_TESTS_SCHED_WORLD_H_ */
