/* errors: what happens when the program misuses the allocator or the heap is found damaged.
 *
 * One line on stderr with the process, the call, the address, what is wrong and what hakmem knows
 * of it; then abort, unless HAKMEM_ON_ERROR says report (go on, the call has no effect) or ignore
 * (the same in silence).
 *
 *   hakmem[12]: free(0x7f40): double free: the block is free already; block 0x7f40 of 64 bytes
 *
 * Owns       the count of errors.
 * Threads    any. Allocates nothing. The caller must hold no lock: an abort handler of the program
 *            may call malloc.
 * Layer      2 (core). Uses core/options, core/text, backends/os.
 */
#ifndef HAK_CORE_ERRORS_ERRORS_H_
#define HAK_CORE_ERRORS_ERRORS_H_

#include <stdint.h>

#include "base/attr.h"
#include "config/hak_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    HAK_ERROR_WILD,        /* no allocator's address that we know: "not a block of hakmem" */
    HAK_ERROR_INTERIOR,    /* points into a block, not at its start */
    HAK_ERROR_DOUBLE_FREE, /* the block is free already */
    HAK_ERROR_FREED,       /* points to memory of ours in which no block lives any more */
    HAK_ERROR_UNALLOCATED, /* points into a slab at a place never handed out, or at its tail */
    HAK_ERROR_CORRUPT,     /* metadata or a free list does not make sense */
    HAK_ERROR_SIZE,        /* sized free with a size that the block cannot have */
    HAK_ERROR_ALIGNMENT,   /* aligned sized free with an alignment that the block does not have */
    HAK_ERROR_COUNT
} hak_error_t;

/* Reports that `call` ("free") got `address`. `block` and `block_bytes` describe the block that
 * holds it, if known (else NULL and 0). Returns only if HAKMEM_ON_ERROR allows; the caller then
 * leaves everything as it is. */
void hak_error_report(hak_error_t kind, const char *call, const void *address, const void *block,
                      uint64_t block_bytes);

/* Errors reported or ignored so far. */
uint64_t hak_error_count(void);

/* Debug builds: aborts with file and line if `condition` is false. Release: not evaluated. */
#define hak_debug_assert(condition)                                                                \
    do {                                                                                           \
        if (hak_cfg_debug && hak_unlikely(!(condition))) {                                         \
            hak_error_assert_failed(#condition, __FILE__, __LINE__);                               \
        }                                                                                          \
    } while (0)
void hak_error_assert_failed(const char *condition, const char *file, int line);

#ifdef __cplusplus
}
#endif
#endif /* HAK_CORE_ERRORS_ERRORS_H_ */
