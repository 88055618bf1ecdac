/* random: a small seeded generator, the same on every machine, so that a seed names a run.
 *
 * splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
 *
 * Owns       nothing.
 * Threads    a state belongs to one thread.
 */
#ifndef HAK_TESTS_SUPPORT_RANDOM_H_
#define HAK_TESTS_SUPPORT_RANDOM_H_

#include <stdint.h>

typedef struct {
    uint64_t state;
} hak_random_t;

static inline uint64_t hak_random_next(hak_random_t *random) {
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 <= result < limit; limit is at least 1. The bias of the modulo does not matter to a test. */
static inline uint64_t hak_random_below(hak_random_t *random, uint64_t limit) {
    return hak_random_next(random) % limit;
}

#endif /* HAK_TESTS_SUPPORT_RANDOM_H_ */
