#include "boxes/grain_hist/grain_hist.h"

#include <string.h>

#include "base/atomic.h"

static hak_a64_t hak_blocks[HAK_EXACT_GRAINS];
static hak_a64_t hak_slabs; /* opened ever, for the ends of windows */

/* relaxed, all: sums, and nothing else depends on them */

bool hak_grain_hist_add_owner(hak_grain_counts_t *mine) {
    for (unsigned grain = HAK_EXACT_FIRST_GRAIN; grain < HAK_EXACT_GRAINS; grain++) {
        if (mine->blocks[grain] != 0) {
            (void)hak_add_rlx(&hak_blocks[grain], mine->blocks[grain]);
        }
    }
    memset(mine, 0, sizeof *mine);
    return (hak_add_rlx(&hak_slabs, 1) + 1) % HAK_GRAIN_WINDOW_SLABS == 0;
}

/* Subtracts what it saw, so that nothing is lost that another thread adds meanwhile. */
void hak_grain_hist_take_mt(uint64_t blocks[HAK_EXACT_GRAINS]) {
    for (unsigned grain = 0; grain < HAK_EXACT_GRAINS; grain++) {
        blocks[grain] = hak_load_rlx(&hak_blocks[grain]);
        (void)hak_sub_rlx(&hak_blocks[grain], blocks[grain]);
    }
}
