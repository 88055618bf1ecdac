#include "boxes/mid_heap/mid_heap.h"

#include "config/hak_config.h"
#include "core/errors/errors.h"
#include "core/meta/meta.h"

hak_mid_heap_t *hak_mid_heap_make(hak_heap_t *heap) {
    hak_mid_heap_t *mid = hak_mid_heap_of(heap);
    if (hak_likely(mid != NULL)) {
        return mid;
    }
    mid = hak_meta_alloc_mt(sizeof *mid);
    if (mid != NULL) {
        mid->heap = heap;
        /* pairs with the acquire in hak_mid_heap_of */
        hak_store_rel(&heap->backend[HAK_HEAP_MID_MT], (uintptr_t)mid);
    }
    return mid;
}

static unsigned hak_index(const hak_mid_chunk_t *chunk) {
    return hak_mid_index(hak_load_rlx(&chunk->sc)); /* relaxed: fixed while the chunk is open */
}

static void hak_set_mask(hak_mid_heap_t *heap, unsigned index) {
    uint32_t bit = 1u << index;
    uint32_t old = hak_load_rlx(&heap->partial_mask); /* relaxed: written inside the lock */
    hak_store_rlx(&heap->partial_mask, heap->partial[index] != NULL ? old | bit : old & ~bit);
}

void hak_mid_heap_list_owner(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk, bool in_front) {
    unsigned index = hak_index(chunk);
    hak_mid_chunk_t *first = heap->partial[index];
    hak_debug_assert(!chunk->listed);
    if (first == NULL || in_front) {
        chunk->prev = NULL;
        chunk->next = first;
        heap->partial[index] = chunk;
    } else {
        chunk->prev = first;
        chunk->next = first->next;
        first->next = chunk;
    }
    if (chunk->next != NULL) {
        chunk->next->prev = chunk;
    }
    chunk->listed = true;
    hak_set_mask(heap, index);
}

void hak_mid_heap_unlist_owner(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk) {
    unsigned index = hak_index(chunk);
    hak_debug_assert(chunk->listed);
    if (chunk->prev != NULL) {
        chunk->prev->next = chunk->next;
    } else {
        heap->partial[index] = chunk->next;
    }
    if (chunk->next != NULL) {
        chunk->next->prev = chunk->prev;
    }
    chunk->listed = false;
    hak_set_mask(heap, index);
}
