/* page_arena: freed runs of memory kept for reuse, by size, in front of the kernel.
 *
 *   size      shelf holds
 *   4 KiB     1,024 runs, the hot ones
 *   64 KiB      256
 *   128 KiB     128
 *   2 MiB        64
 *
 * Off by default (HAKMEM_PAGE_ARENA): what it saves is a munmap and an mmap of memory that comes
 * and goes faster than the purge delay, and what it costs is that memory. Other sizes, and runs
 * that find their shelf full, go straight to the kernel. A larger run of whole 2 MiB is cut up
 * when it is given. A run that no request reached during a whole purge delay goes to the kernel:
 * each shelf remembers its lowest level since the last visit.
 *
 * Owns       the shelves.
 * Threads    *_mt: any; take the box's own lock (HAK_RANK_PAGES).
 * Invariant  a run on a shelf is mapped, belongs to nobody, is registered nowhere.
 * Layer      4 (boxes). Uses backends/os, core/lock, core/options. Used by boxes/pool_chunk, which
 *            asks for 2 MiB.
 */
#ifndef HAK_BOXES_PAGE_ARENA_PAGE_ARENA_H_
#define HAK_BOXES_PAGE_ARENA_PAGE_ARENA_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_PAGE_ARENA_SHELVES = 4 };

typedef struct {
    uint64_t hits, misses; /* requests of a size that has a shelf */
    uint64_t given;        /* runs put on a shelf */
    uint64_t bytes;        /* on the shelves now */
    uint64_t returned;     /* bytes that visits gave to the kernel */
} hak_page_arena_stats_t;

/* False: the shelves are not in use, and the functions below only find what is still there. */
bool hak_page_arena_is_on(void);

/* A run of `bytes` from its shelf, aligned to its size, with whatever content; or NULL. */
void *hak_page_arena_take_mt(size_t bytes);
/* Takes a mapping over, which is aligned to its size or to 2 MiB: on the shelf or to the kernel. */
void hak_page_arena_give_mt(void *base, size_t bytes);

/* Gives to the kernel what no request has reached since the last visit, which must be `delay_ms`
 * ago; with delay 0 everything but `keep_bytes`. Returns the bytes. */
size_t hak_page_arena_purge_mt(uint64_t now_ms, uint64_t delay_ms, size_t keep_bytes);
void hak_page_arena_stats_mt(hak_page_arena_stats_t *out);
/* Checks the shelves, between fork_take and fork_drop. Returns the faults. */
size_t hak_page_arena_check_locked(void);

void hak_page_arena_fork_take(void);
void hak_page_arena_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_PAGE_ARENA_PAGE_ARENA_H_ */
