/* engine: sets the boxes up for a unit test, as front/gate and front/thread do in a process, and
 * checks from outside what the boxes promise of slabs.
 *
 * Layer      tests only. Uses the boxes.
 */
#ifndef HAK_BOXES_TESTING_ENGINE_H_
#define HAK_BOXES_TESTING_ENGINE_H_

#include <stddef.h>

#include <vector>

#include "boxes/heap/heap.h"

namespace hak_testing {

/* Registry, locks, no failures. Every test calls it first; only the first call in a process does
 * the set-up. */
void StartEngine();

/* The calling thread has a heap and empty bins as long as this lives. */
class OwnHeap {
  public:
    OwnHeap();
    ~OwnHeap();
    OwnHeap(const OwnHeap &) = delete;
    OwnHeap &operator=(const OwnHeap &) = delete;
    hak_heap_t *get() const { return heap_; }

  private:
    hak_heap_t *heap_;
};

/* A slab of 1, 2 or 16 units, not opened, or nullptr. Its class is above the tiny ones,
 * whose place the slot policy chooses. */
hak_slab_t *TakeUnits(unsigned units);
/* A slab of the class from the pool, owned by `heap` and listed there. */
hak_slab_t *NewSlab(hak_heap_t *heap, unsigned sc);
/* Carves `count` blocks, which count as used from then on; as refill does. Unlists a slab that has
 * nothing more. */
std::vector<hak_block_t *> Carve(hak_heap_t *heap, hak_slab_t *slab, uint32_t count);
/* Carves all. */
std::vector<hak_block_t *> CarveAll(hak_heap_t *heap, hak_slab_t *slab);
/* The blocks of a list that ends in NULL. */
std::vector<hak_block_t *> Blocks(const hak_block_t *list);

/* Under the owner lock: remote frees come in, wholly free slabs go back. */
void Settle(hak_heap_t *heap);
/* Slabs of the class that `heap` owns. */
size_t SlabsOf(const hak_heap_t *heap, unsigned sc);

/* Checks masks and lists of the pool and every open slab: carved = used + free, no block twice,
 * listed exactly if there is something to give, tag and owner agree. No other thread may run.
 * Returns the number of faults and prints each. */
size_t Faults();

} // namespace hak_testing

#endif /* HAK_BOXES_TESTING_ENGINE_H_ */
