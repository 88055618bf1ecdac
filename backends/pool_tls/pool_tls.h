/* pool_tls: the thread pools as a backend: 2, 4, 8, 16 and 32 KiB out of chunks that a heap has
 * for itself.
 *
 * The thread cache is the list per class that the hit path pops; a refill takes 64 blocks of
 * 2 KiB, and fewer of the larger ones, down to 16 of 32 KiB. Frees by other threads come through
 * one queue a heap (boxes/pool_remote), which the owner empties when it refills; if the owner is
 * gone or sleeps, whoever takes the heap, adopts a chunk or purges does it. Nothing is shared
 * between heaps but that queue: there is no lock that two threads meet at.
 *
 * Owns       nothing.
 * Threads    see backends/port.
 * Layer      5 (backends). A composition of boxes/pool_heap, pool_chunk, pool_remote, page_arena
 *            and the thread cache.
 */
#ifndef HAK_BACKENDS_POOL_TLS_POOL_TLS_H_
#define HAK_BACKENDS_POOL_TLS_POOL_TLS_H_

#include "backends/port/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const hak_backend_t hak_backend_pool_tls;

/* Blocks that one refill of the class takes. */
uint32_t hak_pool_tls_refill_blocks(unsigned sc);

#ifdef __cplusplus
}
#endif
#endif /* HAK_BACKENDS_POOL_TLS_POOL_TLS_H_ */
