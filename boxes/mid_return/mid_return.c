#include "boxes/mid_return/mid_return.h"

#include "backends/os/os.h"
#include "boxes/mid_registry/mid_registry.h"
#include "boxes/mid_remote/mid_remote.h"
#include "boxes/mid_segment/mid_segment.h"
#include "boxes/mid_supply/mid_supply.h"

enum { HAK_REFUSED_PAUSE_MS = 10000 }; /* after the kernel refused to take memory */

static unsigned hak_class_of(const hak_mid_chunk_t *chunk) {
    return hak_mid_index(hak_load_rlx(&chunk->sc)); /* relaxed: fixed while the chunk is open */
}

/* Then it is on no pending stack either: blocks on its remote stack count as used. */
static bool hak_is_empty(const hak_mid_chunk_t *chunk) {
    return hak_load_rlx(&chunk->segment.used_count) == 0; /* relaxed: inside the lock */
}

static void hak_retire(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk) {
    hak_mid_heap_unlist_owner(heap, chunk);
    hak_mid_registry_remove_mt(chunk->segment.chunk_base);
    hak_mid_chunk_close(chunk);
    hak_mid_supply_give_mt(chunk, hak_os_now_ms());
}

/* Something came back: the chunk has something to give, or is wholly free. */
static void hak_settle(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk) {
    if (!chunk->listed) {
        hak_mid_heap_list_owner(heap, chunk, false);
    }
    bool last_of_class = chunk->prev == NULL && chunk->next == NULL;
    if (!last_of_class && hak_is_empty(chunk)) {
        hak_retire(heap, chunk);
    }
    hak_store_rlx(&heap->has_idle, 1); /* relaxed: a hint */
}

void hak_mid_return_put_owner(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk, hak_block_t *block) {
    hak_count_add(&heap->counters[hak_class_of(chunk)].local_frees, 1);
    hak_mid_segment_put_owner(chunk, block);
    hak_settle(heap, chunk);
}

static void hak_drain_chunk(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk) {
    hak_mid_heap_t *owner = hak_mid_chunk_owner(chunk);
    if (owner != heap) {
        hak_mid_remote_queue_mt(owner, chunk); /* it stays queued */
        return;
    }
    uint32_t count;
    hak_block_t *block = hak_mid_remote_take_unqueue_owner(chunk, &count);
    hak_count_add(&heap->counters[hak_class_of(chunk)].remote_frees, count);
    while (block != NULL) {
        hak_block_t *next = hak_block_next(block);
        hak_mid_segment_put_owner(chunk, block);
        block = next;
    }
    hak_settle(heap, chunk);
}

void hak_mid_return_drain_owner(hak_mid_heap_t *heap, unsigned max_chunks) {
    hak_mid_chunk_t *chunk;
    if (hak_mid_remote_has_pending(heap)) {
        hak_store_rlx(&heap->takes_in, 1); /* relaxed: a hint */
    }
    while (max_chunks-- != 0 && (chunk = hak_mid_remote_next_owner(heap)) != NULL) {
        hak_drain_chunk(heap, chunk);
    }
}

bool hak_mid_return_takes_in_mt(hak_mid_heap_t *heap) {
    bool takes_in = hak_load_rlx(&heap->takes_in) != 0; /* relaxed, both: a hint */
    hak_store_rlx(&heap->takes_in, 0);
    return takes_in;
}

unsigned hak_mid_return_retire_owner(hak_mid_heap_t *heap) {
    unsigned retired = 0;
    for (unsigned i = 0; i < HAK_MID_CLASSES; i++) {
        hak_mid_chunk_t *next;
        for (hak_mid_chunk_t *chunk = heap->partial[i]; chunk != NULL; chunk = next) {
            next = chunk->next;
            if (hak_is_empty(chunk)) {
                hak_retire(heap, chunk);
                retired++;
            }
        }
    }
    return retired;
}

/* Returns true if a later visit may find more here. */
static bool hak_purge_chunk(hak_mid_heap_t *heap, hak_mid_chunk_t *chunk, hak_mid_visit_t *visit) {
    if (visit->delay_ms != 0 && (visit->now_ms < chunk->visit_at_ms || visit->max_calls == 0)) {
        return true;
    }
    hak_mid_purge_t purge = {visit->delay_ms == 0, visit->max_calls, false, false};
    size_t bytes = hak_mid_segment_purge_owner(chunk, &purge);
    hak_count_add(&heap->purges, visit->max_calls - purge.max_calls);
    hak_count_add(&heap->purged_bytes, bytes);
    visit->bytes += bytes;
    visit->max_calls = purge.max_calls;
    chunk->visit_at_ms =
        visit->now_ms + (purge.refused ? HAK_REFUSED_PAUSE_MS : visit->delay_ms / 2 + 1);
    return purge.more || purge.refused;
}

void hak_mid_return_purge_owner(hak_mid_heap_t *heap, hak_mid_visit_t *visit) {
    bool more = false;
    (void)hak_mid_return_retire_owner(heap);
    for (unsigned i = 0; i < HAK_MID_CLASSES; i++) {
        for (hak_mid_chunk_t *chunk = heap->partial[i]; chunk != NULL; chunk = chunk->next) {
            more |= hak_purge_chunk(heap, chunk, visit);
        }
    }
    hak_store_rlx(&heap->has_idle, more); /* relaxed: hints, both */
    hak_store_rlx(&heap->visit_at_ms, visit->now_ms + visit->delay_ms / 2 + 1);
}

bool hak_mid_return_is_due(const hak_mid_heap_t *heap, const hak_mid_visit_t *visit) {
    /* relaxed: hints; the lock orders what purge then looks at */
    return hak_load_rlx(&heap->has_idle) != 0 &&
           (visit->delay_ms == 0 || visit->now_ms >= hak_load_rlx(&heap->visit_at_ms));
}
