/* The score. Each window that was looked at and resident counts one, and one that was not takes all
 * away. So one full block is enough for a program that begins with it, and one with an empty end is
 * remembered for three others at least: where every other block is a buffer that nobody fills, one
 * in eight of them pays for it.
 */
#include "boxes/dense/dense.h"

#include "backends/os/os.h"
#include "base/atomic.h"
#include "core/options/options.h"
#include "registry/registry.h"

enum {
    HAK_SCORE_AT_START = 8,
    HAK_SCORE_PAYS = 12,
    HAK_SCORE_MOST = 16,
    HAK_LONG_BYTES = 256 << 20,
    HAK_TIMES_LONGER = 8,
};

/* relaxed, all accesses: hints */
static struct {
    hak_a32_t score;
    hak_a32_t looks; /* chooses the OS page of a window */
    hak_aptr_t last; /* block that is still to be looked at */
    hak_aptr_t last_window[HAK_DENSE_LOOKS];
    hak_a64_t last_bytes;
    hak_a64_t longest_bytes; /* of the blocks that were full */
} hak_dense = {.score = {HAK_SCORE_AT_START}};

/* The last OS page of the last window: buffers that are too large are empty at their end. Of the
 * others one anywhere, as tables that are too large are empty anywhere. Of a single one both, as
 * there may be a footer. */
static size_t hak_offset(bool is_last, uint32_t look) {
    size_t pages = HAK_WINDOW_BYTES / hak_os_page_bytes();
    /* Multiplicative hashing, Knuth, The Art of Computer Programming 3, 6.4: 2^32 by the golden
     * ratio. */
    size_t page = is_last ? pages - 1 : (look * UINT32_C(2654435769) >> 16) % pages;
    return page * hak_os_page_bytes();
}

static void hak_look(const hak_dense_t *block) {
    uint32_t score = hak_load_rlx(&hak_dense.score) + block->count;
    uint32_t look = hak_load_rlx(&hak_dense.looks);
    score = score < HAK_SCORE_MOST ? score : HAK_SCORE_MOST;
    unsigned looks = block->count == 1 ? 2 : block->count;
    for (unsigned i = 0; i < looks && score != 0; i++) {
        unsigned char resident = 0;
        char *page = block->window[i < block->count ? i : 0] + hak_offset(i == 0, look++);
        if (!hak_os_resident(page, hak_os_page_bytes(), &resident) || (resident & 1u) == 0) {
            score = 0;
        }
    }
    if (score != 0 && block->bytes > hak_load_rlx(&hak_dense.longest_bytes)) {
        hak_store_rlx(&hak_dense.longest_bytes, block->bytes);
    }
    hak_store_rlx(&hak_dense.score, score);
    hak_store_rlx(&hak_dense.looks, look);
}

static bool hak_is_on(void) { return hak_option(HAK_OPTION_THP) == HAK_THP_DENSE; }

void hak_dense_made(const hak_dense_t *block) {
    if (!hak_is_on()) {
        return;
    }
    for (unsigned i = 0; i < HAK_DENSE_LOOKS; i++) {
        uintptr_t window = i < block->count ? (uintptr_t)block->window[i] : 0;
        hak_store_rlx(&hak_dense.last_window[i], window);
    }
    hak_store_rlx(&hak_dense.last_bytes, block->bytes);
    hak_store_rlx(&hak_dense.last, (uintptr_t)block->block);
}

void hak_dense_asked(void) {
    if (hak_load_rlx(&hak_dense.last) == 0) {
        return;
    }
    hak_store_rlx(&hak_dense.last, 0);
    hak_dense_t last = {.bytes = hak_load_rlx(&hak_dense.last_bytes)};
    for (unsigned i = 0; i < HAK_DENSE_LOOKS; i++) {
        uintptr_t window = hak_load_rlx(&hak_dense.last_window[i]);
        if (window != 0) {
            last.window[last.count++] = (char *)window;
        }
    }
    hak_look(&last);
}

void hak_dense_freed(const hak_dense_t *block) {
    hak_dense_forget(block->block);
    if (hak_is_on()) {
        hak_look(block);
    }
}

void hak_dense_forget(const void *block) {
    if (hak_load_rlx(&hak_dense.last) == (uintptr_t)block) {
        hak_store_rlx(&hak_dense.last, 0);
    }
}

bool hak_dense_pays(void) {
    return hak_is_on() && hak_load_rlx(&hak_dense.score) >= HAK_SCORE_PAYS;
}

bool hak_dense_pays_for(size_t bytes) {
    return hak_dense_pays() && (bytes <= HAK_LONG_BYTES ||
                                bytes / HAK_TIMES_LONGER <= hak_load_rlx(&hak_dense.longest_bytes));
}
