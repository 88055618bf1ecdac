/* tagged_stack: a stack that any thread pushes to and pops from, without a lock and without ABA.
 *
 * Elements are ids, not addresses, and their links stand in a table apart from what they name. So
 * a thread that looks at the link of an element which another one has just popped reads a word of
 * the table, never memory that is in use elsewhere by now. The head is { tag : 32 | id : 32 }; each
 * change gives it the next tag, so a compare-and-swap succeeds only if the list is just as it was
 * when the link was read. An address with 16 bits of tag would wrap 65,536 times sooner, and
 * reading links through it would be a race with the block's new user.
 *
 * Owns       hak_tagged_stack_t; the links of ids that are on it.
 *            Who builds a chain stores its links with release: a thread that still looks at an
 *            element which has been popped may read them.
 * Threads    *_mt: any.
 * Invariant  an id is on one stack at most. A link word holds a valid id or 0 at all times, and
 *            link words stay readable for good.
 * Layer      4 (boxes). Uses base. Used by boxes/pool_list.
 */
#ifndef HAK_BOXES_TAGGED_STACK_TAGGED_STACK_H_
#define HAK_BOXES_TAGGED_STACK_TAGGED_STACK_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    hak_a64_t word;
} hak_tagged_stack_t;

/* Where the link of an id stands. Ids are not 0. */
typedef hak_a32_t *hak_tagged_link_fn(uint32_t id);

static inline uint32_t hak_tagged_stack_top(uint64_t word) { return (uint32_t)word; }

/* The present word, to be given to the two below. */
static inline uint64_t hak_tagged_stack_look(const hak_tagged_stack_t *stack) {
    /* acquire part pairs with the CAS of a push: links are there. seq_cst: comes after the change
     * of the shard's mask that precedes it. */
    return hak_load_seq(&stack->word);
}

/* Puts the chain that begins with `first` and whose last link is `last` on top of what `*seen`
 * shows. False: another thread was faster; `*seen` is what is there now. */
bool hak_tagged_stack_try_push_mt(hak_tagged_stack_t *stack, uint64_t *seen, uint32_t first,
                                  hak_a32_t *last);
/* Takes up to `most` ids, which stand in ids[] then, or all if there are no more. `*seen` shows
 * what to take from and is not empty. Returns how many, or 0: as above. */
uint32_t hak_tagged_stack_try_take_mt(hak_tagged_stack_t *stack, uint64_t *seen,
                                      hak_tagged_link_fn *link_of, uint32_t most, uint32_t *ids);
/* Takes the whole chain; returns its first id or 0. */
uint32_t hak_tagged_stack_take_all_mt(hak_tagged_stack_t *stack);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_TAGGED_STACK_TAGGED_STACK_H_ */
