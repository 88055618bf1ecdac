/* Blocks and the cache of freed mappings. */
#include "boxes/huge/huge.h"

#include <errno.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "boxes/dense/dense.h"
#include "boxes/huge/huge_internal.h"
#include "core/meta/meta.h"
#include "core/options/options.h"
#include "registry/registry.h"

enum {
    HAK_CACHE_LOOK = 32, /* cached mappings that one request compares */
    HAK_SLACK_PART = 8,  /* of the peak of blocks: what else may be cached when more is mapped */
};

hak_huge_box_t hak_huge = {.lock = HAK_LOCK_INIT(HAK_RANK_HUGE)};

/* By who may take a mapping in work. */
static void hak_enter(void) { hak_lock_take_unless(&hak_huge.lock, &hak_huge.fork_waits); }

void hak_huge_note_peak_locked(void) {
    if (hak_huge.used_peak_bytes < hak_huge.stats.bytes) {
        hak_huge.used_peak_bytes = hak_huge.stats.bytes;
    }
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

hak_huge_t *hak_huge_descriptor(void) {
    hak_lock_take(&hak_huge.lock);
    hak_huge_t *huge = hak_huge.spare;
    if (huge != NULL) {
        hak_huge.spare = huge->next;
    }
    hak_lock_drop(&hak_huge.lock);
    if (huge == NULL && (huge = hak_meta_alloc_mt(sizeof *huge)) != NULL) {
        huge->region.kind = HAK_REGION_HUGE;
    }
    return huge;
}

void hak_huge_descriptor_put(hak_huge_t *huge) {
    hak_lock_take(&hak_huge.lock);
    huge->next = hak_huge.spare;
    hak_huge.spare = huge;
    hak_lock_drop(&hak_huge.lock);
}

bool hak_huge_register(hak_huge_t *huge, void *base, size_t mapped) {
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

static void hak_count_purge_locked(size_t bytes) {
    hak_huge.stats.purges++;
    hak_huge.stats.purged_bytes += bytes;
}

/* `huge` is off all lists and counts in in_flight. */
static void hak_unmap(hak_huge_t *huge) {
    uintptr_t base = hak_region_base(&huge->region);
    hak_registry_remove(base, huge->mapped_bytes);
    hak_os_unmap((void *)base, huge->mapped_bytes);
    hak_lock_take(&hak_huge.lock);
    hak_count_purge_locked(huge->mapped_bytes);
    huge->next = hak_huge.spare;
    hak_huge.spare = huge;
    hak_huge.in_flight--;
    hak_lock_drop(&hak_huge.lock);
}

/* Back into the cache, as the oldest. */
static void hak_cache_push_oldest_locked(hak_huge_t *huge) {
    huge->next = NULL;
    huge->prev = hak_huge.oldest;
    if (hak_huge.oldest != NULL) {
        hak_huge.oldest->next = huge;
    } else {
        hak_huge.newest = huge;
    }
    hak_huge.oldest = huge;
    hak_count_add(&hak_huge.cached_bytes, huge->mapped_bytes);
}

/* Gives the end of a mapping in hand back, about `bytes` and less than all; the rest stays cached.
 * Returns the bytes, 0 if the kernel refuses. */
static size_t hak_cut(hak_huge_t *huge, size_t bytes) {
    size_t mapped = huge->mapped_bytes;
    size_t rest = hak_align_up(mapped - bytes, HAK_WINDOW_BYTES);
    if (!hak_huge_fit(huge, rest)) {
        return 0;
    }
    hak_lock_take(&hak_huge.lock);
    hak_count_purge_locked(mapped - rest);
    huge->mapped_bytes = rest;
    hak_cache_push_oldest_locked(huge);
    hak_huge.in_flight--;
    hak_lock_drop(&hak_huge.lock);
    return mapped - rest;
}

/* Unmaps the oldest of the cache, or `most_bytes` of it, some windows, if it was freed by
 * `freed_by_ms` and more than `keep_bytes` are cached. Returns the bytes. Takes the lock, and drops
 * it. */
static size_t hak_drop_oldest(uint64_t freed_by_ms, size_t most_bytes, uint64_t keep_bytes) {
    hak_enter();
    hak_huge_t *huge = hak_huge.oldest;
    bool drop = huge != NULL && huge->freed_at_ms <= freed_by_ms &&
                hak_load_rlx(&hak_huge.cached_bytes) > keep_bytes; /* relaxed: under the lock */
    if (drop) {
        hak_cache_remove_locked(huge);
        hak_huge.in_flight++;
    }
    hak_lock_drop(&hak_huge.lock);
    if (!drop) {
        return 0;
    }
    size_t bytes = huge->mapped_bytes;
    size_t cut = bytes > most_bytes ? hak_cut(huge, most_bytes) : 0;
    if (cut != 0) {
        return cut;
    }
    hak_unmap(huge);
    return bytes;
}

/* What may stay in the cache when `more` bytes are mapped for blocks. */
static uint64_t hak_keep_bytes_locked(size_t more) {
    uint64_t used = hak_huge.stats.bytes + more;
    uint64_t most = used < hak_huge.used_peak_bytes ? hak_huge.used_peak_bytes : used;
    return most + most / HAK_SLACK_PART - used;
}

void hak_huge_make_room(size_t more) {
    uint64_t keep_bytes;
    do {
        hak_lock_take(&hak_huge.lock);
        keep_bytes = hak_keep_bytes_locked(more);
        hak_lock_drop(&hak_huge.lock);
    } while (hak_drop_oldest(UINT64_MAX, SIZE_MAX, keep_bytes) != 0);
}

/* Where a new mapping would mean that something must leave the cache: the newest of it, cut or
 * lengthened, if half of the pages or more are there. NULL: none. */
static hak_huge_t *hak_cache_fit(size_t mapped) {
    hak_enter();
    hak_huge_t *huge = hak_huge.newest;
    /* relaxed: under the lock */
    if (huge == NULL || huge->mapped_bytes < mapped / 2 ||
        hak_load_rlx(&hak_huge.cached_bytes) <= hak_keep_bytes_locked(mapped)) {
        hak_lock_drop(&hak_huge.lock);
        return NULL;
    }
    hak_cache_remove_locked(huge);
    hak_huge.in_flight++;
    hak_lock_drop(&hak_huge.lock);
    if (!hak_huge_fit(huge, mapped)) {
        hak_registry_set_tags(hak_region_base(&huge->region), 1, HAK_TAG_NONE);
        hak_unmap(huge);
        return NULL;
    }
    hak_lock_take(&hak_huge.lock);
    huge->mapped_bytes = mapped;
    hak_huge.in_flight--;
    hak_lock_drop(&hak_huge.lock);
    return huge;
}

void *hak_huge_bring_to_life(hak_huge_t *huge, bool reused) {
    uintptr_t base = hak_region_base(&huge->region);
    /* release: pairs with the acquire in hak_huge_describe_mt */
    hak_store_rel(&huge->bytes, huge->mapped_bytes);
    hak_registry_set_tags(base, 1, HAK_TAG_HUGE);
    hak_lock_take(&hak_huge.lock);
    hak_huge.stats.blocks++;
    hak_huge.stats.bytes += huge->mapped_bytes;
    hak_huge_note_peak_locked();
    if (reused) {
        hak_huge.stats.reused++;
    } else {
        hak_huge.stats.made++;
        hak_huge.stats.huge_windows += huge->huge_pages ? huge->mapped_bytes / HAK_WINDOW_BYTES : 0;
    }
    hak_lock_drop(&hak_huge.lock);
    return (void *)base;
}

static hak_huge_t *hak_map(size_t mapped, size_t align) {
    hak_huge_make_room(mapped);
    hak_huge_t *huge = hak_huge_descriptor();
    if (huge != NULL && !hak_huge_register(huge, hak_os_map_aligned(mapped, align), mapped)) {
        hak_huge_descriptor_put(huge);
        return NULL;
    }
    if (huge != NULL) {
        huge->huge_pages = hak_huge_try_pages((void *)hak_region_base(&huge->region), mapped);
    }
    return huge;
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
    hak_lock_drop(&hak_huge.lock);
    if (huge == NULL && align == HAK_WINDOW_BYTES) {
        huge = hak_cache_fit(mapped);
    }
    bool reused = huge != NULL;
    *zeroed = !reused;
    if (!reused) {
        hak_dense_asked();
        huge = hak_map(mapped, align);
    }
    if (huge == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    huge->fresh = !reused;
    if (!reused) {
        hak_dense_t dense;
        hak_huge_dense(huge, &dense);
        hak_dense_made(&dense);
    }
    return hak_huge_bring_to_life(huge, reused);
}

hak_huge_t *hak_huge_find(const void *block) {
    hak_region_t *region = hak_registry_region((uintptr_t)block);
    if (region == NULL || region->kind != HAK_REGION_HUGE ||
        hak_region_base(region) != (uintptr_t)block) {
        return NULL;
    }
    return (hak_huge_t *)region;
}

bool hak_huge_free_mt(void *block) {
    hak_huge_t *huge = hak_huge_find(block);
    if (huge == NULL) {
        return false;
    }
    uint64_t most = hak_option(HAK_OPTION_HUGE_CACHE_MB) << 20;
    uint64_t now_ms = hak_os_now_ms();
    hak_enter();
    /* acq_rel: of two threads that free the same block one finds 0 */
    if (hak_swap_acq_rel(&huge->bytes, 0) == 0) {
        hak_lock_drop(&hak_huge.lock);
        return false;
    }
    hak_registry_set_tags((uintptr_t)block, 1, HAK_TAG_NONE);
    hak_dense_t dense;
    hak_huge_dense(huge, &dense);
    hak_dense_freed(&dense);
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

size_t hak_huge_describe_mt(uintptr_t address, uintptr_t *block) {
    hak_region_t *region = hak_registry_region(address);
    if (region == NULL || region->kind != HAK_REGION_HUGE) {
        return 0;
    }
    /* pairs with hak_huge_bring_to_life */
    size_t bytes = hak_load_acq(&((hak_huge_t *)region)->bytes);
    *block = hak_region_base(region);
    return address - *block < bytes ? bytes : 0;
}

bool hak_huge_ends_before_mt(uintptr_t address) {
    hak_region_t *region = hak_registry_region(address);
    if (region == NULL || region->kind != HAK_REGION_HUGE) {
        return false;
    }
    /* pairs with hak_huge_bring_to_life */
    size_t bytes = hak_load_acq(&((hak_huge_t *)region)->bytes);
    return bytes != 0 && address - hak_region_base(region) >= bytes;
}

size_t hak_huge_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                         size_t keep_bytes) {
    size_t left = delay_ms == 0 ? SIZE_MAX : (size_t)max_calls * HAK_WINDOW_BYTES;
    size_t given = 0, bytes;
    while (left != 0 && now_ms >= delay_ms &&
           (bytes = hak_drop_oldest(now_ms - delay_ms, left, keep_bytes)) != 0) {
        given += bytes;
        bytes = hak_align_up(bytes, HAK_WINDOW_BYTES); /* a call has its price */
        left -= bytes < left ? bytes : left;
    }
    return given;
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
    hak_lock_take_quiet(&hak_huge.lock, &hak_huge.in_flight, &hak_huge.fork_waits);
}
void hak_huge_fork_drop(void) { hak_lock_drop(&hak_huge.lock); }
