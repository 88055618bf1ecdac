/* mid_supply: where chunks come from and where empty ones go.
 *
 * An empty chunk keeps its memory for the purge delay, ready for the next heap that needs one;
 * then it is unmapped. Its descriptor waits for the next mapping: descriptors are never freed.
 *
 * Owns       the list of all descriptors, the spare chunks and the spare descriptors;
 *            hak_mid_chunk.region, segment.chunk_size.
 * Threads    *_mt: any, takes its own lock (HAK_RANK_MID_SUPPLY). *_locked: between fork_take and
 *            fork_drop.
 * Invariant  a spare chunk is mapped and registered, has no class and no tags.
 * Layer      4 (boxes). Uses boxes/mid_chunk, registry, core/lock, core/meta, backends/os.
 */
#ifndef HAK_BOXES_MID_SUPPLY_MID_SUPPLY_H_
#define HAK_BOXES_MID_SUPPLY_MID_SUPPLY_H_

#include "boxes/mid_chunk/mid_chunk.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_MID_LEAST_CHUNK_SHIFT = 19, HAK_MID_MOST_CHUNK_SHIFT = 22 };

/* A chunk of at least `bytes`, a power of two within the bounds above: a spare one, or a new
 * mapping of just that size. NULL with errno ENOMEM. */
hak_mid_chunk_t *hak_mid_supply_take_mt(size_t bytes);
/* Takes back a closed chunk. */
void hak_mid_supply_give_mt(hak_mid_chunk_t *chunk, uint64_t now_ms);

/* Unmaps chunks that were spare for `delay_ms`, as long as more than `keep_bytes` of them may be
 * resident; about `max_calls` worth of system calls. Returns the bytes given back. */
size_t hak_mid_supply_purge_mt(uint64_t now_ms, uint64_t delay_ms, unsigned max_calls,
                               size_t keep_bytes);

/* Every descriptor there is, those without memory included. No lock. */
void hak_mid_supply_each(void (*visit)(hak_mid_chunk_t *chunk, void *context), void *context);

typedef struct {
    uint64_t made;   /* mappings since the start */
    uint64_t reused; /* chunks that were spare and were taken again */
    uint64_t mapped_bytes, mapped_peak_bytes;
    uint64_t purges, purged_bytes;
    uint64_t spare, spare_bytes; /* of the latter: what may be resident */
} hak_mid_supply_stats_t;
void hak_mid_supply_stats_mt(hak_mid_supply_stats_t *out);
/* False only if no chunk is spare. */
bool hak_mid_supply_has_spare(void);

void hak_mid_supply_fork_take(void);
void hak_mid_supply_fork_drop(void);
/* Verifies the spare chunks. Returns the faults. */
size_t hak_mid_supply_check_locked(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_MID_SUPPLY_MID_SUPPLY_H_ */
