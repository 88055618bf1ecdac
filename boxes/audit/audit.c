#include "boxes/audit/audit.h"

#include <stddef.h>

#include "boxes/heap/heap.h"
#include "boxes/slab/slab.h"
#include "boxes/slot_pool/slot_pool.h"
#include "boxes/tls_sll/tls_sll.h"
#include "boxes/transfer/transfer.h"
#include "config/hak_config.h"
#include "registry/registry_inl.h"

static bool hak_is_marked(const hak_block_t *block) {
    return !hak_cfg_check_double_free ||
           hak_block_has_mark(block, hak_registry_mark((uintptr_t)block));
}

/* A free block of this class, by its slab (`of`, or any if NULL). */
static bool hak_belongs(const hak_block_t *block, unsigned sc, const hak_slab_t *of) {
    const hak_slab_t *slab = hak_slab_of((uintptr_t)block);
    /* relaxed, here and below: everything stands still */
    return slab != NULL && (of == NULL || of == slab) && hak_load_rlx(&slab->sc) == sc &&
           hak_slab_block_index(slab, (uintptr_t)block) < hak_load_rlx(&slab->carved) &&
           hak_is_marked(block);
}

/* A block of another backend, which keeps its own books. */
static bool hak_is_elsewhere(const hak_block_t *block) {
    const hak_region_t *region = hak_registry_region((uintptr_t)block);
    return region != NULL && region->kind != HAK_REGION_SUPERSLAB;
}

/* Walks a list up to its end, or to the first block that does not belong: what follows it cannot
 * be trusted. A list of more than `most` blocks has a cycle. */
static uint64_t hak_walk(const hak_block_t *block, unsigned sc, const hak_slab_t *of, uint64_t most,
                         uint64_t *misplaced) {
    uint64_t count = 0;
    for (; block != NULL; block = hak_block_next(block)) {
        if (count == most || !hak_belongs(block, sc, of)) {
            ++*misplaced;
            break;
        }
        count++;
    }
    return count;
}

static void hak_count_slab(hak_slab_t *slab, hak_audit_result_t *out) {
    unsigned sc = hak_load_acq(&slab->sc); /* pairs with the release in hak_slab_open */
    if (sc == 0) {
        return;
    }
    uint32_t carved = hak_load_rlx(&slab->carved);
    uint64_t remote = hak_load_rlx(&slab->remote);
    const hak_block_t *list = (const hak_block_t *)(uintptr_t)(remote & 0x0000fffffffffff0ull);
    uint64_t on_list = hak_walk(list, sc, slab, carved, &out->misplaced);
    out->misplaced += on_list != remote >> 48;
    out->remote += on_list - hak_load_rlx(&slab->left); /* the others are not used any more */
    out->used += hak_load_rlx(&slab->used);
    const char *block = (const char *)hak_slab_base(slab);
    for (uint32_t i = 0; i < carved && hak_cfg_check_double_free; i++) {
        out->live += !hak_is_marked((const hak_block_t *)block);
        block += hak_slab_block_bytes(slab);
    }
}

static void hak_count_superslab(hak_superslab_t *ss, void *context) {
    if (hak_load_acq(&ss->mapped) == 0) { /* pairs with the release of slot_pool */
        return;
    }
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        hak_count_slab(&ss->slab[i], context);
    }
}

static void hak_count_bin(const hak_block_t *head, unsigned sc, hak_audit_result_t *out) {
    if (!hak_is_elsewhere(head)) { /* a class has one backend */
        /* no bin holds more than there is */
        out->cached += hak_walk(head, sc, NULL, out->used, &out->misplaced);
    }
}

static void hak_count_heap(const hak_heap_t *heap, hak_audit_result_t *out) {
    const hak_tls_t *thread = (const hak_tls_t *)hak_load_rlx(&heap->thread);
    for (unsigned sc = 1; sc < HAK_SC_COUNT; sc++) {
        if (thread != NULL) {
            hak_count_bin(thread->bin[sc].head, sc, out);
        }
        if ((hak_load_rlx(&heap->left_mask[sc >> 6]) >> (sc & 63) & 1u) != 0) {
            hak_count_bin(heap->left_bin[sc].head, sc, out);
        }
    }
    for (unsigned i = 0; i < HAK_BATCH_SLOTS; i++) {
        const hak_batch_t *batch = &heap->batch[i];
        if (batch->slab != NULL) {
            uint64_t count = hak_walk(batch->head, hak_load_rlx(&batch->slab->sc), batch->slab,
                                      batch->count, &out->misplaced);
            out->misplaced += count != batch->count;
            out->batched += count;
        }
    }
}

/* Between two thread caches. */
static void hak_count_passed_on(hak_audit_result_t *out) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        for (unsigned place = 0; place < HAK_TRANSFER_PLACES; place++) {
            hak_count_bin(hak_transfer_list(sc, place), sc, out);
        }
    }
}

void hak_audit_count_locked(hak_audit_result_t *out) {
    *out = (hak_audit_result_t){.live = hak_cfg_check_double_free ? 0 : UINT64_MAX};
    hak_slot_pool_each(hak_count_superslab, out);
    for (const hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        hak_count_heap(heap, out);
    }
    hak_count_passed_on(out);
}

bool hak_audit_is_whole(const hak_audit_result_t *result) {
    uint64_t elsewhere = result->cached + result->batched + result->remote;
    if (result->misplaced != 0) {
        return false;
    }
    if (!hak_cfg_check_double_free) {
        return elsewhere <= result->used;
    }
    uint64_t found = result->live + elsewhere;
    return hak_heap_has_lost() ? found <= result->used : found == result->used;
}

bool hak_audit_is_alone(void) {
    for (const hak_heap_t *heap = hak_heap_first(); heap != NULL; heap = heap->next_all) {
        uintptr_t thread = hak_load_rlx(&heap->thread); /* relaxed: a hint, the caller promises */
        if (thread != 0 && thread != (uintptr_t)&hak_tls) {
            return false;
        }
    }
    return true;
}
