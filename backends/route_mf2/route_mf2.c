/* The route of the MF2 variants: 2, 4, 8, 16 and 32 KiB and the classes of core/dyn_class, the only
 * ones in use between 1 KiB and 32 KiB, on mf2 pages; all others in slabs.
 *
 * With HAKMEM_MF2_ENABLE=0 the eight classes to a doubling of the default are in use again, those
 * of 2 to 32 KiB come from slabs too, and of mf2 nothing runs. It is chosen once, before the first
 * block.
 */
#include "backends/mf2/mf2.h"
#include "backends/port/backend.h"
#include "backends/slabs/slabs.h"
#include "core/dyn_class/dyn_class.h"
#include "core/options/options.h"

static bool hak_choose(bool warn);

/* What answers for the classes of mf2. */
static hak_backend_t hak_mid = {.configure = hak_choose};

/* Slabs answer for each block of theirs; what is asked of a backend as a whole is asked of the
 * slabs as such, and once is enough. */
static void hak_no_heap(hak_heap_t *mine) { (void)mine; }
static size_t hak_no_purge(hak_heap_t *mine, const hak_purge_order_t *order) {
    (void)mine;
    (void)order;
    return 0;
}
static bool hak_no_garbage(void) { return false; }
static void hak_no_stats(hak_backend_stats_t *out) { (void)out; }
static void hak_no_fork_take(void) {}
static void hak_no_fork_drop(bool in_child) { (void)in_child; }
static size_t hak_no_faults(void) { return 0; }

static void hak_use_slabs(void) {
    hak_mid = hak_backend_slabs;
    hak_mid.thread_flush = hak_no_heap;
    hak_mid.thread_exit = hak_no_heap;
    hak_mid.configure = NULL;
    hak_mid.start = NULL;
    hak_mid.purge = hak_no_purge;
    hak_mid.has_garbage = hak_no_garbage;
    hak_mid.stats = hak_no_stats;
    hak_mid.counters = NULL;
    hak_mid.fork_take = hak_no_fork_take;
    hak_mid.fork_drop = hak_no_fork_drop;
    hak_mid.check = hak_no_faults;
}

static bool hak_choose(bool warn) {
    if (hak_option(HAK_OPTION_MF2_ENABLE) == 0) {
        hak_use_slabs();
        hak_dyn_class_use_all_mt();
        return true;
    }
    hak_mid = hak_backend_mf2;
    return hak_mid.configure(warn);
}

#define S &hak_backend_slabs
#define M &hak_mid
#define S8 S, S, S, S, S, S, S, S
#define S7M S, S, S, S, S, S, S, M
#define M8 M, M, M, M, M, M, M, M

const hak_backend_t *const hak_route[HAK_SC_COUNT] = {NULL, S8,  S8,  S8,  S8, S7M,
                                                      S7M,  S7M, S7M, S7M, S8, M8};
const hak_backend_t *const hak_route_backends[] = {&hak_backend_slabs, &hak_mid, NULL};
