/* block: the two words that a free block holds, and their poisoning under AddressSanitizer.
 *
 * A free block links to the next free one and carries a mark that tells it is free; malloc clears
 * the mark. All accesses to a free block's memory go through here, because under ASan a free block
 * is poisoned from its first byte.
 *
 * Owns       the first 16 bytes of every free block.
 * Threads    whoever holds the list that the block is on.
 * Layer      4 (boxes). Uses base. What a mark is, registry_inl.h says.
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
/* True if the block carries `mark`. The first byte tells for nearly all blocks that do not, and is
 * looked at first: a load whose bytes come from several stores that are still on their way waits
 * until these have reached the cache. Eight bytes do if the program wrote fields there just before
 * it freed the block; one byte never does. (Intel 64 and IA-32 Architectures Optimization Reference
 * Manual, "Store Forwarding".) */
HAK_NO_ASAN static inline bool hak_block_has_mark(const hak_block_t *block, uintptr_t mark) {
    return *(const unsigned char *)&block->mark == *(const unsigned char *)&mark &&
           block->mark == mark;
}
HAK_NO_ASAN static inline void hak_block_set_mark(hak_block_t *block, uintptr_t mark) {
    block->mark = mark;
}

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_BLOCK_BLOCK_H_ */
