/* ace: what became of the sizes that the learner tunes: served by the mid pool's caches or past
 * them, served as large, sent to slabs because rounding would have cost too much, and how many
 * bytes rounding did cost.
 *
 * Owns       the counters. All only grow; who wants a window keeps what it saw before.
 * Threads    *_mt: any.
 * Layer      4 (boxes). Uses base.
 */
#ifndef HAK_BOXES_ACE_ACE_H_
#define HAK_BOXES_ACE_ACE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    HAK_ACE_MID_HIT,
    HAK_ACE_MID_MISS,
    HAK_ACE_LARGE_HIT,   /* above 64 KiB, of memory that was used before */
    HAK_ACE_LARGE_MISS,  /* and of new memory */
    HAK_ACE_L1_FALLBACK, /* refused by W_MAX: from slabs, in a class that fits better */
    HAK_ACE_KINDS
} hak_ace_kind_t;

typedef struct {
    uint64_t count[HAK_ACE_KINDS];
    uint64_t waste_bytes; /* sum of (rounded - original) */
} hak_ace_totals_t;

/* `count` requests went that way. */
void hak_ace_note_mt(hak_ace_kind_t kind, uint64_t count);
/* `weight` requests for `original` bytes got blocks of `rounded`. */
void hak_ace_round_mt(size_t original, size_t rounded, uint32_t weight);

/* Sum of (rounded - original) since the start. */
uint64_t hak_ace_get_total_waste(void);
void hak_ace_read(hak_ace_totals_t *out);

/* Hits minus misses minus twice the fallbacks minus half a point for each million bytes wasted, of
 * a window and not of all time, in thousandths. */
int64_t hak_ace_score_milli(const hak_ace_totals_t *window);
/* What came between: `now` minus `before`, each term at least 0. */
void hak_ace_window(const hak_ace_totals_t *now, const hak_ace_totals_t *before,
                    hak_ace_totals_t *out);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_ACE_ACE_H_ */
