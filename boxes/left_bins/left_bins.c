/* Bins of the spare classes are never left: the size of such a class may change, and then their
 * room would be that of another size. */
#include "boxes/left_bins/left_bins.h"

#include "base/bits.h"
#include "boxes/cache_policy/cache_policy.h"
#include "boxes/flush/flush.h"
#include "boxes/tls_sll/tls_sll.h"
#include "core/dyn_class/dyn_class.h"

enum { HAK_LEFT_BYTES = 1 << 18 }; /* a longer list goes back to its slabs */

/* True if the bin holds blocks of slabs, and few. */
static bool hak_may_stay(const hak_heap_t *mine, unsigned sc) {
    const hak_bin_t *bin = &hak_tls.bin[sc];
    /* relaxed: our own */
    int64_t most = (int64_t)hak_load_rlx(&mine->cached_max[sc]) - bin->room;
    return most * hak_dyn_class_bytes(sc) <= HAK_LEFT_BYTES &&
           hak_slab_of((uintptr_t)bin->head) != NULL;
}

void hak_left_bins_leave_locked(hak_heap_t *mine, uint64_t now_ms) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        hak_bin_t *bin = &hak_tls.bin[sc];
        if (bin->head != NULL && hak_may_stay(mine, sc)) {
            mine->left_bin[sc] = (hak_left_bin_t){bin->head, bin->room};
            (void)hak_tls_sll_take_all(sc, mine->bin_cap[sc]);
            /* relaxed, here and below: written inside the lock, hints to others */
            uint64_t mask = hak_load_rlx(&mine->left_mask[sc >> 6]);
            hak_store_rlx(&mine->left_mask[sc >> 6], mask | 1ull << (sc & 63));
        }
    }
    hak_store_rlx(&mine->left_ms, now_ms);
    hak_store_rlx(&mine->has_left, 1);
}

void hak_left_bins_take_locked(hak_heap_t *mine) {
    for (unsigned word = 0; word < 2; word++) {
        uint64_t mask = hak_load_rlx(&mine->left_mask[word]);
        for (; mask != 0; mask &= mask - 1) {
            unsigned sc = word * 64 + hak_lowest_bit(mask);
            hak_tls.bin[sc].head = mine->left_bin[sc].head;
            hak_tls.bin[sc].room = mine->left_bin[sc].room;
        }
        hak_store_rlx(&mine->left_mask[word], 0);
    }
    hak_store_rlx(&mine->has_left, 0);
}

bool hak_left_bins_flush_class_locked(hak_heap_t *heap, unsigned sc) {
    if (!hak_left_bins_has(heap, sc)) {
        return false;
    }
    uint64_t mask = hak_load_rlx(&heap->left_mask[sc >> 6]);
    hak_store_rlx(&heap->left_mask[sc >> 6], mask & ~(1ull << (sc & 63)));
    hak_flush_list_guest_locked(heap, heap->left_bin[sc].head);
    return true;
}

void hak_left_bins_flush_locked(hak_heap_t *heap) {
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        (void)hak_left_bins_flush_class_locked(heap, sc);
    }
    hak_cache_policy_end_owner(heap);
    hak_store_rlx(&heap->has_left, 0);
}
