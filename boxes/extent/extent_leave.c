/* Leaving. The pages move, and the extent's units stay mapped without any: they are free and clean
 * at once, and no other mapping can get in between, as it could into a hole in the tract. All units
 * go, also behind the block's last byte: they may hold what was there before.
 */
#include <string.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "boxes/extent/extent_internal.h"
#include "registry/registry_inl.h"

void *hak_extent_leave_mt(void *block, size_t *bytes) {
    hak_extent_t *extent = hak_extent_entry((uintptr_t)block);
    hak_tract_t *tract = hak_extent_tract(extent);
    uint32_t units = hak_extent_units(extent);
    uint64_t were_huge[HAK_TRACT_WINDOWS / 64] = {0};
    *bytes = (size_t)units << HAK_UNIT_SHIFT;
    hak_dense_forget(block);
    hak_lock_take(&hak_extents.lock);
    hak_extent_end_huge_locked(tract, extent->index, extent->index + units, were_huge);
    hak_lock_drop(&hak_extents.lock);
    void *pages = hak_os_detach(block, *bytes);
    if (pages == NULL) {
        hak_lock_take(&hak_extents.lock);
        hak_extent_huge_again_locked(tract, were_huge);
        hak_lock_drop(&hak_extents.lock);
    }
    return pages;
}

void hak_extent_left_mt(void *block) {
    hak_extent_t *extent = hak_extent_entry((uintptr_t)block);
    /* acquire: as in hak_extent_free_mt */
    if (hak_unlikely(hak_swap_acq(&extent->bytes, 0) == 0)) {
        return; /* another thread has freed it, by mistake */
    }
    hak_registry_set_tags((uintptr_t)block, 1, HAK_TAG_NONE);
    hak_lock_take(&hak_extents.lock);
    hak_extents.used_units -= hak_extent_units(extent);
    hak_extents.left++;
    extent->dirty = 0;
    (void)hak_extent_join_locked(extent);
    hak_lock_drop(&hak_extents.lock);
}

void hak_extent_come_back_mt(void *block, void *pages, size_t bytes) {
    memcpy(block, pages, bytes);
    hak_os_unmap(pages, bytes);
}
