#include "boxes/ace/ace.h"

#include "base/atomic.h"

enum { HAK_MILLI = 1000, HAK_WASTE_PER_MILLI = 2000 /* half a point for 10^6 bytes */ };

static hak_a64_t hak_counts[HAK_ACE_KINDS];
static hak_a64_t hak_waste;

void hak_ace_note_mt(hak_ace_kind_t kind, uint64_t count) {
    hak_add_rlx(&hak_counts[kind], count); /* relaxed: a statistic */
}

void hak_ace_round_mt(size_t original, size_t rounded, uint32_t weight) {
    if (rounded > original) {
        hak_add_rlx(&hak_waste, (uint64_t)(rounded - original) * weight); /* relaxed: as above */
    }
}

uint64_t hak_ace_get_total_waste(void) {
    return hak_load_rlx(&hak_waste); /* relaxed: a statistic */
}

void hak_ace_read(hak_ace_totals_t *out) {
    for (unsigned kind = 0; kind < HAK_ACE_KINDS; kind++) {
        out->count[kind] = hak_load_rlx(&hak_counts[kind]); /* relaxed: statistics */
    }
    out->waste_bytes = hak_ace_get_total_waste();
}

int64_t hak_ace_score_milli(const hak_ace_totals_t *window) {
    int64_t points =
        (int64_t)window->count[HAK_ACE_MID_HIT] + (int64_t)window->count[HAK_ACE_LARGE_HIT] -
        (int64_t)window->count[HAK_ACE_MID_MISS] - (int64_t)window->count[HAK_ACE_LARGE_MISS] -
        2 * (int64_t)window->count[HAK_ACE_L1_FALLBACK];
    return points * HAK_MILLI - (int64_t)(window->waste_bytes / HAK_WASTE_PER_MILLI);
}

static uint64_t hak_grown(uint64_t now, uint64_t before) { return now > before ? now - before : 0; }

void hak_ace_window(const hak_ace_totals_t *now, const hak_ace_totals_t *before,
                    hak_ace_totals_t *out) {
    for (unsigned kind = 0; kind < HAK_ACE_KINDS; kind++) {
        out->count[kind] = hak_grown(now->count[kind], before->count[kind]);
    }
    out->waste_bytes = hak_grown(now->waste_bytes, before->waste_bytes);
}
