/* Arenas come from the kernel as address space without access and become usable in steps of 2 MiB,
 * from the start on: a limit on charged memory or a locked process pays for what is used, and the
 * rest of the 256 MiB is room to grow. mmap and mprotect run under the lock: two threads that both
 * find no room would else make two arenas where one is enough. munmap does not.
 */
#include <errno.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/extent/extent_internal.h"
#include "core/meta/meta.h"
#include "core/options/options.h"

enum {
    HAK_WINDOW_UNITS = HAK_WINDOW_BYTES / HAK_UNIT_BYTES,
    HAK_ARENA_SCARCE_UNITS = 2 * HAK_WINDOW_UNITS, /* where address space is limited */
};

static hak_arena_t *hak_descriptor_locked(void) {
    hak_arena_t *arena = hak_extents.spare;
    if (arena != NULL) {
        hak_extents.spare = arena->next;
        return arena;
    }
    arena = hak_meta_alloc_mt(sizeof *arena);
    if (arena != NULL) {
        arena->region.kind = HAK_REGION_EXTENT;
        arena->all_next = hak_extents.all;
        hak_extents.all = arena;
    }
    return arena;
}

/* Holds 256 MiB; if that is refused or too much to ask for, what the request needs. */
static void *hak_hold(uint32_t needed, uint32_t *units) {
    *units = HAK_ARENA_UNITS;
    void *base = NULL;
    if (hak_os_address_space_is_free()) {
        base = hak_os_hold_aligned((size_t)*units << HAK_UNIT_SHIFT, HAK_WINDOW_BYTES);
    }
    if (base == NULL) {
        *units = (uint32_t)hak_align_up(needed, HAK_WINDOW_UNITS);
        *units = *units < HAK_ARENA_SCARCE_UNITS ? HAK_ARENA_SCARCE_UNITS : *units;
        base = hak_os_hold_aligned((size_t)*units << HAK_UNIT_SHIFT, HAK_WINDOW_BYTES);
    }
    return base;
}

hak_extent_t *hak_arena_new_locked(uint32_t units) {
    hak_arena_t *arena = hak_descriptor_locked();
    uint32_t held = 0;
    void *base = arena == NULL ? NULL : hak_hold(units, &held);
    size_t bytes = (size_t)held << HAK_UNIT_SHIFT;
    if (base != NULL) {
        hak_store_rlx(&arena->region.base,
                      (uintptr_t)base); /* relaxed: published by the registry */
        if (!hak_registry_add(&arena->region, (uintptr_t)base, bytes)) {
            hak_os_unmap(base, bytes);
            base = NULL;
        }
    }
    if (base == NULL) {
        if (arena != NULL) {
            arena->next = hak_extents.spare;
            hak_extents.spare = arena;
        }
        errno = ENOMEM;
        return NULL;
    }
    if (hak_option(HAK_OPTION_THP) == 0) {
        hak_os_no_huge(base, bytes); /* a first touch would make 2 MiB resident */
    }
    arena->units = held;
    hak_extents.arenas++;
    hak_extents.arenas_made++;
    hak_extent_t *all = hak_extent_make_locked(arena, 0, held);
    all->dirty = 0;
    hak_extent_bin_put_locked(all);
    return all;
}

bool hak_arena_commit_locked(hak_arena_t *arena, uint32_t units) {
    if (units <= arena->committed) {
        return true;
    }
    units = (uint32_t)hak_align_up(units, HAK_WINDOW_UNITS);
    char *base = (char *)hak_region_base(&arena->region);
    uint32_t more = units - arena->committed;
    if (!hak_os_commit_held(base + ((size_t)arena->committed << HAK_UNIT_SHIFT),
                            (size_t)more << HAK_UNIT_SHIFT)) {
        return false;
    }
    arena->committed = units;
    hak_extents.committed_units += more;
    if (hak_extents.committed_peak_units < hak_extents.committed_units) {
        hak_extents.committed_peak_units = hak_extents.committed_units;
    }
    return true;
}

size_t hak_arena_release_locked(hak_arena_t *arena) {
    uintptr_t base = hak_region_base(&arena->region);
    size_t bytes = (size_t)arena->units << HAK_UNIT_SHIFT;
    size_t mapped = (size_t)arena->committed << HAK_UNIT_SHIFT;
    hak_extent_bin_remove_locked(&arena->extent[0]);
    hak_extents.committed_units -= arena->committed;
    hak_extents.arenas--;
    arena->extent[arena->units].before = 0;
    hak_store_rlx(&arena->extent[0].units, 0); /* relaxed: under the lock */
    arena->units = 0;
    arena->committed = 0;
    hak_extents.in_flight++;
    hak_lock_drop(&hak_extents.lock);
    hak_registry_remove(base, bytes);
    hak_os_unmap((void *)base, bytes);
    hak_lock_take(&hak_extents.lock);
    hak_extents.in_flight--;
    arena->next = hak_extents.spare;
    hak_extents.spare = arena;
    return mapped;
}
