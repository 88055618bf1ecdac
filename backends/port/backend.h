/* backend: the port through which the front reaches whoever supplies blocks of a size class and
 * takes them back.
 *
 * The hit path does not come here: it pops and pushes the thread cache. A backend is asked when a
 * bin is empty, when it is full, when a block belongs to another thread, when a thread ends, when
 * memory should go back. Backends differ in all of that and the front knows none of them by name:
 * a variant's route (one of backends/route_*) names one for each class.
 *
 * Threads    refill, refill_one, take_back, thread_flush: the calling thread, which has a heap
 *            (`hak_tls.heap`), but for what refill_one and take_back_remote say. The others: any
 *            thread. No lock is held by the caller.
 * Layer      5 (backends). Uses boxes/heap, boxes/block, backends/os.
 */
#ifndef HAK_BACKENDS_PORT_BACKEND_H_
#define HAK_BACKENDS_PORT_BACKEND_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "base/size_class.h"
#include "boxes/block/block.h"
#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a backend knows of an address in its memory. */
typedef struct {
    uintptr_t block; /* start of the block that holds the address */
    size_t bytes;    /* its size */
    bool handed_out; /* false: the place was never given to anyone */
} hak_block_info_t;

typedef struct {
    uint64_t blocks, bytes;  /* at users and in thread caches */
    uint64_t slabs;          /* runs of blocks in use */
    uint64_t free_bytes;     /* in them, free and touched, to the end of the OS page */
    uint64_t uncarved_bytes; /* in them, never touched */
    /* A backend with memory of its own, apart from superslabs and huge mappings; else 0. */
    uint64_t mapped_bytes, mapped_peak_bytes;
    uint64_t empty_dirty_bytes; /* in no use and not yet given back */
    uint64_t purges, purged_bytes;
} hak_backend_stats_t;

/* Adds a run of `whole` bytes, of which blocks were taken from the first `touched`, with `used`
 * blocks of `bytes` in use; bytes 0: it was closed meanwhile. While threads work, the numbers may
 * be of different moments, the run one of another size in between: what is added is never more than
 * the run. What is touched is resident to the end of its OS page. */
static inline void hak_stats_add_run(hak_backend_stats_t *stats, uint64_t whole, uint64_t touched,
                                     uint64_t used, uint64_t bytes) {
    if (bytes == 0) {
        return;
    }
    touched = touched < whole ? touched : whole;
    used = used < touched / bytes ? used : touched / bytes;
    touched = hak_align_up(touched, hak_os_page_bytes());
    touched = touched < whole ? touched : whole;
    stats->slabs++;
    stats->blocks += used;
    stats->bytes += used * bytes;
    stats->free_bytes += touched - used * bytes;
    stats->uncarved_bytes += whole - touched;
}

typedef struct {
    uint64_t now_ms, delay_ms; /* delay 0: everything that is free */
    unsigned max_calls;
    size_t keep_bytes;
} hak_purge_order_t;

struct hak_stats; /* include/hakmem.h */

typedef struct hak_backend {
    const char *name;
    /* True if it keeps thread caches of its own: the thread's bins of its classes hold nothing
     * then, each malloc comes to refill and each own free to take_back. */
    bool has_cache;
    /* A block of the class, its mark not cleared; others may go to the thread's bin, which is
     * empty. NULL: ENOMEM. */
    hak_block_t *(*refill)(hak_heap_t *mine, unsigned sc);
    /* One block only: for a thread that borrows a heap and has no bins. */
    hak_block_t *(*refill_one)(hak_heap_t *mine, unsigned sc);
    /* A block from the hit path that the bin had no room for. Puts the bin's room right by
     * hak_cache_policy_note_overflow_owner. */
    void (*take_back)(hak_heap_t *mine, hak_block_t *block, unsigned sc);
    /* A block whose tag is another heap's. `mine` is NULL if the thread has no heap and gets none.
     * False: no block was ever handed out there, nothing changed. */
    bool (*take_back_remote)(hak_heap_t *mine, hak_block_t *block, unsigned sc);
    /* Empties the thread's bins and batches of all classes that are this backend's. */
    void (*thread_flush)(hak_heap_t *mine);
    /* Sends home what is on its way from one thread to another. NULL: nothing ever is. */
    void (*flush_shared)(void);
    /* The thread leaves: after thread_flush, gives back what the heap need not keep. */
    void (*thread_exit)(hak_heap_t *mine);
    /* Options were read, or one was set: called before anything else here, and again at any time.
     * False if it refuses one, which then has the value before. NULL: none concern it. */
    bool (*configure)(bool warn);
    /* Starts threads of the backend's own, once the C library is ready, and again in the child of a
     * fork. NULL: it has none. */
    void (*start)(void);
    /* Gives memory back that has been free for `delay_ms`, keeping `keep_bytes` of it, with about
     * `max_calls` system calls. Returns the bytes, and not 0 also if slabs wait for another call
     * soon. `mine` is the caller's heap or NULL. */
    size_t (*purge)(hak_heap_t *mine, const hak_purge_order_t *order);
    bool (*has_garbage)(void); /* a hint: purge may find something, now or later */
    /* True if a block of the class that was handed out starts at `address`, an address in memory of
     * this backend. False may mean that `describe` has to tell. NULL: always. */
    bool (*starts)(uintptr_t address, unsigned sc);
    /* False if the address is not in memory of this backend. */
    bool (*describe)(uintptr_t address, hak_block_info_t *info);
    void (*stats)(hak_backend_stats_t *out);
    /* Fills the fields of hakmem.h that are this backend's alone; those that it leaves out stay
     * HAK_STAT_DISABLED, and adds to those that heaps count. NULL: it has none. */
    void (*counters)(struct hak_stats *out);
    /* Keeps threads of the backend's own from work until go_on, in the child of a fork as well;
     * waits for what they have in hand. Before any lock is taken for a fork or a check. NULL: it
     * has none. */
    void (*pause)(void);
    void (*go_on)(void);
    /* Around a fork, with all heaps locked. In the child all other threads are gone, wherever they
     * were. */
    void (*fork_take)(void);
    void (*fork_drop)(bool in_child);
    /* Verifies all structures, between fork_take and fork_drop. Returns the faults. */
    size_t (*check)(void);
} hak_backend_t;

/* The variant's route. Classes up to HAK_SC_COUNT; NULL for class 0. */
extern const hak_backend_t *const hak_route[HAK_SC_COUNT];
/* Each backend of the route once, then NULL. */
extern const hak_backend_t *const hak_route_backends[];

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_PORT_BACKEND_H_ */
