#include "boxes/heap/heap.h"

#include <errno.h>

#include "backends/os/os.h"
#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/lock/lock.h"
#include "core/meta/meta.h"
#include "core/owner_lock/owner_lock_inl.h"

static struct {
    hak_lock_t lock; /* idle list, ids */
    hak_aptr_t all;  /* hak_heap_t; pushed to under the lock, read by anyone */
    hak_heap_t *idle;
    hak_a64_t made, idle_count;
    hak_a32_t has_lost;
} hak_heaps = {.lock = HAK_LOCK_INIT(HAK_RANK_HEAPS)};

static void hak_set_partial_bit(hak_heap_t *heap, unsigned sc, bool on) {
    hak_a64_t *word = &heap->partial_mask[sc >> 6];
    uint64_t bit = 1ull << (sc & 63);
    uint64_t old = hak_load_rlx(word); /* relaxed: written inside the lock */
    hak_store_rlx(word, on ? old | bit : old & ~bit);
}

/* What leads to a slab with these neighbours from in front of it, and from behind. */
static hak_slab_t **hak_link_to(hak_heap_t *heap, const hak_slab_t *slab, unsigned sc) {
    return slab->prev == NULL ? &heap->partial[sc] : &slab->prev->next;
}
static hak_slab_t **hak_link_back_to(hak_heap_t *heap, const hak_slab_t *slab, unsigned sc) {
    return slab->next == NULL ? &heap->partial_last[sc] : &slab->next->prev;
}

void hak_heap_list_owner(hak_heap_t *heap, hak_slab_t *slab, hak_heap_place_t place) {
    unsigned sc = hak_load_rlx(&slab->sc); /* relaxed: fixed while the slab is open */
    hak_slab_t *first = heap->partial[sc];
    hak_debug_assert(!slab->listed && sc != 0);
    slab->prev = place == HAK_HEAP_FIRST    ? NULL
                 : place == HAK_HEAP_SECOND ? first
                                            : heap->partial_last[sc];
    slab->next = *hak_link_to(heap, slab, sc);
    *hak_link_to(heap, slab, sc) = slab;
    *hak_link_back_to(heap, slab, sc) = slab;
    slab->listed = 1;
    hak_count_add(&heap->partial_slabs[sc], 1);
    if (first == NULL) {
        hak_set_partial_bit(heap, sc, true);
    }
}

void hak_heap_unlist_owner(hak_heap_t *heap, hak_slab_t *slab) {
    unsigned sc = hak_load_rlx(&slab->sc); /* relaxed: as above */
    hak_debug_assert(slab->listed);
    *hak_link_to(heap, slab, sc) = slab->next;
    *hak_link_back_to(heap, slab, sc) = slab->prev;
    slab->listed = 0;
    hak_count_add(&heap->partial_slabs[sc], -1u);
    if (heap->partial[sc] == NULL) {
        hak_set_partial_bit(heap, sc, false);
    }
}

static hak_heap_t *hak_heap_new_locked(void) {
    uint64_t id = hak_load_rlx(&hak_heaps.made) + 1; /* relaxed: written under the lock */
    hak_heap_t *heap = id <= HAK_OWNER_MAX ? hak_meta_alloc_mt(sizeof *heap) : NULL;
    if (heap == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    heap->tag = (uint32_t)id << HAK_TAG_OWNER_SHIFT;
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        heap->carve_step[sc] = 1;
    }
    /* relaxed: written under the lock */
    heap->next_all = (hak_heap_t *)hak_load_rlx(&hak_heaps.all);
    hak_store_rlx(&hak_heaps.made, id);
    hak_store_rel(&hak_heaps.all, (uintptr_t)heap); /* pairs with the acquire in hak_heap_first */
    return heap;
}

hak_heap_t *hak_heap_acquire_mt(void) {
    hak_lock_take(&hak_heaps.lock);
    hak_heap_t *heap = hak_heaps.idle;
    if (heap != NULL) {
        hak_heaps.idle = heap->next_idle;
        hak_count_add(&hak_heaps.idle_count, -1ull);
    } else {
        heap = hak_heap_new_locked();
    }
    if (heap != NULL) {
        hak_store_rlx(&heap->idle, 0); /* relaxed: a hint to adoption */
        heap->came_ms = hak_os_now_ms();
        hak_store_rlx(&heap->active_ms, heap->came_ms);
    }
    hak_lock_drop(&hak_heaps.lock);
    return heap;
}

static void hak_push_idle_locked(hak_heap_t *heap) {
    hak_store_rlx(&heap->idle, 1); /* relaxed: a hint to adoption */
    hak_owner_lock_leave_owner(&heap->lock);
    heap->next_idle = hak_heaps.idle;
    hak_heaps.idle = heap;
    hak_count_add(&hak_heaps.idle_count, 1);
}

void hak_heap_release_mt(hak_heap_t *heap) {
    hak_lock_take(&hak_heaps.lock);
    hak_push_idle_locked(heap);
    hak_lock_drop(&hak_heaps.lock);
}

hak_heap_t *hak_heap_first(void) {
    /* pairs with the release in hak_heap_new_locked */
    return (hak_heap_t *)hak_load_acq(&hak_heaps.all);
}

hak_heap_t *hak_heap_step_mt(hak_aptr_t *cursor) {
    hak_heap_t *heap = (hak_heap_t *)hak_load_acq(cursor); /* pairs with the release below */
    if (heap == NULL) {
        heap = hak_heap_first();
    }
    if (heap != NULL) {
        hak_store_rel(cursor, (uintptr_t)heap->next_all); /* pairs with the acquire above */
    }
    return heap;
}

void hak_heap_counts(uint64_t *made, uint64_t *idle) {
    *made = hak_load_rlx(&hak_heaps.made); /* relaxed: statistics */
    *idle = hak_load_rlx(&hak_heaps.idle_count);
}

bool hak_heap_has_lost(void) {
    return hak_load_rlx(&hak_heaps.has_lost) != 0; /* relaxed: set when there was one thread */
}

typedef void hak_round_step_t(hak_owner_lock_t *lock, hak_owner_lock_round_t *round);

static void hak_step_others_locked(const hak_heap_t *mine, hak_round_step_t *step,
                                   hak_owner_lock_round_t *round) {
    for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        if (heap != mine) {
            step(&heap->lock, round);
        }
    }
}

/* The caller's own heap as its owner: a process with one thread needs no barrier then, and a filter
 * of system calls may forbid it. */
void hak_heap_fork_take(hak_heap_t *mine) {
    hak_owner_lock_round_t round = {false, false, false};
    hak_lock_take(&hak_heaps.lock);
    hak_step_others_locked(mine, hak_owner_lock_raise_guest, &round);
    hak_step_others_locked(mine, hak_owner_lock_show_guest, &round);
    hak_step_others_locked(mine, hak_owner_lock_await_guest, &round);
    if (mine != NULL) {
        hak_owner_lock_take_owner(&mine->lock);
    }
}

void hak_heap_fork_drop_parent(hak_heap_t *mine) {
    for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        if (heap == mine) {
            hak_owner_lock_drop_owner(&heap->lock);
        } else {
            hak_owner_lock_drop_guest(&heap->lock);
        }
    }
    hak_lock_drop(&hak_heaps.lock);
}

/* The other threads are gone. What their caches and open batches held is lost to the child: a copy
 * of a list that was being changed while the kernel copied the pages cannot be trusted. The
 * batches are dropped for the same reason. */
void hak_heap_fork_drop_child(hak_heap_t *mine) {
    for (hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        hak_lock_rank_leave(HAK_RANK_HEAP);
        hak_owner_lock_reset(&heap->lock);
        if (heap == mine || hak_load_rlx(&heap->idle) != 0) { /* relaxed: one thread left */
            continue;
        }
        for (unsigned i = 0; i < HAK_BATCH_SLOTS; i++) {
            heap->batch[i].slab = NULL;
            heap->batch[i].limit = 0;
        }
        hak_store_rlx(&heap->batched_bytes, 0); /* relaxed: one thread left */
        hak_store_rlx(&heap->thread, 0);
        hak_store_rlx(&hak_heaps.has_lost, 1);
        hak_push_idle_locked(heap);
    }
    hak_lock_reset(&hak_heaps.lock);
    hak_lock_rank_leave(HAK_RANK_HEAPS);
}
