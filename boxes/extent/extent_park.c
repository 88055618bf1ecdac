/* Parking. The last blocks that a thread freed stay in places of its heap, out of the bins: who
 * asks for the same length again takes one with a compare-and-swap, without the lock.
 */
#include "base/attr.h"
#include "boxes/extent/extent_internal.h"

enum { HAK_PARKED_MAX_UNITS = HAK_EXTENT_PARKED_MAX_BYTES / HAK_UNIT_BYTES };

hak_extent_t *hak_extent_parked_take(hak_aptr_t *parked, uint32_t units) {
    for (unsigned i = 0; i < HAK_EXTENT_PARKED; i++) {
        uintptr_t seen = hak_load_rlx(&parked[i]); /* relaxed: descriptors stay; the CAS decides */
        /* relaxed: what is there was put there by this thread, or by who had the heap before */
        if (seen != 0 && hak_extent_units((hak_extent_t *)seen) == units &&
            hak_cas_rlx(&parked[i], &seen, 0)) {
            ((hak_extent_t *)seen)->fresh = false;
            return (hak_extent_t *)seen;
        }
    }
    return NULL;
}

/* In the second place if the first is taken, the second is not, and the extent is of up to a
 * quarter of the length that may be parked. */
hak_extent_t *hak_extent_park(hak_aptr_t *parked, hak_extent_t *extent) {
    uint32_t units = hak_extent_units(extent);
    if (units > HAK_PARKED_MAX_UNITS) {
        return extent;
    }
    /* relaxed: only this thread fills the places */
    if (hak_load_rlx(&parked[0]) != 0 && units <= HAK_PARKED_MAX_UNITS / 4 &&
        hak_load_rlx(&parked[1]) == 0) {
        parked++;
    }
    if (hak_load_rlx(parked) == 0) { /* relaxed: as above */
        /* release: pairs with the acquire in hak_extent_unpark_mt */
        hak_store_rel(parked, (uintptr_t)extent);
        return NULL;
    }
    /* release: as above. What comes back needs no acquire: as in hak_extent_parked_take */
    return (hak_extent_t *)hak_swap_rel(parked, (uintptr_t)extent);
}

void hak_extent_unpark_mt(hak_aptr_t *parked) {
    for (unsigned i = 0; i < HAK_EXTENT_PARKED; i++) {
        uintptr_t extent = hak_load_rlx(&parked[i]); /* relaxed: the swap decides */
        if (extent != 0) {
            extent = hak_swap_acq(&parked[i],
                                  0); /* acquire: pairs with the release in hak_extent_park */
        }
        if (extent != 0) {
            hak_extent_free_slowly((hak_extent_t *)extent);
        }
    }
}
