#include "boxes/huge/huge.h"

#include <errno.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "core/lock/lock.h"
#include "core/meta/meta.h"
#include "core/options/options.h"
#include "registry/registry.h"

enum { HAK_CACHE_LOOK = 32 }; /* cached mappings that one request compares */

typedef struct hak_huge {
    hak_region_t region; /* first: the registry leads here */
    hak_a64_t bytes;     /* usable; 0 while the descriptor holds no live block */
    size_t mapped_bytes; /* multiple of the OS page */
    uint64_t freed_at_ms;
    struct hak_huge *next, *prev; /* cache, newest first; or free descriptors (next only) */
} hak_huge_t;

static struct {
    hak_lock_t lock;
    hak_huge_t *newest, *oldest; /* cache */
    hak_huge_t *spare;           /* descriptors without memory */
    hak_a64_t cached_bytes;
    hak_huge_stats_t stats;
} hak_huge = {.lock = HAK_LOCK_INIT(HAK_RANK_HUGE)};

static void hak_note_peak_locked(void) {
    uint64_t mapped = hak_huge.stats.bytes + hak_load_rlx(&hak_huge.cached_bytes); /* relaxed: under the lock */
    if (hak_huge.stats.mapped_peak_bytes < mapped) {
        hak_huge.stats.mapped_peak_bytes = mapped;
    }
}

static void hak_cache_push_locked(hak_huge_t *huge) {
    huge->prev = NULL;
    huge->next = hak_huge.newest;
    if (hak_huge.newest != NULL) {
        hak_huge.newest->prev = huge;
    } else {
        hak_huge.oldest = huge;
    }
    hak_huge.newest = huge;
    hak_count_add(&hak_huge.cached_bytes, huge->mapped_bytes);
}

static void hak_cache_remove_locked(hak_huge_t *huge) {
    if (huge->prev != NULL) {
        huge->prev->next = huge->next;
    } else {
        hak_huge.newest = huge->next;
    }
    if (huge->next != NULL) {
        huge->next->prev = huge->prev;
    } else {
        hak_huge.oldest = huge->prev;
    }
    hak_count_add(&hak_huge.cached_bytes, -(uint64_t)huge->mapped_bytes);
}

/* The best fit among the newest: at least `mapped`, at most an eighth more, so that a block does not hold memory that
 * it did not ask for. */
static hak_huge_t *hak_cache_find_locked(size_t mapped, size_t align) {
    hak_huge_t *best = NULL;
    hak_huge_t *huge = hak_huge.newest;
    for (int i = 0; huge != NULL && i < HAK_CACHE_LOOK; i++, huge = huge->next) {
        if (huge->mapped_bytes >= mapped && huge->mapped_bytes - mapped <= mapped / 8 &&
            (huge->region.base & (align - 1)) == 0 && (best == NULL || huge->mapped_bytes < best->mapped_bytes)) {
            best = huge;
        }
    }
    if (best != NULL) {
        hak_cache_remove_locked(best);
    }
    return best;
}

static hak_huge_t *hak_descriptor_locked(void) {
    hak_huge_t *huge = hak_huge.spare;
    if (huge != NULL) {
        hak_huge.spare = huge->next;
        return huge;
    }
    huge = hak_meta_alloc_mt(sizeof *huge);
    if (huge != NULL) {
        huge->region.kind = HAK_REGION_HUGE;
    }
    return huge;
}

static void hak_descriptor_put(hak_huge_t *huge) {
    hak_lock_take(&hak_huge.lock);
    huge->next = hak_huge.spare;
    hak_huge.spare = huge;
    hak_lock_drop(&hak_huge.lock);
}

/* Maps memory for a descriptor and enters it in the registry. */
static bool hak_map(hak_huge_t *huge, size_t mapped, size_t align) {
    void *base = hak_os_map_aligned(mapped, align);
    if (base == NULL) {
        return false;
    }
    huge->region.base = (uintptr_t)base;
    huge->mapped_bytes = mapped;
    if (!hak_registry_add(&huge->region, mapped)) {
        hak_os_unmap(base, mapped);
        return false;
    }
    return true;
}

static void hak_unmap(hak_huge_t *huge) {
    hak_registry_remove(&huge->region, huge->mapped_bytes);
    hak_os_unmap((void *)huge->region.base, huge->mapped_bytes);
    hak_descriptor_put(huge);
}

/* Makes a block of a mapped descriptor. */
static void *hak_bring_to_life(hak_huge_t *huge, bool reused) {
    hak_store_rel(&huge->bytes, huge->mapped_bytes); /* pairs with the acquire in hak_huge_describe_mt */
    hak_registry_set_tags(huge->region.base, 1, HAK_TAG_HUGE);
    hak_lock_take(&hak_huge.lock);
    hak_huge.stats.blocks++;
    hak_huge.stats.bytes += huge->mapped_bytes;
    hak_note_peak_locked();
    if (reused) {
        hak_huge.stats.reused++;
    } else {
        hak_huge.stats.made++;
    }
    hak_lock_drop(&hak_huge.lock);
    return (void *)huge->region.base;
}

void *hak_huge_alloc_mt(size_t bytes, size_t align, bool *zeroed) {
    if (bytes > PTRDIFF_MAX || align > PTRDIFF_MAX - bytes) {
        errno = ENOMEM;
        return NULL;
    }
    size_t mapped = hak_align_up(bytes, hak_os_page_bytes());
    align = align < HAK_WINDOW_BYTES ? HAK_WINDOW_BYTES : align;
    hak_lock_take(&hak_huge.lock);
    hak_huge_t *huge = hak_cache_find_locked(mapped, align);
    bool reused = huge != NULL;
    if (!reused) {
        huge = hak_descriptor_locked();
    }
    hak_lock_drop(&hak_huge.lock);
    *zeroed = !reused;
    if (huge == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    if (!reused && !hak_map(huge, mapped, align)) {
        hak_descriptor_put(huge);
        errno = ENOMEM;
        return NULL;
    }
    return hak_bring_to_life(huge, reused);
}

/* The descriptor of the huge block that starts at `block`, or NULL. */
static hak_huge_t *hak_find(const void *block) {
    hak_region_t *region = hak_registry_region((uintptr_t)block);
    if (region == NULL || region->kind != HAK_REGION_HUGE || region->base != (uintptr_t)block) {
        return NULL;
    }
    return (hak_huge_t *)region;
}

bool hak_huge_free_mt(void *block) {
    hak_huge_t *huge = hak_find(block);
    /* acq_rel: of two threads that free the same block one finds 0 */
    if (huge == NULL || hak_swap_acq_rel(&huge->bytes, 0) == 0) {
        return false;
    }
    hak_registry_set_tags(huge->region.base, 1, HAK_TAG_NONE);
    uint64_t most = hak_option(HAK_OPTION_HUGE_CACHE_MB) << 20;
    uint64_t now_ms = hak_os_now_ms();
    hak_lock_take(&hak_huge.lock);
    hak_huge.stats.blocks--;
    hak_huge.stats.bytes -= huge->mapped_bytes;
    bool keep = hak_load_rlx(&hak_huge.cached_bytes) + huge->mapped_bytes <= most; /* relaxed: under the lock */
    if (keep) {
        huge->freed_at_ms = now_ms;
        hak_cache_push_locked(huge);
    }
    hak_lock_drop(&hak_huge.lock);
    if (!keep) {
        hak_unmap(huge);
    }
    return true;
}

/* Grows or shrinks without moving the start. Only after the kernel has agreed are the windows behind ours to enter. */
static bool hak_resize_in_place(hak_huge_t *huge, size_t mapped) {
    void *base = (void *)huge->region.base;
    size_t old = huge->mapped_bytes;
    if (!hak_os_resize(base, old, mapped)) {
        return false;
    }
    size_t windows = hak_align_up(mapped, HAK_WINDOW_BYTES);
    size_t old_windows = hak_align_up(old, HAK_WINDOW_BYTES);
    if (windows > old_windows && !hak_registry_add(&huge->region, mapped)) {
        (void)hak_os_resize(base, mapped, old); /* making a mapping smaller needs no memory */
        return false;
    }
    if (windows < old_windows) {
        hak_region_t gone = {HAK_REGION_HUGE, huge->region.base + windows};
        hak_registry_remove(&gone, old_windows - windows);
    }
    return true;
}

/* Moves the pages to a place with room. The place is held and registered first, so that the move is the last step
 * that can fail. */
static bool hak_move(hak_huge_t *huge, size_t mapped) {
    hak_region_t gone = huge->region;
    void *target = hak_os_hold_aligned(mapped, HAK_WINDOW_BYTES);
    if (target == NULL) {
        return false;
    }
    huge->region.base = (uintptr_t)target;
    bool entered = hak_registry_add(&huge->region, mapped);
    if (!entered || !hak_os_move((void *)gone.base, huge->mapped_bytes, target, mapped)) {
        if (entered) {
            hak_registry_remove(&huge->region, mapped);
        }
        hak_os_unmap(target, mapped);
        huge->region.base = gone.base;
        return false;
    }
    hak_registry_set_tags(gone.base, 1, HAK_TAG_NONE);
    hak_registry_remove(&gone, huge->mapped_bytes);
    hak_registry_set_tags(huge->region.base, 1, HAK_TAG_HUGE);
    return true;
}

void *hak_huge_resize_mt(void *block, size_t bytes) {
    hak_huge_t *huge = hak_find(block);
    if (huge == NULL || bytes > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    size_t old = huge->mapped_bytes;
    size_t mapped = hak_align_up(bytes, hak_os_page_bytes());
    if (mapped != old && !hak_resize_in_place(huge, mapped) && (mapped < old || !hak_move(huge, mapped))) {
        errno = ENOMEM;
        return NULL;
    }
    hak_lock_take(&hak_huge.lock);
    huge->mapped_bytes = mapped;
    hak_huge.stats.bytes += mapped - old;
    hak_note_peak_locked();
    hak_lock_drop(&hak_huge.lock);
    hak_store_rel(&huge->bytes, mapped); /* as in hak_bring_to_life */
    return (void *)huge->region.base;
}

size_t hak_huge_describe_mt(uintptr_t address, uintptr_t *block) {
    hak_region_t *region = hak_registry_region(address);
    if (region == NULL || region->kind != HAK_REGION_HUGE) {
        return 0;
    }
    size_t bytes = hak_load_acq(&((hak_huge_t *)region)->bytes); /* pairs with hak_bring_to_life */
    *block = region->base;
    return address - region->base < bytes ? bytes : 0;
}

size_t hak_huge_purge_mt(uint64_t now_ms, uint64_t delay_ms, size_t keep_bytes) {
    size_t given = 0;
    for (;;) {
        hak_lock_take(&hak_huge.lock);
        hak_huge_t *huge = hak_huge.oldest;
        bool old = huge != NULL && huge->freed_at_ms + delay_ms <= now_ms &&
                   hak_load_rlx(&hak_huge.cached_bytes) > keep_bytes; /* relaxed: under the lock */
        if (old) {
            hak_cache_remove_locked(huge);
        }
        hak_lock_drop(&hak_huge.lock);
        if (!old) {
            return given;
        }
        given += huge->mapped_bytes;
        hak_unmap(huge);
    }
}

bool hak_huge_has_cached(void) { return hak_load_rlx(&hak_huge.cached_bytes) != 0; /* relaxed: a hint */ }

void hak_huge_stats_mt(hak_huge_stats_t *out) {
    hak_lock_take(&hak_huge.lock);
    *out = hak_huge.stats;
    out->cached_bytes = hak_load_rlx(&hak_huge.cached_bytes);
    hak_lock_drop(&hak_huge.lock);
}

void hak_huge_fork_take(void) { hak_lock_take(&hak_huge.lock); }
void hak_huge_fork_drop(void) { hak_lock_drop(&hak_huge.lock); }
