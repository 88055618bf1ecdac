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
    unsigned in_flight;          /* mappings being unmapped without the lock */
    hak_a64_t cached_bytes;
    hak_huge_stats_t stats;
} hak_huge = {.lock = HAK_LOCK_INIT(HAK_RANK_HUGE)};

static void hak_note_peak_locked(void) {
    /* relaxed: under the lock */
    uint64_t mapped = hak_huge.stats.bytes + hak_load_rlx(&hak_huge.cached_bytes);
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

/* The best fit among the newest: at least `mapped`, at most an eighth more, so that a block does
 * not hold memory that it did not ask for. */
static hak_huge_t *hak_cache_find_locked(size_t mapped, size_t align) {
    hak_huge_t *best = NULL;
    hak_huge_t *huge = hak_huge.newest;
    for (int i = 0; huge != NULL && i < HAK_CACHE_LOOK; i++, huge = huge->next) {
        if (huge->mapped_bytes >= mapped && huge->mapped_bytes - mapped <= mapped / 8 &&
            (hak_region_base(&huge->region) & (align - 1)) == 0 &&
            (best == NULL || huge->mapped_bytes < best->mapped_bytes)) {
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

/* Enters the memory of a descriptor in the registry, or unmaps it. */
static bool hak_register(hak_huge_t *huge, void *base, size_t mapped) {
    if (base == NULL) {
        return false;
    }
    hak_store_rlx(&huge->region.base, (uintptr_t)base); /* relaxed: published by the registry */
    huge->mapped_bytes = mapped;
    if (!hak_registry_add(&huge->region, (uintptr_t)base, mapped)) {
        hak_os_unmap(base, mapped);
        return false;
    }
    return true;
}

/* `huge` is off all lists and counts in in_flight. */
static void hak_unmap(hak_huge_t *huge) {
    uintptr_t base = hak_region_base(&huge->region);
    hak_registry_remove(base, huge->mapped_bytes);
    hak_os_unmap((void *)base, huge->mapped_bytes);
    hak_lock_take(&hak_huge.lock);
    huge->next = hak_huge.spare;
    hak_huge.spare = huge;
    hak_huge.in_flight--;
    hak_lock_drop(&hak_huge.lock);
}

/* Makes a block of a mapped descriptor. */
static void *hak_bring_to_life(hak_huge_t *huge, bool reused) {
    uintptr_t base = hak_region_base(&huge->region);
    /* pairs with the acquire in hak_huge_describe_mt */
    hak_store_rel(&huge->bytes, huge->mapped_bytes);
    hak_registry_set_tags(base, 1, HAK_TAG_HUGE);
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
    return (void *)base;
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
    if (!reused && !hak_register(huge, hak_os_map_aligned(mapped, align), mapped)) {
        hak_descriptor_put(huge);
        errno = ENOMEM;
        return NULL;
    }
    return hak_bring_to_life(huge, reused);
}

void *hak_huge_adopt_mt(void *pages, size_t page_bytes, size_t bytes) {
    size_t mapped = hak_align_up(bytes, hak_os_page_bytes());
    hak_lock_take(&hak_huge.lock);
    hak_huge_t *huge = hak_descriptor_locked();
    hak_lock_drop(&hak_huge.lock);
    if (huge == NULL) {
        return NULL;
    }
    void *base = hak_os_hold_aligned(mapped, HAK_WINDOW_BYTES);
    if (!hak_register(huge, base, mapped)) {
        hak_descriptor_put(huge);
        return NULL;
    }
    if (!hak_os_move(pages, page_bytes, base, mapped)) {
        hak_registry_remove((uintptr_t)base, mapped);
        hak_os_unmap(base, mapped);
        hak_descriptor_put(huge);
        return NULL;
    }
    return hak_bring_to_life(huge, false);
}

/* The descriptor of the huge block that starts at `block`, or NULL. */
static hak_huge_t *hak_find(const void *block) {
    hak_region_t *region = hak_registry_region((uintptr_t)block);
    if (region == NULL || region->kind != HAK_REGION_HUGE ||
        hak_region_base(region) != (uintptr_t)block) {
        return NULL;
    }
    return (hak_huge_t *)region;
}

bool hak_huge_free_mt(void *block) {
    hak_huge_t *huge = hak_find(block);
    if (huge == NULL) {
        return false;
    }
    uint64_t most = hak_option(HAK_OPTION_HUGE_CACHE_MB) << 20;
    uint64_t now_ms = hak_os_now_ms();
    hak_lock_take(&hak_huge.lock);
    /* acq_rel: of two threads that free the same block one finds 0 */
    if (hak_swap_acq_rel(&huge->bytes, 0) == 0) {
        hak_lock_drop(&hak_huge.lock);
        return false;
    }
    hak_registry_set_tags((uintptr_t)block, 1, HAK_TAG_NONE);
    hak_huge.stats.blocks--;
    hak_huge.stats.bytes -= huge->mapped_bytes;
    /* relaxed: under the lock */
    bool keep = hak_load_rlx(&hak_huge.cached_bytes) + huge->mapped_bytes <= most;
    if (keep) {
        huge->freed_at_ms = now_ms;
        hak_cache_push_locked(huge);
    } else {
        hak_huge.in_flight++;
    }
    hak_lock_drop(&hak_huge.lock);
    if (!keep) {
        hak_unmap(huge);
    }
    return true;
}

/* The bytes of the whole windows that a mapping of `mapped` bytes touches. */
static size_t hak_windows(size_t mapped) { return hak_align_up(mapped, HAK_WINDOW_BYTES); }

/* Grows or shrinks without moving the start. The registry forgets windows before the kernel gets
 * them back, and learns new ones after the kernel has given them: in between they may be another
 * thread's. */
static bool hak_resize_in_place(hak_huge_t *huge, size_t mapped) {
    uintptr_t base = hak_region_base(&huge->region);
    size_t old = huge->mapped_bytes;
    size_t keep = hak_windows(mapped);
    size_t gone = hak_windows(old) > keep ? hak_windows(old) - keep : 0;
    if (gone != 0) {
        hak_registry_remove(base + keep, gone);
    }
    if (!hak_os_resize((void *)base, old, mapped)) {
        if (gone != 0) {
            (void)hak_registry_add(&huge->region, base + keep, gone); /* was there before */
        }
        return false;
    }
    if (keep > hak_windows(old) && !hak_registry_add(&huge->region, base, mapped)) {
        /* making a mapping smaller needs no memory */
        (void)hak_os_resize((void *)base, mapped, old);
        return false;
    }
    return true;
}

/* Moves the pages to a place with room. The place is held and registered first, so that the move
 * is the last step that can fail. */
static bool hak_move(hak_huge_t *huge, size_t mapped) {
    uintptr_t base = hak_region_base(&huge->region);
    size_t old = huge->mapped_bytes;
    void *target = hak_os_hold_aligned(mapped, HAK_WINDOW_BYTES);
    if (target == NULL) {
        return false;
    }
    if (!hak_registry_add(&huge->region, (uintptr_t)target, mapped)) {
        hak_os_unmap(target, mapped);
        return false;
    }
    hak_registry_set_tags(base, 1, HAK_TAG_NONE);
    hak_registry_remove(base, old);
    if (!hak_os_move((void *)base, old, target, mapped)) {
        (void)hak_registry_add(&huge->region, base, old); /* was there before */
        hak_registry_set_tags(base, 1, HAK_TAG_HUGE);
        hak_registry_remove((uintptr_t)target, mapped);
        hak_os_unmap(target, mapped);
        return false;
    }
    hak_store_rlx(&huge->region.base, (uintptr_t)target); /* relaxed: the block is the caller's */
    hak_registry_set_tags((uintptr_t)target, 1, HAK_TAG_HUGE);
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
    if (mapped != old && !hak_resize_in_place(huge, mapped) &&
        (mapped < old || !hak_move(huge, mapped))) {
        errno = ENOMEM;
        return NULL;
    }
    hak_lock_take(&hak_huge.lock);
    huge->mapped_bytes = mapped;
    hak_huge.stats.bytes += mapped - old;
    hak_note_peak_locked();
    hak_lock_drop(&hak_huge.lock);
    hak_store_rel(&huge->bytes, mapped); /* as in hak_bring_to_life */
    return (void *)hak_region_base(&huge->region);
}

size_t hak_huge_describe_mt(uintptr_t address, uintptr_t *block) {
    hak_region_t *region = hak_registry_region(address);
    if (region == NULL || region->kind != HAK_REGION_HUGE) {
        return 0;
    }
    size_t bytes = hak_load_acq(&((hak_huge_t *)region)->bytes); /* pairs with hak_bring_to_life */
    *block = hak_region_base(region);
    return address - *block < bytes ? bytes : 0;
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
            hak_huge.in_flight++;
        }
        hak_lock_drop(&hak_huge.lock);
        if (!old) {
            return given;
        }
        given += huge->mapped_bytes;
        hak_unmap(huge);
    }
}

bool hak_huge_has_cached(void) {
    return hak_load_rlx(&hak_huge.cached_bytes) != 0; /* relaxed: a hint */
}

void hak_huge_stats_mt(hak_huge_stats_t *out) {
    hak_lock_take(&hak_huge.lock);
    *out = hak_huge.stats;
    out->cached_bytes = hak_load_rlx(&hak_huge.cached_bytes);
    hak_lock_drop(&hak_huge.lock);
}

/* The child must not inherit a mapping that is on no list. */
void hak_huge_fork_take(void) {
    hak_lock_take(&hak_huge.lock);
    while (hak_huge.in_flight != 0) {
        hak_lock_drop(&hak_huge.lock);
        hak_os_yield();
        hak_lock_take(&hak_huge.lock);
    }
}
void hak_huge_fork_drop(void) { hak_lock_drop(&hak_huge.lock); }
