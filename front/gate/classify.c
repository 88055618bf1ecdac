/* What any pointer is. The truth is the registry's tag; what it does not say comes from the owner
 * of the memory, and is only needed to explain an error. */
#include <string.h>

#include "backends/large/large.h"
#include "base/bits.h"
#include "boxes/slot_policy/slot_policy.h"
#include "front/gate/gate_inl.h"
#include "front/gate/gate_internal.h"
#include "front/gate/live_inl.h"

static void hak_set_invalid(hak_classified_t *c, hak_error_t error) {
    c->kind = HAK_KIND_INVALID;
    c->error = error;
}

static void hak_set_gone(hak_classified_t *c, hak_error_t error) {
    c->info = (hak_block_info_t){0, 0, false};
    hak_set_invalid(c, error);
}

/* `address` is in a slab. True if a block was freed there and its mark is not overwritten. */
static bool hak_is_marked(uintptr_t address) {
    return hak_cfg_check_double_free &&
           hak_block_has_mark((const hak_block_t *)address, hak_registry_mark(address));
}

static void hak_classify_block(hak_classified_t *c, uintptr_t address) {
    c->sc = (c->tag & (HAK_TAG_CLASSES - 1)) >> HAK_BIN_SHIFT;
    if (!hak_route[c->sc]->describe(address, &c->info)) {
        /* the tail of a slab, too short for a block */
        hak_set_invalid(c, HAK_ERROR_UNALLOCATED);
    } else if (!c->info.handed_out) {
        bool was_block = address % sizeof(hak_block_t) == 0 && hak_is_marked(address);
        if (was_block) { /* of a slab that was here before */
            hak_set_gone(c, HAK_ERROR_FREED);
        } else {
            hak_set_invalid(c, HAK_ERROR_UNALLOCATED);
        }
    } else if (c->info.block != address) {
        hak_set_invalid(c, HAK_ERROR_INTERIOR);
    } else if (hak_is_marked(address)) {
        hak_set_invalid(c, HAK_ERROR_DOUBLE_FREE);
    } else {
        c->kind = HAK_KIND_BLOCK;
    }
}

void hak_gate_classify(const void *pointer, hak_classified_t *c) {
    uintptr_t address = (uintptr_t)pointer;
    *c = (hak_classified_t){.tag = hak_registry_tag(address)};
    if (c->tag >> HAK_TAG_OWNER_SHIFT != 0) {
        hak_classify_block(c, address);
    } else if (hak_large_describe(address, &c->info)) {
        c->kind = HAK_KIND_LARGE;
        if (c->info.block != address || (c->tag != HAK_TAG_EXTENT && c->tag != HAK_TAG_HUGE)) {
            hak_set_invalid(c, HAK_ERROR_INTERIOR);
        }
    } else {
        bool ours = hak_registry_region(address) != NULL && !hak_large_ends_before(address);
        hak_set_gone(c, ours ? HAK_ERROR_FREED : HAK_ERROR_WILD);
    }
}

/* Reports a pointer that is no live block. */
static bool hak_expect_live(const hak_classified_t *c, const void *block, const char *call) {
    if (c->kind != HAK_KIND_INVALID) {
        return true;
    }
    hak_error_report(c->error, call, block, (void *)c->info.block, c->info.bytes);
    return false;
}

static hak_noinline size_t hak_usable_slow(const void *block, const char *call) {
    hak_classified_t c;
    hak_gate_classify(block, &c);
    return hak_expect_live(&c, block, call) ? c.info.bytes : 0;
}

size_t hak_gate_usable(const void *block, const char *call) {
    if (block == NULL) {
        return 0;
    }
    size_t bytes;
    return hak_likely(hak_gate_is_live(block, &bytes)) ? bytes : hak_usable_slow(block, call);
}

bool hak_gate_owns(const void *block) {
    hak_classified_t c;
    hak_gate_classify(block, &c);
    return c.kind != HAK_KIND_INVALID || (c.error == HAK_ERROR_DOUBLE_FREE && block != NULL);
}

const char *hak_gate_served_by(const void *block) {
    hak_classified_t c;
    hak_gate_classify(block, &c);
    switch (c.kind) {
    case HAK_KIND_BLOCK:
        return hak_slot_policy_serves(c.sc) ? hak_slot_policy_name : hak_route[c.sc]->name;
    case HAK_KIND_LARGE:
        return "large";
    case HAK_KIND_INVALID:
    default:
        return NULL;
    }
}

/* realloc may leave a block larger than asked for, so only a size that does not fit is certainly
 * wrong. */
static bool hak_has_room(size_t bytes, size_t size) { return size <= bytes; }

/* `align` 0: unknown. */
static bool hak_is_aligned(const void *block, size_t align) {
    return align == 0 || (hak_is_pow2(align) && ((uintptr_t)block & (align - 1)) == 0);
}

static hak_noinline bool hak_check_sized_slow(const void *block, size_t size, size_t align,
                                              const char *call) {
    hak_classified_t c;
    hak_gate_classify(block, &c);
    if (!hak_expect_live(&c, block, call)) {
        return false;
    }
    bool fits = hak_has_room(c.info.bytes, size);
    bool aligned = hak_is_aligned(block, align);
    if (!fits || !aligned) {
        hak_error_report(fits ? HAK_ERROR_ALIGNMENT : HAK_ERROR_SIZE, call, block, block,
                         c.info.bytes);
    }
    return fits && aligned;
}

bool hak_gate_check_sized(const void *block, size_t size, size_t align, const char *call) {
    if (block == NULL) {
        return true;
    }
    size_t bytes;
    bool right = hak_gate_is_live(block, &bytes) && hak_has_room(bytes, size) &&
                 hak_is_aligned(block, align);
    return hak_likely(right) || hak_check_sized_slow(block, size, align, call);
}
