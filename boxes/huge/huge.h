/* huge: blocks above 32 MiB, or aligned to more than 64 KiB: a mapping each, aligned to 2 MiB.
 *
 * Freed mappings are kept for the purge delay, up to a bound, and serve requests of nearly their
 * size: servers that allocate and free big buffers in turn then make no system call and fault no
 * page. Where live and kept ones would pass the most that was ever live by more than an eighth, the
 * last freed one is cut or lengthened instead of mapping another, or the first freed one goes.
 * Growth goes in place where the kernel can, else the pages are moved by mremap, never copied.
 *
 * Owns       the list of live huge blocks and the cache of freed ones.
 * Threads    *_mt: any; a block belongs to its caller. Own lock (HAK_RANK_HUGE), not held during
 *            system calls that take long.
 * Errors     NULL with errno ENOMEM.
 * Layer      4 (boxes). Uses registry, core, backends/os.
 */
#ifndef HAK_BOXES_HUGE_HUGE_H_
#define HAK_BOXES_HUGE_HUGE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A block of `bytes` (> 0) aligned to `align`, a power of two. `*zeroed` tells if it reads as
 * zero. */
void *hak_huge_alloc_mt(size_t bytes, size_t align, bool *zeroed);
/* A block of `bytes` that begins with what is in `pages`, a mapping of its own of `page_bytes`. It
 * becomes part of the block. NULL: it is as it was. */
void *hak_huge_adopt_mt(void *pages, size_t page_bytes, size_t bytes);
/* False if no huge block starts at `block`. */
bool hak_huge_free_mt(void *block);
/* Another size for the block; it may move. NULL: nothing changed. */
void *hak_huge_resize_mt(void *block, size_t bytes);
/* Usable bytes of the huge block that holds `address`, and its start in `*block`; 0 if none does.
 */
size_t hak_huge_describe_mt(uintptr_t address, uintptr_t *block);
/* True if `address` lies behind a live huge block in its last window of 2 MiB: the registry leads
 * to the block from there, but what is mapped there is not ours. */
bool hak_huge_ends_before_mt(uintptr_t address);

/* Unmaps cached mappings freed before now_ms - delay_ms, oldest first, while the cache holds more
 * than `keep_bytes`. With a delay, `max_calls` of them at most and as many times 2 MiB: the last
 * one may be cut. Returns the bytes given back. */
size_t hak_huge_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls, size_t keep_bytes);
bool hak_huge_has_cached(void);

typedef struct {
    uint64_t blocks, bytes; /* live */
    uint64_t cached_bytes;  /* freed and kept */
    uint64_t mapped_peak_bytes;
    uint64_t purges, purged_bytes; /* left the cache for the kernel, wholly or in part */
    uint64_t made, reused;
    uint64_t huge_windows; /* windows of 2 MiB that huge pages were asked for */
} hak_huge_stats_t;
void hak_huge_stats_mt(hak_huge_stats_t *out);

void hak_huge_fork_take(void);
void hak_huge_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_HUGE_HUGE_H_ */
