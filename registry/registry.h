/* registry: any address -> what hakmem has there. Read without locks, out of band.
 *
 * Two levels of answer. A tag of 32 bits for each 64 KiB unit says the size class, and who owns the
 * unit or that threads share its blocks: the hit path of free reads it. A region pointer for each
 * 2 MiB window leads to the
 * descriptor: only slow paths read it.
 *
 * Tags normally stand in one flat map, 4 bytes a unit for the whole user address space (8 GiB of
 * address space on x86-64). It is reserved read-only, so that any address may be looked up, NULL,
 * the stack and other allocators' memory included; it counts against no limit but RLIMIT_AS, and
 * mlockall makes nothing of it resident. Where memory is in use the part for that GiB is made
 * writable. If address space is scarce (RLIMIT_AS, RLIMIT_MEMLOCK, refusal), the view stays empty:
 * every free takes the slow path and reads tags through the tree. Rejected: a map with PROT_NONE
 * parts faults on a wild pointer; a writable one is filled by mlockall and charged under
 * overcommit 2.
 *
 * Owns       the flat map, the tree.
 * Threads    reads: any, no lock. Changes: any, the caller owns the units that it changes.
 * Invariant  a unit's tag is 0 unless a block may start or continue in it; a region is set before
 *            the first tag and removed after the last. Leaves are never freed.
 * Layer      3 (registry). Uses base, core/lock, core/meta, backends/os.
 */
#ifndef HAK_REGISTRY_REGISTRY_H_
#define HAK_REGISTRY_REGISTRY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_WINDOW_SHIFT = 21,
    HAK_WINDOW_BYTES = 1 << HAK_WINDOW_SHIFT, /* 2 MiB */
    /* Tag: owner id in the upper 16 bits, offset of the class's bin (class * 16) in the lower 16,
     * which one instruction extracts. A thread beyond so many at one time gets no
     * memory; the kernel's limits (vm.max_map_count: a stack and its guard are two mappings) allow
     * half as many unless they are raised. */
    HAK_TAG_OWNER_SHIFT = 16,
    HAK_TAG_CLASSES = 1 << HAK_TAG_OWNER_SHIFT,
    HAK_OWNER_MAX = (1 << 16) - 3, /* ids 1..max; the last two are no one's */
};

/* Tags with owner 0. */
#define HAK_TAG_NONE 0u
#define HAK_TAG_EXTENT 0x10u /* a large block starts here */
#define HAK_TAG_HUGE 0x30u   /* a huge block starts here */
/* The owner of blocks that any thread may keep which frees them. */
#define HAK_TAG_SHARED 0xfffe0000u
/* The tag that a thread without a heap calls its own: never issued. */
#define HAK_TAG_NOBODY 0xffff0000u

typedef enum {
    HAK_REGION_SUPERSLAB = 1,
    HAK_REGION_HUGE,
    HAK_REGION_MF2,
    HAK_REGION_MID_MT,
    HAK_REGION_MID_POOL,
    HAK_REGION_POOL_TLS,
    HAK_REGION_EXTENT
} hak_region_kind_t;

/* First field of every descriptor that the registry leads to. */
typedef struct {
    uint32_t kind; /* hak_region_kind_t, fixed for the life of the descriptor */
    /* multiple of HAK_WINDOW_BYTES; changes when the descriptor gets other memory */
    hak_aptr_t base;
} hak_region_t;

static inline uintptr_t hak_region_base(const hak_region_t *region) {
    /* relaxed: who holds a block in it knows it; others only explain an error */
    return hak_load_rlx(&region->base);
}

/* What the hit path reads. Both are set before there is a second thread (by the constructor at the
 * latest) and never change, so they are plain. `units` is 0 if there is no flat map or if every
 * free must take the slow path. */
extern hak_local uintptr_t hak_registry_units;
extern hak_local const hak_a32_t *hak_registry_flat;

typedef enum {
    HAK_REGISTRY_FORM_AUTO,
    HAK_REGISTRY_FORM_FLAT,
    HAK_REGISTRY_FORM_TWO_LEVEL
} hak_registry_form_t;

/* Reserves the flat map or decides against it. `slow_only`: the hit path must not use it. Once,
 * before any other call that changes something. */
void hak_registry_init(hak_registry_form_t form, bool slow_only);
bool hak_registry_is_flat(void);

/* Gives the address space of the flat map back, but for the parts in use and what lies within
 * 64 GiB of them: for a process that limits its address space when it runs already, where the map
 * would count as 8 GiB. Blocks are found as before; a wild pointer that is freed may fault. False
 * if there is nothing to give. */
bool hak_registry_give_room(void);

/* Makes what hak_registry_add needs for the range, which need not be the caller's yet. False with
 * ENOMEM. */
bool hak_registry_ready(uintptr_t base, size_t bytes);
/* Registers the windows of [base, base + bytes) for `region`. False with ENOMEM: nothing changed.
 * Cannot fail for windows that are ready or were registered before. */
bool hak_registry_add(hak_region_t *region, uintptr_t base, size_t bytes);
/* Forgets them. The tags must be 0, and the memory must still be the caller's: once it is unmapped
 * another thread may map something at the same place and register that. */
void hak_registry_remove(uintptr_t base, size_t bytes);
/* Sets the tags of `units` units from `base` on; their windows are registered. */
void hak_registry_set_tags(uintptr_t base, unsigned units, uint32_t tag);

/* The tag of the unit that holds `address`; 0 for any address that is not hakmem's. */
uint32_t hak_registry_tag(uintptr_t address);
/* The region whose window holds `address`, or NULL. For a huge block's last window the address may
 * lie behind it. */
hak_region_t *hak_registry_region(uintptr_t address);

/* Number of leaves, each for 1 GiB of addresses. */
uint64_t hak_registry_leaves(void);

void hak_registry_fork_take(void);
void hak_registry_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_REGISTRY_REGISTRY_H_ */
