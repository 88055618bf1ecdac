/* Clearing. To write zeroes to a block that was used costs the same whatever the program does with
 * it afterwards. To give its pages back costs a call, and a page fault for each page that is used:
 * far less where calloc stands for a table that stays nearly empty, far more where the block gets
 * full. Which it is shows when blocks come back: one that was handed out without a page and came
 * back with few tells of sparse use, and as long as that goes on only the few pages are cleared.
 * One that came back full means that the next blocks are written, more of them each time, before
 * another try.
 *
 * Cost of 1 MiB on a 2-core x86-64 virtual machine: 20 us to write; 1 to 2 us to ask which pages
 * are there; 2 us for a page fault.
 */
#include <string.h>

#include "backends/large/large.h"
#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "registry/registry.h"

enum {
    HAK_ZERO_LEAST_BYTES = 512 << 10, /* less is written in less time than asked about */
    HAK_ZERO_PAGES = 1024,            /* asked about at a time */
    HAK_ZERO_MAX_RUNS = 16,           /* runs of pages that are worth a call each */
    HAK_ZERO_FIRST_PAUSE = 16,
    HAK_ZERO_MOST_PAUSE = 4096,
};

/* Hints: threads that mix them up only choose the slower way. */
static struct {
    hak_a32_t left;  /* blocks to write before the next try */
    hak_a32_t pause; /* how many it was the last time */
    hak_a32_t tried; /* 1: the last block went out without pages */
} hak_zero;

typedef struct {
    unsigned resident, runs; /* pages; changes between resident and not, plus 1 */
} hak_residence_t;

static hak_residence_t hak_look(const unsigned char *resident, size_t pages) {
    hak_residence_t seen = {0, 1};
    for (size_t i = 0; i < pages; i++) {
        seen.resident += resident[i] & 1u;
        seen.runs += i != 0 && ((resident[i] ^ resident[i - 1]) & 1u) != 0;
    }
    return seen;
}

/* Writes what is resident and gives back what is not: it may be swapped out. */
static void hak_clear_runs(char *base, const unsigned char *resident, size_t pages) {
    size_t page_bytes = hak_os_page_bytes();
    size_t end;
    for (size_t first = 0; first < pages; first = end) {
        end = first + 1;
        while (end < pages && ((resident[end] ^ resident[first]) & 1u) == 0) {
            end++;
        }
        char *run = base + first * page_bytes;
        if ((resident[first] & 1u) != 0 || !hak_os_purge(run, (end - first) * page_bytes)) {
            memset(run, 0, (end - first) * page_bytes);
        }
    }
}

/* The first and the last page may be of huge pages that reach beyond, and those stay in use as a
 * whole unless they are split. */
static bool hak_give_back(char *base, size_t bytes) {
    if ((uintptr_t)base % HAK_WINDOW_BYTES != 0) {
        hak_os_split_huge(base);
    }
    if (((uintptr_t)base + bytes) % HAK_WINDOW_BYTES != 0) {
        hak_os_split_huge(base + bytes - hak_os_page_bytes());
    }
    return hak_os_purge(base, bytes);
}

/* What one block tells. */
typedef struct {
    bool tried;     /* the block before went out without pages */
    bool gave_back; /* this one does, in part at least */
    bool dense;     /* it came back full, or the kernel refuses */
} hak_zero_try_t;

/* Clears a part of at most HAK_ZERO_PAGES. */
static void hak_clear_part(char *base, size_t pages, hak_zero_try_t *this_try) {
    unsigned char resident[HAK_ZERO_PAGES];
    size_t bytes = pages * hak_os_page_bytes();
    if (hak_os_resident(base, bytes, resident)) {
        hak_residence_t seen = hak_look(resident, pages);
        bool sparse = seen.resident <= pages / 4;
        if (sparse && seen.runs <= HAK_ZERO_MAX_RUNS) {
            hak_clear_runs(base, resident, pages);
            return;
        }
        if ((sparse || !this_try->tried) && hak_give_back(base, bytes)) {
            this_try->gave_back |= !sparse;
            return;
        }
    }
    this_try->dense = true;
    memset(base, 0, bytes);
}

/* relaxed, all of them: hints */
static void hak_learn(const hak_zero_try_t *this_try) {
    uint32_t pause = 0;
    if (this_try->dense) {
        pause = hak_load_rlx(&hak_zero.pause) * 2;
        pause = pause < HAK_ZERO_FIRST_PAUSE  ? HAK_ZERO_FIRST_PAUSE
                : pause > HAK_ZERO_MOST_PAUSE ? HAK_ZERO_MOST_PAUSE
                                              : pause;
    } else if (this_try->gave_back) {
        pause = hak_load_rlx(&hak_zero.pause);
    }
    hak_store_rlx(&hak_zero.pause, pause);
    hak_store_rlx(&hak_zero.left, this_try->dense ? pause : 0);
    hak_store_rlx(&hak_zero.tried, this_try->gave_back && !this_try->dense);
}

void hak_large_zero(void *block, size_t bytes) {
    uint32_t left = hak_load_rlx(&hak_zero.left); /* relaxed: a hint */
    if (left != 0 || bytes < HAK_ZERO_LEAST_BYTES) {
        if (bytes >= HAK_ZERO_LEAST_BYTES) {
            hak_store_rlx(&hak_zero.left, left - 1); /* relaxed: a hint */
        }
        memset(block, 0, bytes);
        return;
    }
    hak_zero_try_t this_try = {.tried = hak_load_rlx(&hak_zero.tried) != 0}; /* relaxed: a hint */
    size_t page_bytes = hak_os_page_bytes();
    size_t pages = hak_align_up(bytes, page_bytes) / page_bytes;
    for (size_t first = 0; first < pages; first += HAK_ZERO_PAGES) {
        size_t part = pages - first < HAK_ZERO_PAGES ? pages - first : HAK_ZERO_PAGES;
        hak_clear_part((char *)block + first * page_bytes, part, &this_try);
    }
    hak_learn(&this_try);
}
