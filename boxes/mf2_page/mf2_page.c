/* The table of regions has a root of 4,096 pointers and leaves of 512, made when first needed: room
 * for 4 TiB of pages, 4 KiB for each GiB in use. A number instead of a pointer leaves room in one
 * word of a pending stack for a tag of 32 bits.
 */
#include "boxes/mf2_page/mf2_page.h"

#include "core/errors/errors.h"
#include "core/meta/meta.h"
#include "registry/registry_inl.h"

enum { HAK_ROOT = 4096, HAK_LEAF = 512 };

static hak_aptr_t hak_root[HAK_ROOT]; /* hak_aptr_t[HAK_LEAF] */
static uint32_t hak_numbered;         /* under the lock of mf2_pool */

hak_mf2_page_t *hak_mf2_page_of(uintptr_t address) {
    hak_region_t *region = hak_registry_region(address);
    if (region == NULL || region->kind != HAK_REGION_MF2) {
        return NULL;
    }
    return &((hak_mf2_region_t *)region)->page[(address >> HAK_UNIT_SHIFT) % HAK_MF2_REGION_PAGES];
}

bool hak_mf2_page_number_region(hak_mf2_region_t *region) {
    uint32_t number = hak_numbered;
    if (number >= HAK_ROOT * HAK_LEAF) {
        return false;
    }
    /* relaxed: written under the caller's lock */
    hak_aptr_t *leaf = (hak_aptr_t *)hak_load_rlx(&hak_root[number / HAK_LEAF]);
    if (leaf == NULL) {
        leaf = hak_meta_alloc_mt(HAK_LEAF * sizeof *leaf);
        if (leaf == NULL) {
            return false;
        }
        hak_store_rlx(&hak_root[number / HAK_LEAF], (uintptr_t)leaf); /* relaxed: as below */
    }
    region->number = number;
    /* relaxed: who has a number got it from a stack, and by that what is written here */
    hak_store_rlx(&leaf[number % HAK_LEAF], (uintptr_t)region);
    hak_numbered = number + 1;
    return true;
}

hak_mf2_page_t *hak_mf2_page_numbered(uint32_t number) {
    uint32_t region_number = number / HAK_MF2_REGION_PAGES;
    /* both relaxed: as in hak_mf2_page_number_region */
    hak_aptr_t *leaf = (hak_aptr_t *)hak_load_rlx(&hak_root[region_number / HAK_LEAF]);
    hak_mf2_region_t *region = (hak_mf2_region_t *)hak_load_rlx(&leaf[region_number % HAK_LEAF]);
    return &region->page[number % HAK_MF2_REGION_PAGES];
}

void hak_mf2_page_open(hak_mf2_page_t *page, unsigned sc, struct hak_mf2_heap *owner,
                       uint32_t tag) {
    hak_debug_assert(page->listed == 0 && hak_load_rlx(&page->sc) == 0);
    page->free = NULL;
    uint32_t stride = hak_dyn_class_open_mt(sc) + (uint32_t)hak_cfg_mf2_header;
    hak_store_rlx(&page->stride, stride); /* relaxed: published with the first block */
    page->cap = HAK_MF2_PAGE_BYTES / stride;
    page->next = page->prev = NULL;
    hak_store_rlx(&page->used, 0); /* relaxed, here and below: nobody else has the page yet */
    hak_store_rlx(&page->carved, 0);
    hak_store_rlx(&page->transfer_ms, 0);
    hak_store_rlx(&page->remote, 0);
    hak_store_rlx(&page->owner, (uintptr_t)owner);
    hak_store_rlx(&page->home, (uintptr_t)owner);
    hak_poison((void *)hak_mf2_page_base(page), HAK_MF2_PAGE_BYTES);
    hak_store_rel(&page->sc, sc); /* pairs with the acquire of statistics and hak_check */
    hak_registry_set_tags(hak_mf2_page_base(page), 1, tag);
}

void hak_mf2_page_close(hak_mf2_page_t *page) {
    hak_debug_assert(hak_load_rlx(&page->used) == 0 && hak_load_rlx(&page->remote) == 0);
    hak_registry_set_tags(hak_mf2_page_base(page), 1, HAK_TAG_NONE);
    hak_dyn_class_close_mt(hak_load_rlx(&page->sc));
    hak_store_rlx(&page->sc, 0); /* relaxed: a reader that still sees the class finds used == 0 */
    hak_store_rlx(&page->owner, 0);
    hak_unpoison((void *)hak_mf2_page_base(page), HAK_MF2_PAGE_BYTES);
}

/* relaxed, in all that follows: `used` and `carved` are written by the owner alone */

hak_block_t *hak_mf2_page_carve_owner(hak_mf2_page_t *page, uint32_t count) {
    uint32_t carved = hak_load_rlx(&page->carved);
    hak_debug_assert(carved + count <= page->cap);
    hak_block_t *head = NULL;
    for (uint32_t i = carved + count; i > carved; i--) {
        hak_block_t *block = (hak_block_t *)hak_mf2_page_block(page, i - 1);
        hak_block_link(block, head);
        if (hak_cfg_check_double_free) {
            hak_block_set_mark(block, hak_registry_mark((uintptr_t)block));
        }
        head = block;
    }
    hak_store_rlx(&page->carved, carved + count);
    hak_store_rlx(&page->used, hak_load_rlx(&page->used) + count);
    return head;
}

hak_block_t *hak_mf2_page_take_owner(hak_mf2_page_t *page, uint32_t *count) {
    hak_block_t *list = page->free;
    uint32_t carved = hak_load_rlx(&page->carved);
    *count = carved - hak_load_rlx(&page->used);
    hak_debug_assert((*count != 0) == (list != NULL));
    page->free = NULL;
    hak_store_rlx(&page->used, carved);
    return list;
}

hak_block_t *hak_mf2_page_take_one_owner(hak_mf2_page_t *page) {
    hak_block_t *block = page->free;
    if (block == NULL) {
        return hak_load_rlx(&page->carved) < page->cap ? hak_mf2_page_carve_owner(page, 1) : NULL;
    }
    page->free = hak_block_next(block);
    hak_store_rlx(&page->used, hak_load_rlx(&page->used) + 1);
    return block;
}

void hak_mf2_page_put_owner(hak_mf2_page_t *page, hak_block_t *list, uint32_t count) {
    if (list == NULL) {
        return;
    }
    if (page->free != NULL) {
        hak_block_t *tail = list; /* at most the blocks of one page */
        while (hak_block_next(tail) != NULL) {
            tail = hak_block_next(tail);
        }
        hak_block_link(tail, page->free);
    }
    page->free = list;
    hak_debug_assert(hak_load_rlx(&page->used) >= count);
    hak_store_rlx(&page->used, hak_load_rlx(&page->used) - count);
}

uint32_t hak_mf2_page_block_index(const hak_mf2_page_t *page, uintptr_t address) {
    uintptr_t from_base = address - hak_mf2_page_base(page);
    /* relaxed: the caller holds a block, or only reports. Outside: a link that hak_check follows */
    if (hak_load_rlx(&page->sc) == 0 || from_base >= HAK_MF2_PAGE_BYTES) {
        return UINT32_MAX;
    }
    uint32_t stride = hak_mf2_page_stride(page);
    uint32_t offset = (uint32_t)from_base;
    uint32_t index = offset / stride;
    return offset % stride == (uint32_t)hak_cfg_mf2_header && index < HAK_MF2_PAGE_BYTES / stride
               ? index
               : UINT32_MAX;
}
