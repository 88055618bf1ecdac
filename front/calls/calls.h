/* calls: what the standard functions promise beyond allocation: products that overflow, sizes of
 * zero, alignments that are none, errno. Shared by the names of the C library (front/libc) and the
 * hak_ twins (front/api), so that the two families cannot differ.
 *
 * Owns       nothing.
 * Threads    any.
 * Errors     NULL with errno, but for posix_memalign, which returns the error and keeps errno.
 *            `call` is the caller's name for an error line.
 * Layer      6 (front). Uses front/gate, backends/os. Used by front/api, front/libc.
 */
#ifndef HAK_FRONT_CALLS_CALLS_H_
#define HAK_FRONT_CALLS_CALLS_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *hak_calls_calloc(size_t count, size_t size);

/* As the GNU C library: a size of 0 frees `block` and gives NULL; with a NULL block it is malloc.
 * */
void *hak_calls_realloc(void *block, size_t size, const char *call);
void *hak_calls_reallocarray(void *block, size_t count, size_t size, const char *call);

/* EINVAL unless `align` is a power of two and a multiple of sizeof(void *). On an error `*out` is
 * untouched. */
int hak_calls_posix_memalign(void **out, size_t align, size_t size);
/* EINVAL unless `align` is a power of two. The size need not be a multiple of it (C17). */
void *hak_calls_aligned_alloc(size_t align, size_t size);
/* An `align` that is no power of two is rounded up to one, as in the GNU C library. */
void *hak_calls_memalign(size_t align, size_t size);
void *hak_calls_valloc(size_t size);
void *hak_calls_pvalloc(size_t size);

/* Frees a block whose size, and alignment unless 0, the caller claims to know; a false claim is a
 * misuse. */
void hak_calls_free_sized(void *block, size_t align, size_t size, const char *call);

size_t hak_calls_memalignment(const void *block);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_CALLS_CALLS_H_ */
