/* gate: the one place where sizes and pointers are classified. A request becomes a size class, a
 * run of slots or a huge mapping; a pointer becomes "mine", "another heap's", "large" or an error.
 *
 * The hit path is in gate_inl.h and is copied into malloc, free and their twins. Everything here
 * is the slow side or rare. No function here is malloc's or free's own name: front/libc and
 * front/api put names on them.
 *
 * Threads    any thread, also one whose thread-local storage is being torn down.
 * Errors     allocation: NULL with errno ENOMEM. Misuse: core/errors. Frees keep errno.
 * Layer      6 (front). Uses backends/port, boxes/tls_sll, registry, core.
 */
#ifndef HAK_FRONT_GATE_GATE_H_
#define HAK_FRONT_GATE_GATE_H_

#include <stdbool.h>
#include <stddef.h>

#include "boxes/audit/audit.h"
#include "include/hakmem.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hak_block;

/* A block of at least `size` bytes, any size; the miss path of hak_gate_malloc. */
void *hak_gate_alloc_slow(size_t size);
/* The rest of free: NULL, remote, large, errors. `call` is the function's name for an error line.
 */
void hak_gate_free_slow(void *block, const char *call);

/* A block of the hit path that its bin has no room for. */
void hak_gate_take_back(struct hak_block *block, unsigned sc);

/* Counts a call: only in builds with --config=stats, where the hit path does it too. */
typedef enum {
    HAK_CALL_MALLOC,
    HAK_CALL_FREE,
    HAK_CALL_REALLOC,
    HAK_CALL_FAILED,
    HAK_CALL_COUNT
} hak_call_t;
void hak_gate_count_call(hak_call_t call);
/* Calls so far, or HAK_STAT_DISABLED. */
uint64_t hak_gate_calls(hak_call_t call);

/* `bytes` of zeroes; the caller checked the product for overflow. */
void *hak_gate_calloc(size_t bytes);
/* realloc for any block, NULL included, and any size but 0. On failure the block is unchanged. */
void *hak_gate_realloc(void *block, size_t size, const char *call);
/* A block aligned to `align`, a power of two of any value. */
void *hak_gate_aligned(size_t align, size_t size);

/* Bytes usable in `block`; 0 for NULL. A pointer that is no live block is reported as misuse of
 * `call`. */
size_t hak_gate_usable(const void *block, const char *call);
/* Usable size that an allocation of `size` would have; 0 if it must fail. */
size_t hak_gate_good_size(size_t size);
bool hak_gate_owns(const void *block);
/* Name of the backend of a live block, else NULL. */
const char *hak_gate_served_by(const void *block);
/* Checks a sized free: true if a request of (`size`, `align`; 0: unknown) can have given `block`;
 * else reports. */
bool hak_gate_check_sized(const void *block, size_t size, size_t align, const char *call);

/* See the functions of the same name in hakmem.h. */
int hak_gate_trim(size_t keep_bytes);
void hak_gate_thread_flush(void);
size_t hak_gate_check_heap(void);
/* Where every block is; no other thread may be inside malloc or free. */
void hak_gate_audit(hak_audit_result_t *out);
/* Fills every field but struct_bytes. */
void hak_gate_stats(hak_stats_t *stats);

/* An option was set. False if a backend does not accept it and put the value before back. */
bool hak_gate_options_changed(void);

/* Sets the process up if nothing has yet: options, registry, heaps, fork handlers. Called by the
 * constructor and by the first slow path, whichever comes first. `environment` may be NULL. */
void hak_gate_init(char *const *environment);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_GATE_GATE_H_ */
