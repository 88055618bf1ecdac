/* mf2_remote: frees by threads that do not own the block's page.
 *
 * One word of the page: { count : 16 | head : 48, whose lowest bit is `queued` }. A push that turns
 * `queued` on has found the edge from nothing to something: its thread, and no other, puts the page
 * on its home's pending stack. It goes off only in the hand of who took the page from there, in the
 * same operation that takes the blocks, so no push can fall between the two.
 *
 * Owns       hak_mf2_page.remote.
 * Threads    *_mt: any. *_owner: the owner of the page; take_unqueue: who also has it in hand.
 * Invariant  a page whose remote stack is not empty is queued: on one pending stack, or in the hand
 *            of one thread.
 * Layer      4 (boxes). Uses boxes/mf2_page.
 */
#ifndef HAK_BOXES_MF2_REMOTE_MF2_REMOTE_H_
#define HAK_BOXES_MF2_REMOTE_MF2_REMOTE_H_

#include "boxes/mf2_page/mf2_page.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pushes one block. True: the caller must put the page on its home's pending stack. */
bool hak_mf2_remote_push_mt(hak_mf2_page_t *page, hak_block_t *block);
/* Takes the whole stack, newest first; `queued` stays as it is. Taking all at once rules out ABA.
 */
hak_block_t *hak_mf2_remote_take_owner(hak_mf2_page_t *page, uint32_t *count);
/* The same, and turns `queued` off. */
hak_block_t *hak_mf2_remote_take_unqueue_owner(hak_mf2_page_t *page, uint32_t *count);

static inline bool hak_mf2_remote_is_queued(const hak_mf2_page_t *page) {
    /* relaxed: exact when no block of the page is at a user, or no other thread runs */
    return (hak_load_rlx(&page->remote) & 1u) != 0;
}
static inline uint32_t hak_mf2_remote_count(const hak_mf2_page_t *page) {
    return (uint32_t)(hak_load_rlx(&page->remote) >>
                      48); /* relaxed: a guess; taking synchronises */
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MF2_REMOTE_MF2_REMOTE_H_ */
