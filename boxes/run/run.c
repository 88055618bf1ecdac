#include "boxes/run/run.h"

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/slab/slab.h"
#include "boxes/slot_pool/slot_pool.h"

static unsigned hak_units(size_t bytes) {
    return (unsigned)((bytes + HAK_UNIT_BYTES - 1) >> HAK_UNIT_SHIFT);
}

static void hak_set_tags(const hak_slab_t *run, unsigned first, unsigned last) {
    uintptr_t base = hak_slab_base(run);
    if (first == 0) {
        hak_registry_set_tags(base, 1, HAK_TAG_RUN);
        first = 1;
    }
    hak_registry_set_tags(base + ((uintptr_t)first << HAK_UNIT_SHIFT), last - first,
                          HAK_TAG_RUN_BODY);
}

void *hak_run_alloc_mt(size_t bytes, bool *zeroed) {
    unsigned units = hak_units(bytes);
    hak_slab_t *run = hak_slot_pool_take_run_mt(units, zeroed);
    if (run == NULL) {
        return NULL;
    }
    hak_set_tags(run, 0, units);
    /* release: pairs with the acquire of statistics */
    hak_store_rel(&run->large_bytes, hak_align_up(bytes, hak_os_page_bytes()));
    return (void *)hak_slab_base(run);
}

bool hak_run_free_mt(void *block) {
    hak_slab_t *run = hak_slab_of((uintptr_t)block);
    /* relaxed: the swap decides */
    uint64_t bytes = run == NULL ? 0 : hak_load_rlx(&run->large_bytes);
    /* acq_rel: of two threads that free the same block one finds 0 */
    if (bytes == 0 || hak_slab_base(run) != (uintptr_t)block ||
        hak_swap_acq_rel(&run->large_bytes, 0) == 0) {
        return false;
    }
    hak_registry_set_tags((uintptr_t)block, run->units, HAK_TAG_NONE);
    hak_slot_pool_give_mt(run);
    return true;
}

bool hak_run_resize_mt(void *block, size_t bytes) {
    hak_slab_t *run = hak_slab_of((uintptr_t)block);
    unsigned units = hak_units(bytes);
    unsigned old_units = run->units;
    if (units > HAK_RUN_MAX_UNITS) {
        return false;
    }
    if (units > old_units) {
        if (!hak_slot_pool_grow_run_mt(run, units)) {
            return false;
        }
        hak_set_tags(run, old_units, units);
    } else if (units < old_units) {
        hak_registry_set_tags((uintptr_t)block + ((uintptr_t)units << HAK_UNIT_SHIFT),
                              old_units - units, HAK_TAG_NONE);
        hak_slot_pool_shrink_run_mt(run, units);
    }
    /* as in hak_run_alloc_mt */
    hak_store_rel(&run->large_bytes, hak_align_up(bytes, hak_os_page_bytes()));
    return true;
}

size_t hak_run_describe(uintptr_t address, uintptr_t *block) {
    hak_slab_t *run = hak_slab_of(address);
    /* pairs with hak_run_alloc_mt */
    size_t bytes = run == NULL ? 0 : hak_load_acq(&run->large_bytes);
    *block = run == NULL ? 0 : hak_slab_base(run);
    return address - *block < hak_align_up(bytes, HAK_UNIT_BYTES) ? bytes : 0;
}
