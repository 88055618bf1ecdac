/* A shelf is an array of addresses used as a stack: the run given last is taken first, its memory
 * is warm. So the runs that no request reached since the last visit lie at the bottom, as many as
 * the shelf held at its lowest.
 */
#include "boxes/page_arena/page_arena.h"

#include <string.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/lock_rank.h"
#include "core/lock/lock.h"
#include "core/options/options.h"

enum {
    HAK_HOT_RUNS = 1024,
    HAK_WARM_64K_RUNS = 256,
    HAK_WARM_128K_RUNS = 128,
    HAK_WARM_2M_RUNS = 64,
    HAK_LARGEST_SHIFT = 21
};

typedef struct {
    const uint32_t shift, room;
    uint32_t count;
    uint32_t lowest; /* least `count` since the last visit */
    void **const run;
} hak_shelf_t;

static void *hak_hot[HAK_HOT_RUNS];
static void *hak_warm_64k[HAK_WARM_64K_RUNS];
static void *hak_warm_128k[HAK_WARM_128K_RUNS];
static void *hak_warm_2m[HAK_WARM_2M_RUNS];

static struct {
    hak_lock_t lock;
    hak_shelf_t shelf[HAK_PAGE_ARENA_SHELVES];
    uint64_t visited_ms;
    hak_page_arena_stats_t stats;
} hak_pages = {.lock = HAK_LOCK_INIT(HAK_RANK_PAGES),
               .shelf = {{12, HAK_HOT_RUNS, 0, 0, hak_hot},
                         {16, HAK_WARM_64K_RUNS, 0, 0, hak_warm_64k},
                         {17, HAK_WARM_128K_RUNS, 0, 0, hak_warm_128k},
                         {HAK_LARGEST_SHIFT, HAK_WARM_2M_RUNS, 0, 0, hak_warm_2m}}};

bool hak_page_arena_is_on(void) { return hak_option(HAK_OPTION_PAGE_ARENA) != 0; }

static hak_shelf_t *hak_shelf_of(size_t bytes) {
    for (unsigned i = 0; i < HAK_PAGE_ARENA_SHELVES; i++) {
        /* where the kernel's pages are larger, smaller runs cannot be given back */
        if (bytes == (size_t)1 << hak_pages.shelf[i].shift && bytes >= hak_os_page_bytes()) {
            return &hak_pages.shelf[i];
        }
    }
    return NULL;
}

void *hak_page_arena_take_mt(size_t bytes) {
    hak_shelf_t *shelf = hak_page_arena_is_on() ? hak_shelf_of(bytes) : NULL;
    if (shelf == NULL) {
        return NULL;
    }
    void *base = NULL;
    hak_lock_take(&hak_pages.lock);
    if (shelf->count != 0) {
        base = shelf->run[--shelf->count];
        shelf->lowest = shelf->count < shelf->lowest ? shelf->count : shelf->lowest;
        hak_pages.stats.hits++;
        hak_pages.stats.bytes -= bytes;
    } else {
        hak_pages.stats.misses++;
    }
    hak_lock_drop(&hak_pages.lock);
    return base;
}

static bool hak_put_locked(hak_shelf_t *shelf, void *base) {
    if (shelf->count == shelf->room) {
        return false;
    }
    shelf->run[shelf->count++] = base;
    hak_pages.stats.given++;
    hak_pages.stats.bytes += (uint64_t)1 << shelf->shift;
    return true;
}

void hak_page_arena_give_mt(void *base, size_t bytes) {
    size_t largest = (size_t)1 << HAK_LARGEST_SHIFT;
    size_t piece = bytes > largest && bytes % largest == 0 ? largest : bytes;
    hak_shelf_t *shelf = hak_page_arena_is_on() ? hak_shelf_of(piece) : NULL;
    char *at = base;
    char *end = at + bytes;
    if (shelf != NULL) {
        hak_lock_take(&hak_pages.lock);
        while (at != end && hak_put_locked(shelf, at)) {
            at += piece;
        }
        hak_lock_drop(&hak_pages.lock);
    }
    if (at != end) {
        hak_os_unmap(at, (size_t)(end - at));
    }
}

/* Takes up to `count` runs from the bottom and unmaps them. Under the lock: no run may be seen as
 * free by two threads, and whoever waits here would otherwise have asked the kernel too. */
static size_t hak_return_locked(hak_shelf_t *shelf, uint32_t count) {
    size_t run_bytes = (size_t)1 << shelf->shift;
    for (uint32_t i = 0; i < count; i++) {
        hak_os_unmap(shelf->run[i], run_bytes);
    }
    shelf->count -= count;
    memmove(shelf->run, shelf->run + count, shelf->count * sizeof shelf->run[0]);
    shelf->lowest = shelf->count;
    hak_pages.stats.bytes -= count * run_bytes;
    hak_pages.stats.returned += count * run_bytes;
    return count * run_bytes;
}

size_t hak_page_arena_purge_mt(uint64_t now_ms, uint64_t delay_ms, size_t keep_bytes) {
    size_t bytes = 0;
    hak_lock_take(&hak_pages.lock);
    if (delay_ms == 0 || now_ms >= hak_pages.visited_ms + delay_ms ||
        hak_pages.visited_ms > now_ms) {
        hak_pages.visited_ms = now_ms;
        for (unsigned i = 0; i < HAK_PAGE_ARENA_SHELVES; i++) {
            hak_shelf_t *shelf = &hak_pages.shelf[i];
            bool all = delay_ms == 0 || !hak_page_arena_is_on();
            uint64_t excess =
                hak_pages.stats.bytes > keep_bytes ? hak_pages.stats.bytes - keep_bytes : 0;
            uint64_t most = (excess + ((uint64_t)1 << shelf->shift) - 1) >> shelf->shift;
            uint32_t count = all ? shelf->count : shelf->lowest;
            bytes += hak_return_locked(shelf, count < most ? count : (uint32_t)most);
        }
    }
    hak_lock_drop(&hak_pages.lock);
    return bytes;
}

void hak_page_arena_stats_mt(hak_page_arena_stats_t *out) {
    hak_lock_take(&hak_pages.lock);
    *out = hak_pages.stats;
    hak_lock_drop(&hak_pages.lock);
}

size_t hak_page_arena_check_locked(void) {
    size_t faults = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < HAK_PAGE_ARENA_SHELVES; i++) {
        const hak_shelf_t *shelf = &hak_pages.shelf[i];
        faults += shelf->count > shelf->room || shelf->lowest > shelf->count;
        bytes += (uint64_t)shelf->count << shelf->shift;
        for (uint32_t k = 0; k < shelf->count && faults == 0; k++) {
            faults += ((uintptr_t)shelf->run[k] & (((uintptr_t)1 << shelf->shift) - 1)) != 0;
        }
    }
    return faults + (bytes != hak_pages.stats.bytes);
}

void hak_page_arena_fork_take(void) { hak_lock_take(&hak_pages.lock); }
void hak_page_arena_fork_drop(void) { hak_lock_drop(&hak_pages.lock); }
