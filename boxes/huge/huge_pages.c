/* Huge pages. A mapping gets them as a whole, or the kernel could not resize it, where large blocks
 * are written from end to end (boxes/dense). One mapping in eight is left with small ones: what its
 * block does with them tells if it still pays.
 */
#include "backends/os/os.h"
#include "boxes/dense/dense.h"
#include "boxes/huge/huge_internal.h"
#include "boxes/huge_cost/huge_cost.h"

enum { HAK_MADE_PER_PROBE = 8 };

static bool hak_is_probe(void) {
    hak_lock_take(&hak_huge.lock);
    uint64_t made = hak_huge.stats.made;
    hak_lock_drop(&hak_huge.lock);
    return made % HAK_MADE_PER_PROBE == HAK_MADE_PER_PROBE - 1;
}

bool hak_huge_try_pages(void *base, size_t mapped) {
    if (!hak_dense_pays_for(mapped) || hak_is_probe() || !hak_huge_cost_is_fine()) {
        return false;
    }
    size_t touched = 0;
    if (!hak_os_want_huge(base, mapped) ||
        !hak_huge_cost_try(base, mapped / HAK_WINDOW_BYTES, &touched)) {
        hak_os_no_huge(base, mapped);
        hak_lock_take(&hak_huge.lock);
        hak_huge.stats.huge_windows += touched; /* they may have come all the same */
        hak_lock_drop(&hak_huge.lock);
        return false;
    }
    return true;
}

void hak_huge_dense(const hak_huge_t *huge, hak_dense_t *out) {
    char *base = (char *)hak_region_base(&huge->region);
    size_t windows = huge->mapped_bytes / HAK_WINDOW_BYTES;
    unsigned looks = windows < HAK_DENSE_LOOKS ? (unsigned)windows : HAK_DENSE_LOOKS;
    bool tells = huge->fresh && !huge->huge_pages;
    *out = (hak_dense_t){
        .block = base, .count = tells ? looks : 0, .bytes = tells ? huge->mapped_bytes : 0};
    for (unsigned i = 0; i < out->count; i++) {
        out->window[i] = base + (windows - 1 - windows * i / looks) * HAK_WINDOW_BYTES;
    }
}
