/* tls_sll_inl: pop and push. `offset` is class * 16: what the size table and the registry's tag
 * hold. */
#ifndef HAK_BOXES_TLS_SLL_TLS_SLL_INL_H_
#define HAK_BOXES_TLS_SLL_TLS_SLL_INL_H_

#include "base/attr.h"
#include "base/tls.h"
#include "boxes/tls_sll/tls_sll.h"
#include "config/hak_config.h"

/* A bin of the calling thread, as an address in the thread's segment: see base/tls.h. */
typedef HAK_TLS_SPACE hak_bin_t hak_own_bin_t;

hak_inline uintptr_t hak_tls_sll_self(void) { return HAK_TLS_OFFSET_OF(hak_tls); }
hak_inline hak_own_bin_t *hak_tls_sll_bin_from(uintptr_t self, size_t offset) {
    return (hak_own_bin_t *)(self + offset);
}
/* The same where `self` is not needed for anything else. */
hak_inline hak_own_bin_t *hak_tls_sll_bin(size_t offset) {
    return (hak_own_bin_t *)HAK_TLS_OFFSET_INTO(hak_tls, offset);
}
hak_inline uint32_t hak_tls_sll_tag(uintptr_t self) {
    return *(const HAK_TLS_SPACE uint32_t *)(self + offsetof(hak_tls_t, tag));
}

/* The class whose bin this is. */
hak_inline unsigned hak_tls_sll_class(const hak_own_bin_t *bin) {
    return (unsigned)(((uintptr_t)bin - hak_tls_sll_self()) >> HAK_BIN_SHIFT);
}

/* Pops a block, or NULL: the caller then refills. The block keeps its mark. */
hak_inline hak_block_t *hak_tls_sll_pop(hak_own_bin_t *bin) {
    hak_block_t *block = bin->head;
    if (hak_likely(block != NULL)) {
        hak_block_t *next = hak_block_next(block);
        if (!hak_cfg_cache_drain) {
            bin->room++;
        }
        bin->head = next;
    }
    return block;
}

/* Pushes a block, or returns false with nothing changed but `room`, which
 * hak_cache_policy_overflow_owner puts right. */
hak_inline bool hak_tls_sll_push(hak_own_bin_t *bin, hak_block_t *block) {
    if (hak_unlikely(--bin->room < 0)) {
        return false;
    }
    hak_block_link(block, bin->head);
    bin->head = block;
    return true;
}

/* The same by class, for slow paths. */
hak_inline hak_block_t *hak_tls_sll_pop_class(unsigned sc) {
    return hak_tls_sll_pop(hak_tls_sll_bin((size_t)sc << HAK_BIN_SHIFT));
}
hak_inline bool hak_tls_sll_push_class(unsigned sc, hak_block_t *block) {
    return hak_tls_sll_push(hak_tls_sll_bin((size_t)sc << HAK_BIN_SHIFT), block);
}

#endif /* HAK_BOXES_TLS_SLL_TLS_SLL_INL_H_ */
