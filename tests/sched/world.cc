#include "tests/sched/world.h"

#include "boxes/drain/drain.h"
#include "boxes/free_remote/free_remote.h"
#include "boxes/pending/pending.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace hak_sched {

World world;

void BuildWorld() {
    hak_testing::StartEngine();
    for (int i = 0; i < 2; i++) {
        world.heap[i] = hak_heap_acquire_mt();
        world.slab[i] = hak_testing::NewSlab(world.heap[i], kClass);
        std::vector<hak_block_t *> blocks = hak_testing::Carve(world.heap[i], world.slab[i], 4);
        for (int k = 0; k < 4; k++) {
            world.block[i][k] = blocks[(size_t)k];
        }
    }
}

void PushOne(hak_slab_t *slab, hak_block_t *block) {
    hak_free_remote_push_mt(slab, block, block, 1);
}

void DrainAsOwner(hak_heap_t *heap, unsigned slabs) {
    hak_owner_lock_take_owner(&heap->lock);
    (void)hak_drain_pending_owner(heap, slabs);
    hak_owner_lock_drop_owner(&heap->lock);
}

namespace {

void CountUsed(hak_superslab_t *ss, void *used) {
    for (hak_slab_t &slab : ss->slab) {
        if (hak_load_rlx(&slab.sc) == kClass) {
            *static_cast<uint64_t *>(used) += hak_load_rlx(&slab.used);
            uint64_t remote = hak_load_rlx(&slab.remote);
            HAK_SCHED_CHECK((remote & 1) == 0 && remote >> 48 == hak_load_rlx(&slab.left));
        }
    }
}

} // namespace

void CheckWorld(uint64_t in_use) {
    /* Twice: the first round may forward a slab to a heap that was looked at. */
    for (int round = 0; round < 2; round++) {
        for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
            DrainAsOwner(heap, 16);
        }
    }
    for (hak_heap_t *heap = hak_heap_first(); heap != nullptr; heap = heap->next_all) {
        HAK_SCHED_CHECK(!hak_pending_has_any(heap));
    }
    uint64_t used = 0;
    hak_slot_pool_each(CountUsed, &used);
    HAK_SCHED_CHECK(used == in_use);
    HAK_SCHED_CHECK(hak_testing::Faults() == 0);
}

} // namespace hak_sched
