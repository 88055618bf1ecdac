/* heap: what one thread owns behind its thread cache: lists of partial slabs, batches of remote
 * frees, counters.
 *
 * A heap outlives its thread. When the thread ends the heap goes, with its slabs, to the list of
 * idle heaps, and the next new thread takes it as it is: owner ids stay valid and nothing is
 * walked. Heaps are never freed.
 *
 * Owns       hak_heap_t, the list of all heaps, the list of idle ones.
 * Threads    *_owner: the thread that has the heap, inside its owner lock, or a guest inside it.
 *            *_mt: any.
 * Invariant  a slab is on the partial list of its class in its heap exactly if `listed`; a slab
 *            that has a free block or room to carve is listed. At most one thread has a heap.
 * Layer      4 (boxes). Uses boxes/slab, core/owner_lock, core/lock, core/meta, registry (tags).
 */
#ifndef HAK_BOXES_HEAP_HEAP_H_
#define HAK_BOXES_HEAP_HEAP_H_

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"
#include "boxes/slab/slab.h"
#include "config/hak_config.h"
#include "core/owner_lock/owner_lock.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_HEAP_PARKED = 2 }; /* large blocks that a thread keeps: HAK_EXTENT_PARKED */

/* Backends that keep something of their own for each heap. */
typedef enum {
    HAK_HEAP_MF2,
    HAK_HEAP_MID_MT,
    HAK_HEAP_MID_POOL,
    HAK_HEAP_POOL_TLS,
    HAK_HEAP_BACKENDS
} hak_heap_backend_t;

/* Open batches of a thread, and how many of their places one slab can have. */
enum { HAK_BATCH_SLOTS = 16, HAK_BATCH_WAYS = 4 };
enum { HAK_BATCH_MAX_BLOCKS = 64, HAK_BATCH_MAX_BYTES = 1 << 16 };

/* Of a slab on the list of its class. */
typedef enum { HAK_HEAP_FIRST, HAK_HEAP_SECOND, HAK_HEAP_LAST } hak_heap_place_t;

/* Blocks of one slab that this thread freed and has not sent yet; free_remote. A line each. */
typedef struct {
    hak_align_as(64) hak_slab_t *slab;
    hak_block_t *head, *tail;
    uintptr_t unit; /* address >> HAK_UNIT_SHIFT of the first block */
    /* Below it all blocks of the slab have been carved, as far as was seen; 0: the batch is not
     * open, and no block, nor NULL, belongs to it. */
    uintptr_t limit;
    uint32_t count;
    uint32_t block_bytes;
    uint32_t divisor; /* hak_sc_divisor of the class */
} hak_batch_t;

/* left_bins: a bin whose thread is gone. */
typedef struct {
    hak_block_t *head;
    int32_t room;
} hak_left_bin_t;

/* Counters written by the owner (or a guest inside the lock), read by anyone. */
typedef struct {
    hak_a64_t refills, refill_blocks, flushed_blocks, cache_drains;
    hak_a64_t remote_blocks, remote_batches, drained_blocks, adopted_slabs, passed_blocks;
    hak_a64_t slabs_made, slabs_retired;
} hak_heap_counters_t;

typedef struct hak_heap {
    hak_owner_lock_t lock;
    uint32_t tag;         /* owner id << HAK_TAG_OWNER_SHIFT, fixed */
    uint32_t slow_steps;  /* purge: counts towards the next look at the clock */
    uint32_t large_frees; /* purge: the same for frees of large blocks */
    uint64_t looked_ms;   /* purge: when it last looked */
    /* purge, adoption: when the owner was last seen on a slow path */
    hak_a64_t active_ms;
    /* adoption: active_ms at the last collection; free_local: 0 if there is something new */
    hak_a64_t collected_ms;
    hak_a64_t partial_mask[2];              /* bit per class: the list below is not empty */
    hak_slab_t *partial[HAK_SC_COUNT];      /* first of the list, to refill from; or NULL */
    hak_slab_t *partial_last[HAK_SC_COUNT]; /* last of that list; NULL: it is empty */
    hak_a32_t partial_slabs[HAK_SC_COUNT];  /* length of those lists */
    uint16_t carve_step[HAK_SC_COUNT];      /* refill: blocks to carve next time */
    hak_a32_t cached_max[HAK_SC_COUNT]; /* cache_policy: bound of the blocks in the thread's bin */
    /* cache_policy: the room of an empty bin */
    uint32_t bin_cap[HAK_SC_COUNT];
    /* cache_policy: block size of each spare class for which bin_cap was set; 0: not yet */
    uint32_t spare_bytes[HAK_SC_SPARE];
    /* cache_policy: how often its bin was full, as far as 16 bits say; and since when, the lower
     * bits of the clock */
    uint16_t overflows[HAK_SC_COUNT];
    uint32_t overflows_since_ms[HAK_SC_COUNT];
    /* cache_policy: bit per class: its bin takes blocks of other heaps too */
    uint64_t shares[2];
    /* cache_policy: by how much the caps exceed the first ones, all classes */
    uint32_t cap_growth_bytes;
    /* thread: hak_tls_t of the thread that has the heap, 0: none or a guest */
    hak_aptr_t thread;
    uint64_t came_ms; /* when its thread, or the last one, got the heap */
    /* left_bins: bins of the thread before, under the lock; a bit for each that is not empty; 1 if
     * it left any; when it did */
    hak_left_bin_t left_bin[HAK_SC_COUNT];
    hak_a64_t left_mask[2];
    hak_a32_t has_left;
    hak_a64_t left_ms;
    hak_a32_t idle; /* 1 while no thread has the heap */
    struct hak_heap *next_idle;
    struct hak_heap *next_all; /* fixed */
    hak_heap_counters_t counters;
    /* Only the thread itself, no lock. */
    hak_batch_t batch[HAK_BATCH_SLOTS];
    hak_a64_t batched_bytes;             /* in all batches; read by statistics */
    uint32_t batch_turn;                 /* free_remote: whose place the next batch takes */
    uint32_t batch_lack;                 /* free_remote: blocks that short batches lacked of late */
    hak_block_t *bin_seen[HAK_SC_COUNT]; /* flush: first block of each bin at the last look */
    uint64_t bins_seen_ms;               /* flush: when that was */
    uint64_t bins_look_at;               /* flush: and at how many slabs the next one is */
    uint64_t bins_emptied[2];            /* flush: bit per class that it left without a slab */
    uint64_t bins_grow_at;               /* flush: or at how many slots of all heaps */
    /* cache_policy: how many frees still go home past the bin; with how many partial slabs that
     * began, or shall begin again */
    uint32_t home_left[HAK_SC_COUNT], home_slabs[HAK_SC_COUNT];
    /* backends: what one keeps for the heap, made by it at first use, never freed; 0: none yet */
    hak_aptr_t backend[HAK_HEAP_BACKENDS];
    /* extent: the large blocks that the thread freed last, 0: none; any thread may take them */
    hak_aptr_t parked[HAK_HEAP_PARKED];
    /* pending: slabs of this heap with remote frees. */
    /* taken from `pending` and not looked at yet; under the lock */
    hak_aptr_t drain_next;
    hak_align_as(64) hak_aptr_t pending; /* pushed to by any thread */
} hak_heap_t;

/* Puts `slab` on the list of its class, at this place; where there is no first, it becomes it. */
void hak_heap_list_owner(hak_heap_t *heap, hak_slab_t *slab, hak_heap_place_t place);
void hak_heap_unlist_owner(hak_heap_t *heap, hak_slab_t *slab);

static inline bool hak_heap_has_partial(const hak_heap_t *heap, unsigned sc) {
    /* relaxed: a hint to guests */
    return (hak_load_rlx(&heap->partial_mask[sc >> 6]) >> (sc & 63) & 1u) != 0;
}

/* How many partial slabs of the class the heap has. */
static inline uint32_t hak_heap_partial_slabs(const hak_heap_t *heap, unsigned sc) {
    return hak_load_rlx(&heap->partial_slabs[sc]); /* relaxed: a hint outside the lock */
}

/* An idle heap, or a new one; the caller becomes its thread. NULL with errno ENOMEM. */
hak_heap_t *hak_heap_acquire_mt(void);
/* The thread leaves the heap. */
void hak_heap_release_mt(hak_heap_t *heap);

/* All heaps, newest first; follow next_all. No lock. */
hak_heap_t *hak_heap_first(void);
/* The heap at which `*cursor` points, which then points at the next one; after the last comes the
 * first. So that those who look at a few heaps at a time look at all of them in turn. NULL if there
 * is none. Any thread; a cursor begins as 0, and any heap is a right value. */
hak_heap_t *hak_heap_step_mt(hak_aptr_t *cursor);

/* True if threads may keep blocks of the class that come from others' slabs. Neighbours of a
 * smaller block may share its cache line with the thread that it came from; and where interior
 * pointers are checked, or frees of own blocks counted, each block goes home. Never of an exact
 * size: the bin's may be another one. */
static inline bool hak_heap_is_shared(unsigned sc) {
    uint32_t bytes = hak_sc_bytes[sc];
    return !hak_cfg_check_interior && !hak_cfg_cache_drain && sc <= HAK_SC_FIXED &&
           (bytes >= 2 * HAK_CACHE_LINE || bytes % HAK_CACHE_LINE == 0);
}
/* The registry's tag for a slab of the class that the heap has. */
static inline uint32_t hak_heap_slab_tag(const hak_heap_t *heap, unsigned sc) {
    return (hak_heap_is_shared(sc) ? HAK_TAG_SHARED : heap->tag) | sc << HAK_BIN_SHIFT;
}

void hak_heap_counts(uint64_t *made, uint64_t *idle);

/* Around a fork: no other thread is inside any heap. `mine` is the caller's, or NULL. In the child
 * all others become idle. */
void hak_heap_fork_take(hak_heap_t *mine);
void hak_heap_fork_drop_parent(hak_heap_t *mine);
void hak_heap_fork_drop_child(hak_heap_t *mine);
/* True in the child of a fork that lost what other threads' caches and batches held. */
bool hak_heap_has_lost(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_HEAP_HEAP_H_ */
