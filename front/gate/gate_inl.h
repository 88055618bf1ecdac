/* gate_inl: the hit path of malloc and free. Everything that a hit executes is in this file and in
 * headers that it includes, foremost tls_sll_inl.h and registry_inl.h; a miss leaves by one call.
 */
#ifndef HAK_FRONT_GATE_GATE_INL_H_
#define HAK_FRONT_GATE_GATE_INL_H_

#include "base/attr.h"
#include "base/poison.h"
#include "base/size_class.h"
#include "boxes/tls_sll/tls_sll_inl.h"
#include "config/hak_config.h"
#include "core/dyn_class/dyn_class.h"
#include "front/gate/gate.h"
#include "registry/registry_inl.h"

/* Pops the bin at `offset`. NULL if it is empty: nothing has changed then. */
hak_inline void *hak_gate_take_cached(size_t offset) {
    hak_block_t *block = hak_tls_sll_pop(hak_tls_sll_bin(offset));
    if (hak_unlikely(block == NULL)) {
        return NULL;
    }
    if (hak_cfg_check_double_free) {
        hak_block_set_mark(block, 0);
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_MALLOC);
    }
    hak_unpoison(block, hak_dyn_class_bytes((unsigned)(offset >> HAK_BIN_SHIFT)));
    return block;
}

/* A block of at least `size` bytes, if the thread has one at hand, else NULL. */
hak_inline void *hak_gate_malloc_cached(size_t size) {
    if (hak_likely(size <= HAK_SC_SMALL_MAX_BYTES)) {
        return hak_gate_take_cached(hak_dyn_class_small_offset(size));
    }
    return hak_likely(size <= HAK_SC_MAX_BYTES)
               ? hak_gate_take_cached(hak_dyn_class_mid_offset(size))
               : NULL;
}

/* The same with a refill. NULL with errno ENOMEM. */
hak_inline void *hak_gate_malloc(size_t size) {
    void *block = hak_gate_malloc_cached(size);
    return hak_likely(block != NULL) ? block : hak_gate_alloc_slow(size);
}

/* A block aligned to `align`, a power of two, if the thread has one at hand, else NULL. */
hak_inline void *hak_gate_aligned_cached(size_t align, size_t size) {
    if (hak_cfg_mid_dyn || size > HAK_SC_MAX_BYTES || align > HAK_UNIT_BYTES) {
        return NULL;
    }
    return hak_gate_take_cached((size_t)hak_sc_of_aligned(size, align) << HAK_BIN_SHIFT);
}

/* True if the bin of its class takes the block, which is then `*bin`: it is of a slab of the
 * thread's own heap, or of a class whose blocks threads share. The registry's tag says which bin
 * that is, and the bin which tag it takes. All others fail: NULL, foreign, large, another thread's.
 */
hak_inline bool hak_gate_find_bin(const void *address, hak_own_bin_t **bin) {
    uint32_t tag;
    if (hak_unlikely(!hak_registry_look_up((uintptr_t)address, &tag))) {
        return false;
    }
    if (hak_cfg_check_interior) { /* nothing is shared, and bins hold divisors */
        uintptr_t self = hak_tls_sll_self();
        uintptr_t offset = (uint32_t)(tag - hak_tls_sll_tag(self));
        *bin = hak_tls_sll_bin_from(self, offset);
        return hak_likely(offset < HAK_SC_COUNT << HAK_BIN_SHIFT);
    }
    *bin = hak_tls_sll_bin((uint16_t)tag);
    return hak_likely((*bin)->tag == tag);
}

/* The checks that the variant has chosen; marks the block as free. False: look closer. */
hak_inline bool hak_gate_check_in(hak_block_t *block, const hak_own_bin_t *bin) {
    if (hak_cfg_check_interior &&
        hak_unlikely((uint16_t)(uintptr_t)block * bin->divisor >= bin->divisor)) {
        return false;
    }
    if (hak_cfg_check_double_free) {
        uintptr_t mark = hak_registry_mark((uintptr_t)block);
        if (hak_unlikely(hak_block_has_mark(block, mark))) {
            return false;
        }
        hak_block_set_mark(block, mark);
    }
    return true;
}

/* Takes a block back. A line about misuse names `call`, a constant that a hit does not load. */
hak_inline void hak_gate_free_as(void *address, const char *call) {
    hak_own_bin_t *bin;
    if (!hak_gate_find_bin(address, &bin) || !hak_gate_check_in(address, bin)) {
        hak_gate_free_slow(address, call);
        return;
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_FREE);
    }
    hak_poison(address, hak_dyn_class_bytes(hak_tls_sll_class(bin)));
    if (hak_unlikely(!hak_tls_sll_push(bin, address))) {
        hak_gate_take_back(address, hak_tls_sll_class(bin));
    }
}
hak_inline void hak_gate_free(void *address) { hak_gate_free_as(address, "free"); }

#endif /* HAK_FRONT_GATE_GATE_INL_H_ */
