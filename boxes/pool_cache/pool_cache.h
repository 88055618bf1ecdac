/* pool_cache: what one heap keeps of the mid pool, and the way of an allocation through it.
 *
 *   ring      32 blocks, last in first out; the first place for a free, and for an allocation
 *   lifo      a list behind it, for what the ring has no room for; a page's worth at most
 *   runs      2 (or up to 4) pages that the heap carves, without links between fresh blocks
 *   inbox     blocks of the heap's pages that other threads freed (the transfer cache)
 *
 * An allocation goes: (inbox, if the ring has less than 2) ring, lifo, runs, the home shard's free
 * list, its remote stack, other shards, new pages. A free goes: ring, lifo; when that is full too,
 * the lifo goes to the shards. A free of a block whose page is another heap's goes to that heap's
 * inbox if a thread has the heap and there is room, else to the page's shard.
 *
 * A cap (boxes/policy) is a number of pages that the class should not exceed. Below it a miss takes
 * several blocks from lifo, runs or a shard into the ring, the more the further below, and half a
 * ring at most; at it just one, a refill fetches one page, and only after all shards were asked. It
 * is soft: no cap fails an allocation. Without caps a miss takes one block from there, whatever is
 * in use.
 *
 * Owns       hak_pool_cache_t.
 * Threads    *_owner: inside the owner lock of the heap, the owner or a guest. So a purge can empty
 *            the cache of a thread that sleeps, and a fork finds it whole. hak_pool_cache_send_mt:
 *            any thread.
 * Invariant  every block in it is free and carries its mark; `count` of a run is what its page has
 *            left.
 * Layer      4 (boxes). Uses boxes/pool_shard, boxes/pool_page, boxes/mpsc_stack.
 */
#ifndef HAK_BOXES_POOL_CACHE_POOL_CACHE_H_
#define HAK_BOXES_POOL_CACHE_POOL_CACHE_H_

#include "boxes/heap/heap.h"
#include "boxes/mpsc_stack/mpsc_stack.h"
#include "boxes/pool_page/pool_page.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_POOL_RING_MOST = 32,
    HAK_POOL_RUNS_MOST = 4,
    HAK_POOL_BATCH_MOST = 4, /* pages of one refill */
    HAK_POOL_INBOX_MOST = 32,
    HAK_POOL_INBOX_LOW = 2 /* a ring below this takes the inbox in */
};

/* Stations of an allocation, in their order. */
typedef enum {
    HAK_POOL_AT_INBOX,
    HAK_POOL_AT_RING,
    HAK_POOL_AT_LIFO,
    HAK_POOL_AT_RUNS,
    HAK_POOL_AT_LOCK, /* the home shard's free list */
    HAK_POOL_AT_REMOTE,
    HAK_POOL_AT_STEAL,
    HAK_POOL_AT_REFILL
} hak_pool_station_t;

typedef void hak_pool_trace_fn(void *context, hak_pool_station_t station);

typedef struct {
    hak_pool_page_t *page; /* NULL: none */
    char *bump;            /* the next block */
    uint32_t count;        /* blocks left: the bound of the run */
} hak_pool_run_t;

/* Written inside the owner lock, read by statistics. */
typedef struct {
    hak_a64_t hits;    /* allocations that the ring served */
    hak_a64_t misses;  /* and those that it did not */
    hak_a64_t frees;   /* blocks that this heap's threads freed, whoever's they were */
    hak_a64_t refills; /* times that pages were fetched */
    hak_a64_t steals;  /* takes from a shard that is not the home shard */
    hak_a64_t inbox_sent, inbox_drained; /* blocks: sent by this heap's threads, taken in */
} hak_pool_bin_counters_t;

typedef struct {
    uint32_t top; /* of the ring */
    uint32_t lifo_count;
    uint32_t missed; /* allocations under a cap that the ring did not serve */
    hak_block_t *lifo;
    hak_block_t *ring[HAK_POOL_RING_MOST];
    hak_pool_run_t run[HAK_POOL_RUNS_MOST];
    hak_pool_bin_counters_t counters;
    hak_align_as(64) hak_mpsc_stack_t inbox; /* pushed to by any thread */
} hak_pool_bin_t;

typedef struct {
    hak_heap_t *heap;         /* fixed */
    uint32_t ring_cap;        /* 1..HAK_POOL_RING_MOST, fixed when the cache is made */
    uint32_t runs;            /* 2..HAK_POOL_RUNS_MOST, as well */
    unsigned home;            /* the heap's shard */
    hak_a32_t touched;        /* 1: something may be in it since the last flush */
    hak_pool_trace_fn *trace; /* tests, debug builds only: told of each station */
    void *trace_context;
    hak_pool_bin_t bin[HAK_POOL_CLASSES];
} hak_pool_cache_t;

/* The cache of a heap, or NULL. Any thread. */
static inline hak_pool_cache_t *hak_pool_cache_find(hak_heap_t *heap) {
    /* pairs with the release in hak_pool_cache_of_owner */
    return (hak_pool_cache_t *)hak_load_acq(&heap->backend[HAK_HEAP_MID_POOL]);
}
/* The same, made if there is none. NULL with errno ENOMEM. By the thread that has the heap. */
hak_pool_cache_t *hak_pool_cache_of_owner(hak_heap_t *heap);

/* A block of the class, or NULL: no memory. `most` is how many blocks may come along into the
 * ring; 0 for a heap that is only borrowed. */
hak_block_t *hak_pool_cache_take_owner(hak_pool_cache_t *cache, unsigned ci, uint32_t most);
/* The most that fits a class: a page's worth, half a ring at most. */
uint32_t hak_pool_cache_batch(unsigned ci);
/* Takes a free block in. */
void hak_pool_cache_put_owner(hak_pool_cache_t *cache, unsigned ci, hak_block_t *block);
/* Everything to the shards, and the runs' pages to nobody. */
void hak_pool_cache_flush_owner(hak_pool_cache_t *cache);
/* A block of a page that is not the calling thread's. `mine` (its cache, locked) or NULL. */
void hak_pool_cache_send_mt(hak_pool_cache_t *mine, hak_pool_page_t *page, unsigned ci,
                            hak_block_t *block);

/* Counts blocks in ring, lifo and inbox; nobody is inside. Returns the faults. */
size_t hak_pool_cache_check_locked(const hak_pool_cache_t *cache);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_CACHE_POOL_CACHE_H_ */
