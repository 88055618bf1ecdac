/* hakmem.h: the public interface of the hakmem memory allocator.
 *
 * A service needs none of this: linking //:hakmem or preloading libhakmem.so replaces malloc, free
 * and the C++ operators. This header adds what the C library has no name for: twins under own
 * names, statistics, options.
 *
 * Threads    every function may be called from any thread, also before main and from atexit
 *            handlers. None is async-signal-safe.
 * Errors     misuse (a wild, foreign or double free) is reported as one line on stderr and aborts,
 *            see HAKMEM_ON_ERROR in docs/ENV_VARS.md, and docs/ERRORS.md for what is not seen.
 * Structs    that callers pass in begin with `struct_bytes`; set it to sizeof the struct. A library
 *            that knows fewer fields leaves the rest untouched, one that knows more writes only
 *            struct_bytes bytes.
 */
#ifndef HAKMEM_H_
#define HAKMEM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAKMEM_VERSION_MAJOR 0
#define HAKMEM_VERSION_MINOR 1
#define HAKMEM_VERSION_PATCH 0
#define HAKMEM_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define HAKMEM_API __attribute__((visibility("default")))
#define HAKMEM_MALLOC __attribute__((malloc, warn_unused_result))
#else
#define HAKMEM_API
#define HAKMEM_MALLOC
#endif

/* Twins of the standard functions, with exactly their semantics. They never reach another
 * allocator, so a program may use both: free with hak_free() what hak_malloc() gave. In a variant
 * with the malloc override the two families are interchangeable. */
HAKMEM_API void *hak_malloc(size_t size) HAKMEM_MALLOC;
HAKMEM_API void *hak_calloc(size_t count, size_t size) HAKMEM_MALLOC;
HAKMEM_API void *hak_realloc(void *block, size_t size);
HAKMEM_API void *hak_reallocarray(void *block, size_t count, size_t size);
HAKMEM_API void hak_free(void *block);
HAKMEM_API void hak_free_sized(void *block, size_t size);
HAKMEM_API void hak_free_aligned_sized(void *block, size_t alignment, size_t size);
HAKMEM_API int hak_posix_memalign(void **out, size_t alignment, size_t size);
HAKMEM_API void *hak_aligned_alloc(size_t alignment, size_t size) HAKMEM_MALLOC;
HAKMEM_API void *hak_memalign(size_t alignment, size_t size) HAKMEM_MALLOC;
HAKMEM_API void *hak_valloc(size_t size) HAKMEM_MALLOC;
HAKMEM_API void *hak_pvalloc(size_t size) HAKMEM_MALLOC;

/* The number of bytes that may be used in `block`, at least what was asked for; 0 for NULL. */
HAKMEM_API size_t hak_usable_size(const void *block);

/* The usable size that malloc(size) gives, without allocating; above 32 MiB it may give more,
 * because freed mappings are reused. 0 for a size that malloc never serves: what is 2^47 bytes or
 * more when rounded up to pages, 2^48 on aarch64. */
HAKMEM_API size_t hak_good_size(size_t size);

/* The largest power of two that divides the address of `block` (C23 memalignment); 0 for NULL. */
HAKMEM_API size_t hak_memalignment(const void *block);

/* True if `block` is the start of a block that hakmem handed out or keeps free. Reads memory
 * only where a block of hakmem starts. */
HAKMEM_API bool hak_owns(const void *block);

/* Gives unused memory back to the kernel now, keeping up to `keep_bytes` each of empty slabs, of
 * free large blocks and of those above 32 MiB: flushes
 * the caller's thread cache, collects heaps whose thread is gone or idle, purges. Returns 1 if
 * memory was given back, else 0. */
HAKMEM_API int hak_trim(size_t keep_bytes);

/* Returns the caller's thread cache to the slabs. Useful before a thread goes idle for long. */
HAKMEM_API void hak_thread_flush(void);

/* Checks every slab of the process for consistency: lists, counts, maps. Returns the number of
 * faults found and reports on stderr if there is any. Stops all other threads' slow paths
 * meanwhile; for tests and debugging. */
HAKMEM_API size_t hak_check(void);

/* Where the blocks of size classes are: large blocks are not counted. */
typedef struct hak_audit {
    uint32_t struct_bytes; /* in: sizeof(hak_audit_t) */
    uint32_t whole;        /* 1: used = live + cached + batched + remote, and none is misplaced */
    uint64_t used_blocks;  /* what the slabs count as handed out */
    /* found in use by looking at each; HAK_STAT_DISABLED in a build without the check for double
     * frees */
    uint64_t live_blocks;
    uint64_t cached_blocks; /* in the caches of all threads, and between two of them */
    /* on their way to, and waiting for, another thread */
    uint64_t batched_blocks, remote_blocks;
    uint64_t misplaced_blocks; /* on a list to which they do not belong */
} hak_audit_t;

/* Looks for every block and fills `*audit`. Touches all of them; no other thread may be inside
 * malloc or free meanwhile: for tests and debugging. hak_check() includes it if no other thread
 * that has used hakmem still runs. In the child of a fork, caches of the threads that it did not
 * inherit are lost: then used may exceed the sum. Returns 0, or -1 with errno EINVAL if
 * struct_bytes is too small. */
HAKMEM_API int hak_audit(hak_audit_t *audit);

/* The name of the backend that handed out `block`: "slabs", "large", or what the variant has in
 * their place, such as "sp_slot" or "mf2". NULL if `block` is no live block of hakmem; a
 * variant that does not mark free blocks (hakmem_check_none) may take a freed one for live. Static
 * storage. */
HAKMEM_API const char *hak_served_by(const void *block);

/* Version of the library, "0.1.0 (hakmem)"; the name in brackets is the variant. Static storage. */
HAKMEM_API const char *hak_version(void);

/* A counter that the running build does not keep has this value; it is never reported as 0. */
#define HAK_STAT_DISABLED UINT64_MAX

/* A snapshot of the process. Byte counts are exact when no thread runs and every thread has
 * flushed; else what threads hold in their caches counts as live, up to `cached_max_bytes`. Calls
 * are counted only in builds made with --config=stats. */
typedef struct hak_stats {
    uint32_t struct_bytes; /* in: sizeof(hak_stats_t) */
    uint32_t pid;
    /* The memory equation: what hakmem holds from the kernel. */
    /* blocks at users and in thread caches, rounded to their size class; with thread pools also
     * those that wait for the heap they came from */
    uint64_t live_bytes;
    uint64_t live_blocks; /* number of those */
    /* upper bound of what of live_bytes sits in thread caches, between two of them, and in open
     * remote batches */
    uint64_t cached_max_bytes;
    /* free inside ACTIVE slabs: blocks that were in use, and what is resident from a former life or
     * as the rest of an OS page */
    uint64_t slab_free_bytes;
    /* address space of ACTIVE slabs that nothing has touched; not resident */
    uint64_t slab_uncarved_bytes;
    uint64_t empty_dirty_bytes; /* EMPTY slots not yet purged */
    uint64_t large_bytes;       /* live blocks above the largest size class, rounded to OS pages */
    uint64_t large_blocks;
    uint64_t huge_cached_bytes; /* freed large blocks kept for reuse */
    uint64_t metadata_bytes;    /* descriptors, heaps, maps; address space */
    uint64_t mapped_bytes;      /* address space of superslabs and usable for large blocks */
    uint64_t mapped_peak_bytes; /* sum of the most that each part of it has been */
    /* what of all this can be resident: the right side of the memory equation */
    uint64_t resident_max_bytes;
    /* Supply and return. */
    uint64_t superslabs;      /* mapped now */
    uint64_t superslabs_made; /* mmap'd since start */
    uint64_t slabs_active;
    uint64_t slabs_made;
    uint64_t slabs_retired;
    uint64_t slot_from_empty, slot_from_unused, slot_from_new; /* acquire stages 1, 2, 3 */
    uint64_t purges, purged_bytes; /* times that empty memory went back; how much */
    uint64_t mmap_calls, munmap_calls, madvise_calls, mremap_calls;
    /* Blocks that crossed a box border. */
    uint64_t refills, refill_blocks;        /* slab -> thread cache */
    uint64_t flushed_blocks;                /* thread cache -> slab */
    uint64_t cache_drains;                  /* times that a whole bin went there; policy drain */
    uint64_t remote_blocks, remote_batches; /* sent to another heap's slab */
    uint64_t drained_blocks;                /* taken from remote lists */
    uint64_t adopted_slabs;                 /* ownership moved to another heap */
    uint64_t heaps, heaps_idle;             /* thread heaps made; of them without a thread */
    uint64_t errors, registry_flat; /* misuses reported; 1: flat map, 0: two-level fallback */
    /* Calls: HAK_STAT_DISABLED unless built with --config=stats. */
    uint64_t malloc_calls, free_calls, realloc_calls, failed_calls;
    /* Tiny slabs, of blocks up to 1 KiB: slots taken that were EMPTY (stage 1), EMPTY of another
     * class (1b), UNUSED (2), of a superslab added for them (3). */
    uint64_t tiny_from_empty, tiny_from_cross, tiny_from_unused, tiny_from_new;
    uint64_t tiny_slabs_active, tiny_slabs_peak; /* now; most at one time */
    /* size classes that ever had one; superslabs mmap'd because one needed it */
    uint64_t tiny_classes_used, tiny_superslabs_made;
    /* Wholly free superslabs kept mapped: wanted and there, or not; kept, unmapped; kept now. */
    uint64_t lru_hits, lru_misses, lru_pushes, lru_evictions, lru_superslabs;
    uint64_t pool_locks, pool_lock_waits; /* times the pool's lock was taken; not at once */
    /* Mid MT, HAK_STAT_DISABLED elsewhere: blocks that left segments (those in a thread cache have)
     * and came back. frees = local + remote; allocs - frees = used. The row's help says more. */
    uint64_t mid_mt_allocs, mid_mt_bump_allocs, mid_mt_frees, mid_mt_local_frees,
        mid_mt_remote_frees, mid_mt_refills, mid_mt_allocs_per_refill, mid_mt_registry_lookups;
    uint64_t mid_mt_8k_allocs, mid_mt_8k_frees, mid_mt_8k_refills, mid_mt_8k_used;
    uint64_t mid_mt_16k_allocs, mid_mt_16k_frees, mid_mt_16k_refills, mid_mt_16k_used;
    uint64_t mid_mt_32k_allocs, mid_mt_32k_frees, mid_mt_32k_refills, mid_mt_32k_used;
    uint64_t mid_mt_chunks, mid_mt_chunks_spare, mid_mt_chunks_made, mid_mt_chunks_reused,
        mid_mt_chunks_adopted;
    /* Thread pools: HAK_STAT_DISABLED in variants without them. */
    uint64_t pool_tls_chunks, pool_tls_chunks_made; /* mapped now; since the start */
    uint64_t pool_tls_chunk_failures;               /* requests for one that the kernel refused */
    uint64_t pool_tls_refill_failures;              /* refills that found no memory */
    uint64_t pool_tls_adopted_chunks;               /* ownership moved to another heap */
    /* Page arena: disabled also while the option is off. */
    uint64_t page_arena_hits, page_arena_misses, page_arena_bytes;
    /* The mid pool, HAK_STAT_DISABLED elsewhere: allocations by the ring and past it, pages, blocks
     * through inboxes and remote stacks, on lists now. The row's help text says more. */
    uint64_t pool_hits, pool_misses, pool_frees, pool_refills, pool_pages, pool_page_bytes;
    uint64_t pool_pages_two_kib, pool_pages_four_kib, pool_pages_eight_kib, pool_pages_sixteen_kib,
        pool_pages_thirtytwo_kib, pool_pages_closed, pool_steals;
    uint64_t pool_inbox_sent, pool_inbox_drained, pool_remote_sent, pool_remote_drained;
    uint64_t pool_trylock_tries, pool_trylock_failures, pool_cas_tries, pool_cas_retries;
    uint64_t pool_freelist_blocks, pool_remote_blocks, pool_nonempty_shards;
    /* MF2; HAK_STAT_DISABLED in variants without it. HAKMEM_STATS=text explains each. */
    uint64_t mf2_pages_allocated, mf2_page_reuses, mf2_adoptions, mf2_pending_enqueued;
    uint64_t mf2_pending_drained, mf2_requeues, mf2_lease_skips, mf2_drain_tries, mf2_drain_other;
    uint64_t mf2_handoffs, mf2_orphan_pages, mf2_alignment_bugs, mf2_registry_collisions;
    uint64_t mf2_lookup_success_percent, mf2_silent_drops;
    /* Exact classes; HAK_STAT_DISABLED in variants with MF2: sizes that have one; chosen by
     * exact_auto, given up by it, chosen while no spare class was free; then size and slabs of each
     * spare class, 0 if it is not in use. */
    uint64_t exact_sizes, exact_added, exact_dropped, exact_refused;
    uint64_t exact_1_bytes, exact_1_slabs, exact_2_bytes, exact_2_slabs, exact_3_bytes,
        exact_3_slabs, exact_4_bytes, exact_4_slabs, exact_5_bytes, exact_5_slabs, exact_6_bytes,
        exact_6_slabs, exact_7_bytes, exact_7_slabs, exact_8_bytes, exact_8_slabs;
    /* The learner: HAK_STAT_DISABLED in variants without it. Decisions of each kind; what is in
     * force; what was sampled. HAKMEM_STATS=text explains each. */
    uint64_t learn_windows, learn_quiet_windows, learn_cap_raises, learn_cap_cuts;
    uint64_t learn_budget_cuts, learn_canary_starts, learn_canary_adopts, learn_canary_reverts;
    uint64_t learn_w_max_sets, learn_dyn_sets, learn_dyn_refusals, learn_policy_version;
    uint64_t learn_w_max_percent, learn_cap_two_kib, learn_cap_four_kib, learn_cap_eight_kib;
    uint64_t learn_cap_sixteen_kib, learn_cap_thirtytwo_kib, learn_sampled, ace_l1_fallbacks;
    uint64_t ace_waste_bytes, ace_large_hits, ace_large_misses;
    /* Blocks that full bins passed on to the bins of other threads. */
    uint64_t passed_blocks;
    uint64_t huge_touched; /* superslabs that became resident as one huge page */
    uint64_t huge_asked;   /* parts of 2 MiB of large blocks that huge pages were asked for */
} hak_stats_t;

/* Fills `*stats`. Returns 0, or -1 with errno EINVAL if struct_bytes is too small to hold `pid`. */
HAKMEM_API int hak_stats_get(hak_stats_t *stats);

typedef enum hak_stats_format {
    HAK_STATS_TEXT,
    HAK_STATS_JSON,
    HAK_STATS_OPENMETRICS,
    HAK_STATS_SUMMARY
} hak_stats_format_t;

/* Writes the statistics to `fd` without allocating. Returns 0, or -1 with errno of write or
 * EINVAL. */
HAKMEM_API int hak_stats_write(int fd, hak_stats_format_t format);

/* Reads the option `name` (as in HAKMEM_<NAME>, lower case: "purge_delay_ms") as text into
 * `value`, always terminated. Returns the length, or -1 with errno ENOENT, or ERANGE if `bytes` is
 * too small. */
HAKMEM_API int hak_option_get(const char *name, char *value, size_t bytes);

/* Sets a run-time option. Returns 0, or -1 with errno ENOENT (no such option), EPERM (fixed after
 * start or by the variant) or EINVAL (bad value). */
HAKMEM_API int hak_option_set(const char *name, const char *value);

#ifdef __cplusplus
}
#endif
#endif /* HAKMEM_H_ */
