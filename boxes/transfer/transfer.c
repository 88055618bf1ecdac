#include "boxes/transfer/transfer.h"

#include "core/lock/lock.h"

#define HAK_HEAD_MASK 0x0000ffffffffffffull
enum { HAK_COUNT_SHIFT = 48 };

hak_transfer_t hak_transfer[HAK_SC_FIXED + 1];
/* What a purge saw, and when it looked. */
static hak_lock_t hak_purge_lock = HAK_LOCK_INIT(HAK_RANK_TRANSFER);
static uint64_t hak_seen[HAK_SC_FIXED + 1][HAK_TRANSFER_PLACES];
static uint64_t hak_seen_ms;
hak_a32_t hak_transfer_used;

static hak_block_t *hak_head(uint64_t word) {
    return (hak_block_t *)(uintptr_t)(word & HAK_HEAD_MASK);
}

bool hak_transfer_put_mt(unsigned sc, hak_block_t *list, uint32_t count) {
    uint64_t word = (uint64_t)count << HAK_COUNT_SHIFT | (uintptr_t)list;
    for (unsigned i = 0; i < HAK_TRANSFER_PLACES; i++) {
        hak_a64_t *place = &hak_transfer[sc].place[i];
        uint64_t free = 0;
        /* relaxed: a guess, the CAS checks it. release: publishes the links and marks; pairs with
         * the acquire in take and purge. */
        if (hak_load_rlx(place) == 0 && hak_cas_rel(place, &free, word)) {
            if (hak_unlikely(hak_load_rlx(&hak_transfer_used) == 0)) {
                hak_store_rlx(&hak_transfer_used, 1); /* relaxed: a hint */
            }
            return true;
        }
    }
    return false;
}

hak_block_t *hak_transfer_take_mt(unsigned sc, uint32_t *count) {
    for (unsigned i = HAK_TRANSFER_PLACES; i-- > 0;) {
        hak_a64_t *place = &hak_transfer[sc].place[i];
        if (hak_load_rlx(place) != 0) {             /* relaxed: a guess */
            uint64_t word = hak_swap_acq(place, 0); /* pairs with the release in put */
            if (word != 0) {
                *count = (uint32_t)(word >> HAK_COUNT_SHIFT);
                return hak_head(word);
            }
        }
    }
    return NULL;
}

/* A list that is not the one which was seen, but has the same head and length, may go too. */
static unsigned hak_purge_place(unsigned sc, unsigned i, bool all, hak_transfer_send_fn *send,
                                void *context) {
    hak_a64_t *place = &hak_transfer[sc].place[i];
    uint64_t word = hak_load_rlx(place); /* relaxed: the CAS checks it */
    uint64_t expected = word;
    bool goes = word != 0 && (all || word == hak_seen[sc][i]);
    hak_seen[sc][i] = word;
    if (goes && hak_cas_acq(place, &expected, 0)) { /* acquire: pairs with the release in put */
        send(hak_head(word), sc, context);
        return 1;
    }
    return 0;
}

static unsigned hak_purge_locked(bool all, hak_transfer_send_fn *send, void *context) {
    unsigned sent = 0;
    for (unsigned sc = 1; sc <= HAK_SC_FIXED; sc++) {
        for (unsigned i = HAK_TRANSFER_PLACES; i-- > 0;) {
            sent += hak_purge_place(sc, i, all, send, context);
        }
    }
    return sent;
}

unsigned hak_transfer_purge_mt(uint64_t now_ms, uint64_t delay_ms, hak_transfer_send_fn *send,
                               void *context) {
    bool all = delay_ms == 0;
    if (hak_load_rlx(&hak_transfer_used) == 0) { /* relaxed: a hint */
        return 0;
    }
    if (all) {
        hak_lock_take(&hak_purge_lock);
    } else if (!hak_lock_try(&hak_purge_lock)) {
        return 0;
    }
    unsigned sent = 0;
    if (all || now_ms >= hak_seen_ms + delay_ms) {
        hak_seen_ms = now_ms;
        sent = hak_purge_locked(all, send, context);
    }
    hak_lock_drop(&hak_purge_lock);
    return sent;
}

void hak_transfer_fork_take(void) { hak_lock_take(&hak_purge_lock); }
void hak_transfer_fork_drop(void) { hak_lock_drop(&hak_purge_lock); }

uint64_t hak_transfer_count(unsigned sc) {
    uint64_t count = 0;
    for (unsigned i = 0; i < HAK_TRANSFER_PLACES; i++) {
        count += hak_load_rlx(&hak_transfer[sc].place[i]) >> HAK_COUNT_SHIFT; /* a statistic */
    }
    return count;
}

const hak_block_t *hak_transfer_list(unsigned sc, unsigned place) {
    return hak_head(hak_load_rlx(&hak_transfer[sc].place[place])); /* relaxed: all stand still */
}
