/* gate_inl: the hit path of malloc and free. Everything that a hit executes is in this file and in the two that it
 * includes; a miss leaves by one call.
 */
#ifndef HAK_FRONT_GATE_GATE_INL_H_
#define HAK_FRONT_GATE_GATE_INL_H_

#include "base/attr.h"
#include "base/poison.h"
#include "base/size_class.h"
#include "boxes/tls_sll/tls_sll_inl.h"
#include "config/hak_config.h"
#include "front/gate/gate.h"
#include "registry/registry_inl.h"

/* A block of at least `size` bytes. NULL with errno ENOMEM. */
hak_inline void *hak_gate_malloc(size_t size) {
    size_t offset;
    if (hak_likely(size <= HAK_SC_SMALL_MAX_BYTES)) {
        offset = hak_sc_small_offset[(size + 15) >> 4];
    } else if (hak_likely(size <= HAK_SC_MAX_BYTES)) {
        offset = (size_t)hak_sc_of_mid(size) << HAK_BIN_SHIFT;
    } else {
        return hak_gate_alloc_slow(size);
    }
    hak_block_t *block = hak_tls_sll_pop(hak_tls_sll_bin(hak_tls_sll_self(), offset));
    if (hak_unlikely(block == NULL)) {
        return hak_gate_alloc_slow(size);
    }
    if (hak_cfg_check_double_free) {
        hak_block_set_mark(block, 0);
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_MALLOC);
    }
    hak_unpoison(block, hak_sc_bytes[offset >> HAK_BIN_SHIFT]);
    return block;
}

/* Takes a block back. The registry's tag minus the thread's own is the offset of the bin if the block is of one of
 * our slabs, and out of range for everything else: NULL, foreign, large, another thread's. */
hak_inline void hak_gate_free(void *address) {
    uint32_t tag;
    if (hak_unlikely(!hak_registry_look_up((uintptr_t)address, &tag))) {
        hak_gate_free_slow(address, "free");
        return;
    }
    uintptr_t self = hak_tls_sll_self();
    uintptr_t offset = (uint32_t)(tag - hak_tls_sll_tag(self));
    if (hak_unlikely(offset >= HAK_SC_COUNT << HAK_BIN_SHIFT)) {
        hak_gate_free_slow(address, "free");
        return;
    }
    hak_own_bin_t *bin = hak_tls_sll_bin(self, offset);
    if (hak_cfg_check_interior && hak_unlikely((uint16_t)(uintptr_t)address * bin->divisor >= bin->divisor)) {
        hak_gate_free_slow(address, "free");
        return;
    }
    hak_block_t *block = address;
    if (hak_cfg_check_double_free) {
        uintptr_t mark = hak_registry_mark((uintptr_t)address);
        if (hak_unlikely(hak_block_mark(block) == mark)) {
            hak_gate_free_slow(address, "free");
            return;
        }
        hak_block_set_mark(block, mark);
    }
    if (hak_cfg_stats) {
        hak_gate_count_call(HAK_CALL_FREE);
    }
    hak_poison(block, hak_sc_bytes[offset >> HAK_BIN_SHIFT]);
    if (hak_unlikely(!hak_tls_sll_push(bin, block))) {
        hak_gate_take_back(block, offset >> HAK_BIN_SHIFT);
    }
}

#endif /* HAK_FRONT_GATE_GATE_INL_H_ */
