#include "backends/large/large.h"

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/huge/huge.h"
#include "boxes/run/run.h"
#include "boxes/slot_pool/slot_pool.h"

static bool hak_is_run(const void *block) {
    return hak_registry_tag((uintptr_t)block) == HAK_TAG_RUN;
}

void *hak_large_alloc_mt(size_t bytes, size_t align, bool *zeroed) {
    if (bytes <= HAK_RUN_MAX_BYTES && align <= HAK_UNIT_BYTES) {
        return hak_run_alloc_mt(bytes, zeroed);
    }
    return hak_huge_alloc_mt(bytes, align, zeroed);
}

bool hak_large_free_mt(void *block) {
    return hak_is_run(block) ? hak_run_free_mt(block) : hak_huge_free_mt(block);
}

void *hak_large_resize_mt(void *block, size_t bytes) {
    if (bytes <= HAK_SC_MAX_BYTES) {
        return NULL;
    }
    if (hak_is_run(block)) {
        return bytes <= HAK_RUN_MAX_BYTES && hak_run_resize_mt(block, bytes) ? block : NULL;
    }
    /* A huge block that becomes much smaller should not keep a window of 2 MiB. */
    return bytes > HAK_RUN_MAX_BYTES ? hak_huge_resize_mt(block, bytes) : NULL;
}

size_t hak_large_good_bytes(size_t bytes) { return hak_align_up(bytes, hak_os_page_bytes()); }

bool hak_large_describe(uintptr_t address, hak_block_info_t *info) {
    info->bytes = hak_run_describe(address, &info->block);
    if (info->bytes == 0) {
        info->bytes = hak_huge_describe_mt(address, &info->block);
    }
    info->handed_out = true;
    return info->bytes != 0;
}

size_t hak_large_purge_mt(uint64_t now_ms, uint64_t delay_ms, size_t keep_bytes) {
    return hak_huge_purge_mt(now_ms, delay_ms, keep_bytes);
}

bool hak_large_has_garbage(void) { return hak_huge_has_cached(); }

static void hak_add_runs(hak_superslab_t *ss, void *context) {
    hak_backend_stats_t *out = context;
    for (unsigned i = 0; i < HAK_SUPERSLAB_SLOTS; i++) {
        /* pairs with the release in hak_run_alloc_mt */
        uint64_t bytes = hak_load_acq(&ss->slab[i].large_bytes);
        out->blocks += bytes != 0;
        out->bytes += bytes;
    }
}

void hak_large_stats_mt(hak_backend_stats_t *out, uint64_t *cached_bytes) {
    hak_huge_stats_t huge;
    hak_huge_stats_mt(&huge);
    *out = (hak_backend_stats_t){.blocks = huge.blocks, .bytes = huge.bytes};
    *cached_bytes = huge.cached_bytes;
    hak_slot_pool_each(hak_add_runs, out);
}

void hak_large_fork_take(void) { hak_huge_fork_take(); }
void hak_large_fork_drop(void) { hak_huge_fork_drop(); }
