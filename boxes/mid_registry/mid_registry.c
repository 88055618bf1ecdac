#include "boxes/mid_registry/mid_registry.h"

#include <string.h>

#include "backends/os/os.h"
#include "base/bits.h"
#include "core/lock/lock.h"

static struct {
    hak_lock_t lock;
    hak_mid_entry_t *entry; /* `count` of `room` in use */
    size_t count, room;
    hak_a64_t lookups;
} hak_sorted = {.lock = HAK_LOCK_INIT(HAK_RANK_MID_REGISTRY)};

/* The first entry that begins above `address`. */
static size_t hak_above_locked(uintptr_t address) {
    size_t low = 0;
    size_t high = hak_sorted.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (hak_sorted.entry[middle].base <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t hak_array_bytes(size_t room) {
    return hak_align_up(room * sizeof(hak_mid_entry_t), hak_os_page_bytes());
}

static bool hak_grow_locked(void) {
    size_t room = hak_sorted.room == 0 ? HAK_MID_REGISTRY_FIRST_ENTRIES : 2 * hak_sorted.room;
    hak_mid_entry_t *larger = hak_os_map(hak_array_bytes(room));
    if (larger == NULL) {
        return false;
    }
    if (hak_sorted.room != 0) {
        memcpy(larger, hak_sorted.entry, hak_sorted.count * sizeof *larger);
        hak_os_unmap(hak_sorted.entry, hak_array_bytes(hak_sorted.room));
    }
    hak_sorted.entry = larger;
    hak_sorted.room = room;
    return true;
}

bool hak_mid_registry_add_mt(const hak_mid_entry_t *entry) {
    hak_lock_take(&hak_sorted.lock);
    bool ready = hak_sorted.count < hak_sorted.room || hak_grow_locked();
    if (ready) {
        size_t at = hak_above_locked(entry->base);
        hak_mid_entry_t *place = hak_sorted.entry + at;
        memmove(place + 1, place, (hak_sorted.count - at) * sizeof *place);
        *place = *entry;
        hak_sorted.count++;
    }
    hak_lock_drop(&hak_sorted.lock);
    return ready;
}

void hak_mid_registry_remove_mt(uintptr_t base) {
    hak_lock_take(&hak_sorted.lock);
    size_t behind = hak_above_locked(base);
    if (behind != 0 && hak_sorted.entry[behind - 1].base == base) {
        hak_mid_entry_t *place = hak_sorted.entry + behind;
        memmove(place - 1, place, (hak_sorted.count - behind) * sizeof *place);
        hak_sorted.count--;
    }
    hak_lock_drop(&hak_sorted.lock);
}

bool hak_mid_registry_find_locked(uintptr_t address, hak_mid_entry_t *found) {
    size_t behind = hak_above_locked(address);
    bool holds = behind != 0 &&
                 address - hak_sorted.entry[behind - 1].base < hak_sorted.entry[behind - 1].bytes;
    if (holds) {
        *found = hak_sorted.entry[behind - 1];
    }
    return holds;
}

bool hak_mid_registry_lookup_mt(uintptr_t address, hak_mid_entry_t *found) {
    hak_lock_take(&hak_sorted.lock);
    bool holds = hak_mid_registry_find_locked(address, found);
    hak_count_add(&hak_sorted.lookups, 1);
    hak_lock_drop(&hak_sorted.lock);
    return holds;
}

uint64_t hak_mid_registry_lookups(void) {
    return hak_load_rlx(&hak_sorted.lookups); /* relaxed: a statistic */
}

size_t hak_mid_registry_count_locked(void) { return hak_sorted.count; }

size_t hak_mid_registry_check_locked(void) {
    size_t faults = 0;
    for (size_t i = 1; i < hak_sorted.count; i++) {
        const hak_mid_entry_t *before = &hak_sorted.entry[i - 1];
        faults += before->base + before->bytes > hak_sorted.entry[i].base;
    }
    return faults;
}

void hak_mid_registry_fork_take(void) { hak_lock_take(&hak_sorted.lock); }
void hak_mid_registry_fork_drop(void) { hak_lock_drop(&hak_sorted.lock); }
