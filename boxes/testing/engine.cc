#include "boxes/testing/engine.h"

#include <stdio.h>
#include <stdlib.h>

#include <set>

#include "backends/os/os_fake.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/drain/drain.h"
#include "boxes/flush/flush.h"
#include "boxes/free_local/free_local.h"
#include "boxes/refill/refill.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/tls_sll/tls_sll.h"
extern "C" {
#include "core/owner_lock/owner_lock_inl.h"
}
#include "registry/registry.h"

namespace hak_testing {

void StartEngine() {
    hak_os_fake_reset();
    static const bool started = [] {
        hak_registry_init(HAK_REGISTRY_FORM_FLAT, false);
        hak_owner_lock_init();
        return true;
    }();
    (void)started;
}

OwnHeap::OwnHeap() : heap_(hak_heap_acquire_mt()) {
    if (heap_ == nullptr) {
        abort();
    }
    hak_cache_policy_start_owner(heap_);
    hak_tls_sll_attach(heap_, heap_->tag, heap_->bin_cap, heap_->spare_bytes);
    hak_cache_policy_share_owner(heap_);
}

OwnHeap::~OwnHeap() {
    hak_flush_all_owner(heap_);
    Settle(heap_);
    hak_tls_sll_detach();
    hak_heap_release_mt(heap_);
}

hak_slab_t *TakeUnits(unsigned units) {
    return hak_slot_pool_take_mt(hak_sc_of(units == 1 ? 2048 : units == 2 ? 16384 : 65536));
}

hak_slab_t *NewSlab(hak_heap_t *heap, unsigned sc) {
    hak_slab_t *slab = hak_slot_pool_take_mt(sc);
    if (slab == nullptr) {
        abort();
    }
    slab->kept = false; /* new, whatever test had it before */
    hak_slab_open(slab, sc);
    hak_slab_set_heap_owner(slab, heap, hak_heap_slab_tag(heap, sc));
    hak_heap_list_owner(heap, slab, HAK_HEAP_FIRST);
    return slab;
}

std::vector<hak_block_t *> Blocks(const hak_block_t *list) {
    std::vector<hak_block_t *> blocks;
    for (; list != nullptr; list = hak_block_next(list)) {
        blocks.push_back(const_cast<hak_block_t *>(list));
    }
    return blocks;
}

std::vector<hak_block_t *> Carve(hak_heap_t *heap, hak_slab_t *slab, uint32_t count) {
    std::vector<hak_block_t *> blocks = Blocks(hak_slab_carve_owner(slab, count, nullptr));
    hak_store_rlx(&slab->used, hak_load_rlx(&slab->used) + count);
    if (hak_load_rlx(&slab->carved) == slab->cap && slab->free == nullptr && slab->listed) {
        hak_heap_unlist_owner(heap, slab);
    }
    return blocks;
}

std::vector<hak_block_t *> CarveAll(hak_heap_t *heap, hak_slab_t *slab) {
    return Carve(heap, slab, slab->cap - hak_load_rlx(&slab->carved));
}

void Settle(hak_heap_t *heap) {
    hak_owner_lock_take_owner(&heap->lock);
    hak_drain_pending_owner(heap, UINT32_MAX);
    hak_free_local_retire_kept_owner(heap);
    hak_owner_lock_drop_owner(&heap->lock);
}

namespace {

struct Census {
    const hak_heap_t *heap;
    unsigned sc;
    size_t slabs;
};

void CountSlab(hak_superslab_t *ss, void *context) {
    auto *census = static_cast<Census *>(context);
    for (hak_slab_t &slab : ss->slab) {
        census->slabs += hak_load_acq(&ss->mapped) != 0 && hak_load_acq(&slab.sc) == census->sc &&
                         hak_slab_heap(&slab) == census->heap;
    }
}

void Fault(size_t *faults, bool wrong, const hak_slab_t *slab, const char *what) {
    if (wrong) {
        ++*faults;
        fprintf(stderr, "slab %p class %u: %s\n", (const void *)slab, hak_load_rlx(&slab->sc),
                what);
    }
}

bool IsOnItsList(const hak_slab_t *slab) {
    const hak_slab_t *at = hak_slab_heap(slab)->partial[hak_load_rlx(&slab->sc)];
    while (at != nullptr && at != slab) {
        at = at->next;
    }
    return at != nullptr;
}

bool IsLastOfItsList(const hak_slab_t *slab) {
    return hak_slab_heap(slab)->partial_last[hak_load_rlx(&slab->sc)] == slab;
}

void CheckSlab(const hak_slab_t *slab, size_t *faults) {
    unsigned sc = hak_load_rlx(&slab->sc);
    uint32_t used = hak_load_rlx(&slab->used);
    uint32_t carved = hak_load_rlx(&slab->carved);
    std::set<uint32_t> free;
    bool sane = true;
    for (const hak_block_t *block = slab->free; block != nullptr && sane;
         block = hak_block_next(block)) {
        uint32_t index = hak_slab_block_index(slab, (uintptr_t)block);
        sane = index < carved && free.insert(index).second;
    }
    uint32_t left = hak_load_rlx(&slab->left);
    bool has_something = !free.empty() || left != 0 || carved < slab->cap;
    uint64_t remote = hak_load_rlx(&slab->remote) >> 48;
    Fault(faults, !sane, slab, "a strange block or one twice on the free list");
    Fault(faults, used + left + free.size() != carved, slab,
          "used and free do not add up to carved");
    Fault(faults, carved > slab->cap, slab, "more blocks carved than fit");
    Fault(faults, left > remote || remote - left > used, slab, "remote blocks are not in use");
    Fault(faults, has_something && !slab->listed, slab, "has free blocks and is not listed");
    Fault(faults, (slab->listed != 0) != IsOnItsList(slab), slab, "`listed` lies");
    Fault(faults, IsLastOfItsList(slab) != (slab->listed && slab->next == nullptr), slab,
          "the list ends elsewhere");
    for (unsigned i = 0; i < slab->units; i++) {
        uint32_t tag = hak_registry_tag(hak_slab_base(slab) + ((uintptr_t)i << HAK_UNIT_SHIFT));
        Fault(faults, tag != hak_heap_slab_tag(hak_slab_heap(slab), sc), slab, "wrong tag");
    }
}

void CheckSuperslab(hak_superslab_t *ss, void *context) {
    for (const hak_slab_t &slab : ss->slab) {
        if (hak_load_acq(&ss->mapped) != 0 && hak_load_acq(&slab.sc) != 0) {
            CheckSlab(&slab, static_cast<size_t *>(context));
        }
    }
}

} // namespace

size_t SlabsOf(const hak_heap_t *heap, unsigned sc) {
    Census census = {heap, sc, 0};
    hak_slot_pool_each(CountSlab, &census);
    return census.slabs;
}

size_t Faults() {
    hak_slot_pool_fork_take();
    size_t faults = hak_slot_pool_check_locked();
    hak_slot_pool_fork_drop();
    if (faults != 0) {
        fprintf(stderr, "slot_pool finds %zu faults in its masks\n", faults);
    }
    hak_slot_pool_each(CheckSuperslab, &faults);
    return faults;
}

} // namespace hak_testing
