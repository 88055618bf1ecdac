/* tls_sll: the thread cache: one singly linked list of free blocks per size class, in thread-local
 * storage.
 *
 * malloc pops, free pushes; that is the whole hit path. `room` counts down with each push and up
 * with each pop: when it would go below zero the list is long enough and the block goes back to
 * its slab (boxes/flush). A list may hold blocks of any heap's slabs: only the slab says who owns
 * it, and it is asked when the block leaves the list.
 *
 * The initial image is "all lists empty, tag of nobody": a new thread needs no is-initialised
 * test. Its first malloc misses, its first free finds another owner, and both slow paths attach a
 * heap.
 *
 * Owns       hak_tls.
 * Threads    only the own thread, no lock, no atomic.
 * Invariant  length + room of a bin changes only when it is filled, emptied or grown: it bounds the
 *            length.
 * Layer      4 (boxes). Uses base, boxes/block, registry (tags).
 */
#ifndef HAK_BOXES_TLS_SLL_TLS_SLL_H_
#define HAK_BOXES_TLS_SLL_TLS_SLL_H_

#include "base/size_class.h"
#include "boxes/block/block.h"
#include "registry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    hak_block_t *head;
    int32_t room;
    /* What the hit path of free compares, here because it has this line at hand. */
    union {
        uint32_t tag;     /* the registry's tag of the blocks that may be pushed unseen */
        uint32_t divisor; /* where interior pointers are checked: hak_sc_divisor_of its blocks */
    };
} hak_bin_t;

typedef struct {
    hak_bin_t bin[HAK_SC_COUNT];
    uint32_t tag;          /* of the thread's heap, or HAK_TAG_NOBODY */
    uint16_t ended;        /* 1 once the thread's destructors ran: it gets no heap any more */
    uint16_t lone_frees;   /* frees before it had a heap */
    struct hak_heap *heap; /* NULL: none */
} hak_tls_t;

hak_static_assert(offsetof(hak_tls_t, bin) == 0, "a bin's offset is taken from the struct's start");
hak_static_assert(sizeof(hak_bin_t) == 1 << HAK_BIN_SHIFT,
                  "the tag's lower bits are a byte offset into bin[]");
hak_static_assert(sizeof(hak_tls_t) <= 1472,
                  "PT_TLS must stay within 1,536 B for dlopen on glibc 2.36");

/* initial-exec: one load gives the offset, no call. */
extern hak_local __thread hak_tls_t hak_tls __attribute__((tls_model("initial-exec")));

/* Blocks of this size that a bin may hold at first. It grows with demand: boxes/cache_policy. */
uint32_t hak_tls_sll_first_cap(uint32_t bytes);

/* The thread gets `heap`, whose tag is `tag` and whose bins may hold cap[sc] blocks; all bins
 * become empty and are for blocks of the heap's own slabs. Those of the spare classes are for
 * blocks of these sizes, 0: none yet. */
void hak_tls_sll_attach(struct hak_heap *heap, uint32_t tag, const uint32_t *cap,
                        const uint32_t *spare_bytes);
/* The bin takes all blocks of the class whose tag is HAK_TAG_SHARED from now on. */
void hak_tls_sll_share(unsigned sc);
/* The bin of a spare class, which is empty, is for up to `cap` blocks of this size. */
void hak_tls_sll_resize(unsigned sc, uint32_t bytes, uint32_t cap);
/* Back to the initial image; the bins must be empty. */
void hak_tls_sll_detach(void);
/* Empties the bin of a class, which may then hold `cap` blocks, and returns its list. */
hak_block_t *hak_tls_sll_take_all(unsigned sc, uint32_t cap);
/* Fills an empty bin with a list of `count` blocks. Returns how many blocks it may hold from now
 * on: `cap`, or a little more than the list if that is long, so that not every free after a long
 * refill overflows. */
uint32_t hak_tls_sll_fill(unsigned sc, hak_block_t *list, uint32_t count, uint32_t cap);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_TLS_SLL_TLS_SLL_H_ */
