/* The table of the C library's names: for binaries linked with the malloc override. */
#include <malloc.h>
#include <stdlib.h>

#include "tests/support/api_table.h"

/* C23's sized frees. glibc before 2.42 has neither; weak, so that this file also links without
 * hakmem, where a plain free does the same. */
extern void free_sized(void *block, size_t size) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t align, size_t size) __attribute__((weak));

static void hak_test_free_sized(void *block, size_t size) {
    if (free_sized != NULL) {
        free_sized(block, size);
    } else {
        free(block);
    }
}

static void hak_test_free_aligned_sized(void *block, size_t align, size_t size) {
    if (free_aligned_sized != NULL) {
        free_aligned_sized(block, align, size);
    } else {
        free(block);
    }
}

/* glibc declares the parameter without const. */
static size_t hak_test_usable_size(const void *block) { return malloc_usable_size((void *)block); }

const hak_test_table_t hak_test = {
    .name = "libc",
    .malloc = malloc,
    .calloc = calloc,
    .realloc = realloc,
    .reallocarray = reallocarray,
    .free = free,
    .free_sized = hak_test_free_sized,
    .free_aligned_sized = hak_test_free_aligned_sized,
    .posix_memalign = posix_memalign,
    .aligned_alloc = aligned_alloc,
    .memalign = memalign,
    .usable_size = hak_test_usable_size,
};
