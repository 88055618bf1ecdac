/* registry_inl: the look-up of the hit path of free, and that of frees which overflow the thread
 * cache. */
#ifndef HAK_REGISTRY_REGISTRY_INL_H_
#define HAK_REGISTRY_REGISTRY_INL_H_

#include "backends/os/os.h"
#include "base/attr.h"
#include "registry/registry.h"

/* True if the flat map covers `address`; the tag is then in `*tag`. Wild and non-canonical
 * addresses give false. */
hak_inline bool hak_registry_look_up(uintptr_t address, uint32_t *tag) {
    uintptr_t unit = address >> HAK_UNIT_SHIFT;
    if (hak_unlikely(unit >= hak_registry_units)) {
        return false;
    }
    *tag = hak_load_rlx(&hak_registry_flat[unit]); /* relaxed: see hak_registry_set_tags */
    return true;
}

enum {
    HAK_LEAF_SHIFT = 30,
    HAK_LEAF_WINDOWS = 1 << (HAK_LEAF_SHIFT - HAK_WINDOW_SHIFT),
    HAK_LEAF_UNITS = 1 << (HAK_LEAF_SHIFT - HAK_UNIT_SHIFT),
    HAK_ROOT_ENTRIES = 1 << (HAK_OS_ADDRESS_BITS - HAK_LEAF_SHIFT),
};

typedef struct {
    hak_a32_t *tags; /* HAK_LEAF_UNITS */
    hak_aptr_t region[HAK_LEAF_WINDOWS];
} hak_leaf_t;

extern hak_local hak_aptr_t hak_registry_root[HAK_ROOT_ENTRIES];

hak_inline hak_leaf_t *hak_registry_leaf(uintptr_t address) {
    uintptr_t index = address >> HAK_LEAF_SHIFT;
    if (hak_unlikely(index >= HAK_ROOT_ENTRIES)) {
        return NULL;
    }
    /* pairs with the release in hak_leaf_make */
    return (hak_leaf_t *)hak_load_acq(&hak_registry_root[index]);
}

/* hak_registry_region, inline. */
hak_inline hak_region_t *hak_registry_find_region(uintptr_t address) {
    hak_leaf_t *leaf = hak_registry_leaf(address);
    if (hak_unlikely(leaf == NULL)) {
        return NULL;
    }
    /* acquire: pairs with the release in hak_set_regions */
    return (hak_region_t *)hak_load_acq(
        &leaf->region[(address >> HAK_WINDOW_SHIFT) % HAK_LEAF_WINDOWS]);
}

/* hak_registry_tag, inline: through the tree, whether there is a flat map or not. */
hak_inline uint32_t hak_registry_find_tag(uintptr_t address) {
    hak_leaf_t *leaf = hak_registry_leaf(address);
    if (hak_unlikely(leaf == NULL)) {
        return HAK_TAG_NONE;
    }
    /* relaxed: see hak_registry_set_tags */
    return hak_load_rlx(&leaf->tags[(address >> HAK_UNIT_SHIFT) % HAK_LEAF_UNITS]);
}

/* A word that no program writes by accident at `address`, for marking a free block there. It
 * depends on the address, so a stale mark copied elsewhere does not count, and on where the map
 * lies, which differs between runs. Free looks at a mark's first byte first (boxes/block): what is
 * added makes that a byte that neither a cleared word has nor one that points to an aligned place,
 * since the address ends in a hexadecimal 0, and so does the map's; without a map the base is odd.
 */
hak_inline uintptr_t hak_registry_mark(uintptr_t address) {
    enum { HAK_MARK_OFFSET = 0xa5a };
    hak_static_assert(HAK_MARK_OFFSET % 16 != 0, "the first byte would be that of a pointer");
    hak_static_assert(HAK_MARK_OFFSET % 2 == 0, "hak_registry_init relies on it");
    return (uintptr_t)hak_registry_flat + address + HAK_MARK_OFFSET;
}

#endif /* HAK_REGISTRY_REGISTRY_INL_H_ */
