/* meta: memory for descriptors. Bump-allocated from mappings of its own, apart from all blocks, so
 * that an overflow of a block cannot reach it and so that descriptors lie next to each other.
 * Nothing is ever given back: a descriptor may be read as long as the process lives; boxes keep
 * free lists of their own.
 *
 * Owns       the current chunk.
 * Threads    any; takes its own lock (HAK_RANK_META).
 * Layer      2 (core). Uses base, backends/os, core/lock.
 */
#ifndef HAK_CORE_META_META_H_
#define HAK_CORE_META_META_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `bytes` of zeroes, aligned to a cache line. NULL with errno ENOMEM. */
void *hak_meta_alloc_mt(size_t bytes);
/* Bytes handed out so far. */
uint64_t hak_meta_bytes(void);

/* For fork: holds the lock across it. */
void hak_meta_fork_take(void);
void hak_meta_fork_drop(void);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_META_META_H_ */
