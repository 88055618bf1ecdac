#include "boxes/mpsc_stack/mpsc_stack.h"

enum { HAK_COUNT_SHIFT = 48 };
#define HAK_HEAD_MASK 0x0000ffffffffffffull

bool hak_mpsc_stack_push_mt(hak_mpsc_stack_t *stack, hak_block_t *head, hak_block_t *tail,
                            uint32_t count, uint32_t most) {
    uint64_t old = hak_load_rlx(&stack->word); /* relaxed: a guess, the CAS checks it */
    uint64_t word;
    do {
        uint64_t sum = (old >> HAK_COUNT_SHIFT) + count;
        if (sum > most) {
            return false;
        }
        hak_block_link(tail, (hak_block_t *)(uintptr_t)(old & HAK_HEAD_MASK));
        word = sum << HAK_COUNT_SHIFT | (uintptr_t)head;
        /* release part: publishes the links, pairs with the CAS in hak_mpsc_stack_take_mt.
         * seq_cst: comes before the pusher's look at the shard's mask. */
    } while (!hak_cas_seq(&stack->word, &old, word));
    return true;
}

hak_block_t *hak_mpsc_stack_take_mt(hak_mpsc_stack_t *stack, uint32_t *count) {
    uint64_t old = hak_load_rlx(&stack->word); /* relaxed: a guess, the CAS checks it */
    /* acquire: pairs with the CAS in push. No seq_cst: before the taker looks at the shard's mask,
     * what was taken goes to the shard's free list, by a change that is seq_cst. */
    while (old != 0 && !hak_cas_acq(&stack->word, &old, 0)) {
    }
    *count = (uint32_t)(old >> HAK_COUNT_SHIFT);
    return (hak_block_t *)(uintptr_t)(old & HAK_HEAD_MASK);
}
