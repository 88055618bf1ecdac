/* pool_shard: what threads of the mid pool share: for each class 64 (or 8) shards of free blocks.
 *
 * A shard has a free list (boxes/pool_list), a stack for blocks that others send (remote), and one
 * bit in the class's mask that says if either holds something. The notes spread calls over shards
 * by call site; here a page's shard is that of the heap which opened it. That spreads as well, and
 * it keeps all free blocks of a page in one shard, so that a wholly free page can be taken out.
 *
 * Owns       the shards, the masks; hak_pool_page.shared, free_since_ms, in_hand.
 * Threads    *_mt: any. *_locked: the holder of the collector's lock, HAK_RANK_MID_COLLECT.
 * Invariant  when nobody is inside: a bit is set exactly if its shard holds a block; a page's
 *            `shared` is the number of its blocks in its shard.
 * Layer      4 (boxes). Uses boxes/pool_page, boxes/pool_list, boxes/mpsc_stack.
 */
#ifndef HAK_BOXES_POOL_SHARD_POOL_SHARD_H_
#define HAK_BOXES_POOL_SHARD_POOL_SHARD_H_

#include "boxes/mpsc_stack/mpsc_stack.h"
#include "boxes/pool_list/pool_list.h"
#include "boxes/pool_page/pool_page.h"
#include "config/hak_config.h"

#ifdef __cplusplus
extern "C" {
#endif

hak_static_assert((int)hak_cfg_pool_shards <= (int)HAK_POOL_SHARDS_MOST,
                  "a shard is a bit in a mask of 64");

enum { HAK_POOL_TAKE_MOST = 32 }; /* blocks that one take may ask for */

/* Puts a list of blocks, linked in the blocks, on the free lists of their pages' shards. */
void hak_pool_shard_put_mt(unsigned ci, hak_block_t *list);
/* Sends one block of `page` to its shard, without a lock. */
void hak_pool_shard_send_mt(hak_pool_page_t *page, unsigned ci, hak_block_t *block);
/* Takes up to `most` blocks from the free list of a shard into blocks[]. HAK_POOL_LIST_BUSY: as
 * hak_pool_list_take_mt. */
uint32_t hak_pool_shard_take_mt(unsigned ci, unsigned shard, uint32_t most, hak_block_t **blocks,
                                bool wait);
/* Moves what was sent to a shard to its free list. Returns the number of blocks. */
uint32_t hak_pool_shard_drain_mt(unsigned ci, unsigned shard);
/* Shards that hold something: a bit for each. */
uint64_t hak_pool_shard_mask(unsigned ci);

/* Takes wholly free pages out of all shards that have some, and closes them: those that have been
 * free for `delay_ms` at `now_ms` (0: all). Looks at up to `most_pages` pages. Returns how many
 * were closed. */
unsigned hak_pool_shard_collect_locked(uint64_t now_ms, uint64_t delay_ms, uint32_t most_pages);

void hak_pool_shard_lock(void);
bool hak_pool_shard_try_lock(void);
void hak_pool_shard_unlock(void);

typedef struct {
    hak_a64_t sent, drained; /* remote: blocks */
} hak_pool_shard_counters_t;
extern hak_pool_shard_counters_t hak_pool_shard_counters;

typedef struct {
    uint64_t listed, remote;  /* blocks */
    uint64_t nonempty;        /* bits set */
    uint64_t tries, failures; /* of all lists */
} hak_pool_shard_stats_t;
void hak_pool_shard_stats(hak_pool_shard_stats_t *out);

/* Lists, counts, masks and the pages' `shared`. Returns the faults. */
size_t hak_pool_shard_check_locked(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_POOL_SHARD_POOL_SHARD_H_ */
