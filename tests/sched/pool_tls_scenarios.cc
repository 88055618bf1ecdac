/* boxes/pool_remote, boxes/pool_heap, boxes/pool_chunk: blocks come home to the chunks of the
 * thread pools, whoever moves the chunk meanwhile, and threads come and go. With the queue of
 * remote frees that //config:pool_remote chooses.
 */
#include "backends/os/os.h"
#include "boxes/heap/heap.h"
#include "boxes/pool_chunk/pool_chunk.h"
#include "boxes/pool_heap/pool_heap.h"
#include "boxes/testing/engine.h"
#include "config/hak_config.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
#include "registry/registry_inl.h"
}

namespace {

constexpr unsigned kClass = 72; /* 32 KiB: two blocks fill a unit */
constexpr int kBlocks = 4;

/* Two heaps; each has a chunk with four blocks in use, if BuildHeap has made it. */
struct {
    hak_heap_t *heap[2];
    hak_pool_heap_t *pool[2];
    hak_block_t *block[2][kBlocks];
} world;

hak_pool_unit_t *UnitOf(const hak_block_t *block) { return hak_pool_unit_of((uintptr_t)block); }
hak_pool_chunk_t *ChunkOf(int heap) { return hak_pool_unit_chunk(UnitOf(world.block[heap][0])); }

void Enter(int heap) { hak_owner_lock_take_owner(&world.heap[heap]->lock); }
void Leave(int heap) { hak_owner_lock_drop_owner(&world.heap[heap]->lock); }

void MakePool(int heap) {
    Enter(heap);
    world.pool[heap] = hak_pool_heap_make_owner(world.heap[heap]);
    Leave(heap);
}
/* Blocks from the heap's first chunk, which is mapped for it. */
void TakeBlocks(int heap, int count) {
    Enter(heap);
    hak_block_t *list = hak_pool_heap_take_owner(world.pool[heap], kClass, (uint32_t)count).head;
    for (int i = 0; list != nullptr; i++, list = hak_block_next(list)) {
        world.block[heap][i] = list;
    }
    Leave(heap);
}
void BuildEmpty() {
    hak_testing::StartEngine();
    for (int i = 0; i < 2; i++) {
        world.heap[i] = hak_heap_acquire_mt();
        MakePool(i);
    }
}
void Build() {
    BuildEmpty();
    TakeBlocks(0, kBlocks);
    TakeBlocks(1, kBlocks);
}

void Drain(int heap, unsigned blocks) {
    Enter(heap);
    (void)hak_pool_heap_drain_owner(world.pool[heap], blocks);
    Leave(heap);
}
/* As a thread that frees a block which is not its own. */
void Send(int heap, int i) {
    hak_block_t *block = world.block[heap][i];
    if (hak_cfg_check_double_free) {
        hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
    }
    hak_pool_heap_send_mt(UnitOf(block), block);
}

void CountUsed(hak_pool_chunk_t *chunk, void *used) {
    for (uint32_t i = 0; i < hak_load_rlx(&chunk->units); i++) {
        if (hak_load_rlx(&chunk->unit[i].sc) != 0) {
            *static_cast<uint32_t *>(used) += hak_load_rlx(&chunk->unit[i].used);
        }
    }
}
void Check(uint32_t in_use) {
    uint64_t chunks = 0;
    for (const hak_pool_heap_t *pool : world.pool) {
        HAK_SCHED_CHECK(hak_pool_heap_check_locked(pool, &chunks) == 0);
    }
    /* Twice: the first round may send blocks on to a heap that was looked at. */
    for (int round = 0; round < 2; round++) {
        Drain(0, UINT32_MAX);
        Drain(1, UINT32_MAX);
    }
    uint32_t used = 0;
    for (const hak_pool_heap_t *pool : world.pool) {
        HAK_SCHED_CHECK(!hak_pool_heap_has_remote(pool));
        HAK_SCHED_CHECK(hak_pool_heap_check_locked(pool, &chunks) == 0);
    }
    hak_pool_chunk_each(CountUsed, &used);
    HAK_SCHED_CHECK(used == in_use);
}
void FourInUse() { Check(4); }
void SixInUse() { Check(6); }
void EightInUse() { Check(8); }

/* T-05: thread 0 owns heap 0 and takes its queue in while others free into it. */

void SendAndDrain(int self) {
    if (self == 0) {
        Drain(0, 8);
        Drain(0, 8);
    } else {
        Send(0, 0);
        Send(0, 1);
    }
}
hak_sched::Add ptls_send_drain({"ptls_send_drain", 2, {3, 2}, 500, Build, SendAndDrain, SixInUse});

void TwoSend(int self) {
    if (self == 0) {
        Drain(0, 8);
    } else {
        Send(0, self);
    }
}
hak_sched::Add ptls_two_send({"ptls_two_send", 3, {3, 1}, 2000, Build, TwoSend, SixInUse});

/* A drain that stops before the end leaves the rest to the next one. */
void BuildQueued() {
    Build();
    Send(0, 2);
    Send(0, 3);
}
void DrainOneByOne(int self) {
    if (self == 0) {
        Drain(0, 1);
        Drain(0, 2);
    } else {
        Send(0, 0);
        Send(0, 1);
    }
}
hak_sched::Add
    ptls_bounded({"ptls_bounded", 2, {3, 2}, 500, BuildQueued, DrainOneByOne, FourInUse});

/* T-20: thread 0 takes the chunk of heap 1 over, which has no thread, while blocks come back to it.
 */
void BuildIdle() {
    Build();
    hak_heap_release_mt(world.heap[1]);
    hak_sched::AdvanceMs(1000);
}
void AdoptInto(int heap) {
    Enter(heap);
    (void)hak_pool_heap_adopt_owner(world.pool[heap], kClass, hak_os_now_ms());
    Leave(heap);
}
void AdoptAndSend(int self) {
    if (self == 0) {
        AdoptInto(0);
        Drain(0, 8);
    } else {
        Send(1, 0);
        Send(1, 1);
    }
}
hak_sched::Add
    ptls_adopt_send({"ptls_adopt_send", 2, {3, 1}, 1000, BuildIdle, AdoptAndSend, SixInUse});

/* Somebody else visits the old heap while the chunk moves and blocks come back. */
void AdoptVisitSend(int self) {
    if (self == 0) {
        AdoptInto(0);
    } else if (self == 1) {
        if (hak_owner_lock_try_guest(&world.heap[1]->lock)) {
            hak_pool_visit_t visit = {hak_os_now_ms(), 500, 0, 4, UINT64_MAX, false};
            (void)hak_pool_heap_visit_owner(world.pool[1], &visit);
            hak_owner_lock_drop_guest(&world.heap[1]->lock);
        }
    } else {
        Send(1, 0);
        Send(1, 1);
    }
}
hak_sched::Add ptls_adopt_visit_send(
    {"ptls_adopt_visit_send", 3, {2, 1}, 10000, BuildIdle, AdoptVisitSend, SixInUse});

/* The thread of heap 0 ends, and another takes the heap as it was left, while blocks come back. */
void EndAndBegin(int self) {
    if (self == 0) {
        Drain(0, UINT32_MAX);
        hak_heap_release_mt(world.heap[0]);
    } else if (self == 1) {
        hak_heap_t *heap = hak_heap_acquire_mt();
        if (heap == world.heap[0]) {
            Drain(0, 8);
        }
    } else {
        Send(0, 0);
        Send(0, 1);
    }
}
hak_sched::Add
    ptls_thread_exit({"ptls_thread_exit", 3, {2, 1}, 5000, Build, EndAndBegin, SixInUse});

/* What one thread makes and others find without a lock. */

/* Two heaps without chunks, of which `made` has its pool. Heap 0 has no thread in the eyes of
 * others, but for its lock, which a thread of the scenario takes as its owner. */
void BuildBare(int made) {
    hak_testing::StartEngine();
    world.heap[0] = hak_heap_acquire_mt();
    world.heap[1] = hak_heap_acquire_mt();
    MakePool(made);
    hak_heap_release_mt(world.heap[0]);
}
void Nothing() {}

/* Thread 1 adopts from a heap that is just getting its pool and its first chunk. */
void BuildUnmade() { BuildBare(1); }
void MakeAndAdopt(int self) {
    if (self == 0) {
        MakePool(0);
        TakeBlocks(0, 1);
    } else {
        AdoptInto(1);
    }
}
hak_sched::Add
    ptls_make_adopt({"ptls_make_adopt", 2, {2, 2}, 10000, BuildUnmade, MakeAndAdopt, Nothing});

/* A chunk goes to a heap that has just got its pool. Thread 1, which has a block of it in its bin,
 * asks whose the chunk is. */
void BuildTaken() {
    BuildBare(0);
    TakeBlocks(0, 1);
}
void AdoptAndAsk(int self) {
    if (self == 0) {
        MakePool(1);
        AdoptInto(1);
    } else {
        const hak_heap_t *heap = hak_pool_chunk_heap(ChunkOf(0))->heap;
        HAK_SCHED_CHECK(heap == world.heap[0] || heap == world.heap[1]);
    }
}
hak_sched::Add ptls_adopt_ask({"ptls_adopt_ask", 2, {2, 2}, 10, BuildTaken, AdoptAndAsk, Nothing});

/* Two heaps map their first chunks. */
void MapEach(int self) { TakeBlocks(self, 1); }
void CountChunk(hak_pool_chunk_t *, void *chunks) { ++*static_cast<unsigned *>(chunks); }
void TwoAreMapped() {
    unsigned chunks = 0;
    hak_pool_chunk_each(CountChunk, &chunks);
    hak_pool_chunk_stats_t stats;
    hak_pool_chunk_stats(&stats);
    HAK_SCHED_CHECK(chunks == 2 && stats.made == 2);
    HAK_SCHED_CHECK(stats.mapped_bytes == 2 * HAK_POOL_LEAST_BYTES);
    HAK_SCHED_CHECK(stats.mapped_peak_bytes == stats.mapped_bytes);
    Check(2);
}
hak_sched::Add ptls_map_two({"ptls_map_two", 2, {1, 1}, 100, BuildEmpty, MapEach, TwoAreMapped});

/* A check of heap 0, as a guest, while blocks come into its queue. */
void SendAndCheck(int self) {
    if (self == 0) {
        Send(0, 0);
        Send(0, 1);
        return;
    }
    uint64_t chunks = 0;
    hak_owner_lock_take_guest(&world.heap[0]->lock);
    HAK_SCHED_CHECK(hak_pool_heap_check_locked(world.pool[0], &chunks) == 0);
    hak_owner_lock_drop_guest(&world.heap[0]->lock);
}
hak_sched::Add ptls_send_check({"ptls_send_check", 2, {2, 2}, 20, Build, SendAndCheck, SixInUse});

/* Statistics while a chunk is mapped, or a unit that held 32 small blocks is opened for two large
 * ones. */
void LookAtChunk(hak_pool_chunk_t *chunk, void *chunks) {
    ++*static_cast<unsigned *>(chunks);
    uint32_t units = hak_load_acq(&chunk->units);
    HAK_SCHED_CHECK(units == 0 || units == HAK_POOL_LEAST_BYTES >> HAK_UNIT_SHIFT);
    for (uint32_t i = 0; i < units && i < 2; i++) {
        const hak_pool_unit_t *unit = &chunk->unit[i];
        if (hak_load_acq(&unit->sc) == kClass) {
            HAK_SCHED_CHECK(hak_pool_unit_base(unit) % HAK_UNIT_BYTES == 0);
            HAK_SCHED_CHECK(hak_load_rlx(&unit->used) <= 2 && hak_load_rlx(&unit->carved) <= 2);
        }
    }
}
void MapAndLook(int self) {
    if (self == 0) {
        TakeBlocks(1, 1);
    } else {
        unsigned chunks = 0;
        hak_pool_chunk_each(LookAtChunk, &chunks);
        HAK_SCHED_CHECK(chunks <= 1);
    }
}
void BuildUsedUnit() {
    constexpr unsigned kSmall = 40;
    BuildUnmade();
    /* The first is of a second unit, which stays in use. */
    hak_block_t *list = hak_pool_heap_take_owner(world.pool[1], kSmall, 33).head;
    for (hak_block_t *block = hak_block_next(list), *next; block != nullptr; block = next) {
        next = hak_block_next(block);
        hak_pool_heap_put_back_owner(world.pool[1], UnitOf(block), block);
    }
}
hak_sched::Add
    ptls_open_look({"ptls_open_look", 2, {2, 2}, 100, BuildUsedUnit, MapAndLook, Nothing});
hak_sched::Add ptls_map_look({"ptls_map_look", 2, {2, 2}, 500, BuildUnmade, MapAndLook, Nothing});

/* The cursor of adoption hands a heap from a thread that saw it made to one that did not. */
void MakeAndLookAround(int self) {
    if (self == 2) {
        (void)hak_heap_acquire_mt();
        (void)hak_heap_acquire_mt();
    } else {
        AdoptInto(self);
    }
}
hak_sched::Add ptls_cursor({"ptls_cursor", 3, {2, 1}, 5000, Build, MakeAndLookAround, EightInUse});

} // namespace
