#include "front/decay/decay.h"

#include <pthread.h>
#include <signal.h>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "backends/port/backend.h"
#include "base/attr.h"
#include "core/errors/errors.h"
#include "core/options/options.h"
#include "registry/registry.h"

enum {
    HAK_LEAST_PAUSE_MS = 10,
    HAK_MOST_PAUSE_MS = 1000,
    /* A purge of 2 MiB, the most that a call is counted for, takes about 0.1 ms: this is how long
     * one malloc may wait. With a pass every 100 ms a gigabyte is back in little above a second. */
    HAK_CALLS_IN_PASSING = 48,
    HAK_CALLS_IN_BACKGROUND = 512,
};

static hak_a64_t hak_next_ms;    /* when the next pass is due */
static hak_a32_t hak_gave_room;  /* 1 once a pass has found the address space limited */
static hak_a32_t hak_background; /* 1 while the thread runs; also the word that it sleeps on */

static uint64_t hak_pause_ms(void) {
    uint64_t pause = hak_option(HAK_OPTION_PURGE_DELAY_MS) / 4;
    return pause < HAK_LEAST_PAUSE_MS  ? HAK_LEAST_PAUSE_MS
           : pause > HAK_MOST_PAUSE_MS ? HAK_MOST_PAUSE_MS
                                       : pause;
}

static size_t hak_pass(hak_heap_t *mine, const hak_purge_order_t *order) {
    size_t bytes = 0;
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        bytes += (*b)->purge(mine, order);
    }
    return bytes + hak_large_purge_mt(order);
}

/* A process that has limited its address space since it started needs the registry's 8 GiB for the
 * mappings that it makes itself, such as the stacks of threads; once, as requests that fail try
 * again. */
static void hak_look_at_limit(void) {
    uint32_t off = 0;
    /* relaxed, both: two that give would do no harm */
    if (hak_load_rlx(&hak_gave_room) == 0 && !hak_os_address_space_is_free() &&
        hak_cas_rlx(&hak_gave_room, &off, 1)) {
        (void)hak_registry_give_room();
    }
}

static size_t hak_delayed_pass(hak_heap_t *mine, uint64_t now_ms, unsigned max_calls) {
    hak_purge_order_t order = {now_ms, hak_option(HAK_OPTION_PURGE_DELAY_MS), max_calls, 0};
    hak_look_at_limit();
    return hak_pass(mine, &order);
}

static hak_cold void hak_due(hak_heap_t *mine, uint64_t now_ms, uint64_t seen) {
    /* relaxed: one thread wins; a pass by two would be harmless */
    if (hak_cas_rlx(&hak_next_ms, &seen, now_ms + hak_pause_ms()) &&
        hak_delayed_pass(mine, now_ms, HAK_CALLS_IN_PASSING) != 0) {
        /* there may be more: go on soon */
        hak_store_rlx(&hak_next_ms, now_ms + HAK_LEAST_PAUSE_MS);
    }
}

static bool hak_note_look(hak_heap_t *mine, uint64_t now_ms) {
    uint64_t before_ms = mine->looked_ms;
    mine->looked_ms = now_ms;
    hak_store_rlx(&mine->active_ms, now_ms); /* relaxed: a hint to adoption */
    return now_ms - before_ms >= HAK_DECAY_SPARSE_MS;
}

bool hak_decay_tick(hak_heap_t *mine) {
    uint64_t now_ms = hak_os_now_ms();
    uint64_t next_ms = hak_load_rlx(&hak_next_ms); /* relaxed: a time, no data behind it */
    bool is_sparse = mine != NULL && hak_note_look(mine, now_ms);
    if (hak_unlikely(now_ms >= next_ms)) {
        hak_due(mine, now_ms, next_ms);
    }
    return is_sparse;
}

void hak_decay_look(hak_heap_t *mine) {
    if (hak_decay_tick(mine)) {
        mine->slow_steps |= HAK_DECAY_SELDOM_MOST - 1;
    }
}

size_t hak_decay_trim(size_t keep_bytes) {
    hak_purge_order_t order = {hak_os_now_ms(), 0, UINT32_MAX, keep_bytes};
    return hak_pass(NULL, &order);
}

uint64_t hak_decay_next_pause_ms(uint64_t pause_ms, bool found, uint64_t least_ms) {
    uint64_t next_ms = found ? least_ms : pause_ms * 2;
    return next_ms > HAK_MOST_PAUSE_MS ? HAK_MOST_PAUSE_MS : next_ms;
}

static void *hak_background_main(void *unused) {
    (void)unused;
    uint64_t pause_ms = hak_pause_ms();
    while (hak_load_rlx(&hak_background) != 0) { /* relaxed: never cleared but in a fork's child */
        hak_os_wait(&hak_background.v, 1, (int)pause_ms);
        size_t bytes = hak_delayed_pass(NULL, hak_os_now_ms(), HAK_CALLS_IN_BACKGROUND);
        pause_ms = hak_decay_next_pause_ms(pause_ms, bytes != 0, hak_pause_ms());
    }
    return NULL;
}

static void hak_start_backends(void) {
    for (const hak_backend_t *const *b = hak_route_backends; *b != NULL; b++) {
        if ((*b)->start != NULL) {
            (*b)->start();
        }
    }
}

void hak_decay_start(void) {
    uint32_t off = 0;
    hak_start_backends();
    if (hak_option(HAK_OPTION_BACKGROUND) == 0 || !hak_cas_rlx(&hak_background, &off, 1)) {
        return;
    }
    sigset_t all, before;
    sigfillset(&all);
    /* signals belong to the program's own threads */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    if (pthread_create(&thread, NULL, hak_background_main, NULL) == 0) {
        (void)pthread_detach(thread);
    } else {
        /* relaxed: purging goes on in the slow paths, as without the option */
        hak_store_rlx(&hak_background, 0);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void hak_decay_forget(void) { hak_store_rlx(&hak_background, 0); /* relaxed: one thread left */ }
