/* audit: is every block in exactly one place?
 *
 *   used (what the slabs count as handed out) = live + cached + batched + remote
 *
 * The two sides are found independently: `used` is read from the slabs; `live` by looking at every
 * carved block for the mark of a free one, the others by walking their lists. Cached blocks are
 * the accounting gap of the tiny notes: as long as thread caches hold them, their slabs cannot
 * become empty.
 *
 * Owns       nothing.
 * Threads    *_locked: between hak_thread_stop_all and hak_thread_go_on, while no thread is inside
 *            a hit of malloc or free: then all bins and batches stand still.
 * Layer      4 (boxes). Uses boxes/heap, boxes/slab, boxes/slot_pool, boxes/tls_sll,
 *            boxes/transfer, registry.
 */
#ifndef HAK_BOXES_AUDIT_AUDIT_H_
#define HAK_BOXES_AUDIT_AUDIT_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint64_t used;
    uint64_t live;      /* UINT64_MAX in a build whose free blocks carry no mark */
    uint64_t cached;    /* in the bins of all threads, and those that ended ones left */
    uint64_t batched;   /* in open batches of remote frees */
    uint64_t remote;    /* on remote lists of slabs, since the last drain */
    uint64_t misplaced; /* on a list to which they do not belong, or that is longer than it says */
} hak_audit_result_t;

void hak_audit_count_locked(hak_audit_result_t *out);

/* True if no block is misplaced and both sides agree. After a fork in a process with threads, the
 * child lost what their caches held: then `used` may be more. */
bool hak_audit_is_whole(const hak_audit_result_t *result);

/* True if no other thread has a heap: nobody else can be inside a hit. */
bool hak_audit_is_alone(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_AUDIT_AUDIT_H_ */
