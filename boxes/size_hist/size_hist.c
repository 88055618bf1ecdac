/* A count and the largest size of its bin are taken one after the other: a size that comes between
 * may be counted in one window and be the largest of the next. Who chooses a class by it uses a
 * window's largest size only together with a count, so nothing is lost but one window's precision.
 */
#include "boxes/size_hist/size_hist.h"

#include "base/atomic.h"

static struct {
    hak_a64_t count[HAK_SIZE_HIST_BINS];
    hak_a32_t most[HAK_SIZE_HIST_BINS];
    hak_a64_t total;
    hak_a64_t taken[HAK_SIZE_HIST_BINS];
} hak_hist;

void hak_size_hist_add_mt(size_t size, uint32_t weight) {
    if (size > HAK_SIZE_HIST_MOST) {
        return;
    }
    unsigned bin = size == 0 ? 0 : (unsigned)((size - 1) / HAK_SIZE_HIST_GRAIN);
    /* relaxed, all: numbers without data behind them */
    hak_add_rlx(&hak_hist.count[bin], weight);
    hak_add_rlx(&hak_hist.total, weight);
    uint32_t most = hak_load_rlx(&hak_hist.most[bin]);
    while (most < size && !hak_cas_rlx(&hak_hist.most[bin], &most, (uint32_t)size)) {
    }
}

/* Base has no relaxed swap; a failed compare-and-swap reads the new value. */
static uint64_t hak_take64(hak_a64_t *word) {
    uint64_t seen = hak_load_rlx(word); /* relaxed: the CAS decides */
    while (seen != 0 && !hak_cas_rlx(word, &seen, 0)) {
    }
    return seen;
}

static uint32_t hak_take32(hak_a32_t *word) {
    uint32_t seen = hak_load_rlx(word); /* relaxed: the CAS decides */
    while (seen != 0 && !hak_cas_rlx(word, &seen, 0)) {
    }
    return seen;
}

void hak_size_hist_take_mt(hak_size_hist_window_t *out) {
    for (unsigned bin = 0; bin < HAK_SIZE_HIST_BINS; bin++) {
        out->count[bin] = hak_take64(&hak_hist.count[bin]);
        out->most[bin] = hak_take32(&hak_hist.most[bin]);
        hak_add_rlx(&hak_hist.taken[bin], out->count[bin]); /* relaxed: a statistic */
    }
}

uint64_t hak_size_hist_bin(unsigned bin) {
    return hak_load_rlx(&hak_hist.taken[bin]); /* relaxed: a statistic */
}

uint64_t hak_size_hist_total(void) {
    return hak_load_rlx(&hak_hist.total); /* relaxed: a statistic */
}
