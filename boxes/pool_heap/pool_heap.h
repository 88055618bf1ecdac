/* pool_heap: what a heap keeps for the classes of 2 to 32 KiB: its chunks, the units with free
 * blocks, the queue of blocks that other threads freed.
 *
 * A free block of the heap goes to its unit. A unit whose blocks are all free goes back to its
 * chunk at once, but for the only one of its class on the list; a chunk whose units are all free
 * goes to the kernel at a visit. Chunks grow with the heap: 1, 2, 4, then 8 MiB. A heap that has
 * run out looks, before it maps another chunk, for one of a heap that is idle or has no thread,
 * and takes it over as it is, with the blocks that are in use in it.
 *
 * Owns       hak_pool_heap_t, the fields of units and chunks that say so.
 * Threads    *_owner: inside the owner lock of the heap, the owner or a guest. *_mt: any.
 * Invariant  a chunk is on exactly one list of the heap that it names: `open` if it has free
 *            units, else `full`. A unit is listed if it has a free block or room to carve.
 * Layer      4 (boxes). Uses boxes/pool_chunk, boxes/pool_remote, boxes/heap, core/owner_lock.
 */
#ifndef HAK_BOXES_POOL_HEAP_POOL_HEAP_H_
#define HAK_BOXES_POOL_HEAP_POOL_HEAP_H_

#include "base/atomic.h"
#include "base/attr.h"
#include "boxes/heap/heap.h"
#include "boxes/pool_chunk/pool_chunk.h"
#include "boxes/pool_remote/pool_remote.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hak_pool_heap {
    hak_heap_t *heap; /* fixed */
    hak_pool_unit_t *partial[HAK_POOL_CLASSES];
    hak_pool_chunk_t *open, *full;
    hak_pool_chunk_t *spares; /* descriptors without memory */
    uint32_t chunks;
    /* chunks that it mapped, less those that left it: sets the size of the next one, so that those
     * which it took over do not count */
    uint32_t grown;
    /* Hints to others; written inside the lock. */
    hak_a32_t offers;      /* bit per class: partial[] is not empty; HAK_POOL_OFFERS_UNITS: open */
    hak_a32_t dirty_units; /* free ones that the kernel has not got back */
    hak_a32_t has_work;    /* a visit may find something to give back */
    hak_a32_t takes_in;    /* blocks were taken from the queue since a purge looked */
    hak_a64_t visit_at_ms;
    hak_aptr_t drain_next; /* hak_block_t: taken from the queue and not looked at yet */
    hak_a64_t adopted_chunks, refill_failures;
    hak_pool_remote_t remote; /* pushed to by any thread */
} hak_pool_heap_t;

enum { HAK_POOL_OFFERS_UNITS = 1 << HAK_POOL_CLASSES };

/* A list of blocks. */
typedef struct {
    hak_block_t *head;
    uint32_t count;
} hak_pool_list_t;

/* What `heap` keeps, or NULL if it never had a block of these classes. Any thread; outside the
 * owner lock the caller may look at the hints alone. */
static inline hak_pool_heap_t *hak_pool_heap_of(const hak_heap_t *heap) {
    /* relaxed: it is made inside the lock, which publishes it to guests. Hints are atomic words,
     * whose first value is the kernel's zero. */
    return (hak_pool_heap_t *)hak_load_rlx(&heap->backend[HAK_HEAP_POOL_TLS]);
}
/* The same, made at first use. NULL with errno ENOMEM. */
hak_pool_heap_t *hak_pool_heap_make_owner(hak_heap_t *heap);

/* Up to `want` blocks of class `sc`, at least one; they count as used. Fewer if more would need
 * another chunk. None: errno is ENOMEM. */
hak_pool_list_t hak_pool_heap_take_owner(hak_pool_heap_t *pool, unsigned sc, uint32_t want);
/* Takes a block of `unit` back, whose chunk is this heap's. */
void hak_pool_heap_put_back_owner(hak_pool_heap_t *pool, hak_pool_unit_t *unit, hak_block_t *block);
/* Sends a block of `unit` to the heap that has its chunk. */
void hak_pool_heap_send_mt(hak_pool_unit_t *unit, hak_block_t *block);

static inline bool hak_pool_heap_has_remote(const hak_pool_heap_t *pool) {
    /* relaxed: a hint; taking is what synchronises */
    return hak_load_rlx(&pool->drain_next) != 0 || !hak_pool_remote_is_empty(&pool->remote);
}
/* Takes up to `max_blocks` blocks from the queue to their units; those whose chunk has moved are
 * sent on. Returns how many it looked at. */
unsigned hak_pool_heap_drain_owner(hak_pool_heap_t *pool, unsigned max_blocks);

/* Takes over a chunk of another heap that has something for class `sc`. Looks at a constant number
 * of heaps. Inside the lock of `pool`'s heap, whose thread calls. */
bool hak_pool_heap_adopt_owner(hak_pool_heap_t *pool, unsigned sc, uint64_t now_ms);

typedef struct {
    uint64_t now_ms, delay_ms; /* delay 0: everything that is free */
    unsigned calls, max_calls; /* system calls so far, and when to stop */
    uint64_t excess_bytes;     /* how much may go; counts down */
    bool is_cut;               /* set if more waits in a queue than a visit takes in */
} hak_pool_visit_t;
/* Takes in what others freed, and gives back what two visits, half a delay apart, found free.
 * Returns the bytes. */
size_t hak_pool_heap_visit_owner(hak_pool_heap_t *pool, hak_pool_visit_t *visit);
/* True if a visit now may find something to give back. Any thread; a hint. */
bool hak_pool_heap_is_due(const hak_pool_heap_t *pool, uint64_t now_ms, uint64_t delay_ms);

/* Checks the lists of one heap and its chunks, all locks held. Returns the faults. `*chunks` gets
 * its chunks added. */
size_t hak_pool_heap_check_locked(const hak_pool_heap_t *pool, uint64_t *chunks);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_HEAP_POOL_HEAP_H_ */
