/* registry_inl: the look-up of the hit path of free. */
#ifndef HAK_REGISTRY_REGISTRY_INL_H_
#define HAK_REGISTRY_REGISTRY_INL_H_

#include "base/attr.h"
#include "registry/registry.h"

/* True if the flat map covers `address`; the tag is then in `*tag`. Wild and non-canonical addresses give false. */
hak_inline bool hak_registry_look_up(uintptr_t address, uint32_t *tag) {
    uintptr_t unit = address >> HAK_UNIT_SHIFT;
    if (hak_unlikely(unit >= hak_registry_units)) {
        return false;
    }
    *tag = hak_load_rlx(&hak_registry_flat[unit]); /* relaxed: see hak_registry_set_tags */
    return true;
}

/* A word that no program writes by accident at `address`, for marking a free block there. It depends on the address,
 * so a stale mark copied elsewhere does not count, and on where the map lies, which differs between runs. */
hak_inline uintptr_t hak_registry_mark(uintptr_t address) { return (uintptr_t)hak_registry_flat + address; }

#endif /* HAK_REGISTRY_REGISTRY_INL_H_ */
