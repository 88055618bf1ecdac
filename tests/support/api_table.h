/* api_table: the allocation functions under test as a table, so that one test source runs on the
 * hak_* twins (HAK_TEST_API) and on the names of the C library (the malloc override).
 *
 * Owns       nothing.
 * Threads    any.
 */
#ifndef HAK_TESTS_SUPPORT_API_TABLE_H_
#define HAK_TESTS_SUPPORT_API_TABLE_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *name; /* "hak" or "libc", for messages */
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t count, size_t size);
    void *(*realloc)(void *block, size_t size);
    void *(*reallocarray)(void *block, size_t count, size_t size);
    void (*free)(void *block);
    void (*free_sized)(void *block, size_t size);
    void (*free_aligned_sized)(void *block, size_t align, size_t size);
    int (*posix_memalign)(void **out, size_t align, size_t size);
    void *(*aligned_alloc)(size_t align, size_t size);
    void *(*memalign)(size_t align, size_t size);
    size_t (*usable_size)(const void *block);
} hak_test_table_t;

/* The table of this binary. */
extern const hak_test_table_t hak_test;

#ifdef __cplusplus
}
#endif
#endif /* HAK_TESTS_SUPPORT_API_TABLE_H_ */
