/* cache_policy_inl: may a block that comes from another heap's slab stay with the thread? */
#ifndef HAK_BOXES_CACHE_POLICY_CACHE_POLICY_INL_H_
#define HAK_BOXES_CACHE_POLICY_CACHE_POLICY_INL_H_

#include "base/attr.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/tls_sll/tls_sll.h"

/* True if the thread allocates blocks of the class and its bin should take one more: if it is
 * empty, because the next malloc would have to refill it; above 1 KiB also if it has room, because
 * the way home costs more there. A full bin counts as having overflowed. */
hak_inline bool hak_cache_policy_keeps_remote_owner(hak_heap_t *mine, unsigned sc) {
    uint64_t bit = 1ull << (sc & 63);
    const hak_bin_t *bin = &hak_tls.bin[sc];
    if ((mine->keeps_remote[sc >> 6] & bit) == 0 || (sc <= HAK_SC_SMALL_MAX && bin->head != NULL)) {
        return false;
    }
    if (hak_likely(bin->room > 0)) {
        return true;
    }
    mine->overflowed[sc >> 6] |= bit;
    return false;
}

#endif /* HAK_BOXES_CACHE_POLICY_CACHE_POLICY_INL_H_ */
