/* Return. A slot is purged when two visits, half a delay apart, found it EMPTY, one in a part of a
 * huge page some visits later: a slot that is taken and given back in between starts anew. So
 * memory in use is left alone without a time stamp per slot, and the visit list, kept in order of
 * time, makes each visit O(1). Superslabs that are wholly free are visited like the others; the LRU
 * decides when they are unmapped, and a trim leaves it a few: their address space, registry entries
 * and descriptors are then warm.
 *
 * A superslab of which the kernel did not take all, as locked memory, is visited like the others
 * but not purged for a while: one locked page must not keep the rest of the pool from going back.
 */
#include "backends/os/os.h"
#include "base/bits.h"
#include "boxes/slot_pool/slot_pool_internal.h"

enum {
    HAK_KEPT_SUPERSLABS = 4,
    HAK_REFUSED_PAUSE_MS = 10000,
    /* A system call for a few slots takes a quarter of the time of one for many. */
    HAK_FEW_SLOTS = 8,
    HAK_CALL_COST = 4,
    /* The whole of a huge page goes back in 5 us, and is soon wholly free where a program frees all
     * that it has: parts are left for so many visits more. */
    HAK_SPARED_VISITS = 3,
    HAK_SPLIT_COST = 8, /* 0.4 ms where 2 MiB of small pages take 0.2 */
};

/* System calls of one purge. */
typedef struct {
    uint64_t count, refused;
    uint64_t cost, most_cost;
} hak_calls_t;

static void hak_count_call(hak_calls_t *calls, uint64_t cost) {
    calls->count++;
    calls->cost += cost;
}

/* Between two system calls: they may follow each other for seconds, and all threads wait for a fork
 * that waits for the last one. */
static void hak_let_fork_in_locked(void) {
    if (hak_pool.fork_waits) {
        hak_lock_drop(&hak_pool.lock);
        hak_lock_take_unless(&hak_pool.lock, &hak_pool.fork_waits);
    }
}

void hak_pool_visit_later_locked(hak_superslab_t *ss, uint64_t at_ms) {
    if (ss->visiting) {
        return;
    }
    ss->visiting = true;
    hak_pool.visit_count++;
    ss->visit_at_ms = at_ms;
    ss->visit_next = NULL;
    if (hak_pool.visit_tail != NULL) {
        hak_pool.visit_tail->visit_next = ss;
    } else {
        hak_pool.visit_head = ss;
    }
    hak_pool.visit_tail = ss;
}

static hak_superslab_t *hak_next_visit_locked(uint64_t now_ms, uint64_t delay_ms) {
    hak_superslab_t *ss = hak_pool.visit_head;
    /* A time further off than the delay was set when the delay was longer. */
    if (ss == NULL || (ss->visit_at_ms > now_ms && ss->visit_at_ms - now_ms <= delay_ms)) {
        return NULL;
    }
    hak_pool.visit_head = ss->visit_next;
    if (hak_pool.visit_head == NULL) {
        hak_pool.visit_tail = NULL;
    }
    ss->visiting = false;
    hak_pool.visit_count--;
    return ss;
}

/* Purges the slots in `mask`, which are EMPTY. Drops the lock meanwhile; nobody else can take the
 * slots then, and the superslab cannot go. */
static size_t hak_purge_slots_locked(hak_superslab_t *ss, uint32_t mask, uint64_t now_ms,
                                     hak_calls_t *calls) {
    char *base = (char *)hak_region_base(&ss->region);
    hak_pool_move_locked(ss, mask, HAK_SLOT_EMPTY, HAK_SLOT_PURGING);
    bool split = ss->huge && mask != UINT32_MAX;
    hak_pool.calls_in_flight++;
    hak_lock_drop(&hak_pool.lock);
    if (split) {
        hak_os_split_huge(base + ((size_t)hak_lowest_bit(mask) << HAK_UNIT_SHIFT));
        hak_count_call(calls, HAK_SPLIT_COST);
    }
    uint32_t done = 0;
    uint32_t left = mask;
    while (left != 0) {
        unsigned first = hak_lowest_bit(left);
        unsigned count = hak_lowest_bit(~((uint64_t)left >> first));
        uint32_t run = hak_mask32(first, count);
        if (hak_os_purge(base + ((size_t)first << HAK_UNIT_SHIFT),
                         (size_t)count << HAK_UNIT_SHIFT)) {
            done |= run;
        } else {
            calls->refused++;
        }
        left &= ~run;
        hak_count_call(calls, count > HAK_FEW_SLOTS ? HAK_CALL_COST : 1);
    }
    hak_pool_lock_take();
    hak_pool.calls_in_flight--;
    hak_pool_move_locked(ss, done, HAK_SLOT_PURGING, HAK_SLOT_UNUSED);
    ss->huge = ss->huge && done == 0;
    /* what was refused stays EMPTY and is tried again later */
    if (done != mask) {
        hak_pool_move_locked(ss, mask & ~done, HAK_SLOT_PURGING, HAK_SLOT_EMPTY);
        ss->refused_until_ms = now_ms + HAK_REFUSED_PAUSE_MS;
    }
    return (size_t)hak_bit_count32(done) << HAK_UNIT_SHIFT;
}

/* One visit. Returns the bytes given back. */
static size_t hak_visit_locked(hak_superslab_t *ss, uint64_t now_ms, uint64_t delay_ms,
                               hak_calls_t *calls) {
    if (ss->purge_mask != 0) { /* another thread is at it */
        hak_pool_visit_later_locked(ss, now_ms + 1);
        return 0;
    }
    /* Who asks for all gets another try. */
    uint32_t mask = delay_ms == 0                   ? ss->dirty_mask
                    : now_ms < ss->refused_until_ms ? 0
                                                    : ss->aged_mask;
    if (ss->huge && delay_ms != 0 && mask != 0 && mask != UINT32_MAX &&
        ss->spared < HAK_SPARED_VISITS) {
        ss->spared++;
        mask = 0;
    }
    size_t bytes = mask == 0 ? 0 : hak_purge_slots_locked(ss, mask, now_ms, calls);
    ss->aged_mask = ss->dirty_mask;
    if (ss->dirty_mask != 0) {
        hak_pool_visit_later_locked(ss, now_ms + delay_ms / 2 + 1);
    }
    if (mask != 0) { /* the last slab in it may have been given back meanwhile */
        hak_pool_settle_locked(ss, now_ms);
    }
    return bytes;
}

/* Unmaps superslabs that were in the LRU for too long; if everything is asked for, all but a few.
 * Returns the bytes of memory and of address space given back. */
static size_t hak_shed_locked(uint64_t now_ms, bool all, size_t keep_bytes, hak_calls_t *calls) {
    size_t bytes = 0;
    if (all && keep_bytes == 0) {
        bytes += hak_pool_release_stock_locked();
    }
    while (calls->cost < calls->most_cost) {
        hak_superslab_t *ss = hak_ss_lru_expire_locked(&hak_pool.lru, now_ms);
        if (ss == NULL && all &&
            (keep_bytes == 0 || hak_pool.slots[HAK_SLOT_EMPTY] << HAK_UNIT_SHIFT > keep_bytes)) {
            ss = hak_ss_lru_trim_locked(&hak_pool.lru, HAK_KEPT_SUPERSLABS);
        }
        if (ss == NULL) {
            break;
        }
        ss->kind = HAK_KIND_LOOSE;
        hak_pool_release_locked(ss);
        bytes += HAK_SUPERSLAB_BYTES;
        calls->cost += HAK_CALL_COST;
        hak_let_fork_in_locked();
    }
    return bytes;
}

size_t hak_slot_pool_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                              size_t keep_bytes) {
    hak_calls_t calls = {.most_cost = (uint64_t)max_calls * HAK_CALL_COST};
    hak_pool_lock_take();
    hak_let_fork_in_locked();
    size_t shed_bytes = hak_shed_locked(now_ms, delay_ms == 0, keep_bytes, &calls);
    size_t bytes = 0;
    /* Each at most once: a visit may put its superslab back at the end. */
    uint64_t visits = hak_pool.visit_count;
    /* Who asks for all gets another try. */
    bool refused = delay_ms != 0 && now_ms < hak_pool.refused_until_ms;
    while (!refused && visits-- != 0 && calls.cost < calls.most_cost &&
           (hak_pool.slots[HAK_SLOT_EMPTY] << HAK_UNIT_SHIFT) > keep_bytes) {
        hak_superslab_t *ss = hak_next_visit_locked(now_ms, delay_ms);
        if (ss == NULL) {
            break;
        }
        bytes += hak_visit_locked(ss, now_ms, delay_ms, &calls);
        hak_let_fork_in_locked();
    }
    /* All that could be tried in one pass was refused, as in a program whose memory is all locked:
     * there is little point in going on with the rest at once. */
    if (calls.refused != 0 && shed_bytes + bytes == 0 && calls.cost >= calls.most_cost) {
        hak_pool.refused_until_ms = now_ms + HAK_REFUSED_PAUSE_MS;
    }
    hak_pool.stats.purges += calls.count;
    hak_pool.stats.purged_bytes += bytes;
    hak_lock_drop(&hak_pool.lock);
    return shed_bytes + bytes;
}

void hak_slot_pool_release_free_mt(void) {
    hak_superslab_t *ss;
    hak_pool_lock_take();
    while ((ss = hak_ss_lru_trim_locked(&hak_pool.lru, 0)) != NULL) {
        ss->kind = HAK_KIND_LOOSE;
        hak_pool_release_locked(ss);
        hak_let_fork_in_locked();
    }
    hak_lock_drop(&hak_pool.lock);
}
