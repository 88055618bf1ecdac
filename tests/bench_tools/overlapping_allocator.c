/* overlapping_allocator: hands out one and the same block for a size that the smoke runs use often.
 * A benchmark that does not look at its blocks would find this fast. */
#include <stddef.h>

void *__libc_malloc(size_t size);
void __libc_free(void *block);
void *malloc(size_t size);
void free(void *block);

static _Alignas(16) char only[64];

void *malloc(size_t size) { return size == sizeof only ? only : __libc_malloc(size); }

void free(void *block) {
    if (block != only) {
        __libc_free(block);
    }
}
