/* backends/slabs, statistics: who counts while a slab becomes one of another size finds no more
 * than there is memory.
 */
#include "backends/slabs/slabs.h"
#include "boxes/free_local/free_local.h"
#include "boxes/slot_pool/slot_pool.h"
#include "tests/sched/sched.h"
#include "tests/sched/world.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

using hak_sched::BuildWorld;
using hak_sched::CheckWorld;
using hak_sched::kClass;
using hak_sched::world;

constexpr unsigned kOther = 44; /* of fewer and larger blocks */
constexpr uint64_t kMost = 16ull * HAK_UNIT_BYTES;

/* The last block comes back, and the slot gets a slab of another class, with one block in use. */
void Reopen() {
    hak_heap_t *mine = world.heap[0];
    hak_owner_lock_take_owner(&mine->lock);
    for (hak_block_t *block : world.block[0]) {
        hak_block_link(block, nullptr);
        hak_free_local_push_list_owner(mine, world.slab[0], block, 1);
    }
    (void)hak_free_local_retire_kept_owner(mine);
    hak_slab_t *slab = hak_slot_pool_take_mt(kOther);
    hak_slab_open(slab, kOther);
    hak_slab_set_heap_owner(slab, mine, hak_heap_slab_tag(mine, kOther));
    hak_heap_list_owner(mine, slab, HAK_HEAP_FIRST);
    (void)hak_slab_carve_owner(slab, 1, nullptr);
    hak_store_rlx(&slab->used, 1);
    hak_owner_lock_drop_owner(&mine->lock);
}

void Count() {
    hak_backend_stats_t stats = {};
    hak_backend_slabs.stats(&stats);
    HAK_SCHED_CHECK(stats.slabs <= 3);
    HAK_SCHED_CHECK(stats.blocks <= 9);
    HAK_SCHED_CHECK(stats.bytes <= kMost && stats.free_bytes <= kMost);
    HAK_SCHED_CHECK(stats.uncarved_bytes <= kMost);
}

void ReopenAndCount(int self) {
    if (self == 0) {
        Reopen();
    } else {
        Count();
    }
}
void FourInUse() { CheckWorld(4); }
hak_sched::Add stats_reopen({"stats_reopen", 2, {3, 2}, 50, BuildWorld, ReopenAndCount, FourInUse});

} // namespace
