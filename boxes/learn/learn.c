/* The thread. What it knows of the pools it reads from counters that others write without a lock,
 * so a window's figures are a little out of step with each other; the learner works with rates.
 */
#include "boxes/learn/learn.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "backends/os/os.h"
#include "boxes/ace/ace.h"
#include "boxes/learn/learn_internal.h"
#include "boxes/learn_log/learn_log.h"
#include "boxes/policy/policy.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"

enum { HAK_STANDS, HAK_RUNS, HAK_STOPS };
enum { HAK_TURN_WINDOWS = 10 }; /* so long blocks of the size before may be freed yet */

hak_a32_t hak_learn_sampling;
static hak_a32_t hak_state; /* also the word that the thread sleeps on */
static pthread_t hak_thread;
static const hak_learn_pool_t *hak_pool;
static hak_learner_t hak_learner;       /* the thread's own */
static hak_learner_totals_t hak_totals; /* as well */
static unsigned hak_turned;             /* windows left in which a turn is cleaned up */
hak_learn_counters_t hak_learn_count;

void hak_learn_reset(const hak_learn_pool_t *pool) {
    hak_learner_config_t config;
    hak_learn_read_options(pool, &config);
    hak_learner_init(&hak_learner, &config);
    hak_turned = 0;
}

/* DYN1 and DYN2 are options too, which a later change of any option would carry out again. */
static bool hak_set_dyn(const hak_change_t *change) {
    static const hak_option_id_t options[] = {HAK_OPTION_MID_DYN1, HAK_OPTION_MID_DYN2};
    if (!hak_dyn_class_assign_mt(change->index, change->after)) {
        hak_learner_dyn_is(&hak_learner, change->index, change->before);
        hak_count_add(&hak_learn_count.refusals, 1);
        return false;
    }
    hak_store_rlx(&hak_option_values[options[change->index]], change->after); /* relaxed: as all */
    hak_turned = HAK_TURN_WINDOWS;
    return true;
}

static void hak_carry_out(hak_learner_decisions_t *decisions) {
    for (unsigned i = 0; i < decisions->count; i++) {
        const hak_change_t *change = &decisions->change[i];
        if (change->kind == HAK_CHANGE_DYN && !hak_set_dyn(change)) {
            decisions->policy.dyn_bytes[change->index] = change->before;
            continue;
        }
        hak_count_add(&hak_learn_count.changes[change->kind], 1);
        hak_learn_log_add_mt(change);
    }
}

void hak_learn_step(const hak_learn_pool_t *pool, uint64_t now_ms) {
    hak_learner_decisions_t decisions;
    bool first = !hak_learner.started;
    uint64_t quiet = hak_learner.quiet_windows;
    hak_totals = (hak_learner_totals_t){.now_ms = now_ms};
    hak_ace_read(&hak_totals.ace);
    hak_size_hist_take_mt(&hak_totals.sizes);
    pool->collect(&hak_totals);
    for (unsigned which = 0; which < HAK_POLICY_DYN && pool->has_dyn; which++) {
        hak_totals.class_bytes[HAK_POLICY_FIXED + which] = hak_dyn_class_size_mt(which);
    }
    hak_learner_step(&hak_learner, &hak_totals, &decisions);
    hak_carry_out(&decisions);
    if (first || decisions.count != 0) {
        hak_dyn_class_limit_mt(decisions.policy.w_max_mid);
        hak_policy_publish_mt(&decisions.policy);
    }
    if (!first) { /* counted apart from the state, which begins anew in the child of a fork */
        hak_count_add(&hak_learn_count.windows, 1);
        hak_count_add(&hak_learn_count.quiet_windows, hak_learner.quiet_windows - quiet);
    }
}

static void *hak_main(void *unused) {
    (void)unused;
    hak_learn_log_check_mt();
    uint64_t window_ms = hak_option(HAK_OPTION_LEARN_WINDOW_MS), next_ms = hak_os_now_ms();
    hak_learn_reset(hak_pool);
    while (hak_load_rlx(&hak_state) == HAK_RUNS) { /* relaxed: joining orders the rest */
        uint64_t now_ms = hak_os_now_ms();
        if (now_ms >= next_ms) {
            hak_learn_step(hak_pool, now_ms);
            hak_pool->purge(now_ms, hak_turned != 0);
            hak_turned -= hak_turned != 0;
            next_ms = now_ms + window_ms;
        }
        hak_os_wait(&hak_state.v, HAK_RUNS, (int)(next_ms - now_ms));
    }
    return NULL;
}

static void hak_stop(void) {
    uint32_t runs = HAK_RUNS;
    /* relaxed: the thread looks at nothing but the word, and joining orders the rest */
    if (!hak_cas_rlx(&hak_state, &runs, HAK_STOPS)) {
        return;
    }
    hak_store_rlx(&hak_learn_sampling, 0); /* relaxed: as above */
    hak_os_wake(&hak_state.v, 1);
    (void)pthread_join(hak_thread, NULL);
    hak_store_rlx(&hak_state, HAK_STANDS); /* relaxed: who starts it again is this thread */
}

void hak_learn_start(const hak_learn_pool_t *pool) {
    uint32_t stands = HAK_STANDS;
    /* relaxed: one caller wins; the thread gets what it reads by pthread_create */
    if (hak_option(HAK_OPTION_LEARN) == 0 || !hak_cas_rlx(&hak_state, &stands, HAK_RUNS)) {
        return;
    }
    hak_pool = pool;
    sigset_t all, before;
    sigfillset(&all);
    /* signals belong to the program's own threads */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&hak_thread, NULL, hak_main, NULL) == 0) {
        static hak_a32_t registered;
        /* What atexit runs comes before destructors, and so before the report at exit. acquire: one
         * caller wins. */
        if (hak_swap_acq(&registered, 1) == 0) {
            (void)atexit(hak_stop);
        }
        /* relaxed: a hint to slow paths */
        hak_store_rlx(&hak_learn_sampling,
                      (uint32_t)hak_option(HAK_OPTION_HIST_SAMPLE) / HAK_LEARN_LOOK_STEPS);
    } else {
        hak_store_rlx(&hak_state, HAK_STANDS); /* relaxed: all stays as it is without a learner */
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void hak_learn_fork_take(void) { hak_policy_fork_take(); }

/* In the child the thread is gone, and what it was about to do with it. */
void hak_learn_fork_drop(bool in_child) {
    if (in_child) {
        hak_store_rlx(&hak_state, HAK_STANDS); /* relaxed, both: one thread is left */
        hak_store_rlx(&hak_learn_sampling, 0);
    }
    hak_policy_fork_drop();
}
