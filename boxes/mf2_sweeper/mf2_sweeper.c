#include "boxes/mf2_sweeper/mf2_sweeper.h"

#include <pthread.h>
#include <signal.h>

#include "backends/os/os.h"
#include "boxes/mf2_adopt/mf2_adopt.h"
#include "boxes/mf2_orphans/mf2_orphans.h"
#include "boxes/mf2_pending/mf2_pending.h"
#include "boxes/mf2_pool/mf2_pool.h"
#include "core/lock/lock.h"
#include "core/options/options.h"

enum {
    HAK_HELD = 4,
    HAK_PAGES = 64,
    HAK_SLOWEST = 16, /* a tick that finds nothing makes the next pause longer, up to this */
};

/* Held while a tick has pages in hand that are on no list. */
static hak_lock_t hak_tick = HAK_LOCK_INIT(HAK_RANK_MF2_SWEEP);
static hak_a32_t hak_runs; /* 1 while the thread runs; also the word that it sleeps on */

/* Drains a page in our hand. False: a heap owns it. */
static bool hak_absorb(hak_mf2_page_t *page) {
    hak_mf2_counters_t *counters = hak_mf2_counters(NULL);
    uint32_t count;
    hak_mf2_absorb_t result = hak_mf2_orphans_absorb_mt(page, &count);
    if (result == HAK_MF2_OWNED) {
        return false;
    }
    hak_mf2_count(&counters->pending_drained, 1);
    hak_mf2_count(&counters->blocks_in, count);
    if (result == HAK_MF2_EMPTIED) {
        hak_mf2_page_close(page);
        hak_mf2_pool_give_mt(page);
    }
    return true;
}

static unsigned hak_sweep_stack(hak_mf2_heap_t *heap, unsigned index, uint64_t now_ms,
                                unsigned max_pages) {
    hak_mf2_page_t *held[HAK_HELD];
    unsigned held_count = 0, seen = 0;
    while (seen < max_pages && held_count < HAK_HELD) {
        hak_mf2_page_t *page = hak_mf2_pending_pop_mt(heap, index);
        if (page == NULL) {
            break;
        }
        seen++;
        if (!hak_absorb(page)) {
            held[held_count++] = page;
        }
    }
    for (unsigned i = 0; i < held_count; i++) {
        hak_mf2_pending_push_mt(held[i]);
    }
    hak_mf2_count(&hak_mf2_counters(NULL)->requeues, held_count);
    const hak_heap_t *h = heap->heap;
    uint64_t lease_ms = hak_option(HAK_OPTION_MF2_LEASE_MS);
    /* relaxed: hints, the lock decides */
    if (held_count != 0 &&
        (hak_load_rlx(&h->idle) != 0 || hak_load_rlx(&h->active_ms) + lease_ms <= now_ms)) {
        (void)hak_mf2_adopt_drain_for_mt(heap, index, max_pages);
    }
    return seen;
}

unsigned hak_mf2_sweep_mt(uint64_t now_ms, unsigned max_pages) {
    unsigned seen = 0;
    hak_lock_take(&hak_tick);
    for (hak_mf2_heap_t *heap = hak_mf2_heap_first(); heap != NULL; heap = heap->all_next) {
        for (unsigned index = 0; index < hak_mf2_classes(); index++) {
            if (hak_mf2_pending_has(heap, index)) {
                seen += hak_sweep_stack(heap, index, now_ms, max_pages);
            }
        }
    }
    hak_lock_drop(&hak_tick);
    return seen;
}

static void *hak_sweeper_main(void *unused) {
    (void)unused;
    uint64_t slow = 1;
    while (hak_load_rlx(&hak_runs) != 0) { /* relaxed: never cleared but in a fork's child */
        hak_os_wait(&hak_runs.v, 1, (int)(hak_option(HAK_OPTION_MF2_SWEEPER_MS) * slow));
        unsigned seen = hak_mf2_sweep_mt(hak_os_now_ms(), HAK_PAGES);
        slow = seen != 0 ? 1 : slow < HAK_SLOWEST ? 2 * slow : slow;
    }
    return NULL;
}

void hak_mf2_sweeper_start(void) {
    uint32_t off = 0;
    /* relaxed: one caller wins; the thread gets what it reads by pthread_create */
    if (hak_option(HAK_OPTION_MF2_SWEEPER) == 0 || !hak_cas_rlx(&hak_runs, &off, 1)) {
        return;
    }
    sigset_t all, before;
    sigfillset(&all);
    /* signals belong to the program's own threads */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    if (pthread_create(&thread, NULL, hak_sweeper_main, NULL) == 0) {
        (void)pthread_detach(thread);
    } else {
        hak_store_rlx(&hak_runs, 0); /* relaxed: purge takes in what is pending, only later */
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void hak_mf2_sweeper_pause(void) { hak_lock_take(&hak_tick); }
void hak_mf2_sweeper_go_on(void) { hak_lock_drop(&hak_tick); }

void hak_mf2_sweeper_forget(void) { hak_store_rlx(&hak_runs, 0); /* relaxed: one thread left */ }
