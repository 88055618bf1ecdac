/* flush: blocks leave the thread cache and go back to their slabs: one that found no room, or all
 * of them.
 *
 * Owns       nothing.
 * Threads    the thread that has `mine`; takes the owner lock itself.
 * Layer      4 (boxes). Uses boxes/tls_sll, boxes/heap, boxes/free_local, boxes/free_remote.
 */
#ifndef HAK_BOXES_FLUSH_FLUSH_H_
#define HAK_BOXES_FLUSH_FLUSH_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes back one block, for which hak_tls_sll_push said that there is no room. */
void hak_flush_block_owner(hak_heap_t *mine, hak_block_t *block, unsigned sc);
/* Empties every bin and sends every open batch. */
void hak_flush_all_owner(hak_heap_t *mine);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_FLUSH_FLUSH_H_ */
