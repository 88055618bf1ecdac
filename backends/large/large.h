/* large: blocks above the largest size class: extents of tracts up to 32 MiB, mappings of their own
 * above, and where more than 64 KiB of alignment is asked for.
 *
 * Threads    *_mt: any; a block belongs to its caller.
 * Errors     NULL with errno ENOMEM.
 * Layer      5 (backends). A composition of boxes/extent and boxes/huge. Uses boxes/heap.
 */
#ifndef HAK_BACKENDS_LARGE_LARGE_H_
#define HAK_BACKENDS_LARGE_LARGE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/port/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A block of `bytes` (> 0) aligned to `align` (a power of two); `*zeroed` tells if it reads as
 * zero. `mine` is the calling thread's heap, or NULL. */
void *hak_large_alloc_mt(hak_heap_t *mine, size_t bytes, size_t align, bool *zeroed);
/* Makes a large block that came with `*zeroed` false read as zero. */
void hak_large_zero(void *block, size_t bytes);
/* False if no large block starts at `block`. */
bool hak_large_free_mt(hak_heap_t *mine, void *block);
/* Changes the size without copying, perhaps moving the pages; NULL: not possible this way, nothing
 * changed. */
void *hak_large_resize_mt(void *block, size_t bytes);
/* Usable bytes that a request of `bytes` gets. */
size_t hak_large_good_bytes(size_t bytes);
bool hak_large_describe(uintptr_t address, hak_block_info_t *info);
/* True if the registry knows `address` only because a huge block ends in its window of 2 MiB. */
bool hak_large_ends_before(uintptr_t address);
/* As a backend's purge; a system call takes 2 MiB at most, or counts as several. */
size_t hak_large_purge_mt(const hak_purge_order_t *order);
bool hak_large_has_garbage(void);
typedef struct {
    hak_backend_stats_t backend; /* free_bytes: tails of blocks, which may be resident */
    uint64_t cached_bytes;       /* freed and resident */
    uint64_t huge_windows;       /* windows of 2 MiB that huge pages were asked for */
} hak_large_stats_t;
void hak_large_stats_mt(hak_large_stats_t *out);
/* Verifies what hak_large_fork_take has locked. Returns the faults. */
size_t hak_large_check_locked(void);
void hak_large_fork_take(void);
void hak_large_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_LARGE_LARGE_H_ */
