/* The table of the hak_* twins: for binaries whose malloc is another allocator's. */
#include "hakmem.h"
#include "tests/support/api_table.h"

const hak_test_table_t hak_test = {
    .name = "hak",
    .malloc = hak_malloc,
    .calloc = hak_calloc,
    .realloc = hak_realloc,
    .reallocarray = hak_reallocarray,
    .free = hak_free,
    .free_sized = hak_free_sized,
    .free_aligned_sized = hak_free_aligned_sized,
    .posix_memalign = hak_posix_memalign,
    .aligned_alloc = hak_aligned_alloc,
    .memalign = hak_memalign,
    .usable_size = hak_usable_size,
};
