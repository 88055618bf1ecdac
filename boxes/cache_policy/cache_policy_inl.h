/* cache_policy_inl: may a block that comes from another heap's slab stay with the thread? */
#ifndef HAK_BOXES_CACHE_POLICY_CACHE_POLICY_INL_H_
#define HAK_BOXES_CACHE_POLICY_CACHE_POLICY_INL_H_

#include "base/attr.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/tls_sll/tls_sll.h"

/* True if the thread allocates blocks of the class and its bin has room for one more. A full bin
 * counts as having overflowed. */
hak_inline bool hak_cache_policy_keeps_remote_owner(hak_heap_t *mine, unsigned sc) {
    uint64_t bit = 1ull << (sc & 63);
    if ((mine->keeps_remote[sc >> 6] & bit) == 0) {
        return false;
    }
    bool has_room = hak_tls.bin[sc].room > 0;
    mine->overflowed[sc >> 6] |= has_room ? 0 : bit;
    return has_room;
}

#endif /* HAK_BOXES_CACHE_POLICY_CACHE_POLICY_INL_H_ */
