/* careless_allocator: leaves one byte of a large block of calloc unclear, and takes no notice of an
 * alignment above 16. Small blocks of calloc stay right, for libc's own use. */
#include <stddef.h>
#include <stdint.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void __libc_free(void *block);

void *malloc(size_t size);
void free(void *block);
void *calloc(size_t count, size_t size);
int posix_memalign(void **block, size_t alignment, size_t size);

enum { LARGE_BYTES = 32768 };

void *malloc(size_t size) { return __libc_malloc(size); }

void free(void *block) { __libc_free(block); }

void *calloc(size_t count, size_t size) {
    unsigned char *block = __libc_calloc(count, size);
    if (block != NULL && count * size == LARGE_BYTES) {
        block[LARGE_BYTES / 3] = 1;
    }
    return block;
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    unsigned char *where = __libc_malloc(size + 2 * 16);
    (void)alignment;
    /* At 16 above a multiple of 32, or else chance might align it. */
    *block = where + ((uintptr_t)where % 32 == 0 ? 16 : 0);
    return 0;
}
