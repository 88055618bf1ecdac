/* learner: decides from what one window of time showed how the pools are to be tuned.
 *
 * A pure function from a state and a window's totals to decisions: no clock, no thread, no memory,
 * no floating point. front/learn calls it from a thread, tools/learner_sim with a clock of its own.
 *
 *   caps      a class whose hit rate is below the target band gets more pages, one above gives
 *             some back; not again before the dwell time has passed; by half as much when the
 *             direction turns, so that a stationary load comes to rest
 *   budget    the caps' sum stays within it; who misses most is served first, and classes without
 *             demand pay
 *   W_MAX     UCB1 chooses which limit to try; a trial (canary) that is not better is undone
 *   DYN1, 2   a size that is asked for often, and that the fixed classes serve badly, gets a class
 *
 * Owns       hak_learner_t.
 * Threads    one at a time per state.
 * Invariant  cap_min <= cap <= cap_max, unless the budget is too small for that; the caps' sum is
 *            within the budget after each step. Each change is one entry of the decisions.
 * Layer      4 (boxes). Uses boxes/ace, boxes/policy, boxes/size_hist.
 */
#ifndef HAK_BOXES_LEARNER_LEARNER_H_
#define HAK_BOXES_LEARNER_LEARNER_H_

#include <stdbool.h>
#include <stdint.h>

#include "boxes/ace/ace.h"
#include "boxes/policy/policy.h"
#include "boxes/size_hist/size_hist.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_LEARNER_ARMS = 8, HAK_LEARNER_CHANGES = 32, HAK_LEARNER_PERMILLE = 1000 };

/* Settings; fixed while a state is in use. Rates are in thousandths. */
typedef struct {
    bool learn_caps;
    uint32_t target_permille, band_permille; /* the band is target +- band */
    uint32_t cap_start[HAK_POLICY_CLASSES];
    uint32_t cap_step, cap_min, cap_max;
    uint32_t cap_dwell_ms; /* a class is left alone for so long after a change */
    uint32_t budget;       /* most of all caps together; 0: no limit */
    uint32_t min_samples;  /* a window with fewer says nothing */
    bool learn_w_max, canary;
    uint32_t w_max_start; /* in hundredths */
    uint32_t w_max_arm[HAK_LEARNER_ARMS];
    uint32_t w_max_arms;
    uint32_t w_max_trial_ms, w_max_dwell_ms;
    uint32_t w_max_adopt_permille; /* a trial must be better by so much */
    bool dyn_auto[HAK_POLICY_DYN];
} hak_learner_config_t;

/* What a window ends with. Totals since the start; the state keeps those before. */
typedef struct {
    uint64_t now_ms;
    uint64_t hits[HAK_POLICY_CLASSES], misses[HAK_POLICY_CLASSES];
    hak_ace_totals_t ace;
    hak_size_hist_window_t sizes;             /* not a total: of this window alone */
    uint32_t class_bytes[HAK_POLICY_CLASSES]; /* 0: the class is not in use */
} hak_learner_totals_t;

typedef enum {
    HAK_CHANGE_CAP_RAISE,    /* hit rate below the band */
    HAK_CHANGE_CAP_CUT,      /* above it */
    HAK_CHANGE_BUDGET_CUT,   /* another class needs the pages more, or the budget is smaller */
    HAK_CHANGE_W_MAX_START,  /* a trial begins */
    HAK_CHANGE_W_MAX_ADOPT,  /* and was better */
    HAK_CHANGE_W_MAX_REVERT, /* or was not */
    HAK_CHANGE_W_MAX_SET,    /* without canary: the next arm */
    HAK_CHANGE_DYN,          /* a class for a hot size */
    /* by boxes/exact_sizes: */
    HAK_CHANGE_EXACT_ADD,     /* a hot size up to 1 KiB gets a class */
    HAK_CHANGE_EXACT_DROP,    /* and gives it up */
    HAK_CHANGE_EXACT_REFUSED, /* or would have got one */
    HAK_CHANGE_KINDS
} hak_change_kind_t;

/* One decision and why. `index` is a class (caps), an arm (W_MAX), or DYN1, DYN2 (0, 1). */
typedef struct {
    hak_change_kind_t kind;
    uint32_t index;
    uint32_t before, after;
    uint64_t now_ms;
    uint32_t bytes; /* block size of the class */
    /* caps: hit rate, its limit, requests. W_MAX: reward, that of the base, trials of the arm. DYN:
     * requests of the size, of all sizes, bytes that one request saves. EXACT_ADD, REFUSED: new
     * slabs for the size, of its class, bytes that a block saves. EXACT_DROP: windows in which it
     * was cold, slabs left. */
    uint64_t seen, limit, samples;
} hak_change_t;

typedef struct {
    hak_policy_values_t policy; /* as it should be now */
    uint32_t count;
    hak_change_t change[HAK_LEARNER_CHANGES];
} hak_learner_decisions_t;

typedef struct {
    uint32_t cap;
    uint32_t step;      /* of the next change */
    int direction;      /* of the last change: 1, -1; 0: none yet */
    uint32_t same;      /* changes in this direction, in a row */
    uint32_t patience;  /* doublings of the dwell time */
    uint64_t before_ms; /* of the last change */
    bool changed;       /* ever */
} hak_learner_cap_t;

typedef struct {
    uint64_t trials;
    uint64_t reward_ppm; /* sum of the trials' rewards */
} hak_learner_arm_t;

typedef struct {
    hak_learner_arm_t arm[HAK_LEARNER_ARMS];
    uint32_t base, current; /* arms: adopted, in force; canary: they differ during a trial */
    uint64_t since_ms;      /* when the present trial began */
    uint64_t settled_ms;    /* when the last trial of another arm ended */
    bool has_base;          /* `base_ppm` was measured since the base was adopted */
    uint64_t base_ppm;      /* reward of the base in its last trial */
    int64_t score_milli;    /* of this trial */
    uint64_t requests;      /* of this trial */
} hak_learner_w_max_t;

typedef struct {
    uint32_t bytes;      /* candidate of the last window; 0: none */
    uint64_t changed_at; /* window */
    bool changed;
} hak_learner_dyn_t;

typedef struct {
    hak_learner_config_t config;
    bool started;
    uint64_t windows, quiet_windows; /* steps; of them without enough samples for any change */
    hak_learner_totals_t last;
    hak_learner_cap_t cap[HAK_POLICY_CLASSES];
    hak_learner_w_max_t w_max;
    hak_learner_dyn_t dyn[HAK_POLICY_DYN];
    uint32_t dyn_bytes[HAK_POLICY_DYN];
} hak_learner_t;

/* The defaults of docs/learner.md. */
void hak_learner_defaults(hak_learner_config_t *config);
void hak_learner_init(hak_learner_t *state, const hak_learner_config_t *config);
/* The first call only remembers the totals. */
void hak_learner_step(hak_learner_t *state, const hak_learner_totals_t *totals,
                      hak_learner_decisions_t *out);
/* A decision on size `which` could not be carried out: the state goes on with `bytes`. */
void hak_learner_dyn_is(hak_learner_t *state, unsigned which, uint32_t bytes);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_LEARNER_LEARNER_H_ */
