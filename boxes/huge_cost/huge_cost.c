/* The pause. Slow pages come among quick ones, as memory comes from here and there, and one of them
 * costs more than several quick ones gain. So the first pause is long already, each further slow
 * page doubles it, and a quick one only halves what the next will be.
 */
#include "boxes/huge_cost/huge_cost.h"

#include "backends/os/os.h"
#include "base/atomic.h"
#include "registry/registry.h"

enum {
    HAK_LONG_US = 1000, /* what 512 small pages take, about */
    HAK_FIRST_PAUSE_MS = 2000,
    HAK_MOST_PAUSE_MS = 64000,
    HAK_NONE_PAUSE_MS = 10000, /* the kernel has none, or may have none now */
    HAK_WINDOWS_PER_TRY = 4,
    HAK_TRIES_MOST = 8, /* tell enough; a quarter of a large table that stays empty is too much */
};

/* relaxed, all accesses: hints */
static struct {
    hak_a64_t until_ms;
    hak_a64_t pause_ms; /* the last one, halved for each quick page since */
} hak_cost;

static void hak_pause(uint64_t ms) { hak_store_rlx(&hak_cost.until_ms, hak_os_now_ms() + ms); }

void hak_huge_cost_note(bool came, uint64_t took_us) {
    uint64_t pause_ms = hak_load_rlx(&hak_cost.pause_ms);
    if (!came) {
        hak_pause(HAK_NONE_PAUSE_MS);
    } else if (took_us < HAK_LONG_US) {
        hak_store_rlx(&hak_cost.pause_ms, pause_ms / 2);
    } else {
        pause_ms = pause_ms * 2 < HAK_FIRST_PAUSE_MS  ? HAK_FIRST_PAUSE_MS
                   : pause_ms * 2 > HAK_MOST_PAUSE_MS ? HAK_MOST_PAUSE_MS
                                                      : pause_ms * 2;
        hak_store_rlx(&hak_cost.pause_ms, pause_ms);
        hak_pause(pause_ms);
    }
}

bool hak_huge_cost_is_fine(void) { return hak_os_now_ms() >= hak_load_rlx(&hak_cost.until_ms); }

bool hak_huge_cost_try(char *window, size_t windows, size_t *touched) {
    size_t i = 0;
    for (; i < HAK_TRIES_MOST && i * HAK_WINDOWS_PER_TRY < windows && hak_huge_cost_is_fine();
         i++) {
        uint64_t began_us = hak_os_thread_us();
        bool came = hak_os_get_huge(window + i * HAK_WINDOW_BYTES, HAK_WINDOW_BYTES);
        hak_huge_cost_note(came, hak_os_thread_us() - began_us);
    }
    *touched = i;
    return hak_huge_cost_is_fine();
}
