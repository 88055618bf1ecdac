#include "boxes/grain_hist/grain_hist.h"

#include "base/atomic.h"

static hak_a64_t hak_of_grain[HAK_EXACT_GRAINS];
static hak_a64_t hak_slabs; /* all of them, ever */
static hak_a64_t hak_full = {HAK_GRAIN_WINDOW_SLABS};

/* relaxed, all: sums, and nothing else depends on them */

bool hak_grain_hist_add_mt(size_t size) {
    size_t grain = (size + HAK_EXACT_GRAIN_BYTES - 1) >> HAK_EXACT_GRAIN_SHIFT;
    (void)hak_add_rlx(&hak_of_grain[grain], 1);
    return hak_add_rlx(&hak_slabs, 1) + 1 >= hak_load_rlx(&hak_full);
}

bool hak_grain_hist_is_due_mt(void) { return hak_load_rlx(&hak_slabs) >= hak_load_rlx(&hak_full); }

/* Subtracts what it saw, so that nothing is lost that another thread adds meanwhile. */
void hak_grain_hist_take_mt(uint64_t slabs[HAK_EXACT_GRAINS], uint64_t next) {
    hak_store_rlx(&hak_full, hak_load_rlx(&hak_slabs) + next);
    for (unsigned grain = 0; grain < HAK_EXACT_GRAINS; grain++) {
        slabs[grain] = hak_load_rlx(&hak_of_grain[grain]);
        if (slabs[grain] != 0) {
            (void)hak_sub_rlx(&hak_of_grain[grain], slabs[grain]);
        }
    }
}
