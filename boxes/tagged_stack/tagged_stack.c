#include "boxes/tagged_stack/tagged_stack.h"

/* The next tag with `id` on top. */
static uint64_t hak_next_word(uint64_t old, uint32_t id) { return ((old >> 32) + 1) << 32 | id; }

bool hak_tagged_stack_try_push_mt(hak_tagged_stack_t *stack, uint64_t *seen, uint32_t first,
                                  hak_a32_t *last) {
    hak_store_rel(last, hak_tagged_stack_top(*seen)); /* as the header says of links */
    /* release part: publishes the elements; pairs with hak_tagged_stack_look and the CASes below.
     * seq_cst: comes before the pusher's look at the shard's mask. */
    return hak_cas_seq(&stack->word, seen, hak_next_word(*seen, first));
}

uint32_t hak_tagged_stack_try_take_mt(hak_tagged_stack_t *stack, uint64_t *seen,
                                      hak_tagged_link_fn *link_of, uint32_t most, uint32_t *ids) {
    uint32_t count = 0;
    uint32_t id = hak_tagged_stack_top(*seen);
    while (id != 0 && count < most) {
        ids[count++] = id;
        /* If the element has been popped since, the tag has changed and the CAS will fail. But
         * until then `link_of` is asked for an id that came after `*seen`. acquire: pairs with the
         * release of who wrote the link, so that what the id names is known here. */
        id = hak_load_acq(link_of(id));
    }
    /* acquire part, also when it fails: the next user of the ids, or the next look at links, comes
     * after who pushed them. seq_cst: as in push. */
    return hak_cas_seq(&stack->word, seen, hak_next_word(*seen, id)) ? count : 0;
}

uint32_t hak_tagged_stack_take_all_mt(hak_tagged_stack_t *stack) {
    uint64_t seen = hak_tagged_stack_look(stack);
    /* as in hak_tagged_stack_try_take_mt */
    while (hak_tagged_stack_top(seen) != 0 &&
           !hak_cas_seq(&stack->word, &seen, hak_next_word(seen, 0))) {
    }
    return hak_tagged_stack_top(seen);
}
