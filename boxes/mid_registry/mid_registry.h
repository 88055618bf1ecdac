/* mid_registry: the chunks of Mid MT in the order of their addresses, searched by halving.
 *
 * Mid MT's own answer to "whose block is this?", beside the page registry, which answers the same
 * with two loads and without a lock. Frees use the one that HAKMEM_MID_REGISTRY names; both are
 * always complete. The array grows by mappings of its own: a registry that grew by realloc would
 * come back to the allocator while it holds its lock.
 *
 * Owns       the array.
 * Threads    *_mt: any. *_locked: between fork_take and fork_drop.
 * Invariant  entries are sorted by base and do not overlap; an entry stands for an open chunk.
 * Layer      4 (boxes). Uses core/lock, backends/os.
 */
#ifndef HAK_BOXES_MID_REGISTRY_MID_REGISTRY_H_
#define HAK_BOXES_MID_REGISTRY_MID_REGISTRY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_MID_REGISTRY_FIRST_ENTRIES = 64 };

struct hak_mid_chunk;

typedef struct {
    uintptr_t base;
    uint32_t bytes;
    uint32_t sc;
    struct hak_mid_chunk *chunk; /* not looked at here */
} hak_mid_entry_t;

/* False with errno ENOMEM if the array had to grow and could not; nothing changed. */
bool hak_mid_registry_add_mt(const hak_mid_entry_t *entry);
/* The entry that begins at `base` goes. */
void hak_mid_registry_remove_mt(uintptr_t base);
/* False if no chunk holds `address`. Counted. */
bool hak_mid_registry_lookup_mt(uintptr_t address, hak_mid_entry_t *found);

/* Look-ups so far, that found something or not. */
uint64_t hak_mid_registry_lookups(void);
size_t hak_mid_registry_count_locked(void);
/* hak_mid_registry_lookup_mt, not counted. */
bool hak_mid_registry_find_locked(uintptr_t address, hak_mid_entry_t *found);
/* Entries that are out of order or overlap the next. */
size_t hak_mid_registry_check_locked(void);

void hak_mid_registry_fork_take(void);
void hak_mid_registry_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MID_REGISTRY_MID_REGISTRY_H_ */
