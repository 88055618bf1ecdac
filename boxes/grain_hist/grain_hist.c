#include "boxes/grain_hist/grain_hist.h"

#include "base/atomic.h"

static hak_a64_t hak_blocks[HAK_EXACT_GRAINS];
static hak_a64_t hak_bytes; /* all of them ever, for the ends of windows */

/* relaxed, all: sums, and nothing else depends on them */

bool hak_grain_hist_add_mt(size_t size, uint64_t blocks) {
    size_t grain = (size + HAK_EXACT_GRAIN_BYTES - 1) >> HAK_EXACT_GRAIN_SHIFT;
    uint64_t bytes = blocks * (grain << HAK_EXACT_GRAIN_SHIFT);
    (void)hak_add_rlx(&hak_blocks[grain], blocks);
    uint64_t before = hak_add_rlx(&hak_bytes, bytes);
    return before >> HAK_GRAIN_WINDOW_SHIFT != (before + bytes) >> HAK_GRAIN_WINDOW_SHIFT;
}

/* Subtracts what it saw, so that nothing is lost that another thread adds meanwhile. */
void hak_grain_hist_take_mt(uint64_t blocks[HAK_EXACT_GRAINS]) {
    for (unsigned grain = 0; grain < HAK_EXACT_GRAINS; grain++) {
        blocks[grain] = hak_load_rlx(&hak_blocks[grain]);
        (void)hak_sub_rlx(&hak_blocks[grain], blocks[grain]);
    }
}
