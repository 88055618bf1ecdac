/* ss_bins: superslabs sorted by how much they can still give.
 *
 * 33 lists for what a superslab can give, 0 to 32, twice: for those with EMPTY slots and those
 * without. A bit mask says which lists hold something, so the superslab that can give least and
 * still enough, the fullest, is one look at the mask away.
 *
 * Owns       `next`, `prev` and `bin` of the superslabs on it.
 * Threads    *_locked: under the lock of whoever owns the lists.
 * Layer      4 (boxes). Uses boxes/slab. Used by boxes/slot_pool, boxes/slot_policy.
 */
#ifndef HAK_BOXES_SS_BINS_SS_BINS_H_
#define HAK_BOXES_SS_BINS_SS_BINS_H_

#include "boxes/slab/slab.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_SS_BINS = HAK_SUPERSLAB_SLOTS + 1 };

/* Zeroed: empty. */
typedef struct {
    uint64_t mask[2]; /* bit b: list b is not empty */
    hak_superslab_t *list[2][HAK_SS_BINS];
} hak_ss_bins_t;

/* `room` is what `ss` can give, `warm` whether it has EMPTY slots to give. */
void hak_ss_bins_put_locked(hak_ss_bins_t *bins, hak_superslab_t *ss, unsigned room, bool warm);
void hak_ss_bins_remove_locked(hak_ss_bins_t *bins, hak_superslab_t *ss);
/* A superslab that can give at least `room`, or NULL: one with EMPTY slots if there is any, and
 * the fullest of those. It stays on its list. */
hak_superslab_t *hak_ss_bins_find_locked(const hak_ss_bins_t *bins, unsigned room);
/* One of those with EMPTY slots, whatever it can give: of the fullest, or of the emptiest. NULL if
 * there is none. */
hak_superslab_t *hak_ss_bins_find_warm_locked(const hak_ss_bins_t *bins, bool fullest);

/* Checks links, bin numbers and masks, and adds what `visit` (may be NULL) returns for each
 * superslab. Returns the sum of all faults. */
size_t hak_ss_bins_check_locked(const hak_ss_bins_t *bins,
                                size_t (*visit)(const hak_superslab_t *ss, unsigned room, bool warm,
                                                void *context),
                                void *context);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_SS_BINS_SS_BINS_H_ */
