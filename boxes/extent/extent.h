/* extent: large blocks, above the largest size class up to 32 MiB: runs of 64 KiB units that are
 * cut from tracts of 256 MiB, and join with their free neighbours when they are freed.
 *
 * Freed units stay resident until purged, so a program that frees and allocates large blocks in
 * turn makes no system call and touches no new page, whatever the sizes are. A block grows into the
 * free units behind it; where they are in use it is copied to a place with room for twice its size.
 * One that becomes too large leaves with its pages.
 * The last two blocks that a thread freed are parked: the next request of the length of one takes
 * it without a lock.
 *
 * Owns       tracts, their registry entries and tags, the places for parked blocks.
 * Threads    *_mt: any; a block belongs to its caller. Own lock (HAK_RANK_EXTENT), not held while
 *            memory goes back to the kernel or content is copied.
 * Invariant  extents tile a tract; no two free ones are neighbours. Units that are dirty and not
 *            in use are known; all others that are free read as zero. Descriptors are never freed.
 * Errors     NULL with errno ENOMEM.
 * Layer      4 (boxes). Uses registry, core, backends/os.
 */
#ifndef HAK_BOXES_EXTENT_EXTENT_H_
#define HAK_BOXES_EXTENT_EXTENT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_EXTENT_MAX_BYTES = 32 << 20,
    HAK_EXTENT_PARKED_MAX_BYTES = 1 << 20, /* more is not left out of reach of other threads */
    HAK_EXTENT_PARKED = 2,                 /* places of a heap, the second for a quarter as much */
};

/* A block of `bytes`, 1..HAK_EXTENT_MAX_BYTES, at a multiple of 64 KiB. `*zeroed` tells if it reads
 * as zero. `parked` are the places of the caller's heap, or NULL. */
void *hak_extent_alloc_mt(size_t bytes, hak_aptr_t *parked, bool *zeroed);
/* False if no block starts at `block`, or if it was freed meanwhile. */
bool hak_extent_free_mt(void *block, hak_aptr_t *parked);
/* Another size, up to HAK_EXTENT_MAX_BYTES; the block may move. NULL: nothing changed. */
void *hak_extent_resize_mt(void *block, size_t bytes);
/* A block that gets larger than HAK_EXTENT_MAX_BYTES leaves its extent without being copied. Leave
 * takes its pages away, `*bytes` of them, to a mapping of their own; NULL: the kernel cannot, and
 * nothing changed. Left ends the block then; come_back copies the pages to it instead. */
void *hak_extent_leave_mt(void *block, size_t *bytes);
void hak_extent_left_mt(void *block);
void hak_extent_come_back_mt(void *block, void *pages, size_t bytes);
/* Usable bytes of the block that holds `address`, and its start in `*block`; 0 if none does. */
size_t hak_extent_describe(uintptr_t address, uintptr_t *block);

/* Frees what is parked in a heap's places. */
void hak_extent_unpark_mt(hak_aptr_t *parked);
/* Gives units back that have been free for between half and all of `delay_ms` at `now_ms` (delay 0:
 * all) while more than `keep_bytes` of them are resident, and tracts without a block in them.
 * With a delay it makes `max_calls` system calls at most, and gives as many times 2 MiB back; the
 * next one goes on. Returns the bytes. */
size_t hak_extent_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                           size_t keep_bytes);
/* True if something waits to be purged. No lock: a hint. */
bool hak_extent_has_dirty(void);

typedef struct {
    uint64_t blocks, bytes; /* live */
    uint64_t tail_bytes;    /* behind them, up to the end of their last units */
    uint64_t cached_bytes;  /* freed and resident, parked ones included */
    uint64_t mapped_bytes, mapped_peak_bytes;
    uint64_t purges, purged_bytes; /* given back to the kernel */
    uint64_t tracts, tracts_made;
    uint64_t grown, moved; /* blocks that grew in place; that had to move for it */
    uint64_t left;         /* that became larger than an extent */
    uint64_t huge_windows; /* windows of 2 MiB that huge pages were asked for */
} hak_extent_stats_t;
void hak_extent_stats_mt(hak_extent_stats_t *out);

/* Checks all structures; the caller holds the lock by hak_extent_fork_take. Returns the faults. */
size_t hak_extent_check_locked(void);

void hak_extent_fork_take(void);
void hak_extent_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_EXTENT_EXTENT_H_ */
