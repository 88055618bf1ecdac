/* block: the two words that a free block holds, and their poisoning under AddressSanitizer.
 *
 * A free block links to the next free one and carries a mark that tells it is free; malloc clears
 * the mark. All accesses to a free block's memory go through here, because under ASan a free block
 * is poisoned from its first byte.
 *
 * Owns       the first 16 bytes of every free block.
 * Threads    whoever holds the list that the block is on.
 * Layer      4 (boxes). Uses base, registry (the mark).
 */
#ifndef HAK_BOXES_BLOCK_BLOCK_H_
#define HAK_BOXES_BLOCK_BLOCK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/poison.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hak_block {
    struct hak_block *next;
    uintptr_t mark;
} hak_block_t;

HAK_NO_ASAN static inline hak_block_t *hak_block_next(const hak_block_t *block) {
    return block->next;
}
HAK_NO_ASAN static inline void hak_block_link(hak_block_t *block, hak_block_t *next) {
    block->next = next;
}
HAK_NO_ASAN static inline uintptr_t hak_block_mark(const hak_block_t *block) { return block->mark; }
/* True if the block carries `mark`. The first two bytes decide for nearly all others: a program may
 * have written fields there just before it freed the block, and a load of eight bytes that several
 * stores have written waits until these have left the store buffer. One of two bytes waits only
 * where single bytes were written. (Intel 64 and IA-32 Architectures Optimization Reference Manual,
 * "Store Forwarding".) */
HAK_NO_ASAN static inline bool hak_block_has_mark(const hak_block_t *block, uintptr_t mark) {
    typedef uint16_t __attribute__((may_alias)) hak_first_bytes_t;
    return *(const hak_first_bytes_t *)&block->mark == *(const hak_first_bytes_t *)&mark &&
           block->mark == mark;
}
HAK_NO_ASAN static inline void hak_block_set_mark(hak_block_t *block, uintptr_t mark) {
    block->mark = mark;
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_BLOCK_BLOCK_H_ */
