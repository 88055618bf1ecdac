/* run: large blocks, above the largest size class up to 1 MiB: a run of 64 KiB slots in a
 * superslab.
 *
 * Freed slots stay resident until purged, so a program that frees and allocates large blocks in
 * turn makes no system call and touches no new page. Runs split and join by the slot masks of
 * boxes/slot_pool.
 *
 * Owns       hak_slab.large_bytes, the tags of runs.
 * Threads    *_mt: any; a block belongs to its caller.
 * Errors     NULL with errno ENOMEM.
 * Layer      4 (boxes). Uses boxes/slot_pool, boxes/slab, registry.
 */
#ifndef HAK_BOXES_RUN_RUN_H_
#define HAK_BOXES_RUN_RUN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HAK_RUN_MAX_BYTES = 1 << 20 };

/* A block of `bytes`, 1..HAK_RUN_MAX_BYTES, at a multiple of 64 KiB. `*zeroed` tells if it reads
 * as zero. */
void *hak_run_alloc_mt(size_t bytes, bool *zeroed);
/* False if no run starts at `block`, or if it was freed meanwhile. */
bool hak_run_free_mt(void *block);
/* Changes the size in place. False if the neighbours are in use. */
bool hak_run_resize_mt(void *block, size_t bytes);
/* Usable bytes of the run that holds `address`, and its start in `*block`; 0 if none does. */
size_t hak_run_describe(uintptr_t address, uintptr_t *block);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BOXES_RUN_RUN_H_ */
