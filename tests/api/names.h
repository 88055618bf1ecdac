/* names: lets one test source call the hak_* twins (HAK_TEST_API) or the names of the C library.
 *
 * Owns       nothing.
 */
#ifndef HAK_TESTS_API_NAMES_H_
#define HAK_TESTS_API_NAMES_H_

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>

#include "hakmem.h"

/* C23, in no header of this C library. */
extern "C" {
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);
size_t memalignment(const void *block);
void cfree(void *block);
}

#ifdef HAK_TEST_API
#define CALL(name) hak_##name
#define CALL_NAME(name) "hak_" #name
#define CALL_usable_size hak_usable_size
#define CALL_trim hak_trim
#else
#define CALL(name) ::name
#define CALL_NAME(name) #name
#define CALL_usable_size malloc_usable_size
#define CALL_trim malloc_trim
#endif

/* A size that the compiler cannot see: it warns about, or folds, calls that must fail. */
inline size_t Hidden(size_t size) {
    volatile size_t hidden = size;
    return hidden;
}

#endif /* HAK_TESTS_API_NAMES_H_ */
