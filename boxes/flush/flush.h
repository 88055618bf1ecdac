/* flush: blocks leave the thread cache and go back to their slabs. When they do is for
 * boxes/cache_policy to say; here is how, and the case that all of them go.
 *
 * Owns       nothing.
 * Threads    the thread that has `mine`; hak_flush_all_owner takes the owner lock itself.
 * Layer      4 (boxes). Uses boxes/tls_sll, boxes/heap, boxes/free_local, boxes/free_remote.
 */
#ifndef HAK_BOXES_FLUSH_FLUSH_H_
#define HAK_BOXES_FLUSH_FLUSH_H_

#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Empties every bin that holds blocks of slabs and sends every open batch. A bin then has room for
 * bin_cap blocks.
 * hak_flush_put_back, for one block, is in flush_inl.h. */
void hak_flush_all_owner(hak_heap_t *mine);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_FLUSH_FLUSH_H_ */
