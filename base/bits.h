/* bits: arithmetic on sizes, addresses and masks.
 *
 * Owns       nothing.
 * Layer      0 (base). Uses nothing.
 */
#ifndef HAK_BASE_BITS_H_
#define HAK_BASE_BITS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool hak_is_pow2(size_t n) { return n != 0 && (n & (n - 1)) == 0; }

/* `align` is a power of two. The sum may wrap: callers bound `n` first. */
static inline size_t hak_align_up(size_t n, size_t align) { return (n + align - 1) & ~(align - 1); }
static inline size_t hak_align_down(size_t n, size_t align) { return n & ~(align - 1); }

static inline unsigned hak_log2_floor(size_t n) { return 63u - (unsigned)__builtin_clzll(n); }
static inline unsigned hak_lowest_bit(uint64_t mask) { return (unsigned)__builtin_ctzll(mask); }
static inline unsigned hak_bit_count32(uint32_t mask) { return (unsigned)__builtin_popcount(mask); }
static inline unsigned hak_bit_count64(uint64_t mask) {
    return (unsigned)__builtin_popcountll(mask);
}

/* `count` ones from bit `first` on; first + count <= 32. */
static inline uint32_t hak_mask32(unsigned first, unsigned count) {
    return count >= 32 ? UINT32_MAX : ((1u << count) - 1u) << first;
}

/* The positions where a run of `count` ones begins. After each step bit i says that `have` ones
 * start at i; doubling `have` needs log2(count) steps. */
static inline uint32_t hak_runs32(uint32_t mask, unsigned count) {
    unsigned have = 1;
    while (have < count) {
        unsigned step = have < count - have ? have : count - have;
        mask &= mask >> step;
        have += step;
    }
    return mask;
}

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014),
 * one output step. */
static inline uint64_t hak_mix64(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif /* HAK_BASE_BITS_H_ */
