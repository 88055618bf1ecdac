/* live_inl: the size of a block, where the classification of any pointer is not needed. */
#ifndef HAK_FRONT_GATE_LIVE_INL_H_
#define HAK_FRONT_GATE_LIVE_INL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/size_class.h"
#include "boxes/block/block.h"
#include "config/hak_config.h"
#include "registry/registry_inl.h"

/* True if the block's tag, place and mark say that it is live and of a fixed class; `*bytes` is its
 * size. Redis and others ask for the size of each block twice, and strings grow in steps that often
 * fit: the classification takes five times as many instructions. This sees what free sees, and the
 * start of a block, too. False: look closer; always so with HAKMEM_CHECK=interior, where no look-up
 * reads the flat map. */
hak_inline bool hak_gate_is_live(const void *block, size_t *bytes) {
    uintptr_t address = (uintptr_t)block;
    uint32_t tag;
    if (hak_unlikely(!hak_registry_look_up(address, &tag) || tag >> HAK_TAG_OWNER_SHIFT == 0)) {
        return false;
    }
    unsigned sc = (tag & (HAK_TAG_CLASSES - 1)) >> HAK_BIN_SHIFT;
    uint32_t divisor = hak_sc_start_divisor(sc); /* 0: several units, or a size of run time */
    if (hak_unlikely((uint16_t)address * divisor >= divisor)) {
        return false;
    }
    if (hak_cfg_check_double_free &&
        hak_unlikely(hak_block_has_mark((const hak_block_t *)block, hak_registry_mark(address)))) {
        return false;
    }
    *bytes = hak_sc_bytes[sc];
    return true;
}

#endif /* HAK_FRONT_GATE_LIVE_INL_H_ */
