/* mf2_round: the two opportunistic drains that the policies own, rr and hybrid are made of.
 *
 * Owns       nothing; hak_mf2_heap.rr_heap and rr_index belong to the policy.
 * Threads    *_owner: inside the owner lock of `mine`.
 * Layer      4 (boxes), inside the box of the policies.
 */
#ifndef HAK_BOXES_MF2_POLICY_MF2_ROUND_H_
#define HAK_BOXES_MF2_POLICY_MF2_ROUND_H_

#include "boxes/mf2_heap/mf2_heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Drains one page of the class that is pending at `mine`. */
void hak_mf2_round_own_owner(hak_mf2_heap_t *mine, unsigned index);
/* Drains one page of the next pair: all heaps for a class, then the next class. */
void hak_mf2_round_other_owner(hak_mf2_heap_t *mine);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_POLICY_MF2_ROUND_H_ */
