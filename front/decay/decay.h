/* decay: when memory goes back to the kernel. Any thread on a slow path looks at the clock now and
 * then and purges for all; HAKMEM_BACKGROUND=1 adds a thread that does it while the process is
 * idle.
 *
 * Owns       the time of the next pass, the background thread.
 * Threads    any; no lock is held by the caller.
 * Layer      6 (front). Uses backends/port, backends/large, core/options, backends/os.
 */
#ifndef HAK_FRONT_DECAY_DECAY_H_
#define HAK_FRONT_DECAY_DECAY_H_

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "boxes/heap/heap.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_DECAY_SELDOM = 8, /* refills and flushes to a look at the clock, if they are frequent */
    HAK_DECAY_SELDOM_MOST = 32, /* steps of any kind to one */
    HAK_DECAY_SPARSE_MS = 10,   /* steps are sparse if a look came so long after the one before */
};

/* Runs a pass if one is due. Reads the clock: for calls that are rare or costly anyway. True if the
 * heap has not called for HAK_DECAY_SPARSE_MS: who calls on one of so many occasions then does so
 * on the next one, too, so that a thread that has little to do does not purge late. */
bool hak_decay_tick(hak_heap_t *mine);
/* The same for who counts steps; after it the next step looks if they are sparse. */
void hak_decay_look(hak_heap_t *mine);

/* A step off the hit path: looks on one of `seldom`, a power of two up to HAK_DECAY_SELDOM_MOST, or
 * on each where they are sparse. */
static inline void hak_decay_step(hak_heap_t *mine, unsigned seldom) {
    if (hak_unlikely(++mine->slow_steps % seldom == 0)) {
        hak_decay_look(mine);
    }
}

/* Gives back all that is free, but `keep_bytes`; what the caller's thread caches, only if it has
 * flushed that before. Returns the bytes. */
size_t hak_decay_trim(size_t keep_bytes);

/* How long the background thread sleeps after a pass: `least_ms` if the pass found something, else
 * twice as long as before, up to a second, so that an idle process stays idle. */
uint64_t hak_decay_next_pause_ms(uint64_t pause_ms, bool found, uint64_t least_ms);
/* Starts the background thread if the option asks for it and it does not run. Also in the child of
 * a fork. */
void hak_decay_start(void);
/* Forgets the thread, which a fork did not copy. */
void hak_decay_forget(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_DECAY_DECAY_H_ */
