/* stats: short ways to read hakmem's statistics in a test.
 *
 * Owns       nothing.
 * Threads    any.
 */
#ifndef HAK_TESTS_SUPPORT_STATS_H_
#define HAK_TESTS_SUPPORT_STATS_H_

#include <stdlib.h>
#include <string.h>

#include "hakmem.h"

/* A snapshot. A library that cannot give one fails the test at once: nothing after it would mean
 * anything. */
static inline hak_stats_t hak_test_stats(void) {
    hak_stats_t stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_bytes = sizeof stats;
    if (hak_stats_get(&stats) != 0) {
        abort();
    }
    return stats;
}

/* The same after the heaps of ended threads were collected, blocks freed by other threads taken in,
 * and the calling thread's cache flushed. Live counts are then exact if no other thread holds
 * blocks. */
static inline hak_stats_t hak_test_stats_flushed(void) {
    (void)hak_trim(0);
    hak_thread_flush();
    return hak_test_stats();
}

#endif /* HAK_TESTS_SUPPORT_STATS_H_ */
