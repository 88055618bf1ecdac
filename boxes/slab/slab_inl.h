/* slab_inl: from an address to its slab, for paths that do it once per block. */
#ifndef HAK_BOXES_SLAB_SLAB_INL_H_
#define HAK_BOXES_SLAB_SLAB_INL_H_

#include "boxes/slab/slab.h"
#include "registry/registry_inl.h"

/* hak_slab_of for the address of a block that is known to be in a slab. */
hak_inline hak_slab_t *hak_slab_of_block(const hak_block_t *block) {
    hak_superslab_t *ss = (hak_superslab_t *)hak_registry_find_region((uintptr_t)block);
    unsigned slot = (unsigned)((uintptr_t)block >> HAK_UNIT_SHIFT) % HAK_SUPERSLAB_SLOTS;
    return &ss->slab[hak_load_rlx(
        &ss->head[slot])]; /* relaxed: set before the block was handed out */
}

#endif /* HAK_BOXES_SLAB_SLAB_INL_H_ */
