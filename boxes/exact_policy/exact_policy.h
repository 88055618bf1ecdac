/* exact_policy: decides which sizes get an exact class. A pure function: no clock, no lock, no
 * state but what is passed in.
 *
 * New slabs of a class are collected over windows until there are 8, its sample. A size is hot in a
 * sample if three of four were opened for it, the exact class would put noticeably more blocks into
 * a slab, and the class has grown: only then new slabs are needed anyway, and blocks that are there
 * already, in slabs that would empty slowly, do not matter. Hot in two samples in a row, or in one
 * of which each slab was for it: it gets a class, and soon, because the slabs from before are what
 * the change costs. If four sizes share a class evenly, one of them passes for hot by chance in one
 * sample of seven thousand.
 *
 * A size that has a class is cold in a window if next to no slab was opened for it; after many such
 * windows it gives the class up, if hardly a slab is left, or if others may need its place and it
 * has lost half of its slabs: one that merely does not grow keeps them. Between the share that
 * makes a size hot and the one that makes it cold lies a factor of about eighty, so what is decided
 * stays.
 *
 * Owns       nothing.
 * Layer      4 (boxes). Uses base, core/dyn_class.
 */
#ifndef HAK_BOXES_EXACT_POLICY_EXACT_POLICY_H_
#define HAK_BOXES_EXACT_POLICY_EXACT_POLICY_H_

#include <stdint.h>

#include "core/dyn_class/dyn_class.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_EXACT_SAMPLE = 8,        /* new slabs of a class */
    HAK_EXACT_HOT_PERCENT = 75,  /* hot: for so many of them */
    HAK_EXACT_LEAST_GAIN = 25,   /* and at least one part in so many less memory */
    HAK_EXACT_HOT_SAMPLES = 2,   /* so many in a row: a class; or all of one */
    HAK_EXACT_COLD_SHARE = 128,  /* cold: less than one new slab in so many */
    HAK_EXACT_COLD_WINDOWS = 64, /* so many in a row: no class */
    HAK_EXACT_FEW_SLABS = 2,     /* hardly a slab left */
    HAK_EXACT_LOST_SHARE = 2,    /* lost: one slab in so many of the most it had */
    HAK_EXACT_MOST = 4,          /* sizes that have a class at a time */
};

/* What happened since the last step. */
typedef struct {
    uint64_t opened[HAK_EXACT_GRAINS]; /* see boxes/grain_hist */
    uint32_t slabs[HAK_SC_COUNT];      /* of each class, now */
    hak_dyn_id_t ids[HAK_DYN_IDS];     /* sizes that have a class, now */
    uint64_t fixed;                    /* bit per grain: its class was given by hand, and stays */
} hak_exact_window_t;

/* All zero at first. */
typedef struct {
    uint64_t opened[HAK_EXACT_GRAINS]; /* of the sample that is being collected */
    uint32_t slabs[HAK_SC_FIXED + 1];  /* of each class at its last sample */
    uint32_t most[HAK_EXACT_GRAINS];   /* slabs of each size that has a class */
    uint8_t hot[HAK_EXACT_GRAINS];     /* samples in a row */
    uint8_t cold[HAK_EXACT_GRAINS];    /* windows in a row */
} hak_exact_state_t;

/* At most one of each in a step; 0: none. And why. */
typedef struct {
    uint32_t add_bytes, drop_bytes;
    uint32_t add_opened, add_sample; /* new slabs for the size, of its class */
    uint32_t add_saves;              /* bytes for a block */
    uint32_t drop_slabs;             /* that are left */
} hak_exact_decision_t;

hak_exact_decision_t hak_exact_policy_step(hak_exact_state_t *state,
                                           const hak_exact_window_t *window);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_EXACT_POLICY_EXACT_POLICY_H_ */
