/* measure_inl: what a measured loop does for each block beside the call that is measured.
 *
 * Owns       nothing.
 * Threads    any; a generator belongs to one thread.
 * Layer      bench. Uses bench/common/harness for the failure report.
 */
#ifndef HAK_BENCH_COMMON_MEASURE_INL_H_
#define HAK_BENCH_COMMON_MEASURE_INL_H_

#include "bench/common/measure.h"

#include "base/attr.h"
#include "bench/common/harness.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* xoroshiro128+ (Blackman, Vigna: Scrambled Linear Pseudorandom Number Generators, 2018): two words
 * of state and no multiplication, so that it weighs little beside the call it drives. */
static inline uint64_t hak_bench_next(hak_bench_rng_t *rng) {
    uint64_t a = rng->a;
    uint64_t b = rng->b;
    uint64_t mixed = a ^ b;
    rng->a = ((a << 24) | (a >> 40)) ^ mixed ^ (mixed << 16);
    rng->b = (mixed << 37) | (mixed >> 27);
    return a + b;
}

/* A number in [0, limit) from the upper half of a draw; limit at most 2^32. */
static inline uint64_t hak_bench_below(uint64_t draw, uint64_t limit) {
    return ((draw >> 32) * limit) >> 32;
}

/* Tells the compiler that somebody else reads the block: neither the call that made it nor a store
 * into it can be dropped or moved to the other side. */
#define hak_bench_escape(block) __asm__ volatile("" : : "r"(block) : "memory")

/* A block with its first byte written. Never NULL. */
static inline unsigned char *hak_bench_take(size_t size, unsigned char mark) {
    unsigned char *block = malloc(size);
    if (hak_unlikely(block == NULL)) {
        hak_bench_fail("malloc(%zu) gave NULL", size);
    }
    block[0] = mark;
    hak_bench_escape(block);
    return block;
}

/* Frees a block after a look at its first byte: two live blocks at one place do not stay unseen.
 * A program that used its block has that line in its cache, and most allocators write it next. */
static inline void hak_bench_give(unsigned char *block, unsigned char mark) {
    if (hak_unlikely(block[0] != mark)) {
        hak_bench_fail("block %p begins with %#x, the program wrote %#x", (void *)block, block[0],
                       mark);
    }
    free(block);
}

#endif /* HAK_BENCH_COMMON_MEASURE_INL_H_ */
