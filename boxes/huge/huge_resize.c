/* Other sizes. In place where the kernel can, else the pages move to a place with room. */
#include <errno.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/dense/dense.h"
#include "boxes/huge/huge_internal.h"
#include "boxes/huge_cost/huge_cost.h"

/* Growth by as much is tried before the registry gets ready for it: that takes 4 KiB for each GiB,
 * for good. */
#define HAK_TRY_BYTES ((size_t)4 << 30)

/* False if the kernel would refuse a request of `more` bytes. It would not say so itself where the
 * pages came from an extent: those of a tract, which is held before it is used, grow uncharged. */
static bool hak_may_grow(size_t more) {
    if (more < HAK_TRY_BYTES) {
        return true;
    }
    void *tried = hak_os_map(more);
    if (tried != NULL) {
        hak_os_unmap(tried, more);
    }
    return tried != NULL;
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
    if (mapped < old && mapped % HAK_WINDOW_BYTES != 0) { /* or 2 MiB would stay in use */
        hak_os_split_huge((char *)base + mapped);
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

/* Moves the pages to a place with room. The place is held, and memory for the registry made, first:
 * the move is the last step that can fail. What is registered is ours, so the place is not before
 * the pages are there. */
static bool hak_move(hak_huge_t *huge, size_t mapped) {
    uintptr_t base = hak_region_base(&huge->region);
    size_t old = huge->mapped_bytes;
    void *target = hak_os_hold_aligned(mapped, HAK_WINDOW_BYTES);
    if (target == NULL) {
        return false;
    }
    if (!hak_registry_ready((uintptr_t)target, mapped)) {
        hak_os_unmap(target, mapped);
        return false;
    }
    hak_registry_set_tags(base, 1, HAK_TAG_NONE);
    hak_registry_remove(base, old);
    if (!hak_os_move((void *)base, old, target, mapped)) {
        (void)hak_registry_add(&huge->region, base, old); /* was there before */
        hak_registry_set_tags(base, 1, HAK_TAG_HUGE);
        return false;
    }
    (void)hak_registry_add(&huge->region, (uintptr_t)target, mapped); /* is ready */
    hak_store_rlx(&huge->region.base, (uintptr_t)target); /* relaxed: the block is the caller's */
    hak_registry_set_tags((uintptr_t)target, 1, HAK_TAG_HUGE);
    return true;
}

bool hak_huge_fit(hak_huge_t *huge, size_t mapped) {
    size_t old = huge->mapped_bytes;
    int saved = errno;
    errno = 0;
    bool fits = mapped == old || ((mapped < old || hak_may_grow(mapped - old)) &&
                                  (hak_resize_in_place(huge, mapped) ||
                                   (mapped > old && errno != EFAULT && hak_move(huge, mapped))));
    errno = saved;
    return fits;
}

void *hak_huge_resize_mt(void *block, size_t bytes) {
    hak_huge_t *huge = hak_huge_find(block);
    if (huge == NULL || bytes > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    size_t old = huge->mapped_bytes;
    size_t mapped = hak_align_up(bytes, hak_os_page_bytes());
    hak_dense_forget(block);
    if (mapped > old) {
        hak_huge_make_room(mapped - old);
    }
    if (!hak_huge_fit(huge, mapped)) {
        errno = ENOMEM;
        return NULL;
    }
    hak_lock_take(&hak_huge.lock);
    huge->mapped_bytes = mapped;
    hak_huge.stats.bytes += mapped - old;
    hak_huge_note_peak_locked();
    hak_lock_drop(&hak_huge.lock);
    hak_store_rel(&huge->bytes, mapped); /* as in hak_huge_bring_to_life */
    return (void *)hak_region_base(&huge->region);
}

void *hak_huge_adopt_mt(void *pages, size_t page_bytes, size_t bytes) {
    size_t mapped = hak_align_up(bytes, hak_os_page_bytes());
    hak_huge_t *huge = hak_may_grow(mapped - page_bytes) ? hak_huge_descriptor() : NULL;
    if (huge == NULL) {
        return NULL;
    }
    hak_huge_make_room(mapped);
    void *base = hak_os_hold_aligned(mapped, HAK_WINDOW_BYTES);
    bool ready = base != NULL && hak_registry_ready((uintptr_t)base, mapped);
    if (base != NULL && !ready) {
        hak_os_unmap(base, mapped);
    }
    if (!ready || !hak_os_move(pages, page_bytes, base, mapped)) {
        hak_huge_descriptor_put(huge);
        return NULL;
    }
    (void)hak_huge_register(huge, base, mapped); /* is ready */
    huge->fresh = false;
    huge->huge_pages =
        hak_dense_pays_for(mapped) && hak_huge_cost_is_fine() && hak_os_want_huge(base, mapped);
    return hak_huge_bring_to_life(huge, false);
}
