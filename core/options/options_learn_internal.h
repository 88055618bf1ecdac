/* options_learn_internal: the rows of the learner, which are many, for options_table.c alone.
 *
 * Layer      2 (core), inside the box.
 */
#ifndef HAK_CORE_OPTIONS_OPTIONS_LEARN_INTERNAL_H_
#define HAK_CORE_OPTIONS_OPTIONS_LEARN_INTERNAL_H_

#include "core/options/options_internal.h"

enum {
    HAK_DEFAULT_LEARN = 0,
    HAK_DEFAULT_BUDGET_MID = 0,
    HAK_DEFAULT_WMAX_LEARN = 0,
    HAK_DEFAULT_DYN1_AUTO = 0,
    HAK_DEFAULT_DYN2_AUTO = 0,
    HAK_DEFAULT_LEARN_WINDOW_MS = 1000,
    HAK_DEFAULT_HIST_SAMPLE = 24,
    HAK_DEFAULT_TARGET_HIT_MID = 650,
    HAK_DEFAULT_CAP_STEP_MID = 4,
    HAK_DEFAULT_CAP_MIN_MID = 16,
    HAK_DEFAULT_CAP_MAX_MID = 512,
    HAK_DEFAULT_CAP_DWELL_SEC_MID = 3,
    HAK_DEFAULT_CAP_MID_DYN1 = 64,
    HAK_DEFAULT_CAP_MID_DYN2 = 64,
    HAK_DEFAULT_WMAX_MID = 200,
    HAK_DEFAULT_WMAX_CANARY = 1,
    HAK_DEFAULT_WMAX_TRIAL_SEC = 5,
    HAK_DEFAULT_WMAX_DWELL_SEC = 10,
    HAK_DEFAULT_WMAX_ADOPT_PCT = 10,
};

/* none; and 1.4, 1.5, 1.6, 1.7 */
#define HAK_DEFAULT_CAP_MID 0
#define HAK_DEFAULT_WMAX_CANDIDATES_MID (140ull | 150ull << 8 | 160ull << 16 | 170ull << 24)

/* Their values before any code of ours has run. */
#define HAK_LEARN_VALUES                                                                           \
    [HAK_OPTION_LEARN_WINDOW_MS] = {HAK_DEFAULT_LEARN_WINDOW_MS},                                  \
    [HAK_OPTION_HIST_SAMPLE] = {HAK_DEFAULT_HIST_SAMPLE},                                          \
    [HAK_OPTION_TARGET_HIT_MID] = {HAK_DEFAULT_TARGET_HIT_MID},                                    \
    [HAK_OPTION_CAP_STEP_MID] = {HAK_DEFAULT_CAP_STEP_MID},                                        \
    [HAK_OPTION_CAP_MIN_MID] = {HAK_DEFAULT_CAP_MIN_MID},                                          \
    [HAK_OPTION_CAP_MAX_MID] = {HAK_DEFAULT_CAP_MAX_MID},                                          \
    [HAK_OPTION_CAP_DWELL_SEC_MID] = {HAK_DEFAULT_CAP_DWELL_SEC_MID},                              \
    [HAK_OPTION_CAP_MID_DYN1] = {HAK_DEFAULT_CAP_MID_DYN1},                                        \
    [HAK_OPTION_CAP_MID_DYN2] = {HAK_DEFAULT_CAP_MID_DYN2},                                        \
    [HAK_OPTION_WMAX_MID] = {HAK_DEFAULT_WMAX_MID},                                                \
    [HAK_OPTION_WMAX_CANDIDATES_MID] = {HAK_DEFAULT_WMAX_CANDIDATES_MID},                          \
    [HAK_OPTION_WMAX_CANARY] = {HAK_DEFAULT_WMAX_CANARY},                                          \
    [HAK_OPTION_WMAX_TRIAL_SEC] = {HAK_DEFAULT_WMAX_TRIAL_SEC},                                    \
    [HAK_OPTION_WMAX_DWELL_SEC] = {HAK_DEFAULT_WMAX_DWELL_SEC},                                    \
    [HAK_OPTION_WMAX_ADOPT_PCT] = {HAK_DEFAULT_WMAX_ADOPT_PCT}

#define HAK_LEARN_SWITCH(id, text, why)                                                            \
    [HAK_OPTION_##id] = {.name = text,                                                             \
                         .help = why,                                                              \
                         .kind = HAK_OPTION_IS_SWITCH,                                             \
                         .settable = HAK_SETTABLE_AT_START,                                        \
                         .initial = HAK_DEFAULT_##id}
#define HAK_LEARN_NUMBER(id, text, least, most, digits, why)                                       \
    [HAK_OPTION_##id] = {.name = text,                                                             \
                         .help = why,                                                              \
                         .kind = HAK_OPTION_IS_NUMBER,                                             \
                         .settable = HAK_SETTABLE_AT_START,                                        \
                         .initial = HAK_DEFAULT_##id,                                              \
                         .low = least,                                                             \
                         .high = most,                                                             \
                         .places = digits}
#define HAK_LEARN_LIST(id, text, least, most, digits, width, why)                                  \
    [HAK_OPTION_##id] = {.name = text,                                                             \
                         .help = why,                                                              \
                         .kind = HAK_OPTION_IS_LIST,                                               \
                         .settable = HAK_SETTABLE_AT_START,                                        \
                         .initial = HAK_DEFAULT_##id,                                              \
                         .low = least,                                                             \
                         .high = most,                                                             \
                         .places = digits,                                                         \
                         .bits = width}

#define HAK_LEARN_ROWS                                                                             \
    HAK_LEARN_SWITCH(LEARN, "learn",                                                               \
                     "1: hot sizes get a class of their own (exact_auto); with mid mid_pool and "  \
                     "mf2 a thread watches how the pools are used and tunes them, and the "        \
                     "options that follow are for it, but for learn_log. docs/learner.md."),       \
        HAK_LEARN_NUMBER(LEARN_WINDOW_MS, "learn_window_ms", 10, 3600000, 0,                       \
                         "Time between two of its steps."),                                        \
        [HAK_OPTION_LEARN_LOG] =                                                                   \
            {.name = "learn_log",                                                                  \
             .help = "Where each of its decisions goes, a line for one: the number of an open "    \
                     "descriptor, or a file, which is added to.",                                  \
             .kind = HAK_OPTION_IS_TEXT,                                                           \
             .settable = HAK_SETTABLE_AT_START,                                                    \
             .text = hak_learn_log},                                                               \
        HAK_LEARN_NUMBER(                                                                          \
            HIST_SAMPLE, "hist_sample", 24, 65536, 0,                                              \
            "One of about so many slow steps is counted by size, in multiples of 24."),            \
        HAK_LEARN_NUMBER(TARGET_HIT_MID, "target_hit_mid", 1, 999, 3,                              \
                         "Hit rate of the mid pool's rings that caps are tuned for, 0.05 more or " \
                         "less."),                                                                 \
        HAK_LEARN_NUMBER(CAP_STEP_MID, "cap_step_mid", 1, 512, 0,                                  \
                         "Pages by which a cap changes at first."),                                \
        HAK_LEARN_NUMBER(CAP_MIN_MID, "cap_min_mid", 1, 4095, 0,                                   \
                         "Least cap of a class in pages."),                                        \
        HAK_LEARN_NUMBER(                                                                          \
            CAP_MAX_MID, "cap_max_mid", 1, 4095, 0,                                                \
            "Greatest cap of a class; less than the least: both are as if not given."),            \
        HAK_LEARN_NUMBER(                                                                          \
            CAP_DWELL_SEC_MID, "cap_dwell_sec_mid", 0, 3600, 0,                                    \
            "How long a class is left alone after its cap was changed; longer, up to "             \
            "16 times, while it turns back and forth."),                                           \
        HAK_LEARN_LIST(CAP_MID, "cap_mid", 1, 4095, 0, HAK_OPTION_CAP_BITS,                        \
                       "Caps of 2, 4, 8, 16 and 32 KiB in pages. none: no caps, and the learner "  \
                       "begins with 64,64,64,32,16. For mid mid_pool alone."),                     \
        HAK_LEARN_NUMBER(CAP_MID_DYN1, "cap_mid_dyn1", 1, 4095, 0,                                 \
                         "The same for the class mid_dyn1, where one is in use."),                 \
        HAK_LEARN_NUMBER(CAP_MID_DYN2, "cap_mid_dyn2", 1, 4095, 0, "And for mid_dyn2."),           \
        HAK_LEARN_NUMBER(BUDGET_MID, "budget_mid", 0, 65535, 0,                                    \
                         "Most pages of all caps together; 0: no limit."),                         \
        HAK_LEARN_NUMBER(WMAX_MID, "wmax_mid", 100, 200, 2,                                        \
                         "Most that a block of 2 to 32 KiB may be larger than its size; other "    \
                         "sizes get slabs with classes that fit better. 2: no limit. Judged in "   \
                         "steps of 128 bytes."),                                                   \
        HAK_LEARN_SWITCH(                                                                          \
            WMAX_LEARN, "wmax_learn",                                                              \
            "1: the learner tries limits and keeps the best; from 1.6 on if wmax_mid "             \
            "is not given."),                                                                      \
        HAK_LEARN_LIST(WMAX_CANDIDATES_MID, "wmax_candidates_mid", 100, 200, 2,                    \
                       HAK_OPTION_WMAX_BITS, "Limits to try, up to eight."),                       \
        HAK_LEARN_SWITCH(WMAX_CANARY, "wmax_canary",                                               \
                         "1: a trial that was not better is undone; 0: the next trial follows at " \
                         "once."),                                                                 \
        HAK_LEARN_NUMBER(WMAX_TRIAL_SEC, "wmax_trial_sec", 1, 3600, 0, "Time of a trial."),        \
        HAK_LEARN_NUMBER(WMAX_DWELL_SEC, "wmax_dwell_sec", 0, 86400, 0,                            \
                         "Least time between two trials."),                                        \
        HAK_LEARN_NUMBER(WMAX_ADOPT_PCT, "wmax_adopt_pct", 0, 1000, 3,                             \
                         "By how much a trial must be better: 0.01 is one part in a hundred."),    \
        HAK_LEARN_SWITCH(DYN1_AUTO, "dyn1_auto",                                                   \
                         "1: the learner sets mid_dyn1 to the size that rounding costs most. For " \
                         "mid mf2 alone."),                                                        \
        HAK_LEARN_SWITCH(DYN2_AUTO, "dyn2_auto", "And mid_dyn2 to the next one.")

#endif /* HAK_CORE_OPTIONS_OPTIONS_LEARN_INTERNAL_H_ */
