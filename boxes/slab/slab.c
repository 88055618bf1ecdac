#include "boxes/slab/slab.h"

#include "config/hak_config.h"
#include "core/dyn_class/dyn_class.h"
#include "core/errors/errors.h"
#include "registry/registry_inl.h"

hak_slab_t *hak_slab_of(uintptr_t address) {
    hak_region_t *region = hak_registry_region(address);
    if (region == NULL || region->kind != HAK_REGION_SUPERSLAB) {
        return NULL;
    }
    hak_superslab_t *ss = (hak_superslab_t *)region;
    unsigned slot = (unsigned)(address >> HAK_UNIT_SHIFT) % HAK_SUPERSLAB_SLOTS;
    return &ss->slab[hak_load_rlx(&ss->head[slot])]; /* relaxed: see the header on stability */
}

void hak_slab_open(hak_slab_t *slab, unsigned sc) {
    hak_debug_assert(slab->units != 0 && slab->units <= hak_sc_units(sc));
    uint32_t bytes = hak_dyn_class_open_mt(sc);
    /* relaxed, here and below: nobody else has the slab yet */
    if (!slab->kept || hak_load_rlx(&slab->block_bytes) != bytes) {
        hak_slab_forget(slab);
    }
    slab->cap = (uint16_t)(((uint32_t)slab->units << HAK_UNIT_SHIFT) / bytes);
    hak_store_rlx(&slab->left, 0); /* relaxed: as above */
    slab->listed = 0;
    slab->next = slab->prev = NULL;
    hak_store_rlx(&slab->used, 0);
    hak_store_rlx(&slab->block_bytes, bytes);
    hak_store_rlx(&slab->remote, 0);
    hak_poison((void *)hak_slab_base(slab), (size_t)slab->units << HAK_UNIT_SHIFT);
    hak_store_rel(&slab->sc, sc); /* pairs with the acquire of statistics and hak_check */
}

void hak_slab_set_heap_owner(hak_slab_t *slab, struct hak_heap *heap, uint32_t tag) {
    hak_store_rlx(&slab->heap, (uintptr_t)heap); /* relaxed: see hak_slab_heap */
    hak_registry_set_tags(hak_slab_base(slab), slab->units, tag);
}

void hak_slab_close(hak_slab_t *slab) {
    hak_debug_assert(hak_load_rlx(&slab->used) == 0 && hak_load_rlx(&slab->remote) == 0);
    hak_registry_set_tags(hak_slab_base(slab), slab->units, HAK_TAG_NONE);
    unsigned sc = hak_load_rlx(&slab->sc); /* relaxed, both: who closes it has it alone */
    hak_store_rlx(&slab->sc, 0);           /* a reader that still sees the class finds used == 0 */
    hak_dyn_class_close_mt(sc);
    hak_unpoison((void *)hak_slab_base(slab), (size_t)slab->units << HAK_UNIT_SHIFT);
}

hak_block_t *hak_slab_carve_owner(hak_slab_t *slab, uint32_t count, hak_block_t *tail) {
    uint32_t carved = hak_load_rlx(&slab->carved); /* relaxed: only the owner writes */
    size_t bytes = hak_slab_block_bytes(slab);
    hak_debug_assert(carved + count <= slab->cap);
    char *block = (char *)hak_slab_base(slab) + (size_t)(carved + count) * bytes;
    hak_block_t *head = tail;
    for (uint32_t i = 0; i < count; i++) {
        block -= bytes;
        hak_block_link((hak_block_t *)block, head);
        if (hak_cfg_check_double_free) {
            hak_block_set_mark((hak_block_t *)block, hak_registry_mark((uintptr_t)block));
        }
        head = (hak_block_t *)block;
    }
    hak_store_rlx(&slab->carved, carved + count);
    return head;
}

uint32_t hak_slab_block_index(const hak_slab_t *slab, uintptr_t address) {
    uint32_t bytes = hak_slab_block_bytes(slab);
    uintptr_t offset = address - hak_slab_base(slab); /* hak_check asks for whatever a link holds */
    /* relaxed: the caller holds a block, or only reports */
    if (hak_load_rlx(&slab->sc) == 0 || bytes == 0 || offset % bytes != 0 ||
        offset / bytes >= slab->cap) {
        return UINT32_MAX;
    }
    return (uint32_t)(offset / bytes);
}
