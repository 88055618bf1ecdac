/* transfer: lists of free blocks on their way from one thread cache to another.
 *
 * Threads that free each other's blocks would else send each block home, to a list of its slab, for
 * the owner to find it there. Here a thread whose bin is full leaves a list of blocks, of any
 * heaps' slabs, and the next thread whose bin of that class is empty takes it as it is: one
 * compare-and-swap and one swap for a whole list, and no block is touched. What nobody takes for a
 * purge delay goes home. gperftools' tcmalloc has the same between its thread caches and its
 * central lists (its central_freelist.h, "transfer cache"), behind a lock.
 *
 * Each class has a few places in one cache line. A list is taken whole, so there is no ABA, and
 * there is no intermediate state that a fork could freeze.
 *
 * Owns       the places.
 * Threads    *_mt: any; put and take need no lock.
 * Invariant  a list here ends in NULL, is of one class and not empty; its blocks count as used in
 *            their slabs.
 * Layer      4 (boxes). Uses base, boxes/block, core/lock.
 */
#ifndef HAK_BOXES_TRANSFER_TRANSFER_H_
#define HAK_BOXES_TRANSFER_TRANSFER_H_

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/attr.h"
#include "base/size_class.h"
#include "boxes/block/block.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HAK_TRANSFER_PLACES = HAK_CACHE_LINE / sizeof(hak_a64_t),
    HAK_TRANSFER_MOST = UINT16_MAX, /* blocks in a list */
};

/* Of a class: { count : 16 | head : 48 }, 0 if free. */
typedef struct {
    __attribute__((aligned(HAK_CACHE_LINE))) hak_a64_t place[HAK_TRANSFER_PLACES];
} hak_transfer_t;

extern hak_local hak_transfer_t hak_transfer[HAK_SC_FIXED + 1];
/* 1 once there was a list: until then nobody need look. */
extern hak_local hak_a32_t hak_transfer_used;

/* Hints, without synchronisation: whether put or take is worth a call. A purge leaves free places
 * anywhere. */
static inline bool hak_transfer_has_room(unsigned sc) {
    bool room = false;
    for (unsigned i = 0; sc <= HAK_SC_FIXED && i < HAK_TRANSFER_PLACES; i++) {
        room |= hak_load_rlx(&hak_transfer[sc].place[i]) == 0;
    }
    return room;
}
static inline bool hak_transfer_has_any(unsigned sc) {
    uint64_t any = 0;
    if (hak_likely(hak_load_rlx(&hak_transfer_used) == 0) || sc > HAK_SC_FIXED) {
        return false;
    }
    for (unsigned i = 0; i < HAK_TRANSFER_PLACES; i++) {
        any |= hak_load_rlx(&hak_transfer[sc].place[i]);
    }
    return any != 0;
}

/* Leaves a list of `count` blocks of class `sc`, 1 to HAK_TRANSFER_MOST. False if there is no
 * place: the list is still the caller's. */
bool hak_transfer_put_mt(unsigned sc, hak_block_t *list, uint32_t count);
/* Takes the list that came last, or so; NULL if there is none. */
hak_block_t *hak_transfer_take_mt(unsigned sc, uint32_t *count);

/* Remembers what is there, and gives each list that was there at the time before to `send`, with
 * its class and `context`. Does nothing if that is less than `delay_ms` ago, or if another thread
 * is about it; delay 0: gives all. Returns the number of lists. Under a lock, so that who stops all
 * threads finds no list in between; `send` may take locks above HAK_RANK_TRANSFER. */
typedef void hak_transfer_send_fn(hak_block_t *list, unsigned sc, void *context);
unsigned hak_transfer_purge_mt(uint64_t now_ms, uint64_t delay_ms, hak_transfer_send_fn *send,
                               void *context);

/* How many blocks of the class are here. */
uint64_t hak_transfer_count(unsigned sc);
/* The first of the list at a place of the class, or NULL: for those who count all blocks while
 * everything stands still. */
const hak_block_t *hak_transfer_list(unsigned sc, unsigned place);

void hak_transfer_fork_take(void);
void hak_transfer_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_TRANSFER_TRANSFER_H_ */
