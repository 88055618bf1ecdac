/* boxes/mid_remote, boxes/mid_return, boxes/mid_adoption: blocks come home to the chunks of Mid MT,
 * whoever moves the chunk meanwhile.
 */
#include "backends/os/os.h"
#include "boxes/mid_adoption/mid_adoption.h"
#include "boxes/mid_heap/mid_heap.h"
#include "boxes/mid_registry/mid_registry.h"
#include "boxes/mid_remote/mid_remote.h"
#include "boxes/mid_return/mid_return.h"
#include "boxes/mid_segment/mid_segment.h"
#include "boxes/mid_supply/mid_supply.h"
#include "boxes/testing/engine.h"
#include "tests/sched/sched.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}

namespace {

constexpr unsigned kMid = 72; /* 32 KiB */

/* Two heaps, each with a chunk of which four blocks are in use. */
struct {
    hak_heap_t *heap[2];
    hak_mid_heap_t *mid[2];
    hak_mid_chunk_t *chunk[2];
    hak_block_t *block[2][4];
} world;

/* As the backend does for a heap that needs a chunk. */
void OpenChunk(int i) {
    hak_mid_chunk_t *chunk = hak_mid_supply_take_mt((size_t)1 << HAK_MID_LEAST_CHUNK_SHIFT);
    hak_mid_entry_t entry = {hak_region_base(&chunk->region), 1u << HAK_MID_LEAST_CHUNK_SHIFT, kMid,
                             chunk};
    (void)hak_mid_registry_add_mt(&entry);
    hak_mid_chunk_open(chunk, kMid);
    hak_mid_chunk_set_owner(chunk, world.mid[i], world.heap[i]->tag);
    hak_mid_heap_list_owner(world.mid[i], chunk, true);
    world.chunk[i] = chunk;
}

void BuildHeap(int i) {
    world.heap[i] = hak_heap_acquire_mt();
    world.mid[i] = hak_mid_heap_make(world.heap[i]);
}

void Build() {
    hak_testing::StartEngine();
    for (int i = 0; i < 2; i++) {
        BuildHeap(i);
        OpenChunk(i);
        for (hak_block_t *&block : world.block[i]) {
            (void)hak_mid_segment_take_owner(world.chunk[i], 1, &block);
        }
    }
}

void Drain(int heap, unsigned chunks) {
    hak_owner_lock_take_owner(&world.heap[heap]->lock);
    hak_mid_return_drain_owner(world.mid[heap], chunks);
    hak_owner_lock_drop_owner(&world.heap[heap]->lock);
}

void Push(int chunk, int block) {
    hak_mid_remote_push_mt(world.chunk[chunk], world.block[chunk][block]);
}

void Check(uint32_t in_use) {
    /* Twice: the first round may forward a chunk to a heap that was looked at. */
    for (int round = 0; round < 2; round++) {
        Drain(0, 8);
        Drain(1, 8);
    }
    uint32_t used = 0;
    for (int i = 0; i < 2; i++) {
        HAK_SCHED_CHECK(!hak_mid_remote_has_pending(world.mid[i]));
        HAK_SCHED_CHECK(hak_load_rlx(&world.chunk[i]->remote) == 0);
        uint32_t count = hak_load_rlx(&world.chunk[i]->segment.used_count);
        uint32_t free = 0;
        for (const hak_block_t *block = world.chunk[i]->segment.free_list; block != nullptr;
             block = hak_block_next(block)) {
            HAK_SCHED_CHECK(++free <= 4);
        }
        HAK_SCHED_CHECK(count + free == 4);
        used += count;
    }
    HAK_SCHED_CHECK(used == in_use);
}

void SixInUse() { Check(6); }
void FourInUse() { Check(4); }
void EightInUse() { Check(8); }

void PushAndDrain(int self) {
    if (self == 0) {
        Drain(0, 4);
        Drain(0, 4);
    } else {
        Push(0, 0);
        Push(0, 1);
    }
}
hak_sched::Add mid_push_drain({"mid_push_drain", 2, {4, 2}, 500, Build, PushAndDrain, SixInUse});

void TwoPush(int self) {
    if (self == 0) {
        Drain(0, 4);
    } else {
        Push(0, self);
    }
}
hak_sched::Add mid_two_push({"mid_two_push", 3, {3, 1}, 500, Build, TwoPush, SixInUse});

/* Two chunks of one heap are pending: the second waits in the drain list. */
void BuildOneHeap() {
    Build();
    hak_mid_heap_unlist_owner(world.mid[1], world.chunk[1]);
    hak_mid_chunk_set_owner(world.chunk[1], world.mid[0], world.heap[0]->tag);
    hak_mid_heap_list_owner(world.mid[0], world.chunk[1], true);
}
void PushToTwo(int self) {
    if (self == 0) {
        Drain(0, 1);
        Drain(0, 1);
    } else {
        Push(0, self);
        Push(1, self);
    }
}
hak_sched::Add
    mid_two_chunks({"mid_two_chunks", 3, {2, 1}, 500, BuildOneHeap, PushToTwo, FourInUse});

/* T-20: thread 0 takes a chunk over from heap 1, which has no thread, while blocks come back to it.
 */
void BuildIdle() {
    Build();
    hak_heap_release_mt(world.heap[1]);
    hak_sched::AdvanceMs(1000);
}
void AdoptInto(int heap) {
    hak_owner_lock_take_owner(&world.heap[heap]->lock);
    hak_mid_chunk_t *chunk = nullptr;
    for (int i = 0; chunk == nullptr && i < 2; i++) {
        chunk = hak_mid_adoption_take_owner(world.mid[heap], kMid, hak_os_now_ms());
    }
    if (chunk != nullptr) {
        hak_mid_heap_list_owner(world.mid[heap], chunk, true);
    }
    hak_owner_lock_drop_owner(&world.heap[heap]->lock);
}
void Adopt() { AdoptInto(0); }
void AdoptAndPush(int self) {
    if (self == 0) {
        Adopt();
        Drain(0, 4);
    } else {
        Push(1, 0);
        Push(1, 1);
    }
}
hak_sched::Add
    mid_adopt_push({"mid_adopt_push", 2, {4, 2}, 300, BuildIdle, AdoptAndPush, SixInUse});

/* Somebody else drains the same heap while the chunk moves and blocks come back. */
void AdoptPurgePush(int self) {
    if (self == 0) {
        Adopt();
    } else if (self == 1) {
        hak_mid_visit_t visit = {hak_os_now_ms(), 500, 1, 0};
        hak_mid_adoption_purge_mt(world.heap[0], &visit, 2);
    } else {
        Push(1, 0);
        Push(1, 1);
    }
}
hak_sched::Add mid_adopt_purge_push(
    {"mid_adopt_purge_push", 3, {2, 1}, 500, BuildIdle, AdoptPurgePush, SixInUse});

/* What one thread makes and others find without a lock. */

/* Two heaps, of which `made` has its part for Mid MT and the other has not. Heap 0 has no thread
 * in the eyes of others, but for its lock, which a thread of the scenario takes as its owner. */
void BuildBare(int made) {
    hak_testing::StartEngine();
    world.heap[0] = hak_heap_acquire_mt();
    world.heap[1] = hak_heap_acquire_mt();
    world.mid[made] = hak_mid_heap_make(world.heap[made]);
    hak_heap_release_mt(world.heap[0]);
}
void Nothing() {}

/* Thread 1 adopts from a heap that is just getting its part and its first chunk. */
void BuildUnmade() { BuildBare(1); }
void MakeAndAdopt(int self) {
    if (self == 0) {
        world.mid[0] = hak_mid_heap_make(world.heap[0]);
        hak_owner_lock_take_owner(&world.heap[0]->lock);
        OpenChunk(0);
        hak_owner_lock_drop_owner(&world.heap[0]->lock);
    } else {
        AdoptInto(1);
    }
}
hak_sched::Add
    mid_make_adopt({"mid_make_adopt", 2, {2, 2}, 2000, BuildUnmade, MakeAndAdopt, Nothing});

/* A chunk goes to a heap that has just got its part. Thread 1, which has a block of it in its bin,
 * asks whose the chunk is. */
void BuildOpen() {
    BuildBare(0);
    OpenChunk(0);
}
void AdoptAndAsk(int self) {
    if (self == 0) {
        world.mid[1] = hak_mid_heap_make(world.heap[1]);
        AdoptInto(1);
    } else {
        const hak_heap_t *heap = hak_mid_chunk_owner(world.chunk[0])->heap;
        HAK_SCHED_CHECK(heap == world.heap[0] || heap == world.heap[1]);
    }
}
hak_sched::Add mid_adopt_ask({"mid_adopt_ask", 2, {2, 2}, 8, BuildOpen, AdoptAndAsk, Nothing});

/* Statistics while a chunk is mapped and opened. */
void CountChunk(hak_mid_chunk_t *chunk, void *chunks) {
    ++*static_cast<unsigned *>(chunks);
    if (hak_load_acq(&chunk->sc) == kMid) {
        HAK_SCHED_CHECK(hak_mid_chunk_block_index(chunk, chunk->segment.chunk_base) == 0);
        HAK_SCHED_CHECK(hak_mid_chunk_carved(chunk) == 0);
    }
}
void OpenAndCount(int self) {
    if (self == 0) {
        OpenChunk(1);
    } else {
        unsigned chunks = 0;
        hak_mid_supply_each(CountChunk, &chunks);
        HAK_SCHED_CHECK(chunks == 1 || chunks == 2);
    }
}
void BuildCount() {
    BuildOpen();
    world.mid[1] = hak_mid_heap_make(world.heap[1]);
}
hak_sched::Add mid_open_count({"mid_open_count", 2, {2, 2}, 50, BuildCount, OpenAndCount, Nothing});

/* The cursor of adoption hands a heap from a thread that saw it made to one that did not. */
void MakeAndVisit(int self) {
    if (self == 0) {
        (void)hak_heap_acquire_mt();
        (void)hak_heap_acquire_mt();
    } else {
        hak_mid_visit_t visit = {0, 500, 1, 0};
        hak_mid_adoption_purge_mt(nullptr, &visit, 1);
    }
}
hak_sched::Add mid_cursor({"mid_cursor", 3, {2, 1}, 1000, Build, MakeAndVisit, EightInUse});

} // namespace
