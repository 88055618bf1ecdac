/* mpsc_stack: blocks that many threads push and one takes, all at once.
 *
 * One word { count : 16 | head : 48 }, so that the count is exact and a bound costs no second
 * atomic. Links stand in the blocks. Taking everything at once rules out ABA, and a push is one
 * compare-and-swap: a fork finds no intermediate state.
 *
 * Owns       hak_mpsc_stack_t; the first word of the blocks on it.
 * Threads    *_mt: any.
 * Invariant  the count is the length of the list.
 * Layer      4 (boxes). Uses base, boxes/block. Used by boxes/pool_shard, boxes/pool_cache.
 */
#ifndef HAK_BOXES_MPSC_STACK_MPSC_STACK_H_
#define HAK_BOXES_MPSC_STACK_MPSC_STACK_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "boxes/block/block.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_MPSC_STACK_MOST = UINT16_MAX };

typedef struct {
    hak_a64_t word;
} hak_mpsc_stack_t;

/* Pushes `count` blocks, linked from `head` to `tail`. False with nothing changed if more than
 * `most` blocks (at most HAK_MPSC_STACK_MOST) would be there then. */
bool hak_mpsc_stack_push_mt(hak_mpsc_stack_t *stack, hak_block_t *head, hak_block_t *tail,
                            uint32_t count, uint32_t most);
/* Takes the whole list, newest first, or NULL. */
hak_block_t *hak_mpsc_stack_take_mt(hak_mpsc_stack_t *stack, uint32_t *count);

static inline uint32_t hak_mpsc_stack_count(const hak_mpsc_stack_t *stack) {
    /* seq_cst: the mask of boxes/pool_shard is compared with it; pairs with push */
    return (uint32_t)(hak_load_seq(&stack->word) >> 48);
}
/* A guess for paths that look often. */
static inline bool hak_mpsc_stack_seems_empty(const hak_mpsc_stack_t *stack) {
    return hak_load_rlx(&stack->word) == 0; /* relaxed: taking is what synchronises */
}
/* The first block, to be walked by who holds the locks inside which others push and take. */
static inline hak_block_t *hak_mpsc_stack_head(const hak_mpsc_stack_t *stack) {
    /* relaxed: ordered by those locks */
    return (hak_block_t *)(uintptr_t)(hak_load_rlx(&stack->word) & 0x0000ffffffffffffull);
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MPSC_STACK_MPSC_STACK_H_ */
