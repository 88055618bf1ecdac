/* The tree has a root of one pointer per GiB in .bss (1 MiB of address space on x86-64, touched
 * where used) and leaves of 512 region pointers plus a pointer to the GiB's tags: a part of the
 * flat map, or memory of their own.
 */
#include "registry/registry.h"

#include <errno.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "core/lock/lock.h"
#include "core/meta/meta.h"
#include "registry/registry_inl.h"

uintptr_t hak_registry_units;
const hak_a32_t *hak_registry_flat;

static struct {
    hak_lock_t lock;
    char *map; /* writable alias of the flat map, or NULL */
    hak_a64_t leaves;
} hak_registry = {.lock = HAK_LOCK_INIT(HAK_RANK_REGISTRY)};

hak_aptr_t hak_registry_root[HAK_ROOT_ENTRIES];

static const uintptr_t hak_flat_units = (uintptr_t)1 << (HAK_OS_ADDRESS_BITS - HAK_UNIT_SHIFT);

void hak_registry_init(hak_registry_form_t form, bool slow_only) {
    int saved = errno;
    bool wanted = form == HAK_REGISTRY_FORM_FLAT ||
                  (form == HAK_REGISTRY_FORM_AUTO && hak_os_address_space_is_free());
    if (wanted) {
        hak_registry.map = hak_os_reserve(hak_flat_units * sizeof(hak_a32_t));
    }
    /* Without a map this is still the base of hak_registry_mark. It is odd then, so that marks are,
     * and none is 0 or the address of its own block, which a list of one would hold. */
    uintptr_t base =
        hak_registry.map != NULL ? (uintptr_t)hak_registry.map : (uintptr_t)hak_os_random() | 1u;
    hak_registry_flat = (const hak_a32_t *)base;
    hak_registry_units = slow_only || hak_registry.map == NULL ? 0 : hak_flat_units;
    errno = saved;
}

bool hak_registry_is_flat(void) { return hak_registry.map != NULL; }

enum {
    HAK_LEAF_TAGS_BYTES = HAK_LEAF_UNITS * sizeof(hak_a32_t),
    HAK_ROOM_LEAVES = 64, /* kept on either side: mappings lie next to each other */
};

/* A bit for each leaf's part of the flat map that was given back. */
static uint64_t hak_given[HAK_ROOT_ENTRIES / 64];

static bool hak_is_given_locked(uintptr_t index) {
    return (hak_given[index / 64] >> (index % 64) & 1) != 0;
}

static char *hak_map_part(uintptr_t index) {
    return hak_registry.map + index * HAK_LEAF_TAGS_BYTES;
}

/* The parts of leaves [first, end), none of which is in use. What was given before may be somebody
 * else's now. */
static bool hak_give_locked(uintptr_t first, uintptr_t end) {
    bool given = false;
    for (uintptr_t i = first; i < end; i++) {
        uintptr_t start = i;
        for (; i < end && !hak_is_given_locked(i); i++) {
            hak_given[i / 64] |= UINT64_C(1) << (i % 64);
        }
        if (i > start) {
            hak_os_unmap(hak_map_part(start), (i - start) * HAK_LEAF_TAGS_BYTES);
            given = true;
        }
    }
    return given;
}

/* Around what is in use the next mappings come to lie; around the map too, also in the hole that it
 * leaves, where they would take the place of its own parts for them. */
static bool hak_is_kept_locked(uintptr_t index) {
    return hak_load_rlx(&hak_registry_root[index]) != 0 || /* relaxed: under the lock */
           index == (uintptr_t)hak_registry.map >> HAK_LEAF_SHIFT;
}

bool hak_registry_give_room(void) {
    bool given = false;
    uintptr_t from = 1; /* free(NULL) looks at the first */
    hak_lock_take(&hak_registry.lock);
    for (uintptr_t i = 0; hak_registry.map != NULL && i <= HAK_ROOT_ENTRIES; i++) {
        bool at_end = i == HAK_ROOT_ENTRIES;
        if (at_end || hak_is_kept_locked(i)) {
            uintptr_t end = at_end ? i : i > HAK_ROOM_LEAVES ? i - HAK_ROOM_LEAVES : 0;
            given |= hak_give_locked(from, end);
            from = i + HAK_ROOM_LEAVES + 1;
        }
    }
    hak_lock_drop(&hak_registry.lock);
    return given;
}

static bool hak_take_part_back_locked(uintptr_t index) {
    if (!hak_os_reserve_at(hak_map_part(index), HAK_LEAF_TAGS_BYTES)) {
        return false;
    }
    hak_given[index / 64] &= ~(UINT64_C(1) << (index % 64));
    return true;
}

static hak_leaf_t *hak_leaf_make(uintptr_t index) {
    if (hak_registry.map != NULL && hak_is_given_locked(index) &&
        !hak_take_part_back_locked(index)) {
        return NULL;
    }
    hak_leaf_t *leaf = hak_meta_alloc_mt(sizeof *leaf);
    if (leaf == NULL) {
        return NULL;
    }
    if (hak_registry.map != NULL) {
        leaf->tags = (hak_a32_t *)hak_map_part(index);
        if (!hak_os_commit(leaf->tags, HAK_LEAF_TAGS_BYTES)) {
            /* the leaf's 4 KiB are lost; the kernel is out of mappings, which is rare and final */
            return NULL;
        }
    } else {
        leaf->tags = hak_os_map(HAK_LEAF_TAGS_BYTES);
        if (leaf->tags == NULL) {
            return NULL;
        }
    }
    /* pairs with the acquire in hak_registry_leaf */
    hak_store_rel(&hak_registry_root[index], (uintptr_t)leaf);
    hak_count_add(&hak_registry.leaves, 1);
    return leaf;
}

bool hak_registry_ready(uintptr_t base, size_t bytes) {
    bool ready = true;
    hak_lock_take(&hak_registry.lock);
    for (uintptr_t i = base >> HAK_LEAF_SHIFT; ready && i <= (base + bytes - 1) >> HAK_LEAF_SHIFT;
         i++) {
        ready = i < HAK_ROOT_ENTRIES &&
                /* relaxed: written under the lock */
                (hak_load_rlx(&hak_registry_root[i]) != 0 || hak_leaf_make(i) != NULL);
    }
    hak_lock_drop(&hak_registry.lock);
    if (!ready) {
        errno = ENOMEM;
    }
    return ready;
}

static void hak_set_regions(uintptr_t base, size_t bytes, uintptr_t value) {
    for (uintptr_t a = base; a < base + bytes; a += HAK_WINDOW_BYTES) {
        hak_leaf_t *leaf = hak_registry_leaf(a);
        /* release: publishes the descriptor. Pairs with the acquire in hak_registry_find_region. */
        hak_store_rel(&leaf->region[(a >> HAK_WINDOW_SHIFT) % HAK_LEAF_WINDOWS], value);
    }
}

bool hak_registry_add(hak_region_t *region, uintptr_t base, size_t bytes) {
    if (!hak_registry_ready(base, bytes)) {
        return false;
    }
    hak_set_regions(base, bytes, (uintptr_t)region);
    return true;
}

void hak_registry_remove(uintptr_t base, size_t bytes) { hak_set_regions(base, bytes, 0); }

void hak_registry_set_tags(uintptr_t base, unsigned units, uint32_t tag) {
    hak_a32_t *tags = hak_registry_leaf(base)->tags + (base >> HAK_UNIT_SHIFT) % HAK_LEAF_UNITS;
    for (unsigned i = 0; i < units; i++) {
        /* relaxed: who frees a block got it from us through some synchronisation of the program's
         * own */
        hak_store_rlx(&tags[i], tag);
    }
}

uint32_t hak_registry_tag(uintptr_t address) { return hak_registry_find_tag(address); }

hak_region_t *hak_registry_region(uintptr_t address) { return hak_registry_find_region(address); }

uint64_t hak_registry_leaves(void) {
    return hak_load_rlx(&hak_registry.leaves); /* relaxed: a statistic */
}

void hak_registry_fork_take(void) { hak_lock_take(&hak_registry.lock); }
void hak_registry_fork_drop(void) { hak_lock_drop(&hak_registry.lock); }
