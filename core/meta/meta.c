#include "core/meta/meta.h"

#include "backends/os/os.h"
#include "base/attr.h"
#include "base/bits.h"
#include "core/lock/lock.h"

/* Untouched parts of a chunk cost address space only, so it may be generous; small enough for a
 * tight RLIMIT_AS. */
enum { HAK_META_CHUNK_BYTES = 1 << 18 };

static struct {
    hak_lock_t lock;
    char *next, *end;
    hak_a64_t bytes;
} hak_meta = {.lock = HAK_LOCK_INIT(HAK_RANK_META)};

static void *hak_meta_alloc_locked(size_t bytes) {
    if ((size_t)(hak_meta.end - hak_meta.next) < bytes) {
        size_t chunk = bytes > HAK_META_CHUNK_BYTES / 4 ? bytes : HAK_META_CHUNK_BYTES;
        char *base = hak_os_map(hak_align_up(chunk, hak_os_page_bytes()));
        if (base == NULL) {
            return NULL;
        }
        hak_os_no_huge(base, hak_align_up(chunk, hak_os_page_bytes()));
        if (chunk == bytes) {
            return base; /* a large one gets a mapping of its own; the current chunk stays in use */
        }
        hak_meta.next = base;
        hak_meta.end = base + chunk;
    }
    void *result = hak_meta.next;
    hak_meta.next += bytes;
    return result;
}

void *hak_meta_alloc_mt(size_t bytes) {
    bytes = hak_align_up(bytes, HAK_CACHE_LINE);
    hak_lock_take(&hak_meta.lock);
    void *result = hak_meta_alloc_locked(bytes);
    if (result != NULL) {
        hak_count_add(&hak_meta.bytes, bytes);
    }
    hak_lock_drop(&hak_meta.lock);
    return result;
}

uint64_t hak_meta_bytes(void) { return hak_load_rlx(&hak_meta.bytes); /* relaxed: a statistic */ }

void hak_meta_fork_take(void) { hak_lock_take(&hak_meta.lock); }
void hak_meta_fork_drop(void) { hak_lock_drop(&hak_meta.lock); }
