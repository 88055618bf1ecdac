/* pattern: fills a block with words that depend on a tag and on the place, and checks them. A block
 * that was handed out twice, or written through a stale list link, fails the check of one of its
 * holders.
 *
 * Owns       nothing.
 * Threads    the block belongs to the caller.
 */
#ifndef HAK_TESTS_SUPPORT_PATTERN_H_
#define HAK_TESTS_SUPPORT_PATTERN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hak_pattern_word(uint64_t tag, size_t index) {
    return (tag + index) * 0x9e3779b97f4a7c15u;
}

/* Writes all `bytes` bytes. */
static inline void hak_pattern_fill(void *block, size_t bytes, uint64_t tag) {
    unsigned char *at = (unsigned char *)block;
    size_t index = 0;
    for (; bytes >= 8; bytes -= 8, at += 8, index++) {
        uint64_t word = hak_pattern_word(tag, index);
        memcpy(at, &word, 8);
    }
    uint64_t last = hak_pattern_word(tag, index);
    memcpy(at, &last, bytes);
}

/* True if the first `bytes` bytes are still as written. */
static inline bool hak_pattern_holds(const void *block, size_t bytes, uint64_t tag) {
    const unsigned char *at = (const unsigned char *)block;
    size_t index = 0;
    for (; bytes >= 8; bytes -= 8, at += 8, index++) {
        uint64_t word;
        memcpy(&word, at, 8);
        if (word != hak_pattern_word(tag, index)) {
            return false;
        }
    }
    uint64_t last = hak_pattern_word(tag, index);
    return memcmp(at, &last, bytes) == 0;
}

/* True if the first `bytes` bytes are zero. */
static inline bool hak_pattern_is_zero(const void *block, size_t bytes) {
    const unsigned char *at = (const unsigned char *)block;
    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

#endif /* HAK_TESTS_SUPPORT_PATTERN_H_ */
